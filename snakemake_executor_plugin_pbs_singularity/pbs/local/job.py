"""Jobs, arrays and subjobs as the server knows them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from .resources import Resources

INDEX_TAG = "^array_index^"
"""Stands for a subjob's index in the paths of its array."""


@dataclass(frozen=True, slots=True)
class JobId:
    """``12`` (index None), ``12[]`` (index "") or ``12[3]`` (index "3"; "3-5" names several)."""

    number: int
    index: str | None = None

    def text(self, server: str) -> str:
        """Give the id as PBS writes it, ``12[3].vm``."""
        return f"{self.number}{'' if self.index is None else f'[{self.index}]'}.{server}"


_ID = re.compile(r"(\d+)(?:\[(\d+(?:-\d+(?::\d+)?)?)?\])?(?:\.([^.@\s]\S*))?")
_ID_SHAPE = re.compile(r"\d")


class BadIdError(Exception):
    """An id that cannot be one of this server."""


def looks_like_id(text: str) -> bool:
    """Tell whether qstat takes an operand for a job id: it begins with a digit."""
    return _ID_SHAPE.match(text) is not None


def parse_id(text: str, server: str) -> JobId:
    """Read an id with or without the server's name. Raises BadIdError."""
    match = _ID.fullmatch(text.split("@", maxsplit=1)[0])
    if match is None or (match[3] is not None and match[3].split(".", maxsplit=1)[0] != server):
        raise BadIdError(text)
    index = match[2] if match[2] is not None else "" if "[" in text else None
    return JobId(int(match[1]), index)


@dataclass(frozen=True, slots=True)
class Indices:
    """The indices of an array: ``-J 0-9:2%3``."""

    first: int
    last: int
    step: int = 1
    limit: int | None = None
    """How many subjobs may run at once."""
    listed: tuple[int, ...] = ()
    """Every index where they are no simple range (TORQUE: ``-t 1,3,5-7``)."""
    text: str = ""
    """What was asked for, on TORQUE."""

    def all(self) -> Sequence[int]:
        """Give every index."""
        if self.listed:
            return self.listed
        return range(self.first, self.last + 1, self.step)

    @property
    def separator(self) -> str:
        """What stands before an index in the names of output files: ``-`` on TORQUE."""
        return "-" if self.text else "."

    def __str__(self) -> str:
        return f"{self.first}-{self.last}" + (f":{self.step}" if self.step != 1 else "")


@dataclass(frozen=True, slots=True)
class Interactive:
    """An interactive job (``qsub -I``)."""

    terminal: str
    """The pseudo-terminal that qsub keeps for it, ``/dev/pts/3``."""
    term: str
    """TERM of the terminal where qsub runs."""
    command: tuple[str, ...] = ()
    """What it runs; a shell if this is empty."""


@dataclass(frozen=True, slots=True)
class Request:
    """What qsub asked for. Never changes."""

    name: str
    owner: str
    queue: str
    resources: Resources
    submitted: float
    """Seconds since the epoch, as all times here."""
    output: str
    error: str
    variables: tuple[tuple[str, str], ...]
    arguments: str
    join: str = "n"
    keep: str = "n"
    mail_points: str = "a"
    mail_users: str = ""
    priority: int = 0
    rerunable: bool = True
    project: str = "_pbs_project_default"
    account: str = ""
    umask: int | None = None
    shell: str = ""
    depend: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """Such as ``(("afterok", (12,)),)``."""
    execution_time: float | None = None
    indices: Indices | None = None
    remove: str = ""
    """Which of its two files (o, e) is thrown away when it has ended well (``-R``)."""
    interactive: Interactive | None = None

    def with_paths(self, number: int, server: str) -> Request:
        """Put in the default paths of a job's output: in the folder where qsub was run."""
        if self.interactive is not None:
            return replace(self, output=self.interactive.terminal, error=self.interactive.terminal)
        folder = dict(self.variables).get("PBS_O_WORKDIR", "")
        index = "" if self.indices is None else f"{self.indices.separator}{INDEX_TAG}"
        start = f"{server}:{folder}/{self.name}"
        return replace(
            self,
            output=self.output or f"{start}.o{number}{index}",
            error=self.error or f"{start}.e{number}{index}",
        )


@dataclass(slots=True)
class Run:
    """What has become of a job, an array or a subjob so far."""

    state: str = "Q"
    substate: int = 10
    comment: str = ""
    holds: str = "n"
    changed: float = 0
    eligible: float | None = None
    started: float | None = None
    ended: float | None = None
    exit_status: int | None = None
    run_count: int = 0
    session: int | None = None
    slot: int | None = None
    deleted_by: str = ""
    staged_out: bool | None = None
    used: dict[str, int] = field(default_factory=dict)
    """cpupercent, cput (s), mem (KiB), ncpus, vmem (KiB), walltime (s); empty until first reported."""
    history: float | None = None
    """When it became history."""
    never_begun: int = 0
    """Array that is over: how many of its subjobs never ran."""


@dataclass(slots=True)
class Job:
    """A job, or an array with its subjobs."""

    number: int
    request: Request
    run: Run
    subjobs: dict[int, Run] = field(default_factory=dict)
    """Those that have begun or were deleted; an index that is not here is queued."""
    queued: int = 0
    """Array: how many subjobs are queued."""
    running: int = 0
    """Array: how many subjobs run."""
    expired: int = 0
    """Array: how many subjobs are over."""
    position: int = 0
    """Array: how many of its indices, from the first, have been looked at for starting."""

    @property
    def is_array(self) -> bool:
        """Whether this is an array."""
        return self.request.indices is not None

    def identity(self, index: int | None = None) -> JobId:
        """Give the id of the job or array, or of a subjob."""
        if index is not None:
            return JobId(self.number, str(index))
        return JobId(self.number, "" if self.is_array else None)

    def take_next_index(self) -> int:
        """Give the next index of an array that has not begun; there must be one."""
        if self.request.indices is None:
            raise TypeError(f"job {self.number} is no array")
        every = self.request.indices.all()
        while every[self.position] in self.subjobs:
            self.position += 1
        self.position += 1
        return every[self.position - 1]
