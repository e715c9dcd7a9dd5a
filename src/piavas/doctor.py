"""What this machine has, and what to do about what it lacks."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version

from piavas import llvm
from piavas.errors import PiavasError


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Args:
        what: its name.
        good: whether it can be used; None where it is only told.
        told: what was found.
        mend: what to do, where something is missing.
    """

    what: str
    good: bool | None
    told: str
    mend: str = ""

    def to_json(self) -> dict[str, object]:
        """Plain JSON values."""
        return asdict(self)


def examine() -> list[Finding]:
    """Look at Python, memory, ray tracing, learning and heads."""
    return [_python(), _memory(), _disk(), _rays(), _torch(), _head(), *_extras()]


def _python() -> Finding:
    return Finding("python", True, f"{platform.python_version()} on {platform.platform()}")


def _memory() -> Finding:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (AttributeError, OSError, ValueError):
        return Finding("memory", None, "unknown on this system")
    told = f"{total:.1f} GiB, {os.cpu_count()} cores"
    return Finding("memory", total >= 4, told, "" if total >= 4 else "use a machine with 4 GiB")


def _disk() -> Finding:
    free = shutil.disk_usage(".").free / 2**30
    return Finding(
        "disk", free >= 2, f"{free:.1f} GiB free here", "" if free >= 2 else "free 2 GiB"
    )


def _rays() -> Finding:
    problem = llvm.probe()
    variant = os.environ.get(llvm.VARIANT_VARIABLE, "llvm_ad_mono")
    found = llvm.find_llvm()
    told = f"{variant}, LLVM {found.name if found else 'of the system'}"
    return Finding("ray tracing", problem is None, problem or told, llvm.MEND if problem else "")


def _torch() -> Finding:
    try:
        import torch
    except ImportError:
        return Finding("torch", False, "absent", "run `pip install torch`")
    cuda = torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA, runs on the CPU"
    return Finding("torch", True, f"{torch.__version__}, {cuda}")


def _head() -> Finding:
    from piavas.acoustics.hrtf import load_hrtf

    try:
        head = load_hrtf()
    except PiavasError as problem:
        return Finding("head (HRTF)", False, problem.what, problem.mend or "")
    return Finding("head (HRTF)", True, f"{head.name}, {len(head.directions)} directions")


def _extras() -> list[Finding]:
    findings = []
    for name in ("pyroomacoustics", "cdpam", "transformers", "pycolmap"):
        try:
            findings.append(Finding(name, None, version(name)))
        except PackageNotFoundError:
            findings.append(Finding(name, None, "absent", f"optional: `pip install {name}`"))
    return findings
