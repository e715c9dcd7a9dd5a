"""Whether a build's convolution survives more than one channel; a crash takes the process along.

Builds of 4.8 without Intel's IPP read unaligned rows with an aligned load there.
"""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

CODE = """
import sys
from pathlib import Path
import numpy as np
from piavas.acoustics.backends.steam_library import load
from piavas.acoustics.backends.steam_roads import Trace, road_a
from piavas.acoustics.backends.steam_scene import convert
from piavas.scene import Scene
mesh = convert(Scene.shoebox((3, 3, 3)), inward=1.0, scale=1.0)
how = Trace(64, 4, 0.1, 1, np.zeros(3), 340.0, 1)
found = road_a(load(Path(sys.argv[1])), mesh, np.ones(3), np.full((1, 3), 2.0), how)
sys.exit(0 if np.isfinite(found).all() and found.any() else 3)
"""


@cache
def survives_convolution(path: Path) -> bool:
    """Try a small room in a process of its own."""
    run = subprocess.run(
        [sys.executable, "-c", CODE, str(path)], capture_output=True, timeout=120, check=False
    )
    return run.returncode == 0
