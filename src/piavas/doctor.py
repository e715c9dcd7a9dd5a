"""What this machine has, and what to do about what it lacks."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import piavas
from piavas import llvm
from piavas.errors import PiavasError
from piavas.install import data_folder

LEAST_MEMORY = 4.0  # GiB
LEAST_DISK = 2.0  # GiB
PATIENCE = 180  # seconds for what runs in a process of its own
CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
NOT_FOR_USERS = ("dev", "docs")
STEAM_CODE = """
from piavas.acoustics.backends.steam_library import find_library, steam_audio
from piavas.errors import PiavasError
try:
    path = find_library()
    print(f"{steam_audio().version} at {path}" if path else "absent")
except PiavasError as problem:
    raise SystemExit(problem.what)
"""


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
    """Look at Python, memory, disk, ray tracing, learning, heads, peers and extras."""
    looks = (_python, _memory, _disk, _rays, _torch, _head, _steam_audio)
    return [*(look() for look in looks), *extras(requires("piavas") or ())]


def _python() -> Finding:
    told = f"{platform.python_version()} on {platform.platform()}, piavas {piavas.__version__}"
    return Finding("python", True, told)


def _memory() -> Finding:
    total = memory()
    if total is None:
        return Finding("memory", None, "unknown on this system")
    told = f"{total:.1f} GiB, {os.cpu_count()} cores"
    good = total >= LEAST_MEMORY
    return Finding("memory", good, told, "" if good else f"use {LEAST_MEMORY:g} GiB or more")


def memory() -> float | None:
    """GiB that this process may use, a container's limit included; None where nobody tells."""
    try:
        total = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        return None
    for file in CGROUP_LIMITS:
        try:
            total = min(total, float(file.read_text(encoding="ascii")))
        except (OSError, ValueError):
            continue
    return total / 2**30


def _disk() -> Finding:
    data = data_folder()
    there = next(p for p in (data, *data.parents) if p.exists())
    free = [shutil.disk_usage(place).free / 2**30 for place in (Path.cwd(), there)]
    told = f"{free[0]:.1f} GiB free here, {free[1]:.1f} GiB for {data}"
    good = min(free) >= LEAST_DISK
    mend = f"free {LEAST_DISK:g} GiB, or point PIAVAS_DATA elsewhere"
    return Finding("disk", good, told, "" if good else mend)


def _rays() -> Finding:
    try:
        problem = llvm.probe()
    except subprocess.TimeoutExpired:
        problem = "the compiler does not answer"
    variant = os.environ.get(llvm.VARIANT_VARIABLE, "llvm_ad_mono")
    found = llvm.find_llvm()
    told = f"{variant}, LLVM {found.name if found else 'of the system'}"
    return Finding("ray tracing", problem is None, problem or told, llvm.MEND if problem else "")


def _torch() -> Finding:
    try:
        import torch
    except ImportError as problem:
        return Finding("torch", False, str(problem), "run `pip install torch`")
    if not torch.cuda.is_available():
        return Finding("torch", True, f"{torch.__version__}, no CUDA, runs on the CPU")
    about = torch.cuda.get_device_properties(0)
    told = f"{torch.__version__}, {about.name}, {about.total_memory / 2**30:.0f} GiB"
    return Finding("torch", True, told)


def _head() -> Finding:
    from piavas.acoustics.hrtf import load_hrtf

    try:
        head = load_hrtf()
    except PiavasError as problem:
        return Finding("head (HRTF)", False, problem.what, problem.mend or "")
    return Finding("head (HRTF)", True, f"{head.name}, {len(head.directions)} directions")


def _steam_audio() -> Finding:
    """Loaded in a process of its own, since a wrong library may take the process along."""
    what, mend = "steam audio", "optional: run `piavas install steam-audio`"
    try:
        run = subprocess.run(
            [sys.executable, "-c", STEAM_CODE],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Finding(what, False, "the library does not answer", mend)
    told = run.stdout.strip()
    if run.returncode == 0:
        return Finding(what, None, told, mend) if told == "absent" else Finding(what, True, told)
    lines = run.stderr.strip().splitlines()
    return Finding(what, False, lines[-1] if lines else f"ends with {run.returncode}", mend)


def extras(requirements: Iterable[str]) -> list[Finding]:
    """What there is of the package's optional dependencies.

    Args:
        requirements: as package metadata gives them: `name>=1; extra == "peers"`.
    """
    findings: dict[str, Finding] = {}
    for line in requirements:
        found = re.match(r"([\w.-]+)[^;]*;.*extra == [\"']([\w-]+)[\"']", line)
        if not found or found[2] in NOT_FOR_USERS or found[1] in (*findings, "piavas"):
            continue
        name, extra = found[1], found[2]
        try:
            findings[name] = Finding(name, None, version(name))
        except PackageNotFoundError:
            mend = f"optional: `pip install piavas[{extra}]`"
            findings[name] = Finding(name, None, "absent", mend)
    return list(findings.values())
