"""A rule that fails tells what a person needs to know, and takes no other rule with it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import harness
from .harness import Run, Running, Snakemake, pbs_command, qstat, wait_until, write

WORKFLOW = r"""
rule all:
    input: "fine", "after_fine", "failed", "after_failed", "nested", "missing", "empty", "refused", "mended", "grouped"

rule fine:
    output: "fine"
    shell: "echo fine; touch {output}"

rule after_fine:
    input: "fine"
    output: "after_fine"
    shell: "touch {output}"

rule failed:
    output: "failed"
    container: "tools/beta"
    shell: "seq 100; echo 'the last words' >&2; touch {output}; exit 42"

rule after_failed:
    input: "failed"
    output: "after_failed"
    shell: "touch {output}"

rule nested:
    output: "nested"
    log: "nested.log"
    run:
        shell("echo to the log > {log}")
        raise ValueError("a reason")

rule missing:
    output: "missing"
    shell: "true"

rule empty:
    output: ensure("empty", non_empty=True)
    shell: "touch {output}"

rule refused:
    output: "refused"
    resources: pbs_extra="-l nonsense=1"
    shell: "touch {output}"

rule grouped:
    output: "grouped"
    group: "together"
    shell: "echo 'words of a group'; exit 3"

rule mended:
    output: "mended"
    retries: 2
    resources: mem_mb=lambda wildcards, attempt: attempt * 10, runtime=lambda wildcards, attempt: attempt
    shell: "echo attempt >> attempts; test $(wc -l < attempts) = 3 && echo {resources.mem_mb} > {output}"
"""

LONG = """
rule all:
    input: "one", "two"

rule long:
    output: "{name}"
    container: "tools/beta"
    resources: runtime=lambda wildcards: 1 if wildcards.name == "one" else 60
    shell: "echo started {wildcards.name}; touch {output}; sleep 600"
"""


@pytest.fixture(scope="module")
def long_run(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Running]]:
    """A run of two long jobs that goes on while others are tested, for its walltime is a minute."""
    folder = write(tmp_path_factory.mktemp("long"), {"Snakefile": LONG})
    with harness.start(folder, [*harness.pbs_options(), "--keep-going"], environment) as running:
        yield folder, running


@pytest.fixture(scope="module")
def failures(snakemake: Snakemake, long_run: Running, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = write(tmp_path_factory.mktemp("failures"), {"Snakefile": WORKFLOW})
    return snakemake(folder, "--keep-going", fails=True)


def error_of(run: Run, rule: str) -> str:
    """Give what was said of a rule's failure."""
    (error,) = re.findall(rf"^Error in rule {rule}:\n(.*?)(?=^\[|\Z)", run.said, re.MULTILINE | re.DOTALL)
    return error


def test_a_failed_rule_shows_its_command(failures: Run) -> None:
    assert "echo 'the last words' >&2; touch failed; exit 42" in error_of(failures, "failed")


def test_a_failed_rule_shows_its_exit_code(failures: Run) -> None:
    assert "Exit code 42" in error_of(failures, "failed")


def test_a_failed_rule_shows_the_id_of_its_pbs_job(failures: Run) -> None:
    assert f"external_jobid: {failures.job('failed').pbs_id}" in error_of(failures, "failed")


def test_a_failed_rule_shows_where_its_log_is(failures: Run) -> None:
    log = failures.job("failed").log
    assert f"log: {log}" in error_of(failures, "failed")
    assert "the last words" in log.read_text()


def test_a_failed_rule_shows_the_end_of_its_log(failures: Run) -> None:
    error = error_of(failures, "failed")
    assert "    100\n    the last words\n" in error
    assert "    50\n" not in error


def test_the_output_of_a_failed_rule_is_removed(failures: Run) -> None:
    assert not (failures.folder / "failed").exists()


def test_a_rule_that_fails_in_python_shows_its_reason_and_its_own_log(failures: Run) -> None:
    error = error_of(failures, "nested")
    assert "a reason" in error
    assert "nested.log" in error


