"""Arrays while they wait and run, when they are interrupted, and when one of their jobs fails."""

import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from . import harness
from .harness import Calls, Run, Running, array_of, count_calls, pbs_command, qstat, wait_until, wrap, write

FAILING = r"""
LAST = {"member": 4, "mended": 3, "long": 3, "deleted": 3, "whole": 2, "held": 2}

rule all:
    input: [f"{rule}/{n}" for rule, count in LAST.items() for n in range(count)], expand("after/{n}", n=range(4))

rule member:
    output: "member/{n}"
    container: "tools/beta"
    shell: "echo words of {wildcards.n}; touch {output}; [ {wildcards.n} != 2 ] || exit 3"

rule after:
    input: "member/{n}"
    output: "after/{n}"
    shell: "touch {output}"

rule mended:
    output: "mended/{n}"
    retries: 1
    resources: mem_mb=300
    shell: "echo try >> tried.{wildcards.n}; [ {wildcards.n} != 1 ] || [ $(wc -l < tried.1) = 2 ]; touch {output}"

rule long:
    output: "long/{n}"
    container: "tools/beta"
    resources: runtime=1
    shell: "echo started {wildcards.n}; touch {output}; [ {wildcards.n} != 1 ] || sleep 600"

use rule long as deleted with:
    output: "deleted/{n}"
    resources: mem_mb=310

use rule long as whole with:
    output: "whole/{n}"
    resources: mem_mb=320

use rule long as held with:
    output: "held/{n}"
    resources: pbs_extra="-h"
"""

SHORTEN = """
for word; do
    shift
    [ "$word" != walltime=60 ] || word=walltime=8
    set -- "$@" "$word"
done
exec REAL "$@"
"""
"""A qsub that takes 8 seconds for a minute, the least that a rule can ask for."""


def has_started(running: Running, label: str) -> bool:
    return any(
        job.label == label and job.log.exists() and "started" in job.log.read_text()
        for job in harness.submitted_in(running.said)
    )


def labels(running: Running) -> set[str]:
    return {job.label for job in harness.submitted_in(running.said)}


@pytest.fixture(scope="module")
def failing_run(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, Running]]:
    """A run in which a job of each array fails, which goes on while others are tested, as it takes its time.

    A job is deleted by hand, and so are an array that waits and what is left of one that runs.
    """
    folder = write(tmp_path_factory.mktemp("failing"), {"Snakefile": FAILING})
    path = wrap(tmp_path_factory.mktemp("short") / "bin", environment, {"qsub": SHORTEN})
    options = [*harness.pbs_options(), "--jobs=100", "--keep-going"]
    with harness.start(folder, options, {**environment, "PATH": path}) as running:
        wait_until(lambda: has_started(running, "deleted (n=1)"), "the job to be deleted runs")
        wait_until(lambda: has_started(running, "whole (n=1)"), "a job of the array to be deleted runs")
        wait_until(lambda: "(Rule: whole)" in running.said, "another of its jobs is reported")
        wait_until(lambda: "held (n=1)" in labels(running), "the array to be deleted as it waits is submitted")
        ids = {job.label: job.pbs_id for job in harness.submitted_in(running.said)}
        arrays = [array_of(ids[label]) for label in ("whole (n=1)", "held (n=1)")]
        assert pbs_command(environment, "qdel", ids["deleted (n=1)"], *arrays).returncode == 0
        yield folder, running


HELD = """
envvars: "DECLARED"

rule all:
    input: expand("held/{n}", n=range(12)), expand("nested/{n}", n=range(3)), expand("running/{n}", n=range(4))

rule held:
    output: "held/{n}"
    container: "tools/beta"
    resources: pbs_extra="-h"
    shell: "touch {output}"

rule nested:
    output: "nested/{n}"
    resources: pbs_extra="-h"
    run:
        open(output[0], "w").close()

rule running:
    output: "running/{n}"
    shell: "touch {output}; sleep 600"
"""


@dataclass(frozen=True)
class Waiting:
    """A run of Snakemake with an array that is held and one of which two subjobs may run; it is still there."""

    folder: Path
    running: Running
    calls: Calls

    @property
    def run(self) -> Run:
        return Run(self.folder, 0, self.running.said)

    def files(self, kind: str) -> list[Path]:
        """Give the files of a folder of the run."""
        return sorted(self.folder.glob(f".snakemake/pbs-singularity/runs/*/{kind}/*"))


@pytest.fixture(scope="module")
def waiting(
    failing_run: tuple[Path, Running], environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Waiting]:
    folder = write(tmp_path_factory.mktemp("waiting"), {"Snakefile": HELD})
    calls = count_calls(tmp_path_factory.mktemp("calls") / "bin", environment, "qsub", "qdel")
    options = [*harness.pbs_options(), "--jobs=100", "--pbs-singularity-max-running=2"]
    variables = {"PATH": calls.path, "DECLARED": "a secret"}
    with harness.start(folder, options, {**environment, **variables}) as running:
        running.wait_for_jobs(19)
        wait_until(lambda: len(list(folder.glob("running/*"))) >= 2, "two jobs run")
        yield Waiting(folder, running, calls)


