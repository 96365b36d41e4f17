"""PBS is asked about whole batches first, and what it says is noted of the jobs that it is said of."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tasks.made import task
from watched import DONE, FOLDER, LEAST, RUNNING, UNKNOWN, Server, array

from snakemake_executor_plugin_pbs_singularity.batch import Batch
from snakemake_executor_plugin_pbs_singularity.pbs import Cause, JobStatus, State
from snakemake_executor_plugin_pbs_singularity.watch import SELDOMEST, PbsJob, submitted_batch


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    return Server(monkeypatch)


# What is known when PBS has given an id


def test_each_bundle_of_an_array_is_a_subjob_and_a_lone_one_is_the_job_itself() -> None:
    tasks = [task(), task(), task()]
    batch = submitted_batch(Batch("t", (tuple(tasks[:2]), (tasks[2],))), "12[].vm", FOLDER)
    assert (batch.id, batch.size, batch.is_array, batch.title) == ("12[].vm", 2, True, "3 tasks of a")
    assert list(batch.jobs) == ["12[0].vm", "12[1].vm"]
    first, second = batch.jobs.values()
    assert (first.id, first.tokens, first.is_bundle) == ("12[0].vm", [tasks[0].token, tasks[1].token], True)
    assert (second.id, second.tokens, second.is_bundle) == ("12[1].vm", [tasks[2].token], False)
    assert [job.log for job in (first, second)] == [Path("/state/pbs/t.log-0"), Path("/state/pbs/t.log-1")]
    alone = submitted_batch(Batch("t", ((tasks[0],),)), "12.vm", FOLDER)
    assert (alone.is_array, list(alone.jobs), alone.jobs["12.vm"].log) == (False, ["12.vm"], Path("/state/pbs/t.log"))


def test_a_job_is_over_since_pbs_first_said_so(server: Server) -> None:
    job = PbsJob("1.vm", Path("/log"), ["a"], 1)
    assert job.seconds_over(server.now) == 0
    job.note(RUNNING)
    assert job.seconds_over(server.now + 5) == 0
    job.note(DONE)
    server.now += 3
    job.note(DONE)
    assert job.seconds_over(server.now) == 3


def test_a_job_that_pbs_knows_again_is_not_over(server: Server) -> None:
    job = PbsJob("1.vm", Path("/log"), ["a"], 1)
    job.note(UNKNOWN)
    server.now += 3
    job.note(RUNNING)
    assert job.seconds_over(server.now) == 0
    job.note(DONE)
    assert job.seconds_over(server.now + 1) == 1


# What is asked


def test_all_batches_are_asked_about_at_once_and_arrays_as_wholes(server: Server) -> None:
    server.submit("1[].vm", 1, 1, 1)
    server.submit("2.vm", 1)
    server.look(LEAST)
    assert server.asked == [["1[].vm", "2.vm"]]
    assert server.asked_closely == []


def test_where_nothing_is_watched_nothing_is_asked(server: Server) -> None:
    server.look(1000)
    batch = server.submit("1[].vm", 1, 2)
    server.end(batch, *list(batch.jobs))
    server.look(1000)
    assert (server.asked, server.watch.batches) == ([], {})


def test_a_batch_is_watched_until_the_end_of_each_of_its_tasks_is_known(server: Server) -> None:
    batch = server.submit("1[].vm", 1, 2)
    bundle = batch.jobs["1[1].vm"]
    first, second = bundle.tokens
    server.end(batch, "1[0].vm")
    assert list(batch.jobs) == ["1[1].vm"]
    server.watch.done(batch, bundle, first)
    assert (bundle.tokens, list(server.watch.batches)) == ([second], ["1[].vm"])
    server.watch.done(batch, bundle, second)
    assert server.watch.batches == {}


def test_what_is_said_of_a_plain_job_is_said_of_it(server: Server) -> None:
    job = server.submit("1.vm", 1).jobs["1.vm"]
    server.says["1.vm"] = DONE
    server.look(LEAST)
    assert (job.status, job.seconds_over(server.now + 3)) == (DONE, 3)
    assert server.asked_closely == []


def test_subjobs_are_not_asked_for_while_records_account_for_all_that_are_over(server: Server) -> None:
    batch = server.submit("1[].vm", 1, 1, 1)
    server.says["1[].vm"] = array(1)
    server.look(LEAST)
    server.end(batch, "1[0].vm", "1[2].vm")
    server.look(0.5)
    assert server.asked_closely == []


def test_subjobs_are_asked_for_where_more_are_over_than_records_account_for(server: Server) -> None:
    batch = server.submit("1[].vm", 1, 1, 1)
    server.says["1[].vm"] = array(1)
    server.subjobs = {"1[0].vm": DONE, "1[1].vm": RUNNING, "1[2].vm": JobStatus(State.FINISHED, -29, Cause.WALLTIME)}
    server.look(LEAST)
    assert server.asked_closely == []  # records have a moment to come
    server.end(batch, "1[0].vm")
    server.look(0.5)
    assert server.asked_closely == ["1[].vm"]
    assert {job.id: job.status for job in batch.jobs.values()} == {
        "1[1].vm": RUNNING,
        "1[2].vm": JobStatus(State.FINISHED, -29, Cause.WALLTIME),
    }
    assert [job.over_since is not None for job in batch.jobs.values()] == [False, True]


def test_subjobs_are_asked_for_once_after_each_answer(server: Server) -> None:
    server.submit("1[].vm", 1, 1, 1)
    server.says["1[].vm"] = array(2)
    server.subjobs = {f"1[{index}].vm": RUNNING for index in range(3)}  # not yet so far
    server.look_and_look_closely(LEAST)
    for _ in range(5):
        server.look(0.5)
    assert (len(server.asked), len(server.asked_closely)) == (1, 1)
    server.look_and_look_closely(2 * LEAST)
    assert (len(server.asked), len(server.asked_closely)) == (2, 2)


def test_what_pbs_called_over_is_not_hidden_any_more(server: Server) -> None:
    server.submit("1[].vm", 1, 1, 1)
    server.says["1[].vm"] = array(2)
    server.subjobs = {"1[0].vm": DONE, "1[1].vm": RUNNING, "1[2].vm": RUNNING}
    for _ in range(5):
        server.look_and_look_closely(SELDOMEST * LEAST)
    assert (len(server.asked), len(server.asked_closely)) == (5, 1)


@pytest.mark.parametrize("left", [None, 0, 3])
def test_the_subjobs_of_an_array_that_is_over_are_all_over(left: int | None, server: Server) -> None:
    batch = server.submit("1[].vm", 1, 1, 1)
    server.says["1[].vm"] = array(left, State.FINISHED)
    server.subjobs = {f"1[{index}].vm": DONE for index in range(3)}
    server.look(LEAST)
    server.end(batch, "1[0].vm", "1[1].vm")
    server.look(0.5)
    assert server.asked_closely == ["1[].vm"]
    assert batch.jobs["1[2].vm"].status == DONE


def test_only_the_array_that_hides_something_is_asked_about_closely(server: Server) -> None:
    server.submit("1[].vm", 1, 1)
    server.submit("2[].vm", 1, 1)
    server.submit("3.vm", 1)
    server.says = {"1[].vm": array(2), "2[].vm": array(1), "3.vm": DONE}
    server.look_and_look_closely(LEAST)
    assert server.asked_closely == ["2[].vm"]


def test_an_array_that_waits_is_not_asked_about_closely(server: Server) -> None:
    server.submit("1[].vm", 1, 1)
    server.says["1[].vm"] = array(2, State.QUEUED)
    server.look_and_look_closely(LEAST)
    assert server.asked_closely == []


def test_of_an_array_that_pbs_does_not_know_no_subjob_is_known(server: Server) -> None:
    batch = server.submit("1[].vm", 1, 1)
    server.says["1[].vm"] = UNKNOWN
    server.look_and_look_closely(LEAST)
    assert [job.status for job in batch.jobs.values()] == [UNKNOWN, UNKNOWN]
    assert [job.seconds_over(server.now) for job in batch.jobs.values()] == [0.5, 0.5]
    assert server.asked_closely == []


def test_an_array_that_vanishes_between_two_questions_says_nothing_of_its_subjobs_yet(server: Server) -> None:
    batch = server.submit("1[].vm", 1, 1)
    server.says["1[].vm"] = array(1)
    server.subjobs = {"1[].vm": UNKNOWN}
    server.look_and_look_closely(LEAST)
    assert [job.status for job in batch.jobs.values()] == [None, None]


def test_subjobs_of_an_array_that_pbs_knows_again_are_not_over(server: Server) -> None:
    """Law 3: what is over since PBS did not know it must not be called lost while PBS says that it runs."""
    batch = server.submit("1[].vm", 1, 1)
    server.says["1[].vm"] = UNKNOWN
    server.look(LEAST)
    server.says["1[].vm"] = array(2)
    server.subjobs = {"1[0].vm": RUNNING, "1[1].vm": RUNNING}
    server.look_and_look_closely(SELDOMEST * LEAST)
    assert [job.seconds_over(server.now) for job in batch.jobs.values()] == [0, 0]


def test_a_subjob_that_pbs_has_forgotten_stays_over_while_its_array_goes_on(server: Server) -> None:
    """As TORQUE forgets them one by one, and an OpenPBS without history."""
    batch = server.submit("1[].vm", 1, 1)
    server.says["1[].vm"] = array(1)
    server.subjobs = {"1[0].vm": UNKNOWN, "1[1].vm": RUNNING}
    for _ in range(4):
        server.look_and_look_closely(SELDOMEST * LEAST)
    assert batch.jobs["1[0].vm"].seconds_over(server.now) == 3 * (SELDOMEST * LEAST + 0.5)
    assert batch.jobs["1[1].vm"].seconds_over(server.now) == 0


def test_what_an_answer_leaves_out_stays_as_it_was(server: Server) -> None:
    first, second = (server.submit(f"{number}.vm", 1).jobs[f"{number}.vm"] for number in (1, 2))
    server.says = {"1.vm": RUNNING, "2.vm": DONE}
    server.look(LEAST)
    server.says = {"1.vm": DONE}
    server.look(SELDOMEST * LEAST)
    assert (first.status, second.status) == (DONE, DONE)


@given(over=st.integers(0, 6), recorded=st.sets(st.integers(0, 5)), known=st.sets(st.integers(0, 5)))
def test_an_array_hides_something_if_and_only_if_more_are_over_than_are_accounted_for(
    over: int, recorded: set[int], known: set[int]
) -> None:
    batch = submitted_batch(Batch("t", tuple((task(),) for _ in range(6))), "1[].vm", FOLDER)
    for index in known:
        batch.jobs[f"1[{index}].vm"].note(DONE)
    for index in recorded:
        del batch.jobs[f"1[{index}].vm"]
    batch.status, batch.asked_closely = array(6 - over), False
    assert batch.hides_ends is (over > len(recorded | known))
