"""The ledger: what was submitted from a working directory, and what became of it. It outlives the run that writes it.

A file of lines, each a JSON object, that is only ever appended to, and brought to the disk before anything is done
that rests on it: a batch is entered before its `qsub`, its PBS id after it, the end of a task before its exit record
is removed. Whenever the main process is killed, the next one knows what may be out there. No database: those lock
ranges of bytes, which is not safe on every network file system.
"""

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock

LEDGER_NAME = "ledger"
KEPT_DAYS = 7
"""Days that a batch of which every task has ended stays in the ledger."""


@dataclass(frozen=True)
class LedgerTask:
    """A task as it was submitted."""

    token: str
    index: int
    """Of its subjob; 0 in a job that is no array."""
    job: str
    """Which job of the workflow it is, as a digest of rule and wildcards."""
    work: str
    """What it runs, as a digest of command, image and inputs."""
    request: str
    """What it asks PBS for, as a digest."""
    label: str
    log: str


@dataclass
class LedgerBatch:
    """A batch as the ledger has it."""

    token: str
    name: str
    """Of its PBS job or array."""
    run: str
    """The name of the run folder that has its scripts and records."""
    at: float
    """When it was entered, in seconds since 1970."""
    size: int
    """Jobs or subjobs."""
    tasks: dict[str, LedgerTask]
    id: str | None = None
    """None if the answer of `qsub` was not entered: PBS may have it or not."""
    ended: dict[str, int | None] = field(default_factory=dict)
    """Exit statuses of the tasks that have ended; None of those that left none."""
    deleted: set[str] = field(default_factory=set)
    """Tasks that PBS was asked to delete."""

    @property
    def live(self) -> list[LedgerTask]:
        """Give the tasks whose end is not entered."""
        return [task for token, task in self.tasks.items() if token not in self.ended]


class Ledger:
    """The ledger of a working directory, open for the one run that writes it."""

    def __init__(self, path: Path, before: Mapping[str, LedgerBatch]) -> None:
        self._path = path
        self.before = before
        """The batches of earlier runs, by their tokens, as they were when it was opened."""

    def intend(self, batch: LedgerBatch) -> None:
        """Enter a batch that is about to be submitted. Raises OSError; then it must not be."""
        self._append([_intention(batch)])

    def submitted(self, token: str, pbs_id: str) -> None:
        """Enter the PBS id of a batch. Raises OSError."""
        self._append([{"batch": token, "id": pbs_id}])

    def withdrawn(self, token: str) -> None:
        """Enter that PBS does not have a batch and never will. Raises OSError."""
        self._append([{"batch": token, "withdrawn": True}])

    def ended(self, ends: Mapping[str, int | None]) -> None:
        """Enter the exit statuses of tasks, by their tokens. Raises OSError; then their records must stay."""
        if ends:
            self._append([{"ended": dict(ends)}])

    def deleted(self, tokens: Iterable[str]) -> None:
        """Enter that PBS is asked to delete tasks: no run is to take them over. Raises OSError."""
        self._append([{"deleted": list(tokens)}])

    def read(self) -> dict[str, LedgerBatch]:
        """Give its batches as they are now, by their tokens. Raises OSError."""
        return _read(self._path)[0]

    def _append(self, entries: Iterable[Mapping[str, Any]]) -> None:
        with _alone(self._path):
            _write(self._path, _text(entries), os.O_APPEND)


def open_ledger(path: Path, directory: Path) -> Ledger:
    """Open the ledger of a working directory for writing, and leave out what ended long ago.

    One that was copied here with its directory is put aside: the jobs in it are those of another. Raises OSError.
    """
    header = {"ledger of": str(directory), "inode": directory.stat().st_ino}
    with _alone(path):
        batches, found = _read(path)
        if found is not None and found != header:
            path.replace(path.with_name(f"{path.name}.of-another-directory"))
            batches = {}
        oldest = time.time() - KEPT_DAYS * 86400
        kept = {token: batch for token, batch in batches.items() if batch.live or batch.at > oldest}
        part = path.with_name(f"{path.name}.part")
        _write(part, _text([header, *_entries(kept.values())]), os.O_TRUNC)
        part.replace(path)
    return Ledger(path, kept)


def read_ledger(path: Path) -> dict[str, LedgerBatch]:
    """Give the batches of a ledger by their tokens; none if there is no ledger. Raises OSError."""
    return _read(path)[0]


def _entries(batches: Iterable[LedgerBatch]) -> Iterator[dict[str, Any]]:
    for batch in batches:
        yield _intention(batch)
        if batch.id is not None:
            yield {"batch": batch.token, "id": batch.id}
        if batch.ended:
            yield {"ended": batch.ended}
        if batch.deleted:
            yield {"deleted": list(batch.deleted)}


def _intention(batch: LedgerBatch) -> dict[str, Any]:
    tasks = [list(vars(task).values()) for task in batch.tasks.values()]
    return {
        "batch": batch.token,
        "name": batch.name,
        "run": batch.run,
        "at": round(batch.at, 3),
        "size": batch.size,
        "tasks": tasks,
    }


def _read(path: Path) -> tuple[dict[str, LedgerBatch], dict[str, Any] | None]:
    """Give the batches of a ledger, and its header. A line that is torn or makes no sense is passed over."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return {}, None
    header = None
    batches: dict[str, LedgerBatch] = {}
    batch_of: dict[str, LedgerBatch] = {}
    for line in text.split("\n"):
        try:
            entry = json.loads(line)
            if "ledger of" in entry:
                header = entry
            elif "tasks" in entry:
                tasks = {task.token: task for task in (LedgerTask(*values) for values in entry["tasks"])}
                batch = LedgerBatch(entry["batch"], entry["name"], entry["run"], entry["at"], entry["size"], tasks)
                batches[batch.token] = batch
                batch_of |= dict.fromkeys(tasks, batch)
            elif "id" in entry:
                batches[entry["batch"]].id = entry["id"]
            elif "withdrawn" in entry:
                batches.pop(entry["batch"])
            elif "deleted" in entry:
                for token in entry["deleted"]:
                    batch_of[token].deleted.add(token)
            else:
                for token, status in entry["ended"].items():
                    if token in batch_of:
                        batch_of[token].ended[token] = status
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
    return batches, header


def _alone(path: Path) -> FileLock:
    """Give what keeps another run in the same directory, under `--nolock`, from writing at the same time."""
    return FileLock(path.with_name(f"{path.name}.lock"), mode=0o600)


def _text(entries: Iterable[Mapping[str, Any]]) -> str:
    return "".join(f"{json.dumps(entry)}\n" for entry in entries)


def _write(path: Path, text: str, how: int) -> None:
    """Write text in one go and bring it to the disk; after a line that is torn it begins a new one."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | how, 0o600)
    try:
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":
            text = f"\n{text}"
        data = text.encode()
        while data:
            data = data[os.write(file, data) :]
        os.fsync(file)
    finally:
        os.close(file)
