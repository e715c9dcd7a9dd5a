"""Solvers of d psi / dt = u(psi, t) from t = 0 to 1, counted in evaluations of u.

All loop over integers: a loop `while t < 1` on a sum of floats oversteps for some step counts.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from piavas.errors import PiavasError

State = TypeVar("State", Tensor, float)
Velocity = Callable[[State, float], State]


@dataclass(frozen=True)
class Solver:
    """A named solver.

    Args:
        name: its name.
        solve: from velocity, start and steps to the end.
        evaluations: of the velocity in so many steps.
        even: whether the number of steps must be even.
    """

    name: str
    solve: Callable[[Velocity, State, int], State]
    evaluations: Callable[[int], int]
    even: bool = False

    def __call__(self, velocity: Velocity, start: State, steps: int) -> State:
        """The state at t = 1.

        Raises:
            PiavasError: fewer than one step, or an odd number where it must be even.
        """
        if steps < 1 or (self.even and steps % 2):
            raise PiavasError(
                f"{steps} steps do not fit solver {self.name!r}",
                field="steps",
                mend="give an even number of steps" if self.even else "give at least one step",
            )
        return self.solve(velocity, start, steps)

    def steps_for(self, evaluations: int) -> int | None:
        """The steps that take exactly so many evaluations, or None if no number does."""
        for steps in range(1, evaluations + 1):
            fits = not (self.even and steps % 2)
            if fits and self.evaluations(steps) == evaluations:
                return steps
        return None


def _euler(velocity: Velocity, x: State, steps: int) -> State:
    """Algorithm 2 of the supplement."""
    for i in range(steps):
        x = x + velocity(x, i / steps) / steps
    return x


def _midpoint_paper(velocity: Velocity, x: State, steps: int) -> State:
    """Algorithm 3 of the supplement as printed: steps of 2/n, the mean of the slopes at both ends.

    Its second slope is printed without a time; the state there is that of the step's end.
    """
    pairs = steps // 2
    for i in range(pairs):
        first = velocity(x, i / pairs)
        second = velocity(x + first / pairs, (i + 1) / pairs)
        x = x + (first + second) / (2 * pairs)
    return x


def _midpoint(velocity: Velocity, x: State, steps: int) -> State:
    """The explicit midpoint rule (Hairer, Nørsett & Wanner, section II.1)."""
    for i in range(steps):
        half = x + velocity(x, i / steps) / (2 * steps)
        x = x + velocity(half, (i + 0.5) / steps) / steps
    return x


def _heun(velocity: Velocity, x: State, steps: int) -> State:
    """Heun's rule with an Euler step at the end (Karras et al. 2022, algorithm 1)."""
    for i in range(steps):
        first = velocity(x, i / steps)
        ahead = x + first / steps
        last = i + 1 == steps
        x = ahead if last else x + (first + velocity(ahead, (i + 1) / steps)) / (2 * steps)
    return x


def _heun_full(velocity: Velocity, x: State, steps: int) -> State:
    """Heun's rule throughout."""
    for i in range(steps):
        first = velocity(x, i / steps)
        x = x + (first + velocity(x + first / steps, (i + 1) / steps)) / (2 * steps)
    return x


SOLVERS = {
    solver.name: solver
    for solver in (
        Solver("euler", _euler, lambda n: n),
        Solver("midpoint-paper", _midpoint_paper, lambda n: n, even=True),
        Solver("midpoint", _midpoint, lambda n: 2 * n),
        Solver("heun", _heun, lambda n: 2 * n - 1),
        Solver("heun-full", _heun_full, lambda n: 2 * n),
    )
}


def get_solver(name: str) -> Solver:
    """The solver of that name.

    Raises:
        PiavasError: there is none; the message suggests the nearest.
    """
    if name not in SOLVERS:
        near = difflib.get_close_matches(name, SOLVERS, 1)
        raise PiavasError(
            f"no solver {name!r}",
            field="solver",
            mend=f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(SOLVERS)}",
        )
    return SOLVERS[name]
