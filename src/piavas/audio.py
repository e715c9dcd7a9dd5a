"""Sound files: float32 `[channel, time]` and its sample rate, checked at the door."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

from piavas.errors import AudioError
from piavas.files import atomic

Audio = NDArray[np.float32]


def check_audio(
    samples: NDArray[np.floating],
    *,
    file: str | os.PathLike[str] | None = None,
    field: str | None = None,
    channels: int | None = None,
    allow_silence: bool = False,
) -> Audio:
    """Return `samples` as float32 `[channel, time]`, or say what is wrong with it.

    Args:
        samples: `[time]` or `[channel, time]`.
        file: path named in the error.
        field: argument named in the error.
        channels: the number of channels asked for, or None for any.
        allow_silence: accept a signal of zeros.

    Raises:
        AudioError: wrong shape or channel count, empty, not finite, or silent.
    """
    samples = np.atleast_2d(np.asarray(samples, dtype=np.float32))
    if samples.ndim != 2:
        raise AudioError(
            f"audio has shape {samples.shape}", file=file, field=field, mend="give [channel, time]"
        )
    if samples.shape[1] == 0:
        raise AudioError(
            "audio holds no samples", file=file, field=field, mend="give a longer clip"
        )
    if channels is not None and samples.shape[0] != channels:
        raise AudioError(
            f"audio has {samples.shape[0]} channel(s), {channels} needed",
            file=file,
            field=field,
            mend=f"give audio of {channels} channel(s)",
        )
    if not np.isfinite(samples).all():
        raise AudioError(
            "audio holds NaN or infinity", file=file, field=field, mend="repair the file"
        )
    if not allow_silence and not samples.any():
        raise AudioError("audio is silent", file=file, field=field, mend="give a clip with sound")
    return samples


def resample(samples: NDArray[np.floating], rate: int, to: int) -> Audio:
    """Resample `[..., time]` from `rate` to `to` hertz (polyphase, Kaiser window)."""
    if rate == to:
        return np.asarray(samples, dtype=np.float32)
    ratio = Fraction(to, rate)
    return resample_poly(samples, ratio.numerator, ratio.denominator, axis=-1).astype(np.float32)


def read_audio(
    path: str | os.PathLike[str],
    *,
    sample_rate: int | None = None,
    channels: int | None = None,
    allow_silence: bool = False,
) -> tuple[Audio, int]:
    """Read a sound file.

    Args:
        path: WAV, FLAC, OGG or whatever libsndfile reads.
        sample_rate: resample to this rate in hertz; None keeps the file's.
        channels: the number of channels asked for; None takes any.
        allow_silence: accept a file of zeros.

    Returns:
        samples float32 `[channel, time]` and the rate in hertz.

    Raises:
        AudioError: missing, unreadable, empty, not finite, silent, or of another channel count.
    """
    path = Path(path)
    if not path.is_file():
        raise AudioError("no such file", file=path, mend="check the path")
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.SoundFileError as problem:
        raise AudioError(
            f"cannot be read as audio: {problem}", file=path, mend="give a WAV or FLAC file"
        ) from None
    audio = check_audio(samples.T, file=path, channels=channels, allow_silence=allow_silence)
    return (
        (audio, rate) if sample_rate is None else (resample(audio, rate, sample_rate), sample_rate)
    )


def write_audio(
    path: str | os.PathLike[str],
    samples: NDArray[np.floating],
    sample_rate: int,
    *,
    subtype: str = "PCM_24",
) -> None:
    """Write `[channel, time]` as a WAV file, whole or not at all.

    Raises:
        AudioError: not finite, empty, or beyond full scale (which a WAV would clip).
    """
    audio = check_audio(samples, file=path, allow_silence=True)
    peak = float(np.abs(audio).max())
    if subtype != "FLOAT" and peak > 1:
        raise AudioError(
            f"audio peaks at {peak:.3g}, above full scale",
            file=path,
            mend="scale it down or write subtype FLOAT",
        )
    with atomic(path) as part:
        soundfile.write(part, audio.T, sample_rate, subtype=subtype)
