"""π-AVAS: hear any place of a room that a camera has seen.

The way of the data, stage by stage: `load_capture`, `reconstruct`, `assign_materials`,
`Simulator`, `render`, `Refiner`, `evaluate`. Names are imported when they are first used, so that
`import piavas` costs nothing.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "piavas.scene": (
        "Directivity",
        "ImpulseResponses",
        "Material",
        "Mesh",
        "Pose",
        "Scene",
        "Source",
        "Trajectory",
    ),
    "piavas.errors": ("PiavasError",),
    "piavas.capture": ("Capture", "load_capture"),
    "piavas.geometry": ("load_mesh", "reconstruct", "save_mesh"),
    "piavas.materials": ("assign_materials", "load_scene", "load_table", "save_scene"),
    "piavas.acoustics.directivity": ("Balloon", "load_directivity"),
    "piavas.acoustics": ("Hrtf", "Simulator", "load_hrtf", "load_responses"),
    "piavas.render": ("render", "sample_trajectory", "to_full_scale"),
    "piavas.refine": ("Refiner",),
    "piavas.evaluate": ("evaluate", "room_metrics"),
    "piavas.listen": (
        "export_ambix",
        "export_gltf",
        "export_sofa",
        "export_table",
        "export_wavs",
        "import_sofa",
        "room_table",
    ),
    "piavas.listen.page": ("export_web",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Balloon",
    "Capture",
    "Directivity",
    "Hrtf",
    "ImpulseResponses",
    "Material",
    "Mesh",
    "PiavasError",
    "Pose",
    "Refiner",
    "Scene",
    "Simulator",
    "Source",
    "Trajectory",
    "__version__",
    "assign_materials",
    "evaluate",
    "export_ambix",
    "export_gltf",
    "export_sofa",
    "export_table",
    "export_wavs",
    "export_web",
    "import_sofa",
    "load_capture",
    "load_directivity",
    "load_hrtf",
    "load_mesh",
    "load_responses",
    "load_scene",
    "load_table",
    "reconstruct",
    "render",
    "room_metrics",
    "room_table",
    "sample_trajectory",
    "save_mesh",
    "save_scene",
    "to_full_scale",
]

if TYPE_CHECKING:
    from piavas.acoustics import Hrtf, Simulator, load_hrtf, load_responses
    from piavas.acoustics.directivity import Balloon, load_directivity
    from piavas.capture import Capture, load_capture
    from piavas.errors import PiavasError
    from piavas.evaluate import evaluate, room_metrics
    from piavas.geometry import load_mesh, reconstruct, save_mesh
    from piavas.listen import (
        export_ambix,
        export_gltf,
        export_sofa,
        export_table,
        export_wavs,
        import_sofa,
        room_table,
    )
    from piavas.listen.page import export_web
    from piavas.materials import assign_materials, load_scene, load_table, save_scene
    from piavas.refine import Refiner
    from piavas.render import render, sample_trajectory, to_full_scale
    from piavas.scene import (
        Directivity,
        ImpulseResponses,
        Material,
        Mesh,
        Pose,
        Scene,
        Source,
        Trajectory,
    )


class _Face(ModuleType):
    """A module whose public names are looked up first.

    A stage and its function may share a name (`render`, `evaluate`), and importing a stage binds
    it here: `piavas.render` is the function all the same; `from piavas.render import` reaches the
    stage.
    """

    def __getattribute__(self, name: str) -> Any:
        if name in _HOME:
            return getattr(import_module(_HOME[name]), name)
        return super().__getattribute__(name)


sys.modules[__name__].__class__ = _Face
