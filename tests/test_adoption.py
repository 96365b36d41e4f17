"""What a killed run has left in PBS is taken over, replaced, or run again: nothing is lost, nothing runs twice."""

import shutil
from collections.abc import Callable

import pytest
from snakemake_interface_common.exceptions import WorkflowError
from tracked import Run, Site, site

from snakemake_executor_plugin_pbs_singularity import adoption
from snakemake_executor_plugin_pbs_singularity.adoption import LONGEST_DOUBT, Left
from snakemake_executor_plugin_pbs_singularity.pbs import ErrorKind, Pbs, PbsError, State
from snakemake_executor_plugin_pbs_singularity.task import Task
from snakemake_executor_plugin_pbs_singularity.tracker import Replacing, Submitted

__all__ = ["site"]


def it_counts(left: Left) -> bool:
    """Say that what has ended well still counts."""
    return True


def it_counts_no_more(left: Left) -> bool:
    return False


def take_over(run: Run, task: Task) -> Submitted:
    """Take over the task of an earlier run, which must be there."""
    taken = run.tracker.take_over(task, it_counts)
    assert isinstance(taken, Submitted)
    return taken


def replace(run: Run, task: Task) -> Replacing:
    """Have a task wait for what it replaces, which must be there."""
    waiting = run.tracker.take_over(task, it_counts)
    assert isinstance(waiting, Replacing)
    return waiting


def replaced(run: Run) -> list[Task]:
    """Give the tasks that can be submitted, when there are any."""
    ready: list[Task] = []

    def look() -> bool:
        run.site.clock.seconds += 2
        ready.extend(run.tracker.replaced())
        return bool(ready)

    run.site.until(look)
    return ready


def recorded(run: Run, submitted: Submitted) -> int:
    """Give the exit status of a task when it has ended."""
    found: list[tuple[str, int]] = []
    run.site.until(lambda: found or found.extend(run.recorded(submitted)) or found)
    ((token, exit_status),) = found
    assert token == submitted.token
    return exit_status


# What goes on


def test_a_job_that_waits_is_taken_over(site: Site) -> None:
    first = site.run()
    site.hold_back()
    left = first.start("true", job="x")
    first.die()
    second = site.run()
    assert second.said == ["Tasks of earlier runs: 1 waiting or running."]
    taken = take_over(second, second.task(job="x"))
    assert (taken.token, taken.pbs_job.id, taken.log) == (left.token, left.pbs_job.id, left.log)
    site.let_go()
    assert recorded(second, taken) == 0
    assert site.jobs() == [left.pbs_job.id]


def test_a_job_that_runs_is_taken_over_and_fails_as_ever(site: Site) -> None:
    first = site.run()
    left = first.start("until [ -e go ]; do sleep 0.1; done; exit 3", job="x")
    site.local.wait(left.pbs_job.id, state="R")
    first.die()
    second = site.run()
    taken = take_over(second, second.task(job="x"))
    (site.workdir / "go").touch()
    assert recorded(second, taken) == 3
    assert second.tracker.submitted == {}


def test_a_job_that_has_ended_well_meanwhile_counts_without_running_again(site: Site) -> None:
    first = site.run()
    left = first.start("echo x >>ran", job="x")
    site.until_over(left)
    first.die()
    second = site.run()
    assert second.said == ["Tasks of earlier runs: 1 ended well."]
    taken = take_over(second, second.task(job="x"))
    assert second.recorded(taken) == [(left.token, 0)]
    assert (site.workdir / "ran").read_text() == "x\n"


def test_what_was_left_takes_the_place_of_one_task_only(site: Site) -> None:
    first = site.run()
    site.hold_back()
    first.start("true", job="x")
    first.die()
    second = site.run()
    take_over(second, second.task(job="x"))
    assert second.tracker.take_over(second.task(job="x"), it_counts) is None


def test_what_a_third_run_finds_is_what_the_first_has_left(site: Site) -> None:
    first = site.run()
    site.hold_back()
    left = first.start("true", job="x")
    first.die()
    second = site.run()
    take_over(second, second.task(job="x"))
    second.die()
    third = site.run()
    assert take_over(third, third.task(job="x")).token == left.token


def test_while_pbs_is_away_at_the_start_what_it_has_counts_as_running(site: Site) -> None:
    first = site.run()
    site.hold_back()
    left = first.start("true", job="x")
    first.die()
    site.local.set(server="away")
    second = site.run()
    assert take_over(second, second.task(job="x")).token == left.token


