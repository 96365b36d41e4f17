"""A PBS that says what it is told to, and a clock."""

from collections.abc import Callable, Collection
from pathlib import Path

import pytest
from tasks.made import task

from snakemake_executor_plugin_pbs_singularity import watch as module
from snakemake_executor_plugin_pbs_singularity.batch import Batch
from snakemake_executor_plugin_pbs_singularity.contact import Contact
from snakemake_executor_plugin_pbs_singularity.pbs import ErrorKind, JobStatus, Pbs, PbsError, State
from snakemake_executor_plugin_pbs_singularity.tracking.run_folder import RunFolder
from snakemake_executor_plugin_pbs_singularity.watch import SubmittedBatch, Watch, submitted_batch

LEAST = 10.0
FOLDER = RunFolder(Path("/state"), "run")
QUEUED = JobStatus(State.QUEUED)
RUNNING = JobStatus(State.RUNNING)
DONE = JobStatus(State.FINISHED, 0)
UNKNOWN = JobStatus(State.UNKNOWN)
HELD = JobStatus(State.HELD)
AWAY = PbsError(ErrorKind.UNREACHABLE, "It hangs.", "Try again later.")


def array(left: int | None, state: State = State.RUNNING) -> JobStatus:
    """Give what PBS says of an array of which so many subjobs are not over."""
    return JobStatus(state, is_array=True, subjobs_left=left)


class Server:
    """A PBS that says what it is told to, a clock, and a watch that uses both."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.says: dict[str, JobStatus] = {}
        self.subjobs: dict[str, JobStatus] = {}
        self.error: PbsError | None = None
        self.error_of_subjobs: PbsError | None = None
        self.asked: list[list[str]] = []
        self.asked_closely: list[str] = []
        self.deleted: list[list[str]] = []
        self.error_of_delete: PbsError | None = None
        self.said: list[str] = []
        monkeypatch.setattr(module, "time", self)
        monkeypatch.setattr(module, "status", self.status)
        monkeypatch.setattr(module, "subjob_status", self.subjob_status)
        monkeypatch.setattr(module, "delete", self.delete)
        self.watch = self.new_watch()

    def new_watch(self, never_runs_after: float = 0) -> Watch:
        """Give a watch that asks this server and says what it says here."""
        return Watch(
            Pbs(Path("/"), {}, ""),
            LEAST,
            Contact(lambda text: self.said.append(f"say: {text}"), lambda text: self.said.append(f"warn: {text}")),
            lambda text: self.said.append(f"warn: {text}"),
            never_runs_after,
        )

    def monotonic(self) -> float:
        return self.now

    def status(self, pbs: Pbs, ids: Collection[str]) -> dict[str, JobStatus]:
        self.asked.append(list(ids))
        if self.error is not None:
            raise self.error
        return {one: self.says[one] for one in ids if one in self.says}

    def subjob_status(self, pbs: Pbs, array_id: str) -> dict[str, JobStatus]:
        self.asked_closely.append(array_id)
        if self.error_of_subjobs is not None:
            raise self.error_of_subjobs
        return dict(self.subjobs)

    def delete(self, pbs: Pbs, ids: Collection[str]) -> None:
        self.deleted.append(list(ids))
        if self.error_of_delete is not None:
            raise self.error_of_delete

    def submit(self, pbs_id: str, *sizes: int) -> SubmittedBatch:
        """Have a batch of bundles of these sizes watched."""
        batch = Batch("0123456789", tuple(tuple(task() for _ in range(size)) for size in sizes))
        submitted = submitted_batch(batch, pbs_id, FOLDER)
        self.watch.add(submitted)
        return submitted

    def look(self, after: float = 0.0) -> None:
        """Look after so many seconds."""
        self.now += after
        self.watch.look()

    def look_and_look_closely(self, after: float = 0.0) -> None:
        """Look, and again when the executor does so next: an answer is not acted on before records are read."""
        self.look(after)
        self.look(0.5)

    def end(self, batch: SubmittedBatch, *ids: str) -> None:
        """Have the ends of all tasks of some jobs known, as by their records."""
        for job in [batch.jobs[job_id] for job_id in ids]:
            for token in list(job.tokens):
                self.watch.done(batch, job, token)

    def times_of_questions(self, seconds: float, each: Callable[[], object] = lambda: None) -> list[float]:
        """Look every half second and give when PBS was asked."""
        times = []
        start = self.now
        while self.now < start + seconds:
            before = len(self.asked)
            self.look(0.5)
            if len(self.asked) > before:
                times.append(self.now - start)
            each()
        return times
