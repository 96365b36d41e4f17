"""Runs that end too early: Ctrl-C takes the jobs back, and what a killed run left half made is made again."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from . import harness
from .harness import Run, Snakemake, Submitted, pbs_command, qstat, wait_until, write

WORKFLOW = """
rule all:
    input: "direct", "nested", "held"

rule direct:
    output: "direct"
    container: "tools/beta"
    shell: "echo half > {output}; echo runs; test -e go || sleep 600; echo whole > {output}"

rule nested:
    output: "nested"
    benchmark: "benchmark"
    shell: "echo half > {output}; echo runs >&2; test -e go || sleep 600; echo whole > {output}"

rule held:
    output: "held"
    resources: pbs_extra=lambda wildcards: "" if os.path.exists("go") else "-h"
    shell: "touch {output}"
"""


def is_half_made(folder: Path) -> bool:
    return all((folder / name).exists() for name in ("direct", "nested"))


def is_over(environment: Mapping[str, str], job: Submitted) -> bool:
    """Tell whether PBS has ended a job; some sites forget it then."""
    return qstat(environment, job.pbs_id).get("job_state", "F") == "F"


@pytest.fixture(scope="module")
def interrupted(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that was interrupted while two of its jobs ran and one was held."""
    folder = write(tmp_path_factory.mktemp("interrupted"), {"Snakefile": WORKFLOW})
    with harness.start(folder, harness.pbs_options(), environment) as running:
        running.wait_for_jobs(3)
        wait_until(lambda: is_half_made(folder), "two jobs run")
        exit_code = running.interrupt()
    return Run(folder, exit_code, running.said)


@pytest.mark.parametrize("rule", ["direct", "nested", "held"])
def test_ctrl_c_deletes_a_job(interrupted: Run, environment: dict[str, str], rule: str) -> None:
    wait_until(lambda: is_over(environment, interrupted.job(rule)), f"PBS ends the job of {rule}")


def test_ctrl_c_says_what_it_does_and_is_no_success(interrupted: Run) -> None:
    assert "Deleting 2 PBS jobs with 3 tasks." in interrupted.said
    assert "Traceback" not in interrupted.said
    assert "Error in rule" not in interrupted.said  # what a run deletes itself has not failed
    assert interrupted.exit_code != 0


def test_after_ctrl_c_the_next_run_makes_everything(interrupted: Run, snakemake: Snakemake) -> None:
    (interrupted.folder / "go").touch()
    run = snakemake(interrupted.folder, "--rerun-incomplete")
    assert len(run.submitted) == 3
    assert [run.text(name) for name in ("direct", "nested")] == ["whole", "whole"]


@pytest.fixture(scope="module")
def killed(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that was killed while its job ran; somebody has deleted the job."""
    folder = write(tmp_path_factory.mktemp("killed"), {"Snakefile": WORKFLOW})
    with harness.start(folder, [*harness.pbs_options(), "direct"], environment) as running:
        (job,) = running.wait_for_jobs(1).values()
        wait_until(lambda: (folder / "direct").exists(), "the job runs")
        running.process.kill()
        exit_code = running.process.wait()
    assert not is_over(environment, job)
    assert pbs_command(environment, "qdel", job.pbs_id).returncode == 0
    wait_until(lambda: is_over(environment, job), "the job is deleted")
    harness.run(folder, ["--unlock"], environment, fails=False)
    (folder / "go").touch()
    return Run(folder, exit_code, running.said)


def test_what_a_killed_run_left_half_made_is_not_taken_for_whole(killed: Run, snakemake: Snakemake) -> None:
    assert killed.text("direct") == "half"
    refused = snakemake(killed.folder, "direct", fails=True)
    assert "--rerun-incomplete" in refused.said
    assert refused.submitted == []


def test_what_a_killed_run_left_half_made_is_made_again_when_asked(killed: Run, snakemake: Snakemake) -> None:
    again = snakemake(killed.folder, "direct", "--rerun-incomplete")
    assert [job.label for job in again.submitted] == ["direct"]
    assert again.text("direct") == "whole"


def test_sigterm_lets_the_jobs_that_pbs_has_end(tmp_path: Path, environment: dict[str, str]) -> None:
    """That is what it means to Snakemake: nothing new begins."""
    snakefile = """
rule last:
    input: "first"
    output: "last"
    shell: "cp {input} {output}"

rule first:
    output: "first"
    shell: "touch begun; until test -e go; do sleep 0.1; done; echo whole >{output}"
"""
    folder = write(tmp_path / "flow", {"Snakefile": snakefile})
    with harness.start(folder, harness.pbs_options(), environment) as running:
        wait_until(lambda: (folder / "begun").exists(), "the job runs")
        running.process.terminate()
        (folder / "go").touch()
        running.process.wait(harness.TIME_LIMIT)
    assert (folder / "first").read_text() == "whole\n"
    assert "Finished jobid: 1 (Rule: first)" in running.said
    assert [job.label for job in harness.submitted_in(running.said)] == ["first"]
