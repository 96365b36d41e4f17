"""What the doctor finds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """Workflows run, but not as well as they could, or something could not be looked at."""
    PROBLEM = "problem"
    """Workflows do not run until it is put right."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    """In a word or two; what was seen on a compute node begins with ``node:``."""
    level: Level
    said: str
    """What was seen."""
    remedy: str = ""
    """What to do about it, in whole sentences; empty if there is nothing to do."""

    def as_json(self) -> dict[str, str]:
        """Give it for programs."""
        return {"what": self.what, "level": self.level.value, "said": self.said, "remedy": self.remedy}


def ok(what: str, said: str) -> Finding:
    """Give a finding that is as it should be."""
    return Finding(what, Level.OK, said)


def warning(what: str, said: str, remedy: str) -> Finding:
    """Give a finding that one can live with."""
    return Finding(what, Level.WARNING, said, remedy)


def problem(what: str, said: str, remedy: str) -> Finding:
    """Give a finding that keeps workflows from running."""
    return Finding(what, Level.PROBLEM, said, remedy)


def has_problem(findings: Iterable[Finding]) -> bool:
    """Tell whether workflows would not run."""
    return any(finding.level is Level.PROBLEM for finding in findings)
