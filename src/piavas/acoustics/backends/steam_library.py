"""Steam Audio's library: where it lies, which version it is, and its functions with their types."""

from __future__ import annotations

import ctypes as c
import os
import sys
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

from piavas.acoustics.backends.steam_structs import (
    MAJOR,
    MINOR,
    SIMD_AVX2,
    AudioBuffer,
    AudioSettings,
    BakedDataIdentifier,
    ContextSettings,
    EnergyFieldSettings,
    ImpulseResponseSettings,
    LogCallback,
    ReconstructorInputs,
    ReconstructorOutputs,
    ReconstructorSettings,
    ReconstructorSharedInputs,
    ReflectionEffectParams,
    ReflectionEffectSettings,
    ReflectionsBakeParams,
    SceneSettings,
    SharedInputs,
    SimulationInputs,
    SimulationOutputs,
    SimulationSettings,
    SourceSettings,
    Sphere,
    StaticMeshSettings,
)
from piavas.errors import MissingDependencyError, SimulationError
from piavas.files import read_json
from piavas.install import data_folder
from piavas.install_steam import FOLDER, RECORD

VARIABLE = "PIAVAS_STEAM_AUDIO"
"""Environment variable that names the library, or a folder that it lies in."""
FILES = {"win32": "phonon.dll", "darwin": "libphonon.dylib"}
NEWEST_MINOR = 31  # minors above this are not looked for
MEND = (
    f"run `piavas install steam-audio`, or point {VARIABLE} at the libphonon of a Steam Audio "
    f"{MAJOR}.{MINOR} or newer"
)
STATUS = {1: "it failed", 2: "it is out of memory", 3: "it could not be initialised"}

_H, _I, _F = c.c_void_p, c.c_int32, c.c_float
_FLOATS = c.POINTER(c.c_float)
PROTOTYPES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "iplContextCreate": (_I, (c.POINTER(ContextSettings), c.POINTER(_H))),
    "iplSceneCreate": (_I, (_H, c.POINTER(SceneSettings), c.POINTER(_H))),
    "iplSceneCommit": (None, (_H,)),
    "iplStaticMeshCreate": (_I, (_H, c.POINTER(StaticMeshSettings), c.POINTER(_H))),
    "iplStaticMeshAdd": (None, (_H, _H)),
    "iplProbeBatchCreate": (_I, (_H, c.POINTER(_H))),
    "iplProbeBatchAddProbe": (None, (_H, Sphere)),
    "iplProbeBatchCommit": (None, (_H,)),
    "iplProbeBatchGetEnergyField": (None, (_H, c.POINTER(BakedDataIdentifier), _I, _H)),
    "iplReflectionsBakerBake": (
        None,
        (_H, c.POINTER(ReflectionsBakeParams), _H, _H),
    ),
    "iplEnergyFieldCreate": (_I, (_H, c.POINTER(EnergyFieldSettings), c.POINTER(_H))),
    "iplEnergyFieldGetNumChannels": (_I, (_H,)),
    "iplEnergyFieldGetNumBins": (_I, (_H,)),
    "iplEnergyFieldGetData": (_FLOATS, (_H,)),
    "iplImpulseResponseCreate": (_I, (_H, c.POINTER(ImpulseResponseSettings), c.POINTER(_H))),
    "iplImpulseResponseGetNumChannels": (_I, (_H,)),
    "iplImpulseResponseGetNumSamples": (_I, (_H,)),
    "iplImpulseResponseGetData": (_FLOATS, (_H,)),
    "iplReconstructorCreate": (_I, (_H, c.POINTER(ReconstructorSettings), c.POINTER(_H))),
    "iplReconstructorReconstruct": (
        None,
        (
            _H,
            _I,
            c.POINTER(ReconstructorInputs),
            c.POINTER(ReconstructorSharedInputs),
            c.POINTER(ReconstructorOutputs),
        ),
    ),
    "iplSimulatorCreate": (_I, (_H, c.POINTER(SimulationSettings), c.POINTER(_H))),
    "iplSimulatorSetScene": (None, (_H, _H)),
    "iplSimulatorCommit": (None, (_H,)),
    "iplSimulatorSetSharedInputs": (None, (_H, _I, c.POINTER(SharedInputs))),
    "iplSimulatorRunReflections": (None, (_H,)),
    "iplSourceCreate": (_I, (_H, c.POINTER(SourceSettings), c.POINTER(_H))),
    "iplSourceAdd": (None, (_H, _H)),
    "iplSourceRemove": (None, (_H, _H)),
    "iplSourceSetInputs": (None, (_H, _I, c.POINTER(SimulationInputs))),
    "iplSourceGetOutputs": (None, (_H, _I, c.POINTER(SimulationOutputs))),
    "iplReflectionEffectCreate": (
        _I,
        (_H, c.POINTER(AudioSettings), c.POINTER(ReflectionEffectSettings), c.POINTER(_H)),
    ),
    "iplReflectionEffectApply": (
        _I,
        (
            _H,
            c.POINTER(ReflectionEffectParams),
            c.POINTER(AudioBuffer),
            c.POINTER(AudioBuffer),
            _H,
        ),
    ),
    **{
        f"ipl{kind}Release": (None, (c.POINTER(_H),))
        for kind in (
            "Context",
            "Scene",
            "StaticMesh",
            "ProbeBatch",
            "EnergyField",
            "ImpulseResponse",
            "Reconstructor",
            "Simulator",
            "Source",
            "ReflectionEffect",
        )
    },
}
"""Result and argument types by function name."""


