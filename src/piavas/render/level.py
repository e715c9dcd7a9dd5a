"""Levels that a file and an ear can bear."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from piavas.audio import Audio, check_audio
from piavas.errors import AudioError


def to_full_scale(audio: NDArray[np.floating], headroom_db: float = 1.0) -> tuple[Audio, float]:
    """Turn `audio` down, only if it must be, so that its peak keeps `headroom_db` to full scale.

    All channels share one gain, so level differences between the ears stay.

    Args:
        audio: `[time]` or `[channel, time]`.
        headroom_db: decibels between the allowed peak and full scale, >= 0.

    Returns:
        float32 `[channel, time]`, and the applied gain in decibels (0 where nothing was done).

    Raises:
        AudioError: empty, not finite, or a negative or infinite headroom.
    """
    if not 0 <= headroom_db < np.inf:
        raise AudioError(
            f"{headroom_db} dB is none", field="headroom", mend="give decibels from 0 up"
        )
    samples = check_audio(audio, field="audio", allow_silence=True)
    peak, most = float(np.abs(samples).max()), 10 ** (-headroom_db / 20)
    if peak <= most:
        return samples, 0.0
    # Rounding to float32 may lift the peak by half a unit: cut exactly at the limit.
    scaled = np.clip(samples * np.float32(most / peak), -np.float32(most), np.float32(most))
    return scaled, float(20 * np.log10(most / peak))
