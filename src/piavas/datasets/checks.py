"""What a copy of a data set holds, item by item, and what it lacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from piavas.errors import DataError, PiavasError

State = Literal["ok", "missing", "wrong", "note"]
MISSING = ("no such file", "no such folder", "is missing")


@dataclass(frozen=True)
class Finding:
    """One item of a copy.

    Args:
        item: what was looked at.
        state: "ok", "missing", "wrong", or "note" for what no reader needs.
        told: what was found.
    """

    item: str
    state: State
    told: str


@dataclass
class Check:
    """All items of a copy.

    Args:
        root: the copy.
        findings: in the order in which they were looked at.
    """

    root: Path
    findings: list[Finding] = field(default_factory=list)

    def look(self, item: str, read: Callable[[], Any], told: str = "") -> Any:
        """Do what a reader does; its error becomes a finding, and None is returned."""
        try:
            value = read()
        except PiavasError as problem:
            missing = any(sign in problem.what for sign in MISSING)
            self.findings.append(Finding(item, "missing" if missing else "wrong", str(problem)))
            return None
        self.findings.append(Finding(item, "ok", told.format(value) if told else ""))
        return value

    def note(self, item: str, told: str) -> None:
        """Something worth knowing that is no fault."""
        self.findings.append(Finding(item, "note", told))

    @property
    def faults(self) -> list[Finding]:
        """What is missing or wrong."""
        return [finding for finding in self.findings if finding.state in ("missing", "wrong")]

    @property
    def good(self) -> bool:
        """Whether nothing is missing and nothing wrong."""
        return bool(self.findings) and not self.faults

    def demand(self) -> None:
        """Pass if all is good.

        Raises:
            DataError: it counts the faults and tells the first.
        """
        if not self.good:
            first = self.faults[0].told if self.faults else "holds nothing"
            raise DataError(
                f"{len(self.faults)} of {len(self.findings)} items are missing or wrong; "
                f"the first: {first}",
                file=self.root,
                mend="complete the copy",
            )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "root": str(self.root),
            "good": self.good,
            "faults": len(self.faults),
            "items": [vars(finding) for finding in self.findings],
        }

    def show(self, console: Any) -> None:
        """Print a line for every fault and note, and the count of what is good."""
        marks = {"missing": "[red]missing[/]", "wrong": "[red]wrong[/]", "note": "[dim]note[/]"}
        for finding in self.findings:
            if finding.state != "ok":
                console.print(f"{marks[finding.state]} {finding.item}: ", end="")
                console.print(finding.told, markup=False, highlight=False, soft_wrap=True)
        good = sum(finding.state == "ok" for finding in self.findings)
        console.print(f"{good} items are good, {len(self.faults)} are missing or wrong")
