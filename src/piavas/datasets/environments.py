"""From the videos of RWAVS to a capture for each environment, in metres where sound tells them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from piavas.audio import read_audio
from piavas.capture import write_nerfstudio
from piavas.datasets import protocols
from piavas.datasets.alignment import Alignment, clip_names, to_capture
from piavas.datasets.metric import MetricFit, fit_metric
from piavas.datasets.metric_plot import plot_metric
from piavas.datasets.protocols import Protocol
from piavas.datasets.rwavs import RATE, Video, list_videos, load_rwavs
from piavas.datasets.similarity import Similarity
from piavas.errors import DataError, PiavasError
from piavas.files import atomic, write_json
from piavas.progress import track

Name = Literal["rwavs", "rwavs-gen"]
PROTOCOL, METRIC, ALIGNMENT = "protocol.json", "metric.json", "alignment.json"


@dataclass(frozen=True)
class Loaded:
    """Videos that could be read.

    Args:
        videos: in order.
        broken: why the others could not, by number; empty unless they were to be skipped.
    """

    videos: tuple[Video, ...]
    broken: Mapping[int, str]


def load_whole(
    root: str | os.PathLike[str], videos: Sequence[int] | None = None, *, skip_broken: bool = False
) -> Loaded:
    """`load_rwavs`, which can leave broken videos out and name them.

    Raises:
        DataError, CaptureError, AudioError: a broken video where none are to be skipped, or all.
    """
    if not skip_broken:
        return Loaded(load_rwavs(root, videos), {})
    found: list[Video] = []
    broken = {}
    for number in videos if videos is not None else list_videos(root):
        try:
            found += load_rwavs(root, [number])
        except PiavasError as problem:
            broken[number] = str(problem)
    if not found:
        raise DataError("every video is broken", file=root, mend=next(iter(broken.values()), ""))
    return Loaded(tuple(found), broken)


def by_environment(videos: Sequence[Video]) -> dict[str, tuple[Video, ...]]:
    """The videos of each environment, in order."""
    places = dict.fromkeys(video.environment for video in videos)
    return {place: tuple(v for v in videos if v.environment == place) for place in places}


def make_protocol(
    videos: Sequence[Video], name: Name, *, train: Sequence[int] = (), share: float = 1.0,
    seed: int = 0,
) -> Protocol:  # fmt: skip
    """RWAVS or RWAVS-Gen over `videos`, thinned to few shots where `share` is below 1.

    Args:
        videos: all that take part.
        name: "rwavs" or "rwavs-gen".
        train: for RWAVS-Gen, numbers of the training videos; the first of each environment else.
        share: of the training items that is kept.
        seed: of that draw.
    """
    items = {str(video.number): clip_names(video) for video in videos}
    if name == "rwavs":
        own = {n: s for v in videos for n, s in zip(clip_names(v), v.splits, strict=True)}
        protocol = protocols.rwavs(items, own)
    else:
        places = {str(video.number): video.environment for video in videos}
        unknown = [str(number) for number in train if str(number) not in places]
        if unknown:
            raise DataError(f"no video {unknown[0]}", field="train", mend="choose of the videos")
        chosen = {places[str(number)]: str(number) for number in train}
        protocol = protocols.rwavs_gen(items, places, chosen)
    return protocol if share == 1 else protocols.few_shot(protocol, share, seed)


def fit_videos(
    videos: Sequence[Video], alignment: Alignment | None = None, *, speed: float = 343.2
) -> dict[int, MetricFit]:
    """Metres a unit of each video's world, from its sound.

    Args:
        videos: any.
        alignment: whose worlds' units are meant; None means each video's own.
        speed: of sound, m/s.
    """
    alignment = alignment or Alignment({})
    fits = {}
    for video in track(videos, "fit metres"):
        dry, _ = read_audio(video.dry_path, sample_rate=RATE, channels=1)
        wet, _ = read_audio(video.wet_path, sample_rate=RATE, channels=2)
        distances = alignment.of(video).scale * video.distances
        fits[video.number] = fit_metric(dry, wet, RATE, video.times, distances, speed=speed)
    return fits


def to_metres(
    videos: Sequence[Video], fits: Mapping[int, MetricFit], alignment: Alignment | None = None
) -> tuple[Alignment, dict[str, str]]:
    """The alignment in metres, and a plain statement for each environment.

    Videos of one environment share a world and so a unit: it is the mean of the trusted fits,
    weighted by the inverse squares of their intervals, and all videos of the place get it. Fits
    that contradict one another are told: then the videos do not share their scale.
    """
    alignment = alignment or Alignment({})
    moves, told, all_known = {}, {}, True
    for place, group in by_environment(videos).items():
        trusted = {v.number: fits[v.number] for v in group if fits[v.number].trusted}
        if not trusted:
            told[place] = "no fit of the unit is to be trusted: lengths are not in metres"
            all_known = False
            scale = 1.0
        else:
            scale, told[place] = together(trusted)
        for video in group:
            moves[video.number] = Similarity(scale) @ alignment.of(video)
    return Alignment(moves, metric=all_known), told


def together(fits: Mapping[Any, MetricFit], of: str = "video") -> tuple[float, str]:
    """Metres a unit by all `fits`, and a plain statement."""
    scales = np.array([fit.scale for fit in fits.values()])
    widths = np.array([np.ptp(fit.scale_interval) for fit in fits.values()])
    weights = 1 / np.maximum(widths, 1e-3 * scales) ** 2
    mean = float((weights * scales).sum() / weights.sum())
    spread = float(np.ptp(scales) / mean)
    told = f"{mean:.4g} m a unit from {len(fits)} {of}(s)"
    if len(fits) > 1:
        told += f", whose fits differ by {100 * spread:.1f} %"
    off = np.abs(scales - mean)
    if ((off > 0.05 * mean) & (off > 1.5 * widths)).any():
        names = ", ".join(f"{n}: {fit.scale:.3g}" for n, fit in fits.items())
        told += f" ({names}): THE {of.upper()}S DO NOT SHARE ONE SCALE; give an alignment file"
    return mean, told


def _scale_by(place: str, facts: Mapping[str, Any] | None) -> str:
    told = (facts or {}).get("metres", {}).get(place)
    return f"sound ({told})" if told else "given with the alignment"


def write_environments(
    out: str | os.PathLike[str],
    videos: Sequence[Video],
    protocol: Protocol,
    alignment: Alignment | None = None,
    fits: Mapping[int, MetricFit] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> dict[str, Path]:
    """Write a capture folder for each environment, and the protocol beside them.

    Images and sounds stay where they are and are named by their paths.

    Args:
        out: folder of the environments.
        videos: all that take part.
        protocol: whose splits the poses get.
        alignment: moves each video into its environment's world.
        fits: of the unit, written to `metric.json` and drawn in `metric-1.svg`, ...
        facts: more for `protocol.json`.

    Returns:
        the folder of each environment.
    """
    out = Path(out)
    folders = {}
    for place, group in by_environment(videos).items():
        capture = to_capture(group, alignment, protocol)
        frames = [replace(f, image_path=f.image_path.resolve()) for f in capture.frames]
        recordings = [
            replace(r, dry_path=r.dry_path.resolve(), wet_path=r.wet_path.resolve())
            for r in capture.recordings
        ]
        folders[place] = out / place
        write_nerfstudio(
            folders[place].resolve(),
            frames,
            metric=capture.metric,
            recordings=recordings,
            scale_by=_scale_by(place, facts) if capture.metric else "",
        )
    if alignment is not None:
        alignment.save(out / ALIGNMENT)
    if fits:
        write_json(out / METRIC, {str(n): fit.to_json() for n, fit in fits.items()})
        for number, fit in fits.items():
            with atomic(out / f"metric-{number}.svg") as part:
                plot_metric(fit, dark=False).savefig(part)
    write_json(out / PROTOCOL, {**protocol.to_json(), **(facts or {})})
    return folders