def test_single_subjobs_of_an_array_are_taken_over(site: Site) -> None:
    first = site.run()
    site.hold_back()
    left = first.submit(*(first.task(f"exit {n}", job=f"x{n}") for n in range(3)))
    first.die()
    second = site.run()
    assert second.said == ["Tasks of earlier runs: 3 waiting or running."]
    taken = [take_over(second, second.task(job=f"x{n}")) for n in (2, 0)]
    assert [one.pbs_job.id for one in taken] == [left[2].pbs_job.id, left[0].pbs_job.id]
    assert second.tracker.ids == [one.pbs_job.id for one in taken]  # the other subjob is nobody's
    site.let_go()
    assert [recorded(second, one) for one in taken] == [2, 0]


def test_an_array_of_which_all_is_taken_over_is_deleted_whole(site: Site) -> None:
    first = site.run()
    site.hold_back()
    left = first.submit(*(first.task(job=f"x{n}") for n in range(3)))
    first.die()
    second = site.run()
    for n in range(3):
        take_over(second, second.task(job=f"x{n}"))
    assert second.tracker.delete_all() == [left[0].batch.id]


# What has failed or is lost


def test_a_job_that_has_failed_meanwhile_is_to_run_again(site: Site) -> None:
    first = site.run()
    left = first.start("exit 3", job="x")
    site.until_over(left)
    first.die()
    second = site.run()
    assert second.said == ["Tasks of earlier runs: 1 failed, to be run again."]
    assert second.tracker.take_over(second.task(job="x"), it_counts) is None
    assert next(iter(second.ledger.read().values())).ended == {left.token: 3}
    assert site.run().said == []


def test_a_job_that_ended_in_pbs_while_nobody_watched_is_to_run_again(site: Site) -> None:
    first = site.run()
    site.hold_back()
    left = first.start("true", job="x")
    first.die()
    site.local.out(f"qdel {left.pbs_job.id}")
    second = site.run()
    assert second.said == ["Tasks of earlier runs: 1 gone from PBS without a word."]
    taken = take_over(second, second.task(job="x"))
    assert second.tracker.judged([taken.token]) == ([], [taken])
    assert second.tracker.submitted == {}


def test_a_job_that_is_lost_after_it_was_taken_over_has_failed(site: Site) -> None:
    first = site.run()
    site.hold_back()
    left = first.start("true", job="x")
    first.die()
    second = site.run()
    taken = take_over(second, second.task(job="x"))
    site.local.out(f"qdel {left.pbs_job.id}")
    second.tracker.watch.look()
    outcomes, again = second.tracker.judged([taken.token])
    assert ([one for one, _ in outcomes], again) == ([taken], [])


# What the earlier run knew


@pytest.mark.parametrize("counts", [it_counts, it_counts_no_more])
def test_an_end_that_was_noted_counts_if_snakemake_was_not_told(counts: Callable[[Left], bool], site: Site) -> None:
    first = site.run()
    left = first.start("true", job="x")
    assert recorded(first, left) == 0
    first.die()
    second = site.run()
    assert second.said == []
    taken = second.tracker.take_over(second.task(job="x"), counts)
    if counts is it_counts_no_more:  # it is to run again for another reason
        assert taken is None
    else:
        assert isinstance(taken, Submitted)
        assert second.recorded(taken) == [(left.token, 0)]


def test_what_ended_well_and_counts_no_more_is_to_run_again(site: Site) -> None:
    first = site.run()
    left = first.start("true", job="x")
    site.until_over(left)
    first.die()
    second = site.run()
    assert second.said == ["Tasks of earlier runs: 1 ended well."]
    assert second.tracker.take_over(second.task(job="x"), it_counts_no_more) is None
    (batch,) = second.ledger.read().values()
    assert batch.ended == {left.token: 0}


def test_whether_what_still_runs_will_count_is_not_asked(site: Site) -> None:
    first = site.run()
    site.hold_back()
    left = first.start("true", job="x")
    first.die()
    second = site.run()
    taken = second.tracker.take_over(second.task(job="x"), it_counts_no_more)
    assert isinstance(taken, Submitted)
    assert taken.token == left.token


def test_what_failed_in_an_earlier_run_is_nothing_to_take_over(site: Site) -> None:
    first = site.run()
    left = first.start("exit 3", job="x")
    assert recorded(first, left) == 3
    first.die()
    second = site.run()
    assert second.tracker.take_over(second.task(job="x"), it_counts) is None


def test_what_an_earlier_run_had_deleted_is_not_taken_over(site: Site) -> None:
    first = site.run()
    left = first.start("trap '' TERM; sleep 60", job="x")
    site.local.wait(left.pbs_job.id, state="R")
    first.tracker.delete_all()
    first.die()
    second = site.run()
    new = second.task(job="x")
    assert list(replace(second, new).old) == [left.pbs_job.id]
    assert replaced(second) == [new]
    assert site.status(left.pbs_job.id).state is State.FINISHED


