"""Finds the LLVM that Dr.Jit compiles with, before Dr.Jit is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

from piavas.errors import MissingDependencyError

VARIANT_VARIABLE = "PIAVAS_VARIANT"
"""Environment variable that picks the Mitsuba variant: `llvm_ad_mono`, `cuda_ad_mono`, or `auto`
for the latter where there is a GPU."""

MEND = (
    "run `pip install karellen-llvm-core` (Linux x86-64), or install LLVM 15 or newer and "
    "point DRJIT_LIBLLVM_PATH at its libLLVM"
)


def find_llvm() -> Path | None:
    """The libLLVM of the `karellen-llvm-core` wheel, or None (Dr.Jit then searches the system)."""
    for folder in (Path(sys.prefix) / "lib", Path(sys.base_prefix) / "lib"):
        found = sorted(folder.glob("libLLVM.so*")) + sorted(folder.glob("libLLVM*.dylib"))
        if found:
            return found[-1]
    return None


def probe() -> str | None:
    """Trace one ray in a subprocess: None if that works, else the reason.

    A wrong LLVM aborts the process, which no `except` can catch.
    """
    code = (
        "from piavas.rays import RayCaster; import numpy as np;"
        "r = RayCaster(np.eye(3), np.array([[0, 1, 2]]));"
        "t, f = r.closest(np.zeros((1, 3)), np.ones((1, 3)) / 3 ** .5);"
        "assert f[0] == 0 and abs(t[0] - 3 ** -.5) < 1e-5"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    if run.returncode == 0:
        return None
    lines = run.stderr.strip().splitlines()
    return lines[-1] if lines else f"the process ended with {run.returncode}"


@cache
def mitsuba() -> ModuleType:
    """Mitsuba with its variant set: `PIAVAS_VARIANT`, default `llvm_ad_mono`.

    Raises:
        MissingDependencyError: Mitsuba is absent, or its variant cannot be used here.
    """
    if "DRJIT_LIBLLVM_PATH" not in os.environ and (found := find_llvm()):
        os.environ["DRJIT_LIBLLVM_PATH"] = str(found)
    try:
        import mitsuba as mi
    except ImportError as problem:
        raise MissingDependencyError(
            f"Mitsuba cannot be imported: {problem}", mend="run `pip install mitsuba`"
        ) from None
    variant = os.environ.get(VARIANT_VARIABLE, "llvm_ad_mono")
    if variant == "auto":
        variant = "cuda_ad_mono" if traces_on_gpu(mi) else "llvm_ad_mono"
    try:
        mi.set_variant(variant)
    except (ImportError, AttributeError) as problem:
        raise MissingDependencyError(
            f"Mitsuba's variant {variant!r} cannot be used: {problem}",
            field=VARIANT_VARIABLE,
            mend=f"choose one of {', '.join(mi.variants())}; for LLVM: {MEND}",
        ) from None
    return mi


def traces_on_gpu(mi: ModuleType) -> bool:
    """Whether Mitsuba's `cuda_ad_mono` can be used here."""
    import drjit

    return bool(drjit.has_backend(drjit.JitBackend.CUDA)) and "cuda_ad_mono" in mi.variants()
