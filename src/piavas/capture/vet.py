"""A capture looked over before it is used: frames that would spoil it are named and left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piavas.capture.doubts import Doubt
from piavas.capture.pairs import AGREE, CONTRADICT, carried, compare_all, look
from piavas.capture.recordings import relative
from piavas.capture.scale import rescale_as
from piavas.capture.shots import judge_shot
from piavas.capture.types import Capture
from piavas.errors import CaptureError
from piavas.progress import track

F64 = NDArray[np.float64]
WIDEST = 640
"""Pixels to which images are thinned before they are judged."""
AGAINST = 0.6
"""Share of the frames that speak of a frame and contradict it from which it is left out."""
LEAST = (2, 3)
"""Frames that must contradict it: by depth, and by features, since rooms hold many things twice."""
MANY = 0.25
"""Share of the frames from which so many contradictions are of the whole, not of single frames."""
SPIKE = 8.0
"""Times the usual step that a frame without better evidence may stand aside from its neighbours."""
FEW = 16
"""Frames, evenly spread, that tell the unit of depth."""
FACTORS = np.geomspace(1e-4, 1e4, 371)
"""By which depth may be wrong: steps of 5 %."""
SAME = 0.05
FITS, WORSE, TURN = 0.65, 0.6, 0.2
"""Share of points that the best factor must explain, most of it that 1 may explain, and by how much
it must beat depth so large that only the turn between two frames counts."""
UNITS = {
    1.0: "metres", 1e-2: "centimetres", 1e-3: "millimetres", 1e-4: "tenths of a millimetre",
    2e-4: "fifths of a millimetre", 0.3048: "feet", 0.0254: "inches",
}  # fmt: skip
MEDIANS = (0.15, 60.0)
"""Metres between which the median depth of a visit to a place lies."""


def vet(capture: Capture, *, depth: str = "sensor") -> tuple[Capture, tuple[Doubt, ...]]:
    """`capture` without the frames that would spoil it, and what is doubtful about it.

    Args:
        capture: any.
        depth: the source of depth that will be used. With "sensor" dark and blurred images stay,
            since their depth may be good; they are named.

    Raises:
        CaptureError: depth in a wrong unit, an image that cannot be read, or no frame left.
    """
    sensor = depth == "sensor" and capture.has_depth
    doubts: list[Doubt] = []
    if sensor:
        check_depth_unit(capture)
    poor = {i: w for i, f in enumerate(track(capture.frames, "judge images"))
            if f.image_path.is_file() and (w := judge_shot(f.image_path, WIDEST))}  # fmt: skip
    if poor:
        doubts.append(_poor(capture, poor, kept=sensor))
        if not sensor:
            capture = _without(capture, set(poor))
    odd, told = find_jumps(capture, by_depth=sensor)
    if told is not None:
        doubts.append(told)
    if odd:
        doubts.append(
            Doubt(
                "pose-jumps",
                f"{len(odd)} of {len(capture)} frames stand where the others contradict, and are "
                "left out",
                "nothing, or correct their poses",
                {_name(capture, i): why for i, why in odd.items()},
            )
        )
        capture = _without(capture, set(odd))
    return capture, tuple(doubts)


def like_mesh(capture: Capture, report: Mapping[str, Any]) -> Capture:
    """`capture` in the unit of the mesh with this `report`, without the frames it names as bad."""
    capture = rescale_as(capture, report)
    bad = {name for doubt in report.get("warnings", ()) for name in doubt.get("files", ())}
    kept = tuple(f for f in capture.frames if relative(f.image_path, capture.root) not in bad)
    return replace(capture, frames=kept) if kept and len(kept) < len(capture) else capture


def _poor(capture: Capture, poor: Mapping[int, str], *, kept: bool) -> Doubt:
    if not kept and len(poor) == len(capture):
        raise CaptureError(
            f"none of its {len(poor)} images is of use; {_name(capture, 0)}: {poor[0]}",
            file=capture.root,
            field="frames",
            mend="take them in more light, and hold still",
        )
    what = "kept for their depth alone" if kept else "left out"
    return Doubt(
        "poor-images",
        f"{len(poor)} of {len(capture)} images are dark or blurred, and are {what}",
        "nothing, or take them again",
        {_name(capture, i): why for i, why in poor.items()},
    )


def _name(capture: Capture, i: int) -> str:
    return relative(capture.frames[i].image_path, capture.root)


def _without(capture: Capture, bad: set[int]) -> Capture:
    return replace(capture, frames=tuple(f for i, f in enumerate(capture.frames) if i not in bad))


# --- poses


def find_jumps(capture: Capture, *, by_depth: bool) -> tuple[dict[int, str], Doubt | None]:
    """Frames whose pose the others contradict, with the reason; or a doubt about all poses.

    The frame that most of those that speak of it contradict goes first, and its word with it. A
    frame of which none speaks is asked whether it stands aside of the way from the one before to
    the one after.
    """
    count = len(capture)
    verdicts = compare_all(capture, by_depth=by_depth)
    left, odd = dict(verdicts), {}
    while left:
        for_, against = np.zeros(count, int), np.zeros(count, int)
        for pair, verdict in left.items():
            (for_ if verdict == AGREE else against)[list(pair)] += 1
        share = against / np.maximum(for_ + against, 1)
        share[against < (LEAST[0] if by_depth else LEAST[1])] = 0
        worst = int(np.lexsort((against, share))[-1])
        if share[worst] < AGAINST:
            break
        how = "depth" if by_depth else "images"
        odd[worst] = (
            f"the {how} of {against[worst]} of {against[worst] + for_[worst]} "
            "frames beside it contradict its pose"
        )
        left = {pair: verdict for pair, verdict in left.items() if worst not in pair}
    if len(odd) > max(1, MANY * count):
        contra = sum(verdict == CONTRADICT for verdict in verdicts.values())
        return {}, Doubt(
            "poses-contradict",
            f"{contra} of {len(verdicts)} pairs of frames contradict each other: no single frames "
            "are to blame",
            "check the poses, the intrinsics and the order of the frames",
        )
    spoken = {i for pair in verdicts for i in pair}
    return {**odd, **_spikes(capture.positions, spoken)}, None


def _spikes(places: F64, spoken: set[int]) -> dict[int, str]:
    """Frames far aside of a short way from the frame before to the frame after."""
    if len(places) < 5:
        return {}
    step = np.linalg.norm(np.diff(places, axis=0), axis=1)
    usual = float(np.median(step))
    past = np.linalg.norm(places[2:] - places[:-2], axis=1)
    aside = np.minimum(step[:-1], step[1:])
    found = np.flatnonzero((aside > SPIKE * max(usual, 1e-9)) & (past < 0.5 * aside)) + 1
    return {
        int(i): f"stands {aside[i - 1]:.2f} aside of the frames before and after it, "
        f"{aside[i - 1] / max(usual, 1e-9):.0f} times the usual step"
        for i in found
        if int(i) not in spoken
    }


# --- the unit of depth


def check_depth_unit(capture: Capture) -> None:
    """Raise a `CaptureError` where depth images contradict the poses by a factor.

    Points of one frame, carried to another a step away, lie on what that sees there only if both
    depths are in the unit of the poses.

    Raises:
        CaptureError: a factor explains what is seen far better than 1, or depth is of no room.
    """
    chosen = _steps(capture)
    shown = sorted({i for pair in chosen for i in pair} or {0})
    looks = {i: look(capture.frames[i], i) for i in shown}
    known = [one.depth[np.isfinite(one.depth)] for one in looks.values()]
    middle = float(np.median(np.concatenate(known))) if any(map(len, known)) else 1.0
    scores = [[_agreement(looks[i], looks[j], s) for s in FACTORS] for i, j in chosen]
    # Pairs that show different things fit at no factor.
    scores = [row for row in scores if max(row) > 0.5]
    score = np.mean(scores, axis=0) if scores else np.zeros(len(FACTORS))
    best, one = int(np.argmax(score)), len(FACTORS) // 2
    now = float(score[one - 1 : one + 2].max())
    frame = capture.frames[shown[0]]
    if score[best] > max(FITS, score[-1] + TURN) and now < WORSE * score[best]:
        scale = frame.depth_scale * float(FACTORS[best])
        unit = min(UNITS, key=lambda known: abs(np.log(known / scale)))
        near = abs(np.log(unit / scale)) < 0.1
        raise CaptureError(
            f"depth is {_times(float(FACTORS[best]))} for the poses: at "
            f"{FACTORS[best]:.3g} times its value {100 * score[best]:.0f} % of the points of one "
            f"frame lie on what another sees, as it is {100 * now:.0f} %",
            file=frame.depth_path,
            field="depth_unit_scale_factor",
            mend=(f"it seems to hold {UNITS[unit]}: " if near else "")
            + f"give --depth-unit {unit if near else round(scale, 6):g}",
        )
    if not MEDIANS[0] <= middle <= MEDIANS[1]:
        raise CaptureError(
            f"the median depth is {middle:.3g} m, which is no room",
            file=frame.depth_path,
            field="depth_unit_scale_factor",
            mend="give --depth-unit, the metres that a unit of the depth images is, and check the "
            "unit of the poses",
        )


def _times(factor: float) -> str:
    return f"{factor:.3g} times too small" if factor > 1 else f"{1 / factor:.3g} times too large"


def _steps(capture: Capture) -> list[tuple[int, int]]:
    """Pairs of frames that look the same way from places apart, evenly spread."""
    frames, places = capture.frames, capture.positions
    ahead = -np.stack([f.pose[:3, 2] for f in frames])
    found: set[tuple[int, int]] = set()
    for i in np.unique(np.linspace(0, len(frames) - 1, FEW).astype(int)):
        far = np.linalg.norm(places - places[i], axis=1)
        alike = (ahead @ ahead[i] > np.cos(np.radians(40))) & (far > 1e-3 * max(far.max(), 1e-9))
        alike[i] = False
        if alike.any():
            # Near ones overlap and tell little of the unit, far ones the other way round.
            others = np.flatnonzero(alike)
            others = others[np.argsort(far[others])]
            found |= {(int(i), int(others[len(others) * k // 8])) for k in range(4)}
    return sorted(found)


def _agreement(one: Any, two: Any, factor: float) -> float:
    """Share of the points of `one` that lie on what `two` sees, were depth `factor` times."""
    place = one.frame.pose[:3, 3]
    z, there = carried(place + factor * (one.points - place), two)
    known = np.isfinite(there)
    if known.sum() < 0.2 * len(z):
        return 0.0
    return float((np.abs(factor * there - z)[known] < SAME * z[known]).mean())
