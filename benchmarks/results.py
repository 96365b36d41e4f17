"""What was measured, as it is kept in JSON."""

import dataclasses
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .cases import Case, Plan, Way
from .spread import Spread


@dataclass(frozen=True)
class Delays:
    """Seconds from the end of a job to Snakemake's line that says so, over all jobs of a run."""

    median: float
    most: float
    """What 95 of 100 jobs do not exceed."""
    longest: float


@dataclass(frozen=True)
class Result:
    """One run."""

    case: Case
    repeat: int
    seconds: float
    """From the start to the last output by hand, to the end of Snakemake otherwise."""
    calls: Mapping[str, int]
    """How often each PBS command was called."""
    cpu_seconds: float
    """Of the controlling process and all its children on this machine; jobs do not count."""
    peak_mib: float
    """Memory of the largest of these processes, MiB."""
    delays: Delays | None
    """None without Snakemake."""
    load: float
    """Load average of the machine, over a minute, when the run began."""

    @property
    def calls_per_job(self) -> float:
        """Give the PBS commands per job."""
        return sum(self.calls.values()) / self.case.size


@dataclass(frozen=True)
class LeftOut:
    """A case that was not run, or not to its end."""

    case: Case
    estimate: float | None
    """Seconds that it would take, from the smaller number of jobs; None if it failed."""
    why: str


@dataclass
class Session:
    """All of one session on one machine."""

    plan: Plan
    machine: Mapping[str, Any]
    """Versions and sizes of what was measured on."""
    results: list[Result] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    node: dict[Way, Spread] = field(default_factory=dict)
    """CPU milliseconds of a container task on the node beyond a bare container, by the way it is run."""


def delays(ended: Mapping[int, float], reported: Mapping[int, float]) -> Delays | None:
    """Compare when jobs ended with when they were reported, both in seconds since the epoch, by job.

    None if no job is in both. A clock that is behind makes no negative delay.
    """
    values = sorted(max(0.0, reported[job] - end) for job, end in ended.items() if job in reported)
    if not values:
        return None
    return Delays(statistics.median(values), values[(len(values) * 95 - 1) // 100], values[-1])


def write(session: Session, path: Path, more: Mapping[str, Any]) -> None:
    """Write a session, and what was concluded from it, as JSON; the file is whole at any time."""
    unfinished = path.with_suffix(".part")
    unfinished.write_text(json.dumps({**dataclasses.asdict(session), **more}, indent=1) + "\n")
    unfinished.replace(path)


def of(results: Sequence[Result], case: Case) -> list[Result]:
    """Give the runs of a case in their order."""
    return [result for result in results if result.case == case]
