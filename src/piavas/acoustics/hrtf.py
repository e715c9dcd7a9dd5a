"""The head: impulse responses of two ears for sound from any direction, level and time known."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from piavas.acoustics.bands import band_weights
from piavas.acoustics.head_time import first_rise, onsets, resampled, shifted
from piavas.acoustics.sofa_head import RawHead, read_head
from piavas.acoustics.sphere_grid import barycentric, solid_angles, uniform_directions
from piavas.acoustics.sphere_head import EAR_ANGLE, RADIUS, sphere_responses
from piavas.errors import HrtfError
from piavas.install import KEMAR_DIGEST, KEMAR_LICENCE, find_kemar

LEAD = 1e-3
"""Seconds of head-room before time 0: an ear hears up to .4 ms before the head's centre."""
REFERENCE_RATE = 48_000
"""Hertz. The one level of a set is fixed at this rate; other rates keep its frequency response."""
SPHERE = "rigid-sphere"
Array = NDArray[np.float64]


class DiffuseSpectrum(NamedTuple):
    """What two ears receive in a diffuse field of unit power.

    Args:
        frequency: `[f]` hertz.
        left: `[f]` solid-angle mean of |H_L|^2.
        right: `[f]` solid-angle mean of |H_R|^2.
        coherence: `[f]` complex, mean of H_L conj(H_R) over the root of left times right.
    """

    frequency: Array
    left: Array
    right: Array
    coherence: NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class Hrtf:
    """Head-related impulse responses of one head.

    A frontal sound begins at sample `lead`: that is the time at which sound would reach the
    head's centre, so ears nearer to the source hear it earlier. One gain for the whole set makes
    the energy (the sum of squares at 48 kHz) of the ears, averaged over directions by solid angle
    and over ears, 1; at other sample rates the frequency response is the same.

    Args:
        name: of the head.
        origin: where it was read, or how it was computed.
        licence: of the data.
        digest: SHA-256 of the file, or of the parameters.
        sample_rate: hertz.
        directions: `[n, 3]` unit vectors to the source; x ahead, y left, z up.
        responses: `[n, 2, taps]` float32, left and right.
        lead: index of time 0.
    """

    name: str
    origin: str
    licence: str
    digest: str
    sample_rate: int
    directions: Array
    responses: NDArray[np.float32]
    lead: int

    @cached_property
    def weights(self) -> Array:
        """Share `[n]` of the sphere that each direction stands for; sum 1."""
        return solid_angles(self.directions)

    @cached_property
    def onsets(self) -> Array:
        """Broadband delay of each ear `[n, 2]` in samples after time 0 (before it: negative).

        The lag against the minimum-phase twin; differences between ears are time differences.
        """
        return onsets(self.responses) - self.lead

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self.directions)

    def nearest(self, directions: ArrayLike) -> NDArray[np.int64]:
        """Index `[m]` of the measured direction nearest to each of `directions` `[m, 3]`.

        The vectors need not be of unit length, but not zero.
        """
        way = np.atleast_2d(np.asarray(directions, dtype=np.float64))
        way = way / np.linalg.norm(way, axis=1, keepdims=True)
        return np.asarray(self._tree.query(way)[1], dtype=np.int64)

    def at(self, directions: ArrayLike) -> NDArray[np.float32]:
        """Responses `[m, 2, taps]` for `directions` `[m, 3]`, interpolated in time alignment.

        Each ear's onset is taken out, the responses and the onsets are interpolated with
        barycentric weights on the hull of the measured directions, and the onset is put back.
        Outside the measured range the nearest direction counts.
        """
        way = np.atleast_2d(np.asarray(directions, dtype=np.float64))
        way = way / np.linalg.norm(way, axis=1, keepdims=True)
        index, weight = barycentric(self.directions, way)
        taps = self.responses.shape[2]
        aligned = shifted(self.responses, -self.onsets, taps)
        mixed = np.einsum("mk,mket->met", weight, aligned[index])
        delay = np.einsum("mk,mke->me", weight, self.onsets[index])
        return shifted(mixed, delay, taps).astype(np.float32)

    def dense(self, count: int = 2562) -> Hrtf:
        """The same head on a nearly uniform grid of `count` directions (see `at`)."""
        return _dense(self, count)

    @lru_cache(maxsize=4)  # noqa: B019 - sets are few, and live as long as the process
    def band_powers(self) -> Array:
        """`[n, 9, 3]`: mean over each octave band of |H_L|^2, |H_R|^2 and Re(H_L conj H_R).

        The bands are those of the late field (`piavas.acoustics.bands.band_weights`). The phases of
        the interaural time difference are in the cross term.
        """
        size = 1 << int(np.ceil(np.log2(max(self.sample_rate / 12, self.responses.shape[2]))))
        weights = band_weights(size, self.sample_rate)
        means = (weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)).T
        parts = [self.responses[i : i + 128] for i in range(0, len(self.directions), 128)]
        return np.concatenate(
            [_products(np.fft.rfft(part, size)) @ means for part in parts]
        ).swapaxes(1, 2)

    @lru_cache(maxsize=4)  # noqa: B019 - as above
    def spectra(self, size: int) -> NDArray[np.complex64]:
        """Transfer functions `[n, 2, size // 2 + 1]` of an FFT of `size` samples."""
        return scipy.fft.rfft(self.responses, size)

    def diffuse_spectrum(self, nfft: int = 1024) -> DiffuseSpectrum:
        """Power at each ear and interaural coherence in a diffuse field, by solid angle.

        Args:
            nfft: at least the number of taps, for the result to be free of aliasing in time.
        """
        size = max(nfft, 2)
        left, right = np.zeros((2, size // 2 + 1))
        cross = np.zeros(size // 2 + 1, dtype=np.complex128)
        for i in range(0, len(self.directions), 128):  # few at a time, to stay small
            ears = np.fft.rfft(_folded(self.responses[i : i + 128], size), size).swapaxes(0, 1)
            weight = self.weights[i : i + 128]
            left += weight @ np.abs(ears[0]) ** 2
            right += weight @ np.abs(ears[1]) ** 2
            cross += weight @ (ears[0] * ears[1].conj())
        scale = np.sqrt(np.maximum(left * right, np.finfo(float).tiny))
        return DiffuseSpectrum(
            np.asarray(np.fft.rfftfreq(size, 1 / self.sample_rate), dtype=np.float64),
            left,
            right,
            cross / scale,
        )


def _folded(responses: NDArray[np.float32], size: int) -> Array:
    """Responses wrapped to `size` samples: the transform then samples the exact spectrum."""
    taps = responses.shape[2]
    wrap = -(-taps // size) * size
    padded = np.pad(responses.astype(np.float64), ((0, 0), (0, 0), (0, wrap - taps)))
    return padded.reshape(*responses.shape[:2], -1, size).sum(axis=2)


def _products(spectrum: NDArray[np.complex128]) -> Array:
    """`[n, 3, f]`: |H_L|^2, |H_R|^2, Re(H_L conj H_R)."""
    left, right = spectrum[:, 0], spectrum[:, 1]
    both = [np.abs(left) ** 2, np.abs(right) ** 2, (left * right.conj()).real]
    return np.stack(both, axis=1)


def _level(directions: Array, responses: NDArray[np.floating]) -> float:
    """Energy of the ears, averaged over directions by solid angle and over ears."""
    energy = (np.asarray(responses, dtype=np.float64) ** 2).sum(axis=2).mean(axis=1)
    return float(solid_angles(directions) @ energy)


def _laid_out(raw: RawHead, rate: int) -> Array:
    """Responses at `rate` with the frontal onset at time 0, their end faded."""
    front = raw.responses[int(np.argmax(raw.directions[:, 0]))]
    onset = float(np.mean([first_rise(ear) for ear in front])) / raw.sample_rate
    delay = round(LEAD * rate) / rate - onset
    taps = int(np.ceil((raw.responses.shape[2] / raw.sample_rate + max(delay, 0)) * rate)) + 16
    responses = resampled(raw.responses, raw.sample_rate, rate, delay, taps)
    fade = max(taps // 20, 1)
    responses[..., -fade:] *= 0.5 + 0.5 * np.cos(np.pi * (np.arange(fade) + 1) / fade)
    return responses


def _finished(raw: RawHead, origin: str, rate: int) -> Hrtf:
    reference = _laid_out(raw, REFERENCE_RATE)
    gain = _level(raw.directions, reference) ** -0.5
    responses = reference if rate == REFERENCE_RATE else _laid_out(raw, rate)
    ready = (gain * responses).astype(np.float32)
    for array in (ready, raw.directions):
        array.setflags(write=False)
    lead = round(LEAD * rate)
    return Hrtf(raw.name, origin, raw.licence, raw.digest, rate, raw.directions, ready, lead)


@lru_cache(maxsize=4)
def _dense(head: Hrtf, count: int) -> Hrtf:
    directions = uniform_directions(count)
    if np.array_equal(directions, head.directions):
        return head
    responses = head.at(directions)
    # Averages of neighbours that differ lose a little energy; the set as a whole keeps its own.
    gain = (_level(head.directions, head.responses) / _level(directions, responses)) ** 0.5
    origin = f"{head.origin}, interpolated to {count} directions"
    return replace(
        head, origin=origin, directions=directions, responses=(gain * responses).astype(np.float32)
    )


@lru_cache(maxsize=4)
def _sphere(rate: int, ear_angle: float, radius: float, count: int) -> Hrtf:
    directions = uniform_directions(count)
    responses = sphere_responses(directions, REFERENCE_RATE, radius=radius, ear_angle=ear_angle)
    text = f"rigid sphere, radius {radius} m, ears at +-{ear_angle} degrees, {count} directions"
    key = hashlib.sha256(text.encode()).hexdigest()
    raw = RawHead(SPHERE, "none needed", key, REFERENCE_RATE, directions, responses)
    return _finished(raw, f"{text} (Duda and Martens 1998)", rate)


def rigid_sphere(
    sample_rate: int = 48_000,
    *,
    ear_angle: float = EAR_ANGLE,
    radius: float = RADIUS,
    count: int = 2562,
) -> Hrtf:
    """The analytic head: a rigid sphere with ears `ear_angle` degrees from straight ahead.

    Args:
        sample_rate: hertz.
        ear_angle: degrees.
        radius: metres.
        count: directions.

    Raises:
        HrtfError: a radius, angle or count out of reason.
    """
    if not (0.01 <= radius <= 0.5 and 0 < ear_angle < 180 and count >= 42):
        raise HrtfError(
            f"radius {radius} m, ears at {ear_angle} degrees, {count} directions make no head",
            field="rigid-sphere",
            mend="give .01 to .5 m, 0 to 180 degrees, 42 directions or more",
        )
    return _sphere(_checked_rate(sample_rate), float(ear_angle), float(radius), int(count))


def _checked_rate(rate: float) -> int:
    if not 8_000 <= rate <= 384_000 or int(rate) != rate:
        raise HrtfError(f"{rate} is no rate", field="sample_rate", mend="give 8000 to 384000 hertz")
    return int(rate)


@lru_cache(maxsize=4)
def _read(path: Path, rate: int, _stamp: tuple[int, int]) -> Hrtf:
    raw = read_head(path)
    if raw.digest == KEMAR_DIGEST:
        raw = replace(raw, name="MIT KEMAR, normal pinna", licence=KEMAR_LICENCE)
    return _finished(raw, str(path), rate)


def load_hrtf(which: str | Path | None = None, *, sample_rate: int = 48_000) -> Hrtf:
    """A head, levelled and timed as `Hrtf` says.

    Args:
        which: None for MIT KEMAR (normal pinna), found in the data folder or the system's
            libmysofa and accepted by its SHA-256 alone; `"rigid-sphere"` for the analytic head;
            or the path of a SOFA file (SimpleFreeFieldHRIR).
        sample_rate: hertz.

    Raises:
        HrtfError: the default is not installed, or the file is missing, damaged, of another
            convention, of one ear, without a rate, of fewer than 30 directions, or holds NaN.
    """
    rate = _checked_rate(sample_rate)
    if which == SPHERE:
        return rigid_sphere(rate)
    path = find_kemar() if which is None else Path(which)
    if path is None:
        raise HrtfError(
            "the default head, MIT KEMAR, is not installed",
            field="hrtf",
            mend=f"run `piavas install hrtf`, or pass hrtf={SPHERE!r} or the path of a SOFA file",
        )
    if not path.is_file():
        raise HrtfError("no such file", file=path, mend="check the path of the SOFA file")
    about = path.stat()
    return _read(path, rate, (about.st_mtime_ns, about.st_size))
