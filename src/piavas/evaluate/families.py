"""Families of audio metrics, by name. Figures of two families are never comparable.

`avnerf`: Liang et al., AV-NeRF, NeurIPS 2023. `avcloud`: Chen and Shlizerman, AV-Cloud,
NeurIPS 2024. Both are written from the definitions in their published evaluation code.
Their metrics take a prediction and a recording `[2, time]` of one length; lower is better.
`raf` compares impulse responses `[1, time]`, see `responses`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from piavas.audio import resample
from piavas.errors import DataError
from piavas.evaluate.responses import (
    RAF_SECONDS,
    c50_error,
    edt_error,
    stft_error,
    t60_error,
)
from piavas.evaluate.rooms import t60
from piavas.evaluate.spectral import AVCLOUD_STFT, AVNERF_STFT, envelope

Binaural = NDArray[np.floating]
ENERGY_FLOOR = 1e-5
DPAM_RATE = 22_050


def mag_avnerf(predicted: Binaural, recorded: Binaural) -> float:
    """Sum over the ears of the mean square difference of STFT magnitudes (n_fft 512, hop 128).

    Args:
        predicted: `[2, time]`.
        recorded: `[2, time]`.
    """
    gap = AVNERF_STFT.magnitude(predicted) - AVNERF_STFT.magnitude(recorded)
    return float(2 * np.mean(gap**2))


def mag_avcloud(predicted: Binaural, recorded: Binaural) -> float:
    """Sum over the ears of the mean absolute difference of STFT magnitudes (hop 160).

    Args:
        predicted: `[2, time]`.
        recorded: `[2, time]`.
    """
    gap = AVCLOUD_STFT.magnitude(predicted) - AVCLOUD_STFT.magnitude(recorded)
    return float(np.abs(gap).mean(axis=(-2, -1)).sum())


def env(predicted: Binaural, recorded: Binaural) -> float:
    """Sum over the ears of the root mean square difference of Hilbert envelopes.

    Args:
        predicted: `[2, time]`.
        recorded: `[2, time]`.
    """
    gap = envelope(predicted) - envelope(recorded)
    return float(np.sqrt(np.mean(gap**2, axis=-1)).sum())


def left_right_ratio(signal: Binaural) -> float:
    """Left over right energy of `[2, time]` in decibels, each energy raised by 1e-5."""
    left, right = np.sum(np.asarray(signal, dtype=np.float64) ** 2, axis=-1) + ENERGY_FLOOR
    return float(10 * np.log10(left / right))


def lre(predicted: Binaural, recorded: Binaural) -> float:
    """Absolute difference of the left/right energy ratios in decibels.

    Args:
        predicted: `[2, time]`.
        recorded: `[2, time]`.
    """
    return abs(left_right_ratio(predicted) - left_right_ratio(recorded))


def rte_ir(
    predicted: Binaural, recorded: Binaural, sample_rate: int, *, variant: str = "t60_iso"
) -> float:
    """Absolute difference of reverberation times in seconds, from impulse responses.

    AV-Cloud estimates the time blindly with a network; this variant measures it, so its
    figures stand under their own name, `RTE[ir:<variant>]`.

    Args:
        predicted: impulse response `[..., time]`.
        recorded: impulse response `[..., time]`.
        sample_rate: hertz.
        variant: a name of `piavas.evaluate.rooms.T60_VARIANTS`.

    Returns:
        the mean over channels; NaN where no channel has a time on both sides.
    """
    gap = np.abs(t60(predicted, sample_rate, variant) - t60(recorded, sample_rate, variant))
    measured = gap[np.isfinite(gap)]
    return float(measured.mean()) if measured.size else float("nan")


Distance = Callable[[NDArray[np.float32], NDArray[np.float32]], float]
"""From prediction and recording `[1, time]` at 22,050 Hz, on the 16-bit scale, to a number."""


@cache
def _dpam_model() -> Distance:
    # cdpam 0.0.6 keeps its weights in a pickle of an old kind, which torch from 2.6 on refuses.
    # That is right of torch: callers who trust the file can pass a distance of their own.
    import cdpam

    model = cdpam.CDPAM(dev="cpu")

    def measure(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
        return float(np.ravel(model.forward(b, a).detach().cpu().numpy())[0])

    return measure


def dpam_absence() -> str | None:
    """Why DPAM cannot be measured here, or None where it can."""
    try:
        _dpam_model()
    except ImportError:
        return "not measured: the package cdpam is not installed"
    except Exception as problem:  # a model that cannot be loaded gives no number either
        cause = f"{type(problem).__name__}: {problem}".split("\n", 1)[0].split(". ", 1)[0]
        return f"not measured: cdpam cannot load its model ({cause})"
    return None


def dpam(
    predicted: Binaural, recorded: Binaural, sample_rate: int, distance: Distance | None = None
) -> float:
    """CDPAM (Manocha et al. 2021) of the mono sums at 22,050 Hz on the 16-bit scale.

    Args:
        predicted: `[2, time]`.
        recorded: `[2, time]`.
        sample_rate: hertz.
        distance: measures the two mono signals; None takes the model of the package cdpam.
    """
    signals = [resample(x.mean(axis=0), sample_rate, DPAM_RATE) for x in (predicted, recorded)]
    out, ref = (np.round(np.clip(x, -1, 1) * 32768.0).astype(np.float32)[None] for x in signals)
    return (distance or _dpam_model())(out, ref)


@dataclass(frozen=True)
class Metric:
    """One column of a table.

    Args:
        name: its name in the literature; a variant stands in brackets.
        unit: of the value, empty where it has none.
        definition: what is computed, in one line.
        compute: from prediction and recording `[2, time]` and the rate in hertz.
    """

    name: str
    unit: str
    definition: str
    compute: Callable[[Binaural, Binaural, int], float]


@dataclass(frozen=True)
class Family:
    """Metrics that belong together.

    Args:
        name: "avnerf", "avcloud" or "raf".
        source: where the definitions come from.
        metrics: what can always be measured.
        optional: names of metrics that need more than the two signals.
        channels: of every signal.
        duration: seconds from the start that are compared, None for all.
    """

    name: str
    source: str
    metrics: tuple[Metric, ...]
    optional: tuple[str, ...] = ()
    channels: int = 2
    duration: float | None = None


_ENV = Metric(
    "ENV",
    "",
    "sum over ears of the RMS difference of Hilbert envelopes",
    lambda p, r, _: env(p, r),
)

FAMILIES = {
    "avnerf": Family(
        "avnerf",
        "AV-NeRF (Liang et al., NeurIPS 2023)",
        (
            Metric(
                "MAG",
                "",
                f"sum over ears of the mean square difference of magnitudes; {AVNERF_STFT}",
                lambda p, r, _: mag_avnerf(p, r),
            ),
            _ENV,
        ),
    ),
    "avcloud": Family(
        "avcloud",
        "AV-Cloud (Chen and Shlizerman, NeurIPS 2024)",
        (
            Metric(
                "MAG",
                "",
                f"sum over ears of the mean absolute difference of magnitudes; {AVCLOUD_STFT}",
                lambda p, r, _: mag_avcloud(p, r),
            ),
            Metric(
                "LRE",
                "dB",
                "absolute difference of left/right energy ratios, energies raised by 1e-5",
                lambda p, r, _: lre(p, r),
            ),
            _ENV,
        ),
        optional=("RTE", "DPAM"),
    ),
    "raf": Family(
        "raf",
        "Real Acoustic Fields (Chen et al., CVPR 2024)",
        (
            Metric("T60", "%", "relative difference of t60_raf, invalid counts 100", t60_error),
            Metric("C50", "dB", "absolute difference, split 50 ms after the start", c50_error),
            Metric("EDT", "ms", "absolute difference of six times the time to -10 dB", edt_error),
            Metric("STFT", "", "mean absolute difference of ln(magnitude + 1e-3)", stft_error),
        ),
        channels=1,
        duration=RAF_SECONDS,
    ),
}


def dpam_metric(distance: Distance | None = None) -> Metric:
    """DPAM as a metric; with a caller's own distance its name says so."""
    name = "DPAM" if distance is None else "DPAM[given]"
    definition = "CDPAM of the mono sums at 22,050 Hz, 16-bit scale"
    return Metric(name, "", definition, lambda p, r, rate: dpam(p, r, rate, distance))


def get_family(name: str) -> Family:
    """The family of that name.

    Raises:
        DataError: there is none.
    """
    if name not in FAMILIES:
        raise DataError(
            f"no metric family {name!r}",
            field="family",
            mend=f"choose one of {', '.join(FAMILIES)}",
        )
    return FAMILIES[name]