def test_an_array_has_two_files_however_many_jobs_it_has(waiting: Waiting) -> None:
    assert len({array_of(job.pbs_id) for job in waiting.run.submitted}) == 2
    assert sorted(path.suffix for path in waiting.files("scripts")) == [".pbs", ".pbs", ".sh", ".sh"]


def test_a_job_has_no_file_before_it_runs(waiting: Waiting) -> None:
    assert waiting.files("records") == []
    logs = (waiting.folder / ".snakemake/pbs-singularity/logs").glob("*/*")
    assert {path.parent.name for path in logs} == {"running"}


def test_the_script_for_the_server_is_small_and_holds_no_declared_variable(waiting: Waiting) -> None:
    scripts = [path.read_text() for path in waiting.files("scripts") if path.suffix == ".pbs"]
    assert max(map(len, scripts)) < 4096
    assert "DECLARED" not in str(scripts)


def test_the_scripts_of_an_array_are_the_users_alone(waiting: Waiting) -> None:
    files = waiting.files("scripts")
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert {stat.S_IMODE(path.parent.stat().st_mode) for path in files} == {0o700}


def told(environment: Mapping[str, str], waiting: Waiting, rule: str) -> dict[str, str]:
    """Give what PBS tells of the array of a rule."""
    (array,) = waiting.run.batches(rule)
    return qstat(environment, array)


def test_other_users_of_pbs_see_no_declared_variable_of_an_array(waiting: Waiting, environment: dict[str, str]) -> None:
    assert "a secret" not in str(told(environment, waiting, "held"))


def test_no_more_jobs_of_an_array_run_at_a_time_than_are_wanted(waiting: Waiting, environment: dict[str, str]) -> None:
    assert [call for call in waiting.calls.of("qsub") if " 0-3%2 " in call] != []
    assert told(environment, waiting, "running")["array_state_count"] == "Queued:2 Running:2 Exiting:0 Expired:0"
    assert len(list((waiting.folder / "running").iterdir())) == 2


def test_ctrl_c_deletes_arrays_whole(waiting: Waiting, environment: dict[str, str]) -> None:
    exit_code = waiting.running.interrupt()
    assert exit_code != 0
    assert "Deleting 2 PBS jobs with 19 tasks." in waiting.running.said
    assert "Traceback" not in waiting.running.said
    (deleted,) = waiting.calls.of("qdel")
    arrays = waiting.run.batches("held", "running")
    assert arrays <= set(deleted.split())
    for array in arrays:
        wait_until(lambda array=array: qstat(environment, array).get("job_state", "F") == "F", f"{array} is over")


@pytest.fixture(scope="module")
def failing(failing_run: tuple[Path, Running]) -> Run:
    """That run at its end."""
    folder, running = failing_run
    exit_code = running.process.wait(harness.TIME_LIMIT)
    assert exit_code != 0
    return Run(folder, exit_code, running.said)


def test_a_job_of_an_array_that_fails_says_so_with_its_own_log(failing: Run) -> None:
    error = failing.error_of("member/2")
    assert "Exit code 3" in error
    assert f"external_jobid: {failing.job('member (n=2)').pbs_id}" in error
    assert "    words of 2\n" in error


def test_a_job_of_an_array_that_is_over_its_walltime_says_so(failing: Run) -> None:
    error = failing.error_of("long/1")
    assert "walltime" in error
    assert "    started 1\n" in error


def test_a_job_of_an_array_that_somebody_deleted_says_so(failing: Run) -> None:
    assert "deleted" in failing.error_of("deleted/1")


@pytest.mark.parametrize("output", ["whole/1", "held/0", "held/1"])
def test_a_job_of_an_array_that_somebody_deleted_whole_says_so(failing: Run, output: str) -> None:
    assert "deleted" in failing.error_of(output)


@pytest.mark.parametrize(
    ("rule", "made"),
    [("member", "013"), ("after", "013"), ("mended", "012"), ("long", "02"), ("deleted", "02"), ("whole", "0")],
)
def test_the_other_jobs_of_its_array_succeed(failing: Run, rule: str, made: str) -> None:
    assert {path.name for path in (failing.folder / rule).iterdir()} == set(made)


def test_a_job_of_an_array_is_tried_again_alone(failing: Run) -> None:
    labels = [job.label for job in failing.submitted if job.label.startswith("mended")]
    assert {label: labels.count(label) for label in labels} == {"mended (n=0)": 1, "mended (n=1)": 2, "mended (n=2)": 1}
    (again,) = [job for job in failing.submitted if job.label == "mended (n=1)"][1:]
    assert "[" not in again.pbs_id


def test_no_job_of_an_array_is_said_to_have_failed_that_has_not(failing: Run) -> None:
    assert failing.said.count("Error in rule") == 7  # one of them is tried again
