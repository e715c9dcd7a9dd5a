"""Baselines that know nothing of the room but how loud its recordings are.

The names are those of AV-NeRF (Liang et al., NeurIPS 2023): Mono-Mono plays the source in both
ears; Mono-Energy scales it so that its energy is the mean energy of the recordings; Stereo-Energy
does so ear by ear. Fitted on training recordings they are predictors like any other; fitted on
the one recording that they are then compared with (`oracle`), they are bounds, not predictions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from piavas.audio import Audio, check_audio
from piavas.errors import DataError

Kind = Literal["Mono-Mono", "Mono-Energy", "Stereo-Energy"]
ENERGY_BASELINES: tuple[Kind, ...] = get_args(Kind)


def mean_square(signal: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean square of `[..., time]`."""
    return np.asarray(np.mean(np.asarray(signal, dtype=np.float64) ** 2, axis=-1))


@dataclass(frozen=True)
class EnergyBaseline:
    """The dry source in two ears, as loud as the recordings were.

    Args:
        kind: one of `ENERGY_BASELINES`.
        power: mean square of the left and right recordings, or None (Mono-Mono keeps the
            source's own level).
        per_clip: scale every clip to `power`; False scales all by `gain`.
        gain: amplitude of the left and right ear where `per_clip` is False.
    """

    kind: Kind
    power: tuple[float, float] | None = None
    per_clip: bool = False
    gain: tuple[float, float] = (1.0, 1.0)

    def __call__(self, dry: NDArray[np.floating]) -> Audio:
        """Binaural `[2, time]` of a dry clip `[time]` or `[1, time]`.

        Raises:
            AudioError: not one channel, empty or not finite.
        """
        clip = check_audio(dry, field="dry", channels=1, allow_silence=True)[0]
        gain = self.gain
        if self.per_clip and self.power is not None:
            own = float(mean_square(clip))
            gain = tuple(np.sqrt(p / own) if own > 0 else 0.0 for p in self.power)  # type: ignore[assignment]
        return np.stack([np.float32(g) * clip for g in gain])


def fit_energy(
    kind: Kind,
    pairs: Iterable[tuple[NDArray[np.floating], NDArray[np.floating]]],
    *,
    per_clip: bool = False,
) -> EnergyBaseline:
    """Learn the level of an energy baseline from pairs of dry `[time]` and recording `[2, time]`.

    The gain is the square root of the mean energy of the recordings over the mean energy of the
    dry clips (Mono-Energy: the mean of both ears; Stereo-Energy: each ear). For the oracle bound
    fit on the single pair that is to be predicted.

    Args:
        kind: one of `ENERGY_BASELINES`.
        pairs: training items of one sample rate.
        per_clip: scale each clip to the mean energy instead of by one gain.

    Raises:
        DataError: another kind, no pairs, or silent sources.
        AudioError: wrong channels, empty or not finite.
    """
    if kind not in ENERGY_BASELINES:
        raise DataError(
            f"no energy baseline {kind!r}",
            field="kind",
            mend=f"choose one of {', '.join(ENERGY_BASELINES)}",
        )
    if kind == "Mono-Mono":
        return EnergyBaseline(kind)
    dry, wet = [], []
    for source, recording in pairs:
        dry.append(mean_square(check_audio(source, field="dry", channels=1, allow_silence=True)[0]))
        wet.append(
            mean_square(check_audio(recording, field="recording", channels=2, allow_silence=True))
        )
    source_power = float(np.mean(dry)) if dry else 0.0
    if source_power <= 0:
        raise DataError(
            "no dry clip with sound to learn the level from",
            field="pairs",
            mend="give training pairs of dry clips and recordings",
        )
    ears = np.mean(wet, axis=0)
    if kind == "Mono-Energy":
        ears = np.full(2, ears.mean())
    left, right = np.sqrt(ears / source_power)
    return EnergyBaseline(
        kind, (float(ears[0]), float(ears[1])), per_clip, (float(left), float(right))
    )
