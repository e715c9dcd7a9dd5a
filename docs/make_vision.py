"""Make `docs/figures/{vision,materials}*`: pictures, meshes and materials of generated rooms.

An apartment of a held-out seed in looks that training never saw is photographed, reconstructed and
given materials as in `benchmarks/materials.py`. `vision`: some of its pictures, the mesh by what
was seen, inferred and invented, and the most probable row of each face. `materials`, from the same
side: those of the nearest true surface, the most probable ones, and by how much the expected
absorption is off (mean of the octaves from 125 Hz to 4 kHz). `vision-images` and `vision-mesh` are
of another apartment, and `vision-gable` is of one under gables, from the side.

    python docs/make_vision.py [--seed 304] [--frames 40] [--level 5] [--gable 4] [--work DIR]
        [--only materials|geometry]

What an earlier run photographed into folders of DIR is used again.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from PIL import Image
from scipy.spatial import cKDTree

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import looks  # noqa: E402
from piavas.capture import load_capture  # noqa: E402
from piavas.colors import material_colors  # noqa: E402
from piavas.geometry import reconstruct  # noqa: E402
from piavas.geometry.compare import sample_surface  # noqa: E402
from piavas.materials import Recognition, assign, load_table  # noqa: E402
from piavas.plot import Plot  # noqa: E402
from piavas.plot.dollhouse import dollhouse, mesh_picture  # noqa: E402
from piavas.plot.style import colorbar, themed, to_png  # noqa: E402
from piavas.scene import Material, Mesh, Scene, triangle_areas  # noqa: E402
from piavas.twin import generate_capture  # noqa: E402
from piavas.twin.finishes import MATERIALS  # noqa: E402
from piavas.twin.world import World, make_world  # noqa: E402

OUT = ROOT / "docs" / "figures"
PICTURES = 9
IN_A_ROW, GAP = 4, 6  # pictures of the other apartment, and pixels between them
NAMES = ("observed", "inferred", "invented", "open")
ORIGINS = ((0.35, 0.62, 0.83), (0.95, 0.78, 0.35), (0.84, 0.37, 0.2))  # seen, inferred, invented
SHOWN = 13  # rows with colours of their own; all others share one
WIDTH = 560  # pixels of a panel
AZIMUTH, ELEVATION = 235.0, 52.0
DENSE = 400_000
OTHER = (0.45, 0.45, 0.48)
PAINT = (0.88, 0.87, 0.84)  # painted plaster, which most is, stays quiet
PARQUET = (0.62, 0.44, 0.28)
BANDS = slice(1, 7)
OFF = 0.4  # absorption at the ends of the scale


def recognise(
    folder: Path, seed: int, frames: int
) -> tuple[World, Mesh, Recognition, list[np.ndarray]]:
    """The apartment, its mesh, what its pictures tell of it, and some of them."""
    if (folder / "transforms.json").is_file():
        world = make_world(seed)
    else:
        world = generate_capture(
            folder, seed, frames=frames, dress=lambda w: looks.redress(w, seed)
        )
    capture = load_capture(folder)
    mesh = reconstruct(capture)
    found = assign(mesh, capture, by="classifier").recognition
    assert found is not None
    few = np.linspace(0, len(capture.frames) - 1, PICTURES).astype(int)
    return world, mesh, found, [capture.frames[k].image() for k in few]


def rows_of(world: World, found: Recognition) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each small face the row of the nearest true surface, the most probable one, and how much
    more it is expected to absorb.
    """
    points, face = sample_surface(world.mesh, DENSE)
    _, near = cKDTree(points).query(found.room.centre)
    called = np.array([MATERIALS.index(row) for row in found.rows])
    true, table = world.face_material[face[near]], load_table()
    values = np.stack([table[name].absorption for name in MATERIALS])[:, BANDS].mean(axis=1)
    more = found.probability @ values[called] - values[true]
    return true, called[found.probability.argmax(axis=1)], more


