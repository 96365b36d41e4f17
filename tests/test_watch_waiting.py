"""What keeps jobs from going on is said once; what can never run is given up after a while."""

import pytest
from watched import AWAY, DONE, HELD, LEAST, QUEUED, RUNNING, UNKNOWN, Server, array

from snakemake_executor_plugin_pbs_singularity.pbs import Cause, Hindrance, JobStatus, State
from snakemake_executor_plugin_pbs_singularity.watch import SELDOMEST, PbsJob, SubmittedBatch

NEVER = JobStatus(
    State.QUEUED,
    waits_for=Hindrance.NEVER_RUNS,
    comment="Can Never Run: Insufficient amount of resource: ncpus (R: 90 A: 8 T: 8)",
)
SUSPENDED = JobStatus(State.SUSPENDED, comment="Job run at Wed Nov 25 at 09:01 on (vm:ncpus=1)")
MOVED = JobStatus(State.MOVED, queue="workq@other")
LIMIT = 600.0


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    return Server(monkeypatch)


def submit(server: Server, says: JobStatus) -> PbsJob:
    """Submit a plain job of which PBS says something."""
    server.says["1.vm"] = says
    return server.submit("1.vm", 1).jobs["1.vm"]


# What is said


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (HELD, "It is held: it has not failed"),
        (SUSPENDED, "It is suspended: it has not failed"),
        (MOVED, "PBS moved it to another server, to workq@other. It has not failed"),
        (NEVER, "It can never run: no node has what it asks for. PBS says: Can Never Run: Insufficient amount"),
    ],
)
def test_what_keeps_a_job_from_going_on_is_said_once_and_it_has_not_failed(
    status: JobStatus, words: str, server: Server
) -> None:
    job = submit(server, status)
    server.times_of_questions(1000)
    (said,) = server.said
    assert said.startswith("warn: rule a (sample=")
    assert f"(PBS job 1.vm): {words}" in said
    assert (job.over_since, job.refused, server.deleted) == (None, None, [])


def test_of_an_array_it_is_said_once_for_all_and_another_reason_is_said_too(server: Server) -> None:
    server.submit("1[].vm", *[1] * 50)
    server.says["1[].vm"] = JobStatus(State.HELD, is_array=True, subjobs_left=50)
    server.times_of_questions(100)
    server.says["1[].vm"] = JobStatus(State.QUEUED, is_array=True, waits_for=NEVER.waits_for, comment=NEVER.comment)
    server.times_of_questions(100)
    assert [text.split(":")[1].strip() for text in server.said] == ["50 tasks of a (PBS job 1[].vm)"] * 2
    assert "It is held" in server.said[0]
    assert "It can never run" in server.said[1]


def test_a_job_that_is_held_again_after_it_was_released_is_said_again(server: Server) -> None:
    submit(server, HELD)
    for status in (HELD, QUEUED, HELD, HELD):
        server.says["1.vm"] = status
        server.look(SELDOMEST * LEAST)
    assert len(server.said) == 2


def test_a_held_job_of_which_pbs_knew_nothing_for_a_moment_is_not_said_again(server: Server) -> None:
    submit(server, HELD)
    for status in (HELD, UNKNOWN, HELD):
        server.says["1.vm"] = status
        server.look(SELDOMEST * LEAST)
    assert len(server.said) == 1


def test_a_job_that_is_suspended_now_and_then_is_said_once(server: Server) -> None:
    submit(server, SUSPENDED)
    for status in (SUSPENDED, RUNNING) * 5:
        server.says["1.vm"] = status
        server.look(SELDOMEST * LEAST)
    assert len(server.said) == 1


def test_a_suspended_subjob_is_said_if_pbs_was_asked_about_subjobs(server: Server) -> None:
    """Of the array PBS only says that it has begun (seen on 23.06.06)."""
    server.submit("1[].vm", 1, 1, 1)
    server.says["1[].vm"] = array(2)
    server.subjobs = {"1[0].vm": DONE, "1[1].vm": SUSPENDED, "1[2].vm": SUSPENDED}
    server.look_and_look_closely(LEAST)
    (said,) = server.said
    assert "3 tasks of a (PBS job 1[1].vm): It is suspended" in said


