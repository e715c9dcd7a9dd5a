"""Poses of photos, or of a video's frames, by structure from motion: a capture without scale.

COLMAP does the work (Schonberger and Frahm 2016), through the extra `poses`. What it could not
place is told, with the reason; what is too dark or too blurred to be placed is not tried. Lengths
come out in a unit of their own: see `piavas.capture.rescale`.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from piavas.capture.shots import gather_shots, judge_shots
from piavas.errors import CaptureError, MissingDependencyError
from piavas.files import write_json

IMAGES, MODEL, REPORT = "images", "sparse/0", "photos.json"
WORK = "work"
MANY = 150
"""Images up to which every two are compared; a video's are compared along time beyond it."""
FEW_FEATURES = 100
FEW_MATCHES = 15
PEAK = 0.003
"""Contrast from which a point is a feature: half of COLMAP's, since walls of rooms say little."""
PAIRS = 2147483647
"""COLMAP's number of a pair is that of the first image times this, plus that of the second."""


@dataclass(frozen=True)
class Placed:
    """What became of the images.

    Args:
        images: that were given.
        registered: names of those that have a pose.
        left_out: the reason by name, of all others.
        points: of the sparse model.
        error: mean distance of points from where images show them, pixels.
        focal: pixels, of the first camera.
    """

    images: int
    registered: tuple[str, ...]
    left_out: Mapping[str, str]
    points: int
    error: float
    focal: float

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "left_out": dict(self.left_out)}


def estimate_poses(
    photos: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    frames: int = 120,
    seed: int = 0,
) -> Placed:
    """Place photos of one room, and write them with their poses as a capture.

    Args:
        photos: a folder of images of one camera or several, or a video.
        out: folder of the capture: `images/`, `sparse/0/` and `photos.json`, written last.
        frames: taken of a video, the sharpest of each of so many stretches.
        seed: of chance.

    Raises:
        MissingDependencyError: the extra `poses` is not installed.
        CaptureError: nothing to read, or no two images that show the same things.
    """
    colmap = _colmap()
    source, out = Path(photos), Path(out)
    if (out / REPORT).exists():
        raise CaptureError("holds placed photos", file=out, mend="choose another folder")
    fresh, work = not out.exists(), out / WORK
    shutil.rmtree(work, ignore_errors=True)
    try:
        shots = gather_shots(source, out / IMAGES, frames)
        left_out = judge_shots(shots)
        work.mkdir(parents=True)
        names = [shot.name for shot in shots if shot.name not in left_out]
        models = _run(colmap, out / IMAGES, names, work, along=source.is_file(), seed=seed)
        if not models:
            raise CaptureError(
                "no two images show the same things from two places",
                file=source,
                mend="take more photos, sharp, that overlap, and walk between them",
            )
        number, model = max(models.items(), key=lambda item: item[1].num_reg_images())
        placed = _report(model, models, len(shots), left_out, work / "features.db", names)
        shutil.rmtree(out / MODEL, ignore_errors=True)
        (out / MODEL).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(work / "models" / str(number), out / MODEL)
    except BaseException:
        if fresh:
            shutil.rmtree(out, ignore_errors=True)
        raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    for name in placed.left_out:
        (out / IMAGES / name).unlink()
    write_json(out / REPORT, placed.to_json())
    return placed


def _run(
    colmap: Any, images: Path, names: list[str], work: Path, *, along: bool, seed: int
) -> dict[int, Any]:
    """Features, matches and models of `names`."""
    database, cpu = work / "features.db", colmap.Device.cpu
    colmap.set_random_seed(seed)
    reader, features = colmap.ImageReaderOptions(), colmap.FeatureExtractionOptions()
    reader.camera_model = "SIMPLE_RADIAL"
    features.sift.peak_threshold = PEAK
    colmap.extract_features(
        database, images, names, colmap.CameraMode.AUTO, reader, features, device=cpu
    )
    matching = colmap.FeatureMatchingOptions()
    matching.guided_matching = True
    match = colmap.match_sequential if along and len(names) > MANY else colmap.match_exhaustive
    # Threads draw in whatever order they come: each pair gets the seed, and the model one thread.
    verification = colmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = seed
    match(database, matching_options=matching, verification_options=verification, device=cpu)
    mapping = colmap.IncrementalPipelineOptions()
    mapping.random_seed, mapping.num_threads, mapping.min_model_size = seed, 1, 3
    # Images that share no point with the model would be placed by directions alone, often far off.
    mapping.structure_less_registration_fallback = False
    (work / "models").mkdir()
    found: dict[int, Any] = colmap.incremental_mapping(
        database, images, work / "models", options=mapping
    )
    return found


def _report(
    model: Any,
    models: Mapping[int, Any],
    count: int,
    left_out: Mapping[str, str],
    database: Path,
    names: list[str],
) -> Placed:
    registered = sorted(image.name for image in model.images.values() if image.has_pose)
    others = {
        image.name: other.num_reg_images()
        for other in models.values()
        if other is not model
        for image in other.images.values()
        if image.has_pose
    }
    features, ties = _evidence(database, set(registered))
    reasons = dict(left_out)
    for name in sorted(set(names) - set(registered)):
        if features[name] < FEW_FEATURES:
            reasons[name] = f"only {features[name]} features: a plain wall, or out of focus"
        elif name in others:
            reasons[name] = f"is tied to {others[name]} images that nothing ties to the rest"
        elif ties[name] < FEW_MATCHES:
            reasons[name] = "shows nothing that the placed images show"
        else:
            reasons[name] = f"shares {ties[name]} features, but no pose agrees with them"
    camera = next(iter(model.cameras.values()))
    return Placed(
        count,
        tuple(registered),
        reasons,
        int(model.num_points3D()),
        round(float(model.compute_mean_reprojection_error()), 3),
        round(float(camera.mean_focal_length()), 2),
    )


def _evidence(database: Path, registered: set[str]) -> tuple[Counter[str], Counter[str]]:
    """Features of each image, and the most that it shares with one that is registered."""
    features: Counter[str] = Counter()
    ties: Counter[str] = Counter()
    link = sqlite3.connect(database)
    try:
        names = dict(link.execute("SELECT image_id, name FROM images"))
        for number, rows in link.execute("SELECT image_id, rows FROM keypoints"):
            features[names[number]] = rows
        for pair, rows in link.execute("SELECT pair_id, rows FROM two_view_geometries"):
            first, second = names[(pair - pair % PAIRS) // PAIRS], names[pair % PAIRS]
            for one, other in ((first, second), (second, first)):
                if other in registered:
                    ties[one] = max(ties[one], rows)
    finally:
        link.close()
    return features, ties


def _colmap() -> Any:
    try:
        import pycolmap
    except ImportError:
        raise MissingDependencyError(
            "poses of photos need pycolmap",
            field="photos",
            mend="pip install 'piavas[poses]', or bring poses with the capture",
        ) from None
    pycolmap.logging.minloglevel = 2
    return pycolmap
