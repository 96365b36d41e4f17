"""What is submitted is submitted once, and what has ended is told once, whatever PBS and the disk do meanwhile."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tracked import GRACE, Run, Site, site

from snakemake_executor_plugin_pbs_singularity.adoption import LONGEST_DOUBT
from snakemake_executor_plugin_pbs_singularity.pbs import Cause, ErrorKind, JobStatus, PbsError, State
from snakemake_executor_plugin_pbs_singularity.tracking.ledger import LEDGER_NAME
from snakemake_executor_plugin_pbs_singularity.tracking.witness import LATEST

__all__ = ["site"]


def fill_disk(site: Site) -> Callable[[], object]:
    """Let there be no room for the ledger; gives what makes room again."""
    ledger = site.state / LEDGER_NAME
    aside = ledger.rename(ledger.with_name("aside"))
    ledger.symlink_to("/dev/full")
    return lambda: aside.rename(ledger)


def is_recorded(run: Run, token: str) -> Callable[[], bool]:
    return lambda: (run.folder.records / token).exists()


# Submitting


def test_a_batch_is_in_the_ledger_before_pbs_is_asked_and_its_id_after(site: Site) -> None:
    run = site.run()
    tasks = [run.task(), run.task(), run.task()]
    submitted = run.submit((tasks[0], tasks[1]), tasks[2])
    (before,) = site.ledger_at("qsub").values()
    (after,) = run.ledger.read().values()
    assert (before.id, before.size, list(before.tasks)) == (None, 2, [one.token for one in tasks])
    assert after.id == submitted[0].batch.id
    assert [task.index for task in after.tasks.values()] == [0, 0, 1]
    assert f"-N {before.name} " in site.calls("qsub")[0]


def test_each_task_of_an_array_knows_its_subjob(site: Site) -> None:
    run = site.run()
    first, second, third = run.submit((run.task(), run.task()), run.task())
    array = site.jobs()[0].replace("[]", "[{}]")
    assert [one.pbs_job.id for one in (first, second, third)] == [array.format(n) for n in (0, 0, 1)]
    assert list(run.tracker.submitted) == [one.token for one in (first, second, third)]


def test_a_submission_waits_while_pbs_is_away_and_goes_on_when_it_is_back(site: Site) -> None:
    run = site.run()
    site.local.set(server="away")
    site.clock.plan = [lambda: None, lambda: site.local.set(server="up")]
    submitted = run.start("true")
    assert site.jobs() == [submitted.pbs_job.id]
    warning, back = run.said
    assert warning.startswith("warn: PBS does not answer: its jobs count as running, new ones wait until it does.")
    assert back == "PBS answers again."


def test_a_job_whose_submission_went_unanswered_is_found_by_its_name_and_not_submitted_again(site: Site) -> None:
    run = site.run()
    site.answers("qsub", "lost")
    site.answers("qselect", "cut", "cut")
    submitted = run.start("true")
    assert site.jobs() == [submitted.pbs_job.id]
    assert len(site.calls("qsub")) == 1
    assert next(iter(run.ledger.read().values())).id == submitted.pbs_job.id


def test_an_array_whose_submission_went_unanswered_is_found_too(site: Site) -> None:
    run = site.run()
    site.answers("qsub", "lost")
    site.answers("qselect", "cut")
    first, _ = run.submit(run.task(), run.task())
    assert site.jobs() == [first.batch.id]
    assert "[]" in first.batch.id


def test_what_pbs_gets_late_is_found_as_long_as_it_may_come(site: Site) -> None:
    run = site.run()
    site.answers("qsub", "cut")

    def arrive() -> None:
        (batch,) = run.ledger.read().values()
        site.local.out(f"echo true | qsub -N {batch.name}")

    site.clock.plan = [*[lambda: None] * 20, arrive]
    submitted = run.start("true")
    assert site.jobs() == [submitted.pbs_job.id]
    assert len(site.calls("qsub")) == 1


def test_what_pbs_has_not_got_for_a_minute_is_submitted_again(site: Site) -> None:
    run = site.run()
    site.answers("qsub", "cut")
    submitted = run.start("true")
    assert site.clock.seconds >= LONGEST_DOUBT
    assert site.jobs() == [submitted.pbs_job.id]
    assert len(site.calls("qsub")) == 2


def test_while_pbs_is_away_nothing_that_it_may_have_is_submitted_again(site: Site) -> None:
    run = site.run()
    site.answers("qsub", "lost")
    site.answers("qselect", *["away"] * 3 * 40)  # each question is asked thrice
    site.clock.plan = [*[lambda: None] * 35, lambda: site.answers("qselect")]
    submitted = run.start("true")
    assert site.clock.seconds > LONGEST_DOUBT
    assert site.jobs() == [submitted.pbs_job.id]


def test_without_a_history_a_record_tells_of_a_job_that_is_over_already(site: Site) -> None:
    run = site.run()
    site.local.set(history_hours=0)
    site.answers("qsub", "lost")
    site.answers("qselect", "cut", "cut")
    task = run.task()
    site.clock.plan = [lambda: site.until(is_recorded(run, task.token))]
    (submitted,) = run.submit(task)
    assert len(site.calls("qsub")) == 1
    site.until(is_recorded(run, task.token))
    assert run.recorded(submitted) == [(task.token, 0)]


def test_what_pbs_refuses_is_an_error_at_once_and_leaves_nothing_in_the_ledger(site: Site) -> None:
    run = site.run()
    with pytest.raises(PbsError) as refused:
        run.start("true", queue="nowhere")
    assert refused.value.kind is ErrorKind.REFUSED
    assert not refused.value.uncertain
    assert run.ledger.read() == {}
    assert site.clock.seconds == 0


def test_a_run_that_ends_while_pbs_is_away_has_submitted_nothing(site: Site) -> None:
    run = site.run()
    site.local.set(server="away")
    site.clock.plan = [lambda: None, run.stopped.set]
    with pytest.raises(PbsError, match="ended before PBS answered") as ended:
        run.start("true")
    assert not ended.value.uncertain
    assert run.ledger.read() == {}


def test_a_run_that_ends_in_doubt_says_so_and_deletes_what_pbs_had_got(site: Site) -> None:
    run = site.run()
    site.hold_back()
    site.answers("qsub", "lost")
    site.answers("qselect", *["cut"] * 20)
    site.clock.plan = [lambda: None, run.stopped.set]
    with pytest.raises(PbsError) as ended:
        run.start("true")
    assert ended.value.uncertain
    (batch,) = run.ledger.read().values()
    assert batch.id is None
    site.answers("qselect")
    assert run.tracker.delete_all() == site.jobs()
    assert site.status(site.jobs()[0]).state is State.FINISHED


# A full disk


def test_on_a_full_disk_nothing_is_submitted_and_the_error_says_what_to_do(site: Site) -> None:
    run = site.run()
    fill_disk(site)
    with pytest.raises(PbsError, match=r"No space left.*Is the disk full, or your share of it\?"):
        run.start("true")
    assert site.calls("qsub") == []


def test_scripts_that_cannot_be_written_are_such_an_error_too(site: Site) -> None:
    run = site.run()
    run.folder.scripts.rmdir()
    with pytest.raises(PbsError, match="Is the disk full"):
        run.start("true")
    assert (site.calls("qsub"), run.ledger.read()) == ([], {})


def test_a_record_stays_until_the_ledger_has_it(site: Site) -> None:
    run = site.run()
    submitted = run.start("exit 3")
    site.until(is_recorded(run, submitted.token))
    make_room = fill_disk(site)
    for _ in range(2):
        assert run.recorded(submitted) == []
    (warning,) = run.said
    assert "The ledger cannot be written: " in warning
    assert is_recorded(run, submitted.token)()
    make_room()
    assert run.recorded(submitted) == [(submitted.token, 3)]
    assert not is_recorded(run, submitted.token)()
    assert (run.folder.ended / submitted.token).exists()
    assert next(iter(run.ledger.read().values())).ended == {submitted.token: 3}


# Ends


def test_an_end_is_told_once(site: Site) -> None:
    run = site.run()
    submitted = run.start("true")
    site.until(is_recorded(run, submitted.token))
    assert run.recorded(submitted) == [(submitted.token, 0)]
    assert run.recorded(submitted) == []
    assert (site.state / LEDGER_NAME).read_text().count('"ended"') == 1
    assert (run.tracker.submitted, run.tracker.watch.batches) == ({}, {})


def test_the_end_of_what_is_not_asked_for_is_told_when_it_is(site: Site) -> None:
    run = site.run()
    submitted = run.start("true")
    site.until(is_recorded(run, submitted.token))
    assert run.tracker.recorded([]) == []
    assert run.recorded(submitted) == [(submitted.token, 0)]


def test_a_job_that_pbs_ended_has_failed_without_a_record(site: Site) -> None:
    run = site.run()
    submitted = run.start("sleep 60")
    site.local.wait(submitted.pbs_job.id, state="R")
    site.local.out(f"qdel {submitted.pbs_job.id}")
    site.until_over(submitted)
    run.tracker.watch.look()
    (outcome,), again = run.tracker.judged([submitted.token])
    assert (outcome[0], outcome[1].record, again) == (submitted, None, [])
    assert next(iter(run.ledger.read().values())).ended == {submitted.token: None}


def test_a_record_that_comes_after_its_job_was_called_failed_says_nothing_any_more(site: Site) -> None:
    run = site.run()
    submitted = run.start("kill -KILL $PPID")
    site.until_over(submitted)
    run.tracker.watch.look()
    assert run.tracker.judged([submitted.token]) == ([], [])
    site.clock.seconds += max(GRACE, LATEST)
    outcomes, _ = run.tracker.judged([submitted.token])
    assert [one for one, _ in outcomes] == [submitted]
    (run.folder.records / submitted.token).write_text("exit_status=0\nhost=late\n")
    assert run.recorded(submitted) == []


def test_a_record_that_a_listing_has_not_shown_is_looked_for_by_its_name(site: Site) -> None:
    run = site.run()
    submitted = run.start("true")
    site.until_over(submitted)
    run.tracker.watch.look()
    site.clock.seconds += LATEST
    assert run.tracker.judged([submitted.token]) == ([], [])
    assert run.recorded(submitted) == [(submitted.token, 0)]


def test_of_a_bundle_that_pbs_ended_what_had_not_begun_is_to_run_again(site: Site) -> None:
    run = site.run()
    first, second, third = run.submit((run.task("true"), run.task("sleep 60"), run.task("true")))
    site.until(is_recorded(run, first.token))
    assert run.recorded(first) == [(first.token, 0)]
    first.pbs_job.note(JobStatus(State.FINISHED, -29, Cause.WALLTIME))
    site.clock.seconds += GRACE
    outcomes, again = run.tracker.judged([second.token, third.token])
    assert ([one for one, _ in outcomes], again) == ([second], [third])


def test_what_pbs_used_and_was_asked_is_added_to_a_failure(site: Site) -> None:
    run = site.run()
    submitted = run.start("exit 3")
    site.until_over(submitted)
    (failed,) = run.tracker.recorded([submitted.token])
    assert failed[1].status is None
    ((_, over),) = run.tracker.explained([failed])
    assert over.status is not None
    assert (over.status.exit_status, over.record) == (3, failed[1].record)
    site.local.set(server="away")
    assert run.tracker.explained([failed]) == [failed]


# The end of a run


def test_all_that_a_run_has_in_pbs_is_deleted_arrays_whole_and_noted_first(site: Site) -> None:
    run = site.run()
    site.hold_back()
    tasks = [*run.submit(*(run.task() for _ in range(3))), run.start("true")]
    assert run.tracker.delete_all() == site.jobs()
    assert len(site.jobs()) == 2
    assert {token for batch in site.ledger_at("qdel").values() for token in batch.deleted} == {
        one.token for one in tasks
    }
    assert run.tracker.gone(site.jobs()) == set(site.jobs())


def test_a_run_of_which_nothing_is_left_leaves_nothing_but_logs(site: Site) -> None:
    run = site.run()
    site.hold_back()
    run.submit(run.task(), run.task())
    run.tracker.delete_all()
    run.tracker.close()
    assert not run.folder.run.exists()
    assert Path(run.folder.logs).exists()
    assert all(not batch.live for batch in run.ledger.read().values())
