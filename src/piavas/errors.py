"""The one error a user meets: it names the file, the field and the mend."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


class PiavasError(Exception):
    """Bad input or a missing part of the machine, with what to do about it.

    Args:
        what: one sentence, what is wrong.
        file: the offending path, where there is one.
        field: the offending field, key or argument, where there is one.
        mend: one sentence, what the user can do.
    """

    def __init__(
        self,
        what: str,
        *,
        file: str | os.PathLike[str] | None = None,
        field: str | None = None,
        mend: str | None = None,
    ) -> None:
        self.what = what
        self.file = None if file is None else os.fspath(file)
        self.field = field
        self.mend = mend
        super().__init__(str(self))

    def __str__(self) -> str:
        where = ": ".join(part for part in (self.file, self.field) if part)
        text = f"{where}: {self.what}" if where else self.what
        return f"{text} ({self.mend})" if self.mend else text


class CaptureError(PiavasError):
    """A capture on disk that cannot be read as one."""


class GeometryError(PiavasError):
    """A mesh, or an input to reconstruction, that cannot carry sound."""


class MaterialError(PiavasError):
    """A material or an assignment that is not physical or not known."""


class SimulationError(PiavasError):
    """A source, listener or option the simulator cannot work with."""


class AudioError(PiavasError):
    """Audio that is empty, silent, not finite, or of the wrong rate or shape."""


class HrtfError(PiavasError):
    """A head-related transfer function that is absent or unusable."""


class CheckpointError(PiavasError):
    """A model folder that is absent, truncated or of another kind."""


class DataError(PiavasError):
    """A data set, prediction or response file that does not hold what it should."""


class CalibrationError(PiavasError):
    """Recordings that cannot tell what a room is made of."""


class MissingDependencyError(PiavasError):
    """A library or extra that this verb needs and this machine lacks."""


@contextmanager
def about(file: str | os.PathLike[str] | None) -> Iterator[None]:
    """Errors of the block that name no file come out naming `file`."""
    try:
        yield
    except PiavasError as problem:
        if problem.file is not None or file is None:
            raise
        raise type(problem)(
            problem.what, file=file, field=problem.field, mend=problem.mend
        ) from None
