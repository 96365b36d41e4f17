"""Two witnesses and a grace time say what became of a task: its exit record, and PBS.

The record is quick and costs the server nothing; PBS knows of jobs that were killed, deleted or lost. A file
system can be late, so a job that PBS calls over has a while for its record to come. Not knowing is not
failing, and never success.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..pbs import JobStatus, State

LATEST = 30.0
"""Seconds that a record may be late, at least, before a job that PBS says ended well counts as one without."""


@dataclass(frozen=True)
class ExitRecord:
    """What a task's script says of its end."""

    exit_status: int
    host: str
    pbs_id: str = ""
    """Of the PBS job or subjob that it ran in."""


@dataclass(frozen=True)
class Over:
    """A task that is over, and who says so."""

    record: ExitRecord | None
    status: JobStatus | None

    @property
    def succeeded(self) -> bool:
        """Tell whether the task's own record says so and PBS does not gainsay it."""
        gainsaid = self.status is not None and self.status.ended_by_pbs
        return self.record is not None and self.record.exit_status == 0 and not gainsaid


def read_records(folder: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, ExitRecord]]:
    """Give the exit records of the wanted tokens that have come, with one scan of the folder.

    What cannot be read now, as a network file system has its moments, is left for the next time.
    """
    for path in _entries(folder):
        if not wanted(path.name):
            continue
        record = read_record(path)
        if record is not None:
            yield path.name, record


def read_record(path: Path) -> ExitRecord | None:
    """Read an exit record; None if it is not there, or cannot be read now."""
    try:
        return parse_record(path.read_text(errors="replace"))
    except OSError:
        return None


def put_away(tokens: Iterable[str], records: Path, ended: Path) -> None:
    """Move exit records that were read, so that the folder to scan stays small; what cannot be moved now stays."""
    for token in tokens:
        with suppress(OSError):
            (records / token).replace(ended / token)


def _entries(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [Path(entry) for entry in entries if not entry.name.endswith(".part")]
    except OSError:
        return []


def parse_record(text: str) -> ExitRecord | None:
    """Read an exit record; None for what is none: then PBS is the only witness."""
    values = dict(line.partition("=")[::2] for line in text.splitlines())
    try:
        return ExitRecord(int(values["exit_status"]), values["host"], values.get("pbs_jobid", ""))
    except (KeyError, ValueError):
        return None


def patience(status: JobStatus, grace: float) -> float:
    """Give the seconds for which the record of a job that is over is waited for.

    Longer where nothing else speaks of failure: the record is then more likely late than missing.
    """
    is_probably_well = status.succeeded or status.state in (State.UNKNOWN, State.OVER_ELSEWHERE)
    return max(grace, LATEST) if is_probably_well else grace


def judge(status: JobStatus | None, seconds_over: float, grace: float, *, bundled: bool = False) -> Over | None:
    """Say whether a task that left no record is over; None if it is not, or if nobody can know yet.

    A job that PBS itself ended writes no record (transcripts openpbs/08c, 08h, 09b), so none is waited for, unless
    it is that of a bundle: the records of those before it may be late. `status` is what PBS said last, None if it
    was not asked or did not answer; `seconds_over` is how long it has been saying that the job is over.
    """
    if status is None or not status.is_over:
        return None
    if (status.ended_by_pbs and not bundled) or seconds_over >= patience(status, grace):
        return Over(None, status)
    return None


def was_untouched(over: Over, token: str, unended: Sequence[str]) -> bool:
    """Tell whether a task of a bundle without a record has never begun, so that it can be submitted again.

    PBS ended the bundle, for a limit or a fault that is not its own, while the first of the tasks without a record
    ran. What somebody deleted is deleted whole; a node that was lost may still run the rest; and where PBS says that
    the job ended by itself, records are lost.
    """
    was_cut_short = over.status is not None and over.status.was_cut_short
    return over.record is None and was_cut_short and token != unended[0]
