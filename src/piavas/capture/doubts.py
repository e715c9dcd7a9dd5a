"""What is doubtful about a capture and does not stop it: named, with its files and the mend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Doubt:
    """Something that a person should know of.

    Args:
        name: of its kind, for scripts.
        what: one sentence.
        mend: one sentence, what a person can do.
        files: the reason by file, relative to the capture.
    """

    name: str
    what: str
    mend: str
    files: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"name": self.name, "what": self.what, "mend": self.mend, "files": dict(self.files)}

    def lines(self) -> list[str]:
        """For people: one line, and one for each file."""
        return [
            f"warning: {self.name}: {self.what} ({self.mend})",
            *(f"  {file}: {why}" for file, why in self.files.items()),
        ]
