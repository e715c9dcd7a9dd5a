"""Metres of any capture with recordings, from the delays of the direct sound."""

from __future__ import annotations

import numpy as np

from piavas.audio import read_audio
from piavas.capture import Capture
from piavas.datasets.environments import together
from piavas.datasets.metric import MetricFit, fit_metric
from piavas.errors import CaptureError, about
from piavas.progress import track

RATE = 22_050
"""Hertz: the direct sound is found to a fraction of a sample."""


def fit_recordings(capture: Capture, *, speed: float = 343.2) -> dict[str, MetricFit]:
    """Metres a unit by each recording, by its name.

    Args:
        capture: with recordings of a head that moved towards and away from the source.
        speed: of sound, m/s.

    Raises:
        CaptureError: no recordings.
        DataError: one with too few poses; its file is named.
        AudioError: a sound file that cannot be used.
    """
    if not capture.recordings:
        raise CaptureError(
            "has no recordings that could tell its scale",
            file=capture.root,
            field="by sound",
            mend="give a capture with recordings, or a known length",
        )
    fits = {}
    for heard in track(capture.recordings, "fit metres"):
        dry, _ = read_audio(heard.dry_path, sample_rate=RATE, channels=1)
        wet, _ = read_audio(heard.wet_path, sample_rate=RATE, channels=2)
        far = np.linalg.norm(heard.poses[:, :3, 3] - heard.source, axis=1)
        with about(heard.wet_path):
            fits[heard.name] = fit_metric(dry, wet, RATE, heard.times, far, speed=speed)
    return fits


def metres_from_sound(capture: Capture, *, speed: float = 343.2) -> tuple[float, str]:
    """Metres a unit by all recordings that can be trusted, and a plain statement of how sure.

    Raises:
        CaptureError: none can be trusted, or no recordings; others as `fit_recordings`.
    """
    fits = fit_recordings(capture, speed=speed)
    trusted = {name: fit for name, fit in fits.items() if fit.trusted}
    if not trusted:
        name, fit = next(iter(fits.items()))
        raise CaptureError(
            f"no recording tells its scale; {name}: {fit}",
            file=capture.root,
            field="by sound",
            mend="check the place of the source and the poses, or give a known length",
        )
    return together(trusted, "recording")