def test_what_simply_waits_its_turn_is_not_worth_a_word(server: Server) -> None:
    submit(server, QUEUED)
    server.times_of_questions(100)
    assert server.said == []


# What can never run


@pytest.fixture
def strict(server: Server) -> Server:
    """A server whose watch gives up what can never run."""
    server.watch = server.new_watch(LIMIT)
    return server


def watch_for(server: Server, seconds: float) -> None:
    server.times_of_questions(seconds)


def test_that_it_will_be_given_up_is_said_at_once(strict: Server) -> None:
    submit(strict, NEVER)
    strict.look(LEAST)
    (said,) = strict.said
    assert said.endswith("If PBS says so for 10 minutes, it is deleted and counts as failed.")


def test_a_job_that_can_never_run_is_deleted_after_a_while_and_knows_why(strict: Server) -> None:
    job = submit(strict, NEVER)
    watch_for(strict, LIMIT)
    assert (job.refused, strict.deleted) == (None, [])
    watch_for(strict, 2 * SELDOMEST * LEAST)
    assert strict.deleted == [["1.vm"]]
    assert job.refused is not None
    assert "Can Never Run: Insufficient amount of resource: ncpus" in job.refused.problem
    assert "After 10 minutes it was deleted (--pbs-singularity-never-run-minutes)." in job.refused.problem
    assert "Ask for less" in job.refused.remedy
    assert len(strict.said) == 1


def test_it_is_over_only_when_pbs_says_so(strict: Server) -> None:
    """Another may be submitted in its place only when it is gone."""
    job = submit(strict, NEVER)
    watch_for(strict, 2 * LIMIT)
    assert job.over_since is None
    strict.says["1.vm"] = JobStatus(State.FINISHED, cause=Cause.DELETED_WAITING)
    strict.look(SELDOMEST * LEAST)
    assert job.over_since is not None


def test_of_an_array_all_subjobs_are_given_up_at_once(strict: Server) -> None:
    batch = strict.submit("1[].vm", 1, 2)
    strict.says["1[].vm"] = JobStatus(State.QUEUED, is_array=True, waits_for=NEVER.waits_for, comment=NEVER.comment)
    watch_for(strict, 2 * LIMIT)
    assert strict.deleted == [["1[].vm"]]
    assert all(job.refused for job in batch.jobs.values())


def test_subjobs_that_are_not_this_runs_are_left_alone(strict: Server) -> None:
    batch: SubmittedBatch = strict.submit("1[].vm", 1, 1, 1)
    batch.others = {"another"}
    del batch.jobs["1[1].vm"]
    strict.says["1[].vm"] = JobStatus(State.QUEUED, is_array=True, waits_for=NEVER.waits_for, comment=NEVER.comment)
    watch_for(strict, 2 * LIMIT)
    assert strict.deleted == [["1[0].vm", "1[2].vm"]]


@pytest.mark.parametrize("meanwhile", [QUEUED, RUNNING, HELD])
def test_a_job_that_can_run_after_all_is_given_its_time_again(meanwhile: JobStatus, strict: Server) -> None:
    job = submit(strict, NEVER)
    watch_for(strict, LIMIT)
    strict.says["1.vm"] = meanwhile
    watch_for(strict, SELDOMEST * LEAST)
    strict.says["1.vm"] = NEVER
    watch_for(strict, LIMIT)
    assert (job.refused, strict.deleted) == (None, [])


def test_a_deletion_that_gets_no_answer_is_tried_again(strict: Server) -> None:
    job = submit(strict, NEVER)
    strict.error_of_delete = AWAY
    watch_for(strict, 2 * LIMIT)
    assert len(strict.deleted) > 1
    assert job.refused is None
    strict.error_of_delete = None
    watch_for(strict, SELDOMEST * LEAST)
    assert job.refused is not None
    tries = len(strict.deleted)
    watch_for(strict, LIMIT)
    assert len(strict.deleted) == tries
