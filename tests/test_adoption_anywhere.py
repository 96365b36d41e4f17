"""Whatever earlier runs have left and PBS says: nothing is lost, and nothing that goes on is submitted again."""

import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tasks.made import task

from snakemake_executor_plugin_pbs_singularity import adoption
from snakemake_executor_plugin_pbs_singularity.adoption import find_left_overs
from snakemake_executor_plugin_pbs_singularity.contact import Contact
from snakemake_executor_plugin_pbs_singularity.pbs import Cause, ErrorKind, JobStatus, Pbs, PbsError, State
from snakemake_executor_plugin_pbs_singularity.tasks.identity import request_digest
from snakemake_executor_plugin_pbs_singularity.tasks.script import Surroundings
from snakemake_executor_plugin_pbs_singularity.tracker import Replacing, Submitted, Tracker
from snakemake_executor_plugin_pbs_singularity.tracking import run_folder
from snakemake_executor_plugin_pbs_singularity.tracking.ledger import LedgerBatch, LedgerTask, open_ledger
from snakemake_executor_plugin_pbs_singularity.tracking.run_folder import RunFolder, make_run_folder
from snakemake_executor_plugin_pbs_singularity.watch import Watch

PBS = Pbs(Path("/"), {}, "")
REQUEST = request_digest(task().request)
WAITING = (State.QUEUED, State.HELD, State.WAITING)


@dataclass(frozen=True)
class Old:
    """A task of an earlier run."""

    noted: int | str | None
    """The end that the ledger has; "no" if it has none."""
    record: int | None
    """The exit status of the record that is there."""
    is_deleted: bool
    is_same: bool
    asks_the_same: bool
    is_marked: bool
    """Whether Snakemake has it marked as begun."""

    @property
    def is_live(self) -> bool:
        """Whether nothing tells of its end but PBS."""
        return self.noted == "no" and self.record is None

    @property
    def has_succeeded(self) -> bool:
        return self.noted == 0 or (self.noted == "no" and self.record == 0)


olds = st.builds(
    Old,
    noted=st.sampled_from(["no", "no", "no", 0, 3, None]),
    record=st.sampled_from([None, None, 0, 3]),
    is_deleted=st.sampled_from([False, False, True]),
    is_same=st.sampled_from([True, True, False]),
    asks_the_same=st.booleans(),
    is_marked=st.booleans(),
)
batches = st.lists(st.lists(st.lists(olds, min_size=1, max_size=3), min_size=1, max_size=3), max_size=3)
"""Batches of bundles of tasks."""
answers = st.sampled_from(
    [
        None,
        JobStatus(State.QUEUED),
        JobStatus(State.HELD),
        JobStatus(State.RUNNING),
        JobStatus(State.FINISHED, 0),
        JobStatus(State.FINISHED, -29, Cause.WALLTIME),
        JobStatus(State.UNKNOWN),
    ]
)


class World:
    """Earlier runs of a working directory, and a PBS that answers as it likes."""

    def __init__(self, state: Path, drawn: list[list[list[Old]]], data: st.DataObject) -> None:
        self.olds: dict[str, Old] = {}
        self.pbs_id_of: dict[str, str] = {}
        self.answers: dict[str, JobStatus] = {}
        self.is_away = data.draw(st.booleans(), label="PBS is away")
        self.folder = make_run_folder(state)
        self.ledger = open_ledger(state / "ledger", state)
        for number, bundles in enumerate(drawn):
            self._earlier_batch(RunFolder(state, "earlier"), number, bundles, data)
        self.ledger = open_ledger(state / "ledger", state)
        self.said: list[str] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(adoption, "status", self.status)
            patch.setattr(adoption, "subjob_status", lambda pbs, array: self.status(pbs, self.pbs_id_of.values()))
            self.left = find_left_overs(self.ledger, PBS, state, self.said.append)
        contact = Contact(self.said.append, self.said.append)
        surroundings = Surroundings(state, self.folder.records, self.folder.ended, 0o022, {}, 0)
        self.tracker = Tracker(
            PBS,
            surroundings,
            self.folder,
            self.ledger,
            self.left,
            Watch(PBS, 0, contact, self.said.append),
            contact,
            Event(),
            self.said.append,
            5.0,
        )

    def _earlier_batch(self, folder: RunFolder, number: int, bundles: list[list[Old]], data: st.DataObject) -> None:
        for path in (folder.run, folder.records):
            path.mkdir(parents=True, exist_ok=True)
        pbs_id = f"{number}.vm" if len(bundles) == 1 else f"{number}[].vm"
        tasks = {}
        for index, bundle in enumerate(bundles):
            job_id = pbs_id.replace("[]", f"[{index}]")
            answer = data.draw(answers, label=f"PBS says of {job_id}")
            if answer is not None:
                self.answers[job_id] = answer
            for place, old in enumerate(bundle):
                token = f"{number}-{index}-{place}"
                self.olds[token], self.pbs_id_of[token] = old, job_id
                work, request = "same" if old.is_same else "other", REQUEST if old.asks_the_same else "other"
                tasks[token] = LedgerTask(
                    token, index, f"job {token}", work, request, f"rule {token}", f"/logs/{token}"
                )
        self.ledger.intend(LedgerBatch(f"b{number}", f"name{number}", folder.name, time.time(), len(bundles), tasks))
        self.ledger.submitted(f"b{number}", pbs_id)
        for token in tasks:
            old = self.olds[token]
            if not isinstance(old.noted, str):
                self.ledger.ended({token: old.noted})
            elif old.record is not None:
                (folder.records / token).write_text(f"exit_status={old.record}\nhost=vm\n")
            if old.is_deleted:
                self.ledger.deleted([token])

    def status(self, pbs: Pbs, ids: Collection[str]) -> dict[str, JobStatus]:
        if self.is_away:
            raise PbsError(ErrorKind.UNREACHABLE, "It is away.")
        return {one: self.answers[one] for one in ids if one in self.answers}

    def take_over(self, token: str) -> Submitted | Replacing | None:
        """Have a new task take over what was left of the same job."""
        new = replace(task(), job_digest=f"job {token}", work_digest="same")
        return self.tracker.take_over(new, lambda left: not left.was_noted or self.olds[left.task.token].is_marked)

    def waits(self, token: str) -> bool:
        """Tell whether PBS says that a task has not begun."""
        said = None if self.is_away else self.answers.get(self.pbs_id_of[token])
        return said is not None and said.state in WAITING


