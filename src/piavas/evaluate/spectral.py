"""Short-time spectra and envelopes, with the conventions of the published evaluations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import get_window, hilbert

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Stft:
    """A centred short-time Fourier transform, not scaled, its window periodic.

    Frame `i` is centred on sample `i * hop` of the signal; both ends are padded by `n_fft / 2`.
    A window shorter than `n_fft` stands in the middle of the frame (librosa and torch agree).

    Args:
        n_fft: length of a frame in samples.
        hop: samples between frames.
        win: length of the window in samples.
        window: a name that `scipy.signal.get_window` knows.
        pad: "constant" (zeros) or "reflect".
    """

    n_fft: int
    hop: int
    win: int
    window: str
    pad: str = "constant"

    def __str__(self) -> str:
        return (
            f"n_fft {self.n_fft}, hop {self.hop}, {self.window} {self.win}, "
            f"centred, {self.pad} padding"
        )

    def weights(self) -> Array:
        """The window in its frame, `[n_fft]`."""
        left = (self.n_fft - self.win) // 2
        window = get_window(self.window, self.win, fftbins=True)
        return np.pad(window, (left, self.n_fft - self.win - left))

    def __call__(self, signal: NDArray[np.floating]) -> NDArray[np.complex128]:
        """`[..., time]` to `[..., frame, frequency]`, frame count `1 + time // hop`."""
        signal = np.asarray(signal, dtype=np.float64)
        half = self.n_fft // 2
        ends = [(0, 0)] * (signal.ndim - 1) + [(half, half)]
        padded = np.pad(signal, ends, mode=self.pad)  # type: ignore[call-overload]
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.n_fft, axis=-1)
        return np.fft.rfft(frames[..., :: self.hop, :] * self.weights(), axis=-1)

    def magnitude(self, signal: NDArray[np.floating]) -> Array:
        """Magnitudes, `[..., time]` to `[..., frame, frequency]`."""
        return np.abs(self(signal))


AVNERF_STFT = Stft(n_fft=512, hop=128, win=512, window="hann")
"""AV-NeRF calls `librosa.stft(signal, n_fft=512)`; librosa pads with zeros since 0.9."""

AVCLOUD_STFT = Stft(n_fft=512, hop=160, win=400, window="hamming")
"""AV-Cloud calls `torch.stft` with these values and `pad_mode="constant"`."""


def envelope(signal: NDArray[np.floating]) -> Array:
    """The Hilbert envelope of `[..., time]`: the magnitude of the analytic signal."""
    return np.abs(hilbert(np.asarray(signal, dtype=np.float64), axis=-1))