def test_a_job_whose_scripts_are_gone_is_not_taken_over(site: Site) -> None:
    first = site.run()
    site.hold_back()
    left = first.start("true", job="x")
    first.die()
    shutil.rmtree(first.folder.run)
    second = site.run()
    assert list(replace(second, second.task(job="x")).old) == [left.pbs_job.id]


# What has changed


def test_a_job_that_runs_otherwise_now_is_seen_gone_before_the_new_one_can_be_submitted(site: Site) -> None:
    first = site.run()
    left = first.start("sleep 60", job="x")
    site.local.wait(left.pbs_job.id, state="R")
    first.die()
    second = site.run()
    new = second.task(job="x", work="other work")
    assert list(replace(second, new).old) == [left.pbs_job.id]
    site.local.set(server="away")
    site.clock.seconds += 2
    assert second.tracker.replaced() == []
    site.local.set(server="up")
    assert replaced(second) == [new]
    assert site.status(left.pbs_job.id).state is State.FINISHED
    assert next(iter(second.ledger.read().values())).ended == {left.token: None}
    assert second.tracker.replaced() == []


def test_a_job_that_waits_and_would_ask_for_something_else_is_replaced(site: Site) -> None:
    first = site.run()
    site.hold_back()
    left = first.start("true", job="x", walltime=60)
    first.die()
    second = site.run()
    assert list(replace(second, second.task(job="x", walltime=120)).old) == [left.pbs_job.id]


def test_a_job_that_has_begun_goes_on_whatever_it_would_ask_for_now(site: Site) -> None:
    first = site.run()
    left = first.start("sleep 60", job="x", walltime=60)
    site.local.wait(left.pbs_job.id, state="R")
    first.die()
    second = site.run()
    assert take_over(second, second.task(job="x", walltime=120)).token == left.token


def test_what_ended_well_but_would_run_otherwise_now_is_run_again(site: Site) -> None:
    first = site.run()
    left = first.start("true", job="x")
    site.until_over(left)
    first.die()
    second = site.run()
    assert second.tracker.take_over(second.task(job="x", work="other work"), it_counts) is None


def test_of_an_array_only_the_subjob_that_has_changed_is_deleted(site: Site) -> None:
    first = site.run()
    site.hold_back()
    left = first.submit(*(first.task(job=f"x{n}") for n in range(3)))
    first.die()
    second = site.run()
    kept = [take_over(second, second.task(job=f"x{n}")) for n in (0, 2)]
    new = second.task(job="x1", work="other work")
    replace(second, new)
    assert replaced(second) == [new]
    site.let_go()
    assert [recorded(second, one) for one in kept] == [0, 0]
    assert not (first.folder.records / left[1].token).exists()


def test_what_shares_a_bundle_with_a_task_that_has_changed_is_submitted_again(site: Site) -> None:
    first = site.run()
    site.hold_back()
    left = first.submit((first.task(job="x"), first.task(job="y")))
    first.die()
    second = site.run()
    kept = take_over(second, second.task(job="x"))
    new = second.task(job="y", work="other work")
    assert list(replace(second, new).old) == [left[0].pbs_job.id]
    assert replaced(second) == [new]
    second.tracker.watch.look()
    site.clock.seconds += 60
    assert second.tracker.judged([kept.token]) == ([], [kept])


# What nobody asks for


def test_of_two_tasks_of_one_job_the_later_goes_on_and_the_other_is_deleted(site: Site) -> None:
    first = site.run()
    site.hold_back()
    earlier, later = first.start("true", job="x"), first.start("true", job="x")
    first.die()
    second = site.run()
    assert take_over(second, second.task(job="x")).token == later.token
    assert second.tracker.replaced() == []
    assert site.status(earlier.pbs_job.id).state is State.FINISHED
    assert site.status(later.pbs_job.id).state is State.QUEUED
    site.let_go()
    assert recorded(second, second.tracker.submitted[later.token]) == 0


def test_an_end_that_nobody_asks_for_is_told_by_one_run_only(site: Site) -> None:
    first = site.run()
    left = first.start("true", job="x")
    site.until_over(left)
    first.die()
    second = site.run()
    assert second.said == ["Tasks of earlier runs: 1 ended well."]
    second.tracker.close()
    second.die()
    assert site.run().said == []
    assert not first.folder.run.exists()


