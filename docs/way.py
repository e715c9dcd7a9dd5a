"""Draws the way of the data as one picture: stages as boxes, files between them, in SVG.

Colours are those of the page, so the picture reads in light and in dark.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 960, 560
STAGE, FILE, GIVEN = "stage", "file", "given"
TEXT = {STAGE: 14, FILE: 12, GIVEN: 12}


@dataclass(frozen=True)
class Box:
    """One box about its middle, pixels."""

    kind: str
    x: int
    y: int
    lines: tuple[str, ...]
    width: int = 132
    height: int = 46


BOXES = {
    "images": Box(GIVEN, 84, 110, ("images", "with poses")),
    "geometry": Box(STAGE, 250, 110, ("reconstruct",)),
    "mesh": Box(FILE, 408, 110, ("mesh.ply",), 104, 34),
    "materials": Box(STAGE, 560, 110, ("assign", "materials")),
    "scene": Box(FILE, 736, 110, ("scene/", "mesh.ply, materials.json"), 164, 44),
    "places": Box(GIVEN, 84, 232, ("source and", "listener poses")),
    "acoustics": Box(STAGE, 250, 232, ("simulate", "sound")),
    "irs": Box(FILE, 430, 232, ("responses.sofa",), 126, 34),
    "render": Box(STAGE, 600, 232, ("render",)),
    "sim": Box(FILE, 768, 232, ("x_sim: binaural",), 132, 34),
    "dry": Box(GIVEN, 600, 170, ("dry sound x_tx",), 122, 30),
    "recordings": Box(GIVEN, 84, 390, ("recordings x_rx", "of real heads")),
    "pairs": Box(STAGE, 250, 390, ("pair",), 100),
    "clips": Box(FILE, 372, 390, ("clips/",), 84, 34),
    "train": Box(STAGE, 488, 390, ("train",), 92),
    "model": Box(FILE, 604, 390, ("model/",), 84, 34),
    "refine": Box(STAGE, 736, 390, ("refine", "by flow matching"), 140),
    "hat": Box(FILE, 888, 390, ("x̂_rx",), 74, 34),
    "calibrate": Box(STAGE, 84, 302, ("calibrate",), 110, 34),
    "evaluate": Box(STAGE, 736, 492, ("evaluate",), 110),
    "report": Box(FILE, 604, 492, ("report.html",), 108, 34),
    "listen": Box(STAGE, 250, 492, ("export, listen",), 128),
    "tools": Box(FILE, 436, 492, ("SOFA, WAV, ambiX, glTF,", "tables, a page to walk in"), 206, 44),
}  # fmt: skip
STRAIGHT = (
    ("images", "geometry"), ("geometry", "mesh"), ("mesh", "materials"), ("materials", "scene"),
    ("places", "acoustics"), ("acoustics", "irs"), ("irs", "render"), ("render", "sim"),
    ("dry", "render"), ("recordings", "pairs"), ("pairs", "clips"), ("clips", "train"),
    ("train", "model"), ("model", "refine"), ("refine", "hat"), ("evaluate", "report"),
    ("listen", "tools"), ("recordings", "calibrate"),
)  # fmt: skip
BENT = (
    ((736, 132), (736, 150), (250, 150), (250, 209)),  # scene to acoustics
    ((139, 302), (852, 302), (852, 110), (818, 110)),  # calibrate to scene
    ((768, 249), (768, 276), (250, 276), (250, 367)),  # x_sim to pairs
    ((768, 276), (768, 367)),  # x_sim to refine
    ((888, 407), (888, 492), (791, 492)),  # x̂ to evaluate
    ((84, 413), (84, 446), (736, 446), (736, 469)),  # recordings to evaluate
    ((430, 249), (430, 262), (178, 262), (178, 492), (186, 492)),  # responses to export
)
BANDS = (
    (6, 322, 34, "Stage 1: physics", "generalises to places nobody recorded"),
    (346, 208, 540, "Stage 2: data", "adds what microphones heard beyond the physics"),
)


def _box(box: Box) -> str:
    x, y = box.x - box.width // 2, box.y - box.height // 2
    round_ = {STAGE: 8, FILE: 2, GIVEN: box.height // 2}[box.kind]
    size = TEXT[box.kind]
    rows = []
    for i, line in enumerate(box.lines):
        shift = (i - (len(box.lines) - 1) / 2) * (size + 3)
        points = 10.5 if i and box.lines[0].endswith("/") else size
        rows.append(
            f'<text x="{box.x}" y="{box.y + shift + size * 0.36:.1f}" class="{box.kind}" '
            f'font-size="{points}">{escape(line)}</text>'
        )
    return (
        f'<rect x="{x}" y="{y}" width="{box.width}" height="{box.height}" rx="{round_}" '
        f'class="{box.kind}"/>' + "".join(rows)
    )


def _edge(a: Box, b: Box) -> str:
    """A straight arrow from side to side."""
    if a.y == b.y:
        right = a.x < b.x
        start = a.x + (a.width // 2 if right else -a.width // 2)
        end = b.x - (b.width // 2 if right else -b.width // 2)
        return _line(((start, a.y), (end, b.y)))
    down = a.y < b.y
    return _line(
        (
            (a.x, a.y + (a.height // 2 if down else -a.height // 2)),
            (b.x, b.y - (b.height // 2 if down else -b.height // 2)),
        )
    )


def _line(points: tuple[tuple[int, int], ...]) -> str:
    path = " ".join(f"{x},{y}" for x, y in points)
    return f'<polyline points="{path}" class="way" marker-end="url(#tip)"/>'


STYLE = """
.way-of-data text { font-family: var(--font-stack, sans-serif); text-anchor: middle;
  fill: var(--color-foreground-primary, #1b1f25); }
.way-of-data .stage { font-weight: 600; }
.way-of-data rect.stage { fill: #0072b233; stroke: #0072b2; stroke-width: 1.5; }
.way-of-data rect.file { fill: none; stroke: var(--color-foreground-muted, #6b6f76);
  stroke-dasharray: 4 3; }
.way-of-data text.file { font-family: var(--font-stack--monospace, monospace); }
.way-of-data rect.given { fill: #e69f0033; stroke: #e69f00; stroke-width: 1.5; }
.way-of-data .way { fill: none; stroke: var(--color-foreground-secondary, #5a5c63);
  stroke-width: 1.4; }
.way-of-data .tip { fill: var(--color-foreground-secondary, #5a5c63); }
.way-of-data rect.band { fill: var(--color-foreground-primary, #1b1f25); fill-opacity: 0.04; }
.way-of-data text.band { text-anchor: start; font-size: 13px; font-weight: 600; }
.way-of-data tspan.note { text-anchor: start; font-size: 12px; font-weight: 400;
  fill: var(--color-foreground-muted, #6b6f76); }
"""


def draw() -> str:
    """The picture as SVG text."""
    bands = "".join(
        f'<rect x="6" y="{y}" width="{WIDTH - 12}" height="{height}" rx="10" class="band"/>'
        f'<text x="22" y="{line}" class="band">{escape(name)}'
        f'<tspan class="note" dx="12">{escape(note)}</tspan></text>'
        for y, height, line, name, note in BANDS
    )
    edges = "".join(_edge(BOXES[a], BOXES[b]) for a, b in STRAIGHT)
    bent = "".join(_line(points) for points in BENT)
    boxes = "".join(_box(box) for box in BOXES.values())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="way-of-data" width="100%" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="The way of the data: images to a '
        'mesh, to a scene, to responses, to binaural sound, to refined sound, to a report.">'
        f"<style>{STYLE}</style>"
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
        'markerHeight="8" orient="auto-start-reverse"><path d="M0 0 8 4 0 8z" class="tip"/>'
        f"</marker></defs>{bands}{edges}{bent}{boxes}</svg>\n"
    )


if __name__ == "__main__":
    print(draw(), end="")
