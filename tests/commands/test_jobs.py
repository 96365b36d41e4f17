"""``pbs-singularity jobs``: what PBS has of a working directory, and the end of it."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tracked import Site, site

from snakemake_executor_plugin_pbs_singularity.pbs import PbsError, State
from snakemake_executor_plugin_pbs_singularity.tracker import Submitted
from snakemake_executor_plugin_pbs_singularity.tracking.ledger import LEDGER_NAME

from .called import call

__all__ = ["site"]


def jobs(
    site: Site, *arguments: str | Path, answer: str = "", fails: bool = False, folder: Path | None = None, **more: str
) -> subprocess.CompletedProcess[str]:
    """Call ``pbs-singularity jobs``, the commands that keep account standing in front of those of PBS."""
    environment = {**site.local.environment, "PATH": site.path} | more
    folder = folder or site.workdir
    return call(*arguments, folder=folder, environment=environment, answer=answer, fails=fails, command="jobs")


def listed(site: Site) -> list[dict[str, Any]]:
    return list(json.loads(jobs(site, "--json").stdout))


def values(submitted: Submitted, state: str) -> dict[str, str]:
    """Give what is listed of a task."""
    return {
        "pbs_job": submitted.pbs_job.id,
        "state": state,
        "task": submitted.label,
        "log": str(submitted.log),
    }


# The list


def test_jobs_and_subjobs_are_listed_with_state_rule_wildcards_and_log(site: Site) -> None:
    run = site.run()
    running = run.start("sleep 60", rule="train")
    site.local.wait(running.pbs_job.id, state="R")
    site.hold_back()
    waiting = run.submit(run.task(), run.task())
    expected = [values(running, "running"), *(values(one, "queued") for one in waiting)]
    assert listed(site) == expected
    header, _, *rows = jobs(site).stdout.strip().splitlines()
    assert header.split() == ["PBS", "JOB", "STATE", "TASK", "LOG"]
    assert [row.split() for row in rows] == [" ".join(one.values()).split() for one in expected]
    assert "rule train (sample=" in rows[0]


def test_what_a_run_has_taken_note_of_is_listed_no_more(site: Site) -> None:
    run = site.run()
    noted, unnoted = run.start("true"), run.start("true")
    site.until_over(noted, unnoted)
    run.tracker.recorded([noted.token])
    assert listed(site) == []  # both records were read
    late = run.start("exit 3")
    site.until_over(late)
    assert listed(site) == [values(late, "finished")]


def test_a_job_that_pbs_does_not_know_any_more_is_unknown(site: Site) -> None:
    site.local.set(history_hours=0)
    run = site.run()
    gone, there = run.start("true"), run.start("sleep 60")
    array = run.submit(run.task(), run.task())
    site.until(lambda: all((run.folder.records / one.token).exists() for one in (gone, *array)))
    site.until(lambda: site.local.out("qselect").split() == [there.pbs_job.id])
    assert listed(site) == [
        values(gone, "unknown"),
        values(there, "running"),
        *(values(one, "unknown") for one in array),
    ]


def test_a_job_whose_id_no_run_has_learned_is_listed_too(site: Site) -> None:
    run = site.run()
    site.hold_back()
    site.answers("qsub", "lost")
    site.answers("qselect", "cut")
    run.stopped.set()
    with pytest.raises(PbsError):
        run.start("true")
    assert [one["pbs_job"] for one in listed(site)] == site.jobs()


def test_where_nothing_was_submitted_pbs_is_not_even_needed(site: Site) -> None:
    for _ in range(2):
        assert jobs(site, PATH="/nowhere").stdout == "No jobs.\n"
        assert listed(site) == []
        site.run()  # leaves an empty ledger


def test_another_directory_can_be_named(site: Site, tmp_path: Path) -> None:
    site.hold_back()
    waiting = site.run().start("true")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert jobs(site, folder=elsewhere).stdout == "No jobs.\n"
    assert waiting.pbs_job.id in jobs(site, "--directory", site.workdir, folder=elsewhere).stdout
    jobs(site, "--directory", site.workdir, "cancel", "--yes", folder=elsewhere)
    assert site.status(waiting.pbs_job.id).state is State.FINISHED


@pytest.mark.parametrize("where", ["environment", "profile"])
def test_the_pbs_is_the_one_of_a_run(where: str, site: Site) -> None:
    site.hold_back()
    waiting = site.run().start("true")
    settings = {"PBS_SINGULARITY_LOCAL_HOME": str(site.local.home)}
    if where == "environment":
        settings["SNAKEMAKE_PBS_SINGULARITY_PBS"] = "local"
    else:
        profile = site.workdir / "profiles/default/config.yaml"
        profile.parent.mkdir(parents=True)
        profile.write_text("pbs-singularity-pbs: local\n")
    assert waiting.pbs_job.id in jobs(site, PATH="/usr/bin:/bin", **settings).stdout


# Cancelling


def test_all_are_cancelled_arrays_whole(site: Site) -> None:
    run = site.run()
    site.hold_back()
    tasks = [run.start("true"), *run.submit(run.task(), run.task(), run.task())]
    said = jobs(site, "cancel", "--yes").stdout
    assert said.startswith("Asked PBS to delete 2 PBS jobs.")
    assert site.calls("qdel")[-1].split()[-2:] == site.jobs()
    assert {site.status(one.pbs_job.id).state for one in tasks} == {State.FINISHED}
    assert jobs(site, "cancel").stdout == "No jobs to cancel.\n"


def test_only_those_that_are_named_are_cancelled(site: Site) -> None:
    run = site.run()
    site.hold_back()
    first, second, third = run.submit(run.task(), run.task(), run.task())
    jobs(site, "cancel", "--yes", second.pbs_job.id)
    states = [site.status(one.pbs_job.id).state for one in (first, second, third)]
    assert states == [State.QUEUED, State.FINISHED, State.QUEUED]
    jobs(site, "cancel", "--yes", first.pbs_job.id, third.pbs_job.id)
    assert site.status(first.batch.id).state is State.FINISHED


def test_of_an_array_that_has_run_in_part_the_rest_is_cancelled(site: Site) -> None:
    run = site.run()
    done, running = run.submit(run.task("true"), run.task("sleep 60"))
    site.local.wait(done.pbs_job.id, state="X")
    said = jobs(site, "cancel", "--yes").stdout
    assert said.startswith("Asked PBS to delete 1 PBS job.")
    site.until(lambda: site.status(running.batch.id).state is State.FINISHED)
    assert (run.folder.records / done.token).exists()


@pytest.mark.parametrize("named", ["99.vm", "nonsense", "--", ""])
def test_what_is_not_of_this_directory_is_not_cancelled(named: str, site: Site) -> None:
    site.hold_back()
    waiting = site.run().start("true")
    stranger = site.local.submit("true")
    names = [stranger] if named == "--" else [named]
    done = jobs(site, "cancel", "--yes", waiting.pbs_job.id, *names, fails=True)
    assert f"PBS does not have {names[0]} of this directory" in done.stderr
    assert {site.status(job).state for job in site.jobs()} == {State.QUEUED}


@pytest.mark.parametrize(("answer", "state"), [("n\n", State.QUEUED), ("", State.QUEUED), ("y\n", State.FINISHED)])
def test_it_asks_first(answer: str, state: State, site: Site) -> None:
    run = site.run()
    site.hold_back()
    run.submit((run.task(), run.task()))
    done = jobs(site, "cancel", answer=answer, fails=state is State.QUEUED)
    assert "Delete 1 PBS job with 2 tasks?" in done.stderr
    assert site.status(site.jobs()[0]).state is state


def test_a_run_calls_what_was_cancelled_failed(site: Site) -> None:
    run = site.run()
    site.hold_back()
    submitted = run.start("true")
    jobs(site, "cancel", "--yes")
    run.tracker.watch.look()
    outcomes, again = run.tracker.judged([submitted.token])
    assert ([one for one, _ in outcomes], again) == ([submitted], [])


# What goes wrong


@pytest.mark.parametrize("arguments", [[], ["--json"], ["cancel", "--yes"]])
def test_a_pbs_that_is_away_is_an_error_in_words(arguments: list[str], site: Site) -> None:
    site.hold_back()
    site.run().start("true")
    site.local.set(server="away")
    done = jobs(site, *arguments, fails=True)
    assert done.stderr.startswith("Error: ")
    assert "try `qstat -B` by hand" in done.stderr
    assert done.stdout == ""


def test_a_pbs_that_is_not_there_is_an_error_in_words(site: Site) -> None:
    site.hold_back()
    site.run().start("true")
    assert "cannot be found on PATH" in jobs(site, PATH="/nowhere", fails=True).stderr


def test_a_ledger_that_cannot_be_read_is_an_error_in_words(site: Site) -> None:
    (site.state / LEDGER_NAME).mkdir()
    assert jobs(site, fails=True).stderr.startswith("Error: ")