def file_name() -> str:
    """What the library is called on this system."""
    return FILES.get(sys.platform, "libphonon.so")


def find_library() -> Path | None:
    """The library that `PIAVAS_STEAM_AUDIO` names, else the installed one, else None.

    Raises:
        MissingDependencyError: the variable names what is not there.
    """
    named = os.environ.get(VARIABLE)
    if named:
        path = Path(named).expanduser()
        path = path / file_name() if path.is_dir() else path
        if not path.is_file():
            raise MissingDependencyError(
                "there is no Steam Audio library", file=path, field=VARIABLE, mend=MEND
            )
        return path
    path = data_folder() / FOLDER / file_name()
    return path if path.is_file() else None


class Phonon:
    """The functions of one loaded library, and the one context of this process.

    Log, allocator and SIMD level belong to the process: there is one context, never released,
    and its callback is kept alive here.

    Args:
        library: a `ctypes` library, or an object with the same functions.
        path: where it was loaded from.

    Raises:
        MissingDependencyError: a function is missing, or the version is too old.
    """

    def __init__(self, library: Any, path: Path | None = None) -> None:
        self.path = path
        self.messages: list[str] = []
        self._library = library
        for name, (result, arguments) in PROTOTYPES.items():
            try:
                function = getattr(library, name)
            except AttributeError:
                raise MissingDependencyError(
                    f"this library has no {name}", file=path, mend=MEND
                ) from None
            function.restype, function.argtypes = result, arguments
        self._log = LogCallback(self._hear)
        self.minor, self.context = self._open()

    @property
    def version(self) -> str:
        """Major and minor, all that the library tells; to the patch where it was installed here."""
        told = f"{MAJOR}.{self.minor}"
        record = self.path.with_name(RECORD) if self.path else None
        if record is None or not record.is_file():
            return told
        known = str(read_json(record, error=MissingDependencyError).get("version", ""))
        return known if known.startswith(told + ".") else told

    def __getattr__(self, name: str) -> Any:
        return getattr(self._library, f"ipl{name}")

    def _hear(self, level: int, message: bytes) -> None:
        self.messages.append(message.decode(errors="replace").strip())
        del self.messages[:-20]

    def _open(self) -> tuple[int, c.c_void_p]:
        """The newest minor that the library accepts, and a context of the one asked for.

        A library accepts its own minor and those before; there is no call that tells it.
        """
        newest = next((m for m in range(NEWEST_MINOR, -1, -1) if self._context(m)), -1)
        if newest < MINOR:
            told = f"is of version {MAJOR}.{newest}" if newest >= 0 else f"is not of major {MAJOR}"
            raise MissingDependencyError(f"this Steam Audio {told}", file=self.path, mend=MEND)
        context = self._context(MINOR)
        assert context is not None
        return newest, context

    def _context(self, minor: int) -> c.c_void_p | None:
        settings = ContextSettings(
            version=MAJOR << 16 | minor << 8, logCallback=self._log, simdLevel=SIMD_AVX2
        )
        handle = c.c_void_p()
        if self._library.iplContextCreate(c.byref(settings), c.byref(handle)) != 0:
            return None
        if minor != MINOR:
            self._library.iplContextRelease(c.byref(handle))
        return handle

    def session(self) -> Session:
        """A block at whose end everything created in it is released, last first."""
        return Session(self)


class Session(ExitStack):
    """Handles of the library that live as long as a `with` block."""

    def __init__(self, phonon: Phonon) -> None:
        super().__init__()
        self.phonon = phonon

    def create(self, kind: str, *arguments: Any) -> c.c_void_p:
        """`iplKindCreate(*arguments, &handle)`; structs are passed by their address.

        Raises:
            SimulationError: the library refuses.
        """
        handle = c.c_void_p()
        given = [c.byref(a) if isinstance(a, c.Structure) else a for a in arguments]
        status = getattr(self.phonon, f"{kind}Create")(*given, c.byref(handle))
        if status != 0:
            why = "; ".join(self.phonon.messages[-3:]) or STATUS.get(status, f"status {status}")
            raise SimulationError(
                f"Steam Audio makes no {kind}: {why}", field="backend", mend="check the scene"
            )
        self.callback(getattr(self.phonon, f"{kind}Release"), c.byref(handle))
        return handle


@cache
def load(path: Path) -> Phonon:
    """The library at `path`, loaded once.

    Raises:
        MissingDependencyError: it cannot be loaded, or is of another version.
    """
    try:
        # The library's functions are stdcall on Windows.
        library = getattr(c, "WinDLL", c.CDLL)(str(path))
    except OSError as problem:
        raise MissingDependencyError(f"cannot be loaded: {problem}", file=path, mend=MEND) from None
    return Phonon(library, path)


def steam_audio() -> Phonon:
    """The library of this machine.

    Raises:
        MissingDependencyError: there is none, or none that can be used.
    """
    path = find_library()
    if path is None:
        raise MissingDependencyError(
            "the Steam Audio library is not installed", field="backend", mend=MEND
        )
    return load(path)
