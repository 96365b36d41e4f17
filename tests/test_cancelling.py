"""A run that is cancelled deletes what it has in PBS and waits until that is gone, or says what remains."""

from collections.abc import Callable

import pytest
from tracked import Run, Site, site

from snakemake_executor_plugin_pbs_singularity.cancelling import LONGEST, cancel_all
from snakemake_executor_plugin_pbs_singularity.pbs import PbsError, State

__all__ = ["site"]

REMAINS = (
    "PBS may still have jobs of this run. `pbs-singularity jobs` lists them, `pbs-singularity jobs cancel` "
    "deletes them; the next run here takes care of what it needs itself."
)


def cancel(run: Run, *plan: Callable[[], object]) -> tuple[list[str], list[str]]:
    """Cancel a run, things happening meanwhile, and give what is said and what is complained about."""
    said: list[str] = []
    complaints: list[str] = []
    run.site.clock.plan = list(plan)
    cancel_all(run.tracker, lambda _: True, said.append, complaints.append)
    return said, complaints


def press_ctrl_c() -> None:
    raise KeyboardInterrupt


def pass_by(site: Site, seconds: float) -> None:
    site.clock.seconds += seconds


def test_jobs_and_arrays_that_wait_are_deleted_and_seen_gone(site: Site) -> None:
    run = site.run()
    site.hold_back()
    run.submit(run.task(), run.task(), run.task())
    run.start("true")
    said, complaints = cancel(run)
    assert said[0] == "Deleting 2 PBS jobs with 4 tasks."
    assert complaints == []
    assert {site.status(job).state for job in site.jobs()} == {State.FINISHED}
    assert (run.tracker.submitted, run.folder.run.exists()) == ({}, False)
    assert site.run().said == []


def test_a_job_that_runs_is_waited_for_until_pbs_has_ended_it(site: Site) -> None:
    run = site.run()
    left = run.start("trap '' TERM; touch begun; sleep 60 & wait; sleep 60")
    site.until((site.workdir / "begun").exists)
    said, complaints = cancel(run, *[lambda: site.local.out("sleep 0.1")] * 100)
    assert said[:2] == ["Deleting 1 PBS job with 1 task.", "1 PBS job still to end. Ctrl-C again leaves at once."]
    assert complaints == []
    assert site.status(left.pbs_job.id).state is State.FINISHED


def test_where_there_is_nothing_to_delete_nothing_is_said(site: Site) -> None:
    run = site.run()
    assert cancel(run) == ([], [])
    assert not run.folder.run.exists()


def test_a_server_that_is_away_is_waited_for(site: Site) -> None:
    run = site.run()
    site.hold_back()
    run.start("true")
    site.local.set(server="away")
    said, complaints = cancel(run, lambda: None, lambda: site.local.set(server="up"))
    assert [text.startswith("PBS has not deleted the jobs yet. ") for text in said].count(True) == 1
    assert all(text.endswith(("tasks.", "task.", "Ctrl-C again leaves at once.")) for text in said)
    assert complaints == []
    assert {site.status(job).state for job in site.jobs()} == {State.FINISHED}


def test_what_a_server_that_stays_away_may_have_is_left_to_the_next_run(site: Site) -> None:
    run = site.run()
    site.hold_back()
    left = run.start("true", job="x")
    site.local.set(server="away")
    before = site.clock.seconds
    _, complaints = cancel(run, *[lambda: pass_by(site, 29)] * 3)
    assert complaints == [REMAINS]
    assert LONGEST <= site.clock.seconds - before < LONGEST + 5
    run.die()
    site.local.set(server="up")
    second = site.run()
    assert second.said == ["Tasks of earlier runs: 1 waiting or running."]
    assert [one.is_lost for one in second.left.of("x")] == [True]  # it was to be deleted
    assert site.status(left.pbs_job.id).state is State.QUEUED


def test_ctrl_c_again_leaves_at_once_and_says_what_remains(site: Site) -> None:
    run = site.run()
    run.start("trap '' TERM; touch begun; sleep 60 & wait; sleep 60")
    site.local.set(kill_grace=30)
    site.until((site.workdir / "begun").exists)
    said, complaints = cancel(run, press_ctrl_c)
    assert (said[-1], complaints) == ("Left at once.", [REMAINS])
    assert site.clock.seconds <= 1
    assert run.folder.run.exists()


def test_what_pbs_got_though_its_answer_was_lost_is_deleted_too(site: Site) -> None:
    run = site.run()
    site.hold_back()
    site.answers("qsub", "lost")
    site.answers("qselect", "cut")
    run.stopped.set()
    with pytest.raises(PbsError):
        run.start("true")
    _, complaints = cancel(run)
    assert complaints == []
    assert [site.status(job).state for job in site.jobs()] == [State.FINISHED]


def test_jobs_of_another_run_stay(site: Site) -> None:
    other = site.run()
    site.hold_back()
    left = other.start("true")
    run = site.run()
    mine = run.start("true")
    cancel(run)
    assert site.status(left.pbs_job.id).state is State.QUEUED
    assert site.status(mine.pbs_job.id).state is State.FINISHED
    assert other.folder.run.exists()


def test_a_qsub_that_does_not_answer_is_waited_for_until_ctrl_c_is_pressed_again(site: Site) -> None:
    run = site.run()
    run.start("sleep 60")
    said: list[str] = []
    complaints: list[str] = []

    def stop(patience: float | None) -> bool:
        if patience is None:
            raise KeyboardInterrupt
        return False

    cancel_all(run.tracker, stop, said.append, complaints.append)
    assert said == ["Waiting for the answer of qsub. Ctrl-C again leaves at once.", "Left at once."]
    assert complaints == [REMAINS]
    assert run.folder.run.exists()
