"""What one kind of PBS has of its own: the arguments of its commands, what they print, what their numbers mean.

A dialect is a module that fulfils ``Dialect``: ``openpbs`` (OpenPBS and PBS Professional) and ``torque``. All of them
are pure; ``client.py`` runs the commands.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from .errors import ErrorKind, PbsError
from .outcome import JobStatus
from .request import Request
from .submission import Submission


@dataclass(frozen=True)
class Answer:
    """What a command printed, and its exit code."""

    command: str
    exit_code: int
    stdout: str
    stderr: str
    dialect: Dialect
    """Of the PBS that it is a command of."""

    def error(self, *, uncertain: bool = False) -> PbsError:
        """Give it as an error: the command failed."""
        return PbsError(*self.dialect.describe_failure(self), uncertain=uncertain)


@dataclass(frozen=True)
class Told:
    """What an answer of ``qstat`` says of the jobs that it was asked for."""

    jobs: Mapping[str, JobStatus]
    """By their ids; those that it was silent about are left out."""
    strangers: frozenset[str] = field(default_factory=frozenset)
    """Ids of servers that cannot be found, for now or for ever: nothing is known about them."""


class Dialect(Protocol):
    """The contract of a dialect."""

    NAME: str
    """What its users call it."""

    def read_version(self, said: str) -> str | None:
        """Give the version that ``qstat --version`` tells; None if that is no PBS of this kind."""
        ...

    def request_arguments(self, request: Request, tasks: int = 1) -> tuple[str, ...]:
        """Give the arguments of ``qsub`` that ask for this, for so many tasks one after the other.

        Raises PbsError, REFUSED with the remedy, for what this PBS cannot be asked for.
        """
        ...

    def submit_arguments(self, submission: Submission, output: str) -> list[str]:
        """Give the arguments of ``qsub``, with ``output`` as ``output_argument`` says.

        No ``-V`` and no ``-v``: every user of the cluster can read a job's variables and arguments.
        """
        ...

    def interactive_arguments(self, request: Sequence[str], name: str, script: Path) -> list[str]:
        """Give the arguments of ``qsub`` for an interactive job that runs a script, as its only task, and then ends.

        ``request`` are those that ask for something.
        """
        ...

    def status_arguments(self, ids: Collection[str], *, subjobs: bool = False) -> list[str]:
        """Give the arguments of ``qstat`` that ask for jobs, subjobs and arrays, or for all subjobs of arrays."""
        ...

    def name_arguments(self, name: str | None, user: str | None) -> list[str]:
        """Give the arguments of ``qselect`` that ask for jobs: of a name, of a user, unless that is None."""
        ...

    def other_name(self, name: str) -> str | None:
        """Give the name that an old server may have a job by instead, as it takes no longer one; else None."""
        ...

    def subjob_name(self, name: str, index: int) -> str | None:
        """Give the name of a subjob if ``qselect`` finds arrays by those alone; else None."""
        ...

    def other_arguments(self, arguments: Sequence[str], answer: Answer) -> list[str] | None:
        """Give the arguments to try instead if an older command, or another site's, did not know these; else None."""
        ...

    def read_status(self, ids: Collection[str], arguments: Sequence[str], answer: Answer) -> Told:
        """Read what ``qstat`` answered to ``status_arguments``."""
        ...

    def read_subjobs(self, array_id: str, answer: Answer) -> dict[str, JobStatus]:
        """Read what ``qstat`` answered about the subjobs of an array; those that it was silent about are left out.

        One that PBS does not have any more, though it has the array, is UNKNOWN. Empty if it says nothing of any.
        """
        ...

    def is_unconnected(self, answer: Answer) -> bool:
        """Tell whether a command failed before it could ask the server for anything."""
        ...

    def is_refusal(self, answer: Answer) -> bool:
        """Tell whether a ``qsub`` that failed has certainly submitted nothing, and would fail again."""
        ...

    def is_unknown_queue(self, answer: Answer) -> bool:
        """Tell whether ``qstat -Q`` says that there is no such queue."""
        ...

    def is_nothing_to_delete(self, line: str) -> bool:
        """Tell whether a line of ``qdel`` says that a job is unknown or over."""
        ...

    def describe_failure(self, answer: Answer) -> tuple[ErrorKind, str, str]:
        """Give kind, problem and remedy of a command that failed."""
        ...