def test_a_group_that_fails_shows_the_id_of_its_pbs_job_and_the_end_of_its_log(failures: Run) -> None:
    assert f"Group together (PBS job {failures.job('together').pbs_id}) failed. Exit code 1." in failures.said
    assert "words of a group" in failures.said


def test_an_output_that_is_not_made_is_missed(failures: Run) -> None:
    assert "missing" in failures.said.split("MissingOutputException")[1]


def test_an_output_that_is_not_as_ensured_is_refused(failures: Run) -> None:
    assert "Detected unexpected empty output files" in failures.said
    assert "Removing output files of failed job empty" in failures.said


def test_what_pbs_refuses_fails_in_its_own_words(failures: Run) -> None:
    error = error_of(failures, "refused")
    assert "The job was not submitted." in error
    assert "Unknown resource" in error
    assert "nonsense" in error


def test_what_needs_a_failed_rule_is_not_run(failures: Run) -> None:
    assert "after_failed" not in {job.label for job in failures.submitted}


def test_with_keep_going_all_else_is_made(failures: Run) -> None:
    made = {path.name for path in failures.folder.iterdir() if not path.name.startswith(".")}
    assert made == {"Snakefile", "fine", "after_fine", "attempts", "mended", "nested.log"}


def test_a_rule_is_tried_again_with_what_its_attempt_asks_for(failures: Run, environment: dict[str, str]) -> None:
    assert failures.text("mended") == "30"
    attempts = [job.pbs_id for job in failures.submitted if job.label == "mended"]
    asked = [qstat(environment, pbs_id) for pbs_id in attempts]
    assert [told["Resource_List.mem"] for told in asked] == ["10mb", "20mb", "30mb"]
    assert [told["Resource_List.walltime"] for told in asked] == ["00:01:00", "00:02:00", "00:03:00"]


def test_no_failure_is_a_traceback_of_the_plugin(failures: Run) -> None:
    assert "snakemake_executor_plugin_pbs_singularity" not in failures.said


def test_the_next_run_makes_what_failed_once_it_can_be_made(failures: Run, snakemake: Snakemake) -> None:
    (failures.folder / "Snakefile").write_text(WORKFLOW.replace("exit 42", "exit 0"))
    again = snakemake(failures.folder, "after_failed")
    assert [job.label for job in again.submitted] == ["failed", "after_failed"]


@pytest.fixture(scope="module")
def killed(failures: Run, long_run: tuple[Path, Running], environment: dict[str, str]) -> Run:
    """The long run at its end, after one job was deleted by hand and one ran over its walltime."""
    folder, running = long_run
    jobs = running.wait_for_jobs(2)
    deleted = jobs["long (name=two)"]
    wait_until(lambda: "started" in deleted.log.read_text(), "the job to be deleted runs")
    assert pbs_command(environment, "qdel", deleted.pbs_id).returncode == 0
    exit_code = running.process.wait(harness.TIME_LIMIT)
    return Run(folder, exit_code, running.said)


def test_a_job_over_its_walltime_says_so_and_how_to_get_more(killed: Run) -> None:
    error = killed.error_of("one")
    assert re.search(r"Killed by PBS: it ran [\w ]+, more than its walltime of 60 s\.", error)
    assert "Raise the rule's runtime (now 1 minute), for example `resources: runtime=2`." in error


def test_a_job_that_somebody_deleted_says_so(killed: Run) -> None:
    assert re.search(
        r"It was deleted while it ran, by (\S+@\S+ \(qdel\)|hand \(qdel\) or by the site)\.", killed.error_of("two")
    )


def test_a_job_that_pbs_ended_shows_the_end_of_its_log(killed: Run) -> None:
    assert "started one" in killed.error_of("one")


def test_the_output_of_a_job_that_pbs_ended_is_removed(killed: Run) -> None:
    assert killed.exit_code != 0
    assert {path.name for path in killed.folder.iterdir()} == {".snakemake", "Snakefile"}
