"""Materials from energies: a Gaussian prior on log odds of absorption, and least squares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag
from scipy.optimize import least_squares
from scipy.special import expit, logit

from piavas.calibrate.bounces import BANDS, Contributions
from piavas.calibrate.observe import DECIBEL, Observation

Array = NDArray[np.float64]

LEAST = 1e-3  # absorption to which the prior is clipped, and below 1 likewise
GAIN_SPREAD = 1e3  # decibels: nothing is known of the gain of a recording
KINSHIP = 0.7  # correlation between neighbouring bands of how wrong the prior is
COLOUR_SPREAD = 10.0  # decibels: the prior of a loudspeaker's level in a band


@dataclass(frozen=True)
class Estimate:
    """What the data say.

    Args:
        absorption: `[m, 9]`, the most probable.
        spread: `[m, 9]` standard deviation of its log odds.
        mean_spread: `[9]` likewise of the mean absorption over all surfaces.
        gain: `[r]` decibels of each recording.
        colour: `[9]` decibels of the loudspeaker in each band, shared by all recordings.
        cost: half the sum of squares, prior included.
        misfit: root of the mean square of residuals in standard deviations; 1 is as expected.
    """

    absorption: Array
    spread: Array
    mean_spread: Array
    gain: Array
    colour: Array
    cost: float
    misfit: float


class Problem:
    """Least squares over log odds of absorption, gains and the loudspeaker's colour.

    Args:
        contributions: what reaches the listener of each recording.
        observations: what each recording says.
        prior: `[m, 9]` absorption thought most likely before.
        spread: `[m, 9]` standard deviation of its log odds, or one for all.
        area: `[m]` square metres of each material.
        known_level: whether recordings are calibrated to 1/r at the source's axis; else each has
            a gain of its own, and the loudspeaker a colour.
    """

    def __init__(
        self,
        contributions: Sequence[Contributions],
        observations: Sequence[Observation],
        prior: Array,
        spread: float | Array,
        area: Array,
        known_level: bool = False,
    ) -> None:
        self.contributions, self.observations = contributions, observations
        self.prior = logit(np.clip(prior, LEAST, 1 - LEAST))
        self.spread = np.broadcast_to(np.asarray(spread, np.float64), self.prior.shape)
        self.free_level = not known_level
        apart = np.abs(np.subtract.outer(np.arange(BANDS), np.arange(BANDS)))
        # [m, 9, 9]: of each material, since each is as sure as it is in each band.
        self._whiten = np.linalg.inv(np.linalg.cholesky(KINSHIP**apart)) / self.spread[:, None]
        self.share = area / area.sum()
        self.materials, self.recordings = len(prior), len(observations)
        self.sigma = [self._sigma(c, o) for c, o in zip(contributions, observations, strict=True)]
        self.widen = 1.0

    def _sigma(self, contribution: Contributions, observation: Observation) -> Array:
        """Standard deviation of each level: of the recording, and of the rays that explain it."""
        absorption = expit(self.prior)
        mean = _through(observation.operator, contribution.echogram(absorption))
        square = _through(observation.operator**2, contribution.squares(absorption))
        rays = DECIBEL * np.sqrt(square) / np.maximum(mean, 1e-300)
        return np.hypot(observation.spread, rays)

    def start(self) -> Array:
        """Parameters at the prior, with the gains that fit best there."""
        x = np.concatenate([self.prior.ravel(), np.zeros(self._levels)])
        if self.free_level:
            gains = [np.nanmedian(-self._residual(x, r) * self.sigma[r]) for r in range(len(self))]
            x[self.prior.size : self.prior.size + self.recordings] = gains
        return x

    def __len__(self) -> int:
        return self.recordings

    @property
    def _levels(self) -> int:
        return self.recordings + BANDS if self.free_level else 0

    def unpack(self, x: Array) -> tuple[Array, Array, Array]:
        """Absorption `[m, 9]`, gains `[r]` and colour `[9]`, decibels."""
        size = self.prior.size
        absorption = expit(x[:size].reshape(self.prior.shape))
        if not self.free_level:
            return absorption, np.zeros(self.recordings), np.zeros(BANDS)
        return absorption, x[size : size + self.recordings], x[size + self.recordings :]

    def _residual(self, x: Array, r: int) -> Array:
        """`[9, k]` of recording `r`, in standard deviations; NaN where it says nothing."""
        absorption, gain, colour = self.unpack(x)
        observation = self.observations[r]
        energy = _through(observation.operator, self.contributions[r].echogram(absorption))
        level = 10 * np.log10(np.maximum(energy, 1e-300)) + gain[r] + colour[:, None]
        return np.asarray((level - observation.level) / self.sigma[r])

    def residuals(self, x: Array) -> Array:
        """Those of all recordings, then of the prior."""
        data = [self._residual(x, r) for r in range(len(self))]
        kept = [row[np.isfinite(o.level)] for row, o in zip(data, self.observations, strict=True)]
        return np.concatenate([*kept, self._prior_residuals(x)]) / np.concatenate(
            [np.full(sum(map(len, kept)), self.widen), np.ones(len(x))]
        )

    def _prior_residuals(self, x: Array) -> Array:
        off = x[: self.prior.size].reshape(self.prior.shape) - self.prior
        parts = [np.einsum("mij,mj->mi", self._whiten, off).ravel()]
        if self.free_level:
            parts.append(x[self.prior.size : -BANDS] / GAIN_SPREAD)
            parts.append(x[-BANDS:] / COLOUR_SPREAD)
        return np.concatenate(parts)

    def jacobian(self, x: Array) -> Array:
        """Exact derivatives of `residuals`, from stored bounce counts; nothing is traced."""
        absorption, _, _ = self.unpack(x)
        rows = []
        for r, (contribution, o) in enumerate(
            zip(self.contributions, self.observations, strict=True)
        ):
            energy = _through(o.operator, contribution.echogram(absorption))
            slope = contribution.slopes(absorption)[: o.operator.shape[2]].transpose(1, 0, 2)
            slope = o.operator @ slope
            slope *= DECIBEL / np.maximum(energy, 1e-300)[..., None] / self.sigma[r][..., None]
            row = np.zeros((*o.level.shape, len(x)))
            for b in range(BANDS):
                row[b][:, np.arange(self.materials) * BANDS + b] = slope[b]
                if self.free_level:
                    row[b][:, self.prior.size + r] = 1 / self.sigma[r][b]
                    row[b][:, self.prior.size + self.recordings + b] = 1 / self.sigma[r][b]
            rows.append(row[np.isfinite(o.level)] / self.widen)
        scale = np.diag(np.zeros(len(x)))
        size = self.prior.size
        scale[:size, :size] = block_diag(*self._whiten)
        if self.free_level:
            levels = np.full(self._levels, 1 / GAIN_SPREAD)
            levels[-BANDS:] = 1 / COLOUR_SPREAD
            scale[size:, size:] = np.diag(levels)
        return np.concatenate([*rows, scale])

    def solve(self) -> Estimate:
        """The most probable materials, and how well the data determine them.

        Where residuals come out larger than the statistics of noise explain, the model is wrong
        somewhere: all levels are trusted less by that factor, once, so that the prior keeps its
        due weight and the stated spread is honest.
        """
        self.widen = 1.0
        found = self._minimise(self.start())
        count = len(found.fun) - len(found.x)
        misfit = float(np.sqrt((found.fun[:count] ** 2).mean()))
        if misfit > 1:
            self.widen = misfit
            found = self._minimise(found.x)
        covariance = np.linalg.inv(found.jac.T @ found.jac)
        absorption, gain, colour = self.unpack(found.x)
        spread = np.sqrt(np.diag(covariance)[: self.prior.size])
        return Estimate(
            absorption,
            spread.reshape(self.prior.shape),
            self._mean_spread(absorption, covariance),
            gain,
            colour,
            float(found.cost),
            misfit,
        )

    def prior_mean_spread(self) -> Array:
        """`mean_spread` of an `Estimate` from no data."""
        inverse = np.linalg.inv(self._whiten)
        covariance = block_diag(*(inverse @ inverse.swapaxes(1, 2)))
        return self._mean_spread(expit(self.prior), covariance)

    def _mean_spread(self, absorption: Array, covariance: Array) -> Array:
        """Spread `[9]` of the log odds of the mean absorption over all surfaces."""
        mean = self.share @ absorption
        out = np.empty(BANDS)
        for b in range(BANDS):
            slope = self.share * absorption[:, b] * (1 - absorption[:, b])
            slope /= mean[b] * (1 - mean[b])
            of_band = np.arange(self.materials) * BANDS + b
            out[b] = np.sqrt(slope @ covariance[np.ix_(of_band, of_band)] @ slope)
        return out

    def _minimise(self, start: Array):  # type: ignore[no-untyped-def]
        return least_squares(
            self.residuals, start, jac=self.jacobian, method="trf", x_scale="jac", max_nfev=40,
            xtol=1e-5, ftol=1e-6,
        )  # fmt: skip


def _through(operator: Array, echogram: Array) -> Array:
    """Energies `[9, k]` of `echogram` `[bins, 9]` through `operator` `[9, k, bins]`."""
    part = echogram[: operator.shape[2]].T
    return np.asarray((operator @ part[..., None])[..., 0])