@contextmanager
def made_world(drawn: list[list[list[Old]]], data: st.DataObject) -> Iterator[World]:
    """Make a world, and let go what its runs hold."""
    held = list(run_folder._HELD)
    with tempfile.TemporaryDirectory() as name:
        try:
            yield World(Path(name), drawn, data)
        finally:
            for lock in [lock for lock in run_folder._HELD if lock not in held]:
                run_folder._HELD.remove(lock)
                lock.release(force=True)


@settings(max_examples=150, deadline=None)
@given(drawn=batches, data=st.data())
def test_each_task_that_was_left_is_taken_over_replaced_or_known_to_have_ended(
    drawn: list[list[list[Old]]], data: st.DataObject
) -> None:
    with made_world(drawn, data) as world:
        for token in data.draw(st.permutations(sorted(world.olds))):
            old, taken = world.olds[token], world.take_over(token)
            is_wanted = old.is_same and not old.is_deleted
            may_go_on = is_wanted and (old.asks_the_same or not world.waits(token))
            if old.is_live:
                assert isinstance(taken, Submitted if may_go_on else Replacing)
            elif old.noted == "no" and old.record == 0:
                assert isinstance(taken, Submitted) or not may_go_on
                assert is_wanted or taken is None
            elif isinstance(taken, Submitted):
                assert old.has_succeeded
                assert old.is_marked
            if isinstance(taken, Submitted):
                assert taken.token == token
            elif isinstance(taken, Replacing):
                assert old.is_live
                assert list(taken.old) == [world.pbs_id_of[token]]
            assert world.take_over(token) is None  # each once


@settings(max_examples=50, deadline=None)
@given(drawn=batches, data=st.data())
def test_failures_that_were_found_are_noted_and_found_once(drawn: list[list[list[Old]]], data: st.DataObject) -> None:
    with made_world(drawn, data) as world:
        batches_now = world.ledger.read().values()
        ended = {token: end for batch in batches_now for token, end in batch.ended.items()}
        for token, old in world.olds.items():
            if isinstance(old.noted, str):
                assert ended.get(token) == (old.record if old.record else None)
                assert (token in ended) == bool(old.record)
            else:
                assert ended[token] == old.noted


@settings(max_examples=50, deadline=None)
@given(drawn=batches, data=st.data())
def test_all_that_is_watched_after_take_overs_is_what_was_taken_over(
    drawn: list[list[list[Old]]], data: st.DataObject
) -> None:
    with made_world(drawn, data) as world:
        taken = [one for token in world.olds if isinstance(one := world.take_over(token), Submitted)]
        assert set(world.tracker.submitted) == {one.token for one in taken}
        watched = world.tracker.watch.batches.values()
        assert {job.id for batch in watched for job in batch.jobs.values()} == {one.pbs_job.id for one in taken}
        for one in taken:
            assert one.token in one.pbs_job.tokens
            assert one.token not in one.batch.others
            world.tracker.watch.done(one.batch, one.pbs_job, one.token)
