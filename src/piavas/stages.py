"""What each stage of a long job costs: seconds, processor seconds, peak memory."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Cost:
    """What one stage cost.

    Args:
        stage: its name.
        seconds: on the clock.
        cpu_seconds: of all threads of this process.
        peak_mb: peak resident memory in MB while it ran; None where the system does not tell.
    """

    stage: str
    seconds: float
    cpu_seconds: float
    peak_mb: float | None


@dataclass
class Stages:
    """Announces stages on the terminal and keeps their costs.

    Args:
        total: how many stages there will be.
    """

    total: int
    costs: list[Cost] = field(default_factory=list)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Run the block as a stage; it costs nothing if it fails."""
        console = Console(stderr=True)
        console.print(f"[bold]{len(self.costs) + 1}/{self.total}[/] {stage} ...")
        _reset_peak()
        clock, cpu = time.perf_counter(), time.process_time()
        yield
        seconds, used = time.perf_counter() - clock, time.process_time() - cpu
        self.costs.append(Cost(stage, seconds, used, peak_mb()))
        console.print(f"    {seconds:.1f} s")

    @property
    def seconds(self) -> dict[str, float]:
        """Clock seconds by stage."""
        return {cost.stage: cost.seconds for cost in self.costs}


def _reset_peak() -> None:
    """Start a new peak (Linux; elsewhere the peak is that of the process so far)."""
    if os.access(CLEAR, os.W_OK):
        CLEAR.write_text("5")


def peak_mb() -> float | None:
    """Peak resident memory of this process in MB since it was last reset; None if not told."""
    if STATUS.is_file():
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
