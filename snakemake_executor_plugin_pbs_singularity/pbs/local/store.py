"""What the server remembers: one SQLite file. Jobs that are not over are in the server's memory as well."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from .job import Indices, Interactive, Job, Request, Run
from .resources import Chunk, Resources

_WHOLE = -1  # stands for the job or array itself in the column idx
_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER NOT NULL,
    idx INTEGER NOT NULL,
    state TEXT NOT NULL,
    history REAL,
    request TEXT,
    run TEXT NOT NULL,
    PRIMARY KEY (number, idx)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS unfinished ON jobs (number) WHERE idx = -1 AND state <> 'F';
CREATE TABLE IF NOT EXISTS counter (number INTEGER NOT NULL);
"""
_RUN_FIELDS = tuple(item.name for item in fields(Run))


class Store:
    """The SQLite file of one home. Changes last once ``commit`` has returned."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        for setting in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = NORMAL"):
            self._database.execute(f"PRAGMA {setting}")
        self._database.executescript(_SCHEMA)
        self._writing = False

    def close(self) -> None:
        """Commit and close."""
        self.commit()
        self._database.close()

    def commit(self) -> None:
        """Make all changes last."""
        if self._writing:
            self._database.execute("COMMIT")
            self._writing = False

    def next_number(self) -> int:
        """Give the next job number, beginning with 1. None is given twice."""
        row = self._database.execute("SELECT number FROM counter").fetchone()
        self._write("DELETE FROM counter")
        number = 1 if row is None else int(row[0]) + 1
        self._write("INSERT INTO counter VALUES (?)", (number,))
        return number

    def add(self, job: Job) -> None:
        """Remember a new job."""
        self._write(
            "INSERT INTO jobs VALUES (?, ?, ?, NULL, ?, ?)",
            (job.number, _WHOLE, job.run.state, json.dumps(asdict(job.request)), _run_text(job.run)),
        )

    def save(self, number: int, run: Run, index: int | None = None) -> None:
        """Remember what has become of a job, array or subjob."""
        if index is None:
            self._write(
                "UPDATE jobs SET state = ?, history = ?, run = ? WHERE number = ? AND idx = -1",
                (run.state, run.history, _run_text(run), number),
            )
        else:
            self._write(
                "INSERT INTO jobs VALUES (?, ?, ?, NULL, NULL, ?) "
                "ON CONFLICT DO UPDATE SET state = excluded.state, run = excluded.run",
                (number, index, run.state, _run_text(run)),
            )

    def forget(self, number: int) -> None:
        """Forget a job with its subjobs."""
        self._write("DELETE FROM jobs WHERE number = ?", (number,))

    def forget_before(self, time: float) -> None:
        """Forget jobs that became history before a time."""
        self._write("DELETE FROM jobs WHERE number IN (SELECT number FROM jobs WHERE history < ?)", (time,))

    def unfinished(self) -> list[Job]:
        """Give all jobs that are not over, with their subjobs."""
        rows = self._database.execute(
            "SELECT number, request, run FROM jobs WHERE idx = -1 AND state <> 'F' ORDER BY number"
        )
        return [self._with_subjobs(_job(*row)) for row in rows.fetchall()]

    def find(self, number: int, *, subjobs: bool) -> Job | None:
        """Give one job, with its subjobs if wanted, or None if it is unknown."""
        row = self._database.execute(
            "SELECT number, request, run FROM jobs WHERE number = ? AND idx = -1", (number,)
        ).fetchone()
        if row is None:
            return None
        job = _job(*row)
        return self._with_subjobs(job) if subjobs else job

    def finished(self, *, subjobs: bool) -> Iterator[Job]:
        """Give every job in history, in order of number."""
        rows = self._database.execute(
            "SELECT number, request, run FROM jobs WHERE idx = -1 AND state = 'F' ORDER BY number"
        )
        for row in rows.fetchall():
            job = _job(*row)
            yield self._with_subjobs(job) if subjobs else job

    def count_finished(self) -> int:
        """Give the number of jobs in history."""
        row = self._database.execute("SELECT COUNT(*) FROM jobs WHERE idx = -1 AND state = 'F'").fetchone()
        return int(row[0])

    def _with_subjobs(self, job: Job) -> Job:
        if job.request.indices is not None:
            rows = self._database.execute(
                "SELECT idx, run FROM jobs WHERE number = ? AND idx >= 0 ORDER BY idx", (job.number,)
            )
            job.subjobs = {index: Run(**json.loads(run)) for index, run in rows}
            states = [run.state for run in job.subjobs.values()]
            job.running = states.count("R")
            size = len(job.request.indices.all())
            job.queued = 0 if job.run.deleted_by else size - len(states)
            job.expired = size - job.queued - job.running
        return job

    def _write(self, statement: str, values: Iterable[object] = ()) -> None:
        if not self._writing:
            self._database.execute("BEGIN")
            self._writing = True
        self._database.execute(statement, tuple(values))


def _run_text(run: Run) -> str:
    return json.dumps({name: getattr(run, name) for name in _RUN_FIELDS})


def _indices(values: dict[str, Any] | None) -> Indices | None:
    return None if values is None else Indices(**{**values, "listed": tuple(values.get("listed", ()))})


def _job(number: int, request: str, run: str) -> Job:
    values = json.loads(request)
    wanted = values["resources"]
    values["resources"] = Resources(
        listed=tuple((name, value) for name, value in wanted["listed"]),
        chunks=tuple(Chunk(**{**chunk, "asked": tuple(chunk["asked"])}) for chunk in wanted["chunks"]),
        walltime=wanted["walltime"],
    )
    values["variables"] = tuple((name, value) for name, value in values["variables"])
    values["depend"] = tuple((kind, tuple(numbers)) for kind, numbers in values["depend"])
    values["indices"] = _indices(values["indices"])
    if (terminal := values.get("interactive")) is not None:
        values["interactive"] = Interactive(**{**terminal, "command": tuple(terminal["command"])})
    return Job(number, Request(**values), Run(**json.loads(run)))