def picture(corners: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """`[h, w, 4]` of triangles `[f, 3, 3]`, all from the same side."""
    return dollhouse(corners, colour, azimuth=AZIMUTH, elevation=ELEVATION, width=WIDTH)[0]


def palette(found: Recognition, *rows: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Colour of each of `MATERIALS`, and those that most is made of in any of `rows`."""
    size = sum(np.bincount(row, found.room.area, len(MATERIALS)) for row in rows)
    shown = [int(k) for k in np.argsort(-size)[:SHOWN] if size[k] > 0]
    colour = np.tile(OTHER, (len(MATERIALS), 1))
    colour[shown] = material_colors(len(shown))
    colour[MATERIALS.index("painted plaster")] = PAINT
    colour[MATERIALS.index("parquet")] = PARQUET
    return colour, shown


def draw_way(
    pictures: list[np.ndarray], mesh: Mesh, found: Recognition, paint: np.ndarray, *, dark: bool
) -> Plot:
    """Pictures, mesh by origin, materials, whose small faces have the colours `paint`."""
    assert mesh.origin is not None
    area = np.bincount(mesh.origin, triangle_areas(mesh.vertices, mesh.faces), len(ORIGINS))
    side = int(len(pictures) ** 0.5)
    rows = [np.concatenate(pictures[k : k + side], axis=1) for k in range(0, side * side, side)]
    with themed(dark):
        figure = Plot(figsize=(11, 4.2))
        axes = figure.subplots(1, 3)
        axes[0].imshow(np.concatenate(rows))
        axes[0].set_title("pictures of known places")
        axes[1].imshow(picture(mesh.triangles, np.array(ORIGINS)[mesh.origin]))
        axes[1].set_title("a closed mesh of the air")
        axes[2].imshow(picture(found.room.vertices[found.room.faces], paint))
        axes[2].set_title("what it is made of")
        for k, name in enumerate(("seen", "inferred", "invented")):
            label = f"{name}, {100 * area[k] / area.sum():.0f} % of the area"
            axes[1].scatter([], [], marker="s", s=50, color=ORIGINS[k], label=label)
        axes[1].legend(loc="upper center", bbox_to_anchor=(0.5, 0), frameon=False)
        for ax in axes:
            ax.set_axis_off()
            ax.set_anchor("N")
    return figure


def draw(
    found: Recognition, true: np.ndarray, told: np.ndarray, more: np.ndarray, *, dark: bool
) -> Plot:
    """The three panels and their legend."""
    area = found.room.area
    colour, shown = palette(found, true, told)
    right = area[true == told].sum() / area.sum()
    scale = ScalarMappable(Normalize(-OFF, OFF), "RdBu_r")
    corners = found.room.vertices[found.room.faces]
    panels = {
        "true": colour[true],
        f"most probable: right on {100 * right:.0f} % of the area": colour[told],
        "expected absorption less the true one": scale.to_rgba(more)[:, :3],
    }
    with themed(dark) as theme:
        figure = Plot(figsize=(11, 5))
        for ax, (title, paint) in zip(figure.subplots(1, 3), panels.items(), strict=True):
            ax.imshow(picture(corners, paint), interpolation="antialiased")
            ax.set_title(title)
            ax.set_axis_off()
            ax.set_anchor("N")
        for k in shown:
            ax.scatter([], [], marker="s", s=50, color=colour[k], label=MATERIALS[k])
        ax.scatter([], [], marker="s", s=50, color=OTHER, label="all others")
        colorbar(figure, scale, ax, "too little     absorption     too much", theme, aspect=30,
                 orientation="horizontal", shrink=0.8)  # fmt: skip
        figure.legend(loc="outside lower center", ncols=5, frameon=False)
    return figure


def save(figure: Plot, path: Path) -> None:
    """As a PNG of few colours that are spread over neighbours, which is small."""
    picture = io.BytesIO()
    figure.savefig(picture, dpi=120)
    image = Image.open(picture).convert("RGB")
    few = image.quantize(256, Image.Quantize.FASTOCTREE)
    image.quantize(palette=few, dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)
    print(path, path.stat().st_size)


def draw_origin(mesh: Mesh, name: str, elevation: float) -> None:
    """`mesh` with its faces by origin, one picture in light and one in dark."""
    assert mesh.origin is not None
    names = tuple(Material(name, np.float64(0.5)) for name in NAMES)
    scene = Scene(mesh.vertices, mesh.faces, mesh.origin.astype(np.int32), names)
    for scheme in ("light", "dark"):
        figure = mesh_picture(scene, elevation=elevation, dark=scheme == "dark")
        (OUT / f"vision-{name}-{scheme}.png").write_bytes(to_png(figure, 110))


def draw_geometry(work: Path, level: int, gable: int) -> None:
    """Pictures of one apartment, its mesh, and the mesh of another under gables."""
    generate_capture(work / "level", level)
    capture = load_capture(work / "level")
    chosen = np.linspace(0, len(capture) - 1, IN_A_ROW + 2)[1:-1].astype(int)
    pictures = [capture.frames[k].image() for k in chosen]
    bar = np.full((pictures[0].shape[0], GAP, 3), 255, np.uint8)
    row = [piece for one in pictures for piece in (one, bar)][:-1]
    Image.fromarray(np.hstack(row)).save(OUT / "vision-images.jpg", quality=85)
    draw_origin(reconstruct(capture), "mesh", 62)
    generate_capture(work / "gable", gable, rooms=2, ceiling="gabled")
    draw_origin(reconstruct(load_capture(work / "gable")), "gable", 8)


def draw_materials(work: Path, seed: int, frames: int) -> None:
    """The way from pictures to materials, and these against the true ones."""
    world, mesh, found, pictures = recognise(work / str(seed), seed, frames)
    true, told, more = rows_of(world, found)
    for dark in (False, True):
        scheme = "dark" if dark else "light"
        save(draw(found, true, told, more, dark=dark), OUT / f"materials-{scheme}.png")
        paint = palette(found, true, told)[0][told]
        save(draw_way(pictures, mesh, found, paint, dark=dark), OUT / f"vision-{scheme}.png")


def main() -> None:
    """Draw all, light and dark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=304)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--level", type=int, default=5)
    parser.add_argument("--gable", type=int, default=4)
    parser.add_argument("--work", type=Path, default=None)
    parser.add_argument("--only", choices=["materials", "geometry"], default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        if options.only != "geometry":
            draw_materials(work, options.seed, options.frames)
        if options.only != "materials":
            draw_geometry(work, options.level, options.gable)


if __name__ == "__main__":
    main()
