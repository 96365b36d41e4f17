"""PBS is asked seldom, and an answer that does not come is no news."""

from itertools import pairwise

import pytest
from watched import AWAY, DONE, LEAST, QUEUED, RUNNING, Server, array

from snakemake_executor_plugin_pbs_singularity.watch import SELDOMEST


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    return Server(monkeypatch)


# When PBS is asked


def test_questions_become_rarer_while_all_goes_well_down_to_a_limit(server: Server) -> None:
    server.submit("1[].vm", 1, 1)
    server.says["1[].vm"] = array(2)
    times = server.times_of_questions(600)
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert times[0] <= LEAST
    assert pauses == sorted(pauses)
    assert LEAST <= pauses[0] < pauses[-1]
    assert pauses[-1] == pytest.approx(SELDOMEST * LEAST, abs=0.5)


def test_after_a_submission_pbs_is_asked_soon_again(server: Server) -> None:
    server.submit("1[].vm", 1, 1)
    server.says = {"1[].vm": array(2), "2.vm": QUEUED}
    server.times_of_questions(600)
    while not server.times_of_questions(0.5):
        pass  # up to a question, after which the next is far
    server.submit("2.vm", 1)
    first, second = server.times_of_questions(600)[:2]
    assert first <= LEAST
    assert second - first <= 2 * LEAST


def test_many_submissions_put_no_question_off(server: Server) -> None:
    server.submit("1.vm", 1)
    numbers = iter(range(2, 1000))
    assert server.times_of_questions(30, lambda: server.submit(f"{next(numbers)}.vm", 1))[0] <= LEAST


def test_while_something_is_overdue_pbs_is_asked_as_often_as_at_first(server: Server) -> None:
    server.submit("1.vm", 1)
    server.submit("2.vm", 1)
    server.says = {"1.vm": RUNNING, "2.vm": RUNNING}
    server.times_of_questions(600)
    server.says["1.vm"] = DONE
    times = server.times_of_questions(600)
    assert times[1] - times[0] <= LEAST + 0.5


def test_pbs_is_never_asked_more_often_than_it_may_be(server: Server) -> None:
    server.submit("1.vm", 1)
    server.says["1.vm"] = DONE
    times = server.times_of_questions(300)
    assert all(later - earlier >= LEAST for earlier, later in pairwise(times))


# Answers that do not come


def test_an_answer_that_does_not_come_changes_nothing(server: Server) -> None:
    job = server.submit("1.vm", 1).jobs["1.vm"]
    server.says["1.vm"] = RUNNING
    server.look(LEAST)
    server.error = AWAY
    server.look(SELDOMEST * LEAST)
    assert (job.status, job.over_since) == (RUNNING, None)


def test_a_pbs_that_is_away_is_said_once_and_its_coming_back_once(server: Server) -> None:
    server.submit("1.vm", 1)
    server.says["1.vm"] = RUNNING
    server.error = AWAY
    server.times_of_questions(100)
    (warning,) = server.said
    assert warning.startswith("warn: PBS does not answer: its jobs count as running")
    assert warning.endswith("It hangs. Try again later.")
    server.error = None
    server.times_of_questions(100)
    assert server.said[1:] == ["say: PBS answers again."]
    server.error = AWAY
    server.times_of_questions(100)
    assert len(server.said) == 3


def test_a_pbs_that_is_away_is_asked_no_more_often_than_at_first(server: Server) -> None:
    server.submit("1.vm", 1)
    server.error = AWAY
    times = server.times_of_questions(100)
    assert all(later - earlier >= LEAST for earlier, later in pairwise(times))
    assert len(times) >= 9


def test_subjobs_that_could_not_be_asked_for_are_asked_for_later(server: Server) -> None:
    batch = server.submit("1[].vm", 1, 1)
    server.says["1[].vm"] = array(1)
    server.subjobs = {"1[0].vm": DONE, "1[1].vm": RUNNING}
    server.error_of_subjobs = AWAY
    server.look_and_look_closely(LEAST)
    assert [job.status for job in batch.jobs.values()] == [None, None]
    server.error_of_subjobs = None
    server.look_and_look_closely(2 * LEAST)
    assert [job.status for job in batch.jobs.values()] == [DONE, RUNNING]


def test_subjobs_that_cannot_be_asked_for_are_not_asked_for_more_often_than_pbs_may_be(server: Server) -> None:
    server.submit("1[].vm", 1, 1)
    server.says["1[].vm"] = array(1)
    server.error_of_subjobs = AWAY
    server.times_of_questions(60)
    assert len(server.asked_closely) <= 6


def test_an_array_whose_subjobs_cannot_be_asked_for_keeps_no_other_job_from_being_asked_about(server: Server) -> None:
    server.submit("1[].vm", 1, 1)
    job = server.submit("2.vm", 1).jobs["2.vm"]
    server.says = {"1[].vm": array(1), "2.vm": RUNNING}
    server.error_of_subjobs = AWAY
    server.times_of_questions(SELDOMEST * LEAST)
    server.says["2.vm"] = DONE
    server.times_of_questions(SELDOMEST * LEAST)
    assert job.status == DONE