def test_what_still_runs_and_nobody_asks_for_is_left_to_itself(site: Site) -> None:
    first = site.run()
    site.hold_back()
    left = first.start("true", job="x")
    first.die()
    second = site.run()
    second.tracker.close()
    second.die()
    assert site.status(left.pbs_job.id).state is State.QUEUED
    third = site.run()
    assert take_over(third, third.task(job="x")).token == left.token


# Other runs, and what they leave on the disk


def test_what_a_run_that_lives_has_submitted_is_left_alone(site: Site) -> None:
    first = site.run()
    site.hold_back()
    left = first.start("true", job="x")
    second = site.run()
    assert second.said == [
        "Another run may be going on in this directory. The jobs that it has submitted are left alone."
    ]
    assert second.tracker.take_over(second.task(job="x"), it_counts) is None
    second.tracker.close()
    assert first.folder.run.exists()
    site.let_go()
    assert recorded(first, left) == 0


def test_the_folder_of_a_dead_run_goes_when_all_that_it_submitted_has_ended(site: Site) -> None:
    first = site.run()
    first.submit(first.task("true", job="x"), first.task("until [ -e go ]; do sleep 0.1; done", job="y"))
    first.die()
    second = site.run()
    recorded(second, take_over(second, second.task(job="x")))
    second.tracker.close()
    second.die()
    assert first.folder.run.exists()
    (site.workdir / "go").touch()
    third = site.run()
    recorded(third, take_over(third, third.task(job="y")))
    third.tracker.close()
    assert not first.folder.run.exists()


# A run that was killed while it submitted


def killed_while_it_submitted(site: Site, *, is_in_pbs: bool) -> str:
    """Have a run killed before it has the answer of `qsub`, and give the name of the job."""
    run = site.run()
    site.answers("qsub", "lost" if is_in_pbs else "cut")
    site.answers("qselect", "cut")
    run.stopped.set()
    with pytest.raises(PbsError):
        run.start("true", job="x")
    run.die()
    (batch,) = run.ledger.read().values()
    assert batch.id is None
    return batch.name


def test_a_job_whose_id_the_killed_run_did_not_learn_is_found_by_its_name(site: Site) -> None:
    site.hold_back()
    killed_while_it_submitted(site, is_in_pbs=True)
    second = site.run()
    taken = take_over(second, second.task(job="x"))
    assert [taken.pbs_job.id] == site.jobs()
    assert next(iter(second.ledger.read().values())).id == taken.pbs_job.id


def test_a_job_that_pbs_never_got_is_forgotten_when_it_cannot_come_any_more(site: Site) -> None:
    killed_while_it_submitted(site, is_in_pbs=False)
    before = site.clock.seconds
    second = site.run()
    assert site.clock.seconds - before == pytest.approx(LONGEST_DOUBT, abs=5)
    assert second.said == [
        "The last run was ended while it submitted jobs. Looking for a minute whether PBS has got them."
    ]
    assert second.ledger.read() == {}
    assert second.tracker.take_over(second.task(job="x"), it_counts) is None


def test_a_qsub_that_outlives_its_run_is_waited_for(site: Site) -> None:
    name = killed_while_it_submitted(site, is_in_pbs=False)
    site.hold_back()
    site.clock.plan = [*[lambda: None] * 10, lambda: site.local.out(f"echo true | qsub -N {name}")]
    second = site.run()
    assert [take_over(second, second.task(job="x")).pbs_job.id] == site.jobs()


def test_after_a_minute_nothing_is_waited_for(site: Site) -> None:
    killed_while_it_submitted(site, is_in_pbs=False)
    site.clock.seconds += LONGEST_DOUBT
    before = site.clock.seconds
    assert site.run().ledger.read() == {}
    assert site.clock.seconds == before


def test_a_server_that_is_away_is_waited_for_before_anything_is_submitted(site: Site) -> None:
    killed_while_it_submitted(site, is_in_pbs=True)
    site.local.set(server="away")
    site.clock.plan = [*[lambda: None] * 50, lambda: site.local.set(server="up")]
    second = site.run()
    assert take_over(second, second.task(job="x")).pbs_job.id in site.jobs()
    assert [text for text in second.said if "Waiting for PBS" in text] == second.said[:1]


def test_a_run_does_not_begin_if_pbs_cannot_say_whether_it_has_a_job(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(pbs: Pbs, name: str) -> list[str]:
        raise PbsError(ErrorKind.OTHER, "`qselect` failed.")

    name = killed_while_it_submitted(site, is_in_pbs=True)
    monkeypatch.setattr(adoption, "find_by_name", refuse)
    with pytest.raises(WorkflowError, match=f"name {name}.*Nothing was submitted; start again when it does"):
        site.run()
