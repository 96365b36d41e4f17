"""Law 2: whenever a run is killed and started again, no job is lost and none runs twice."""

import random
import re
import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tools.registry import Registry

from . import harness
from .harness import Run, Running, Snakemake, pbs_command, qstat, wait_until, wrap, write

NAMES = ("a", "b", "c")
WORKFLOW = """
import os

os.makedirs("started", exist_ok=True)
AWAIT = "until test -e go; do sleep 0.1; done"

rule all:
    input: expand("direct/{i}", i=["a", "b", "c"]), expand("boxed/{i}", i=["a"]), expand("nested/{i}", i=["a"])

rule direct:
    output: "direct/{i}"
    shell: "echo x >>started/direct-{wildcards.i}; echo half >{output}; {AWAIT}; echo whole >>{output}"

rule boxed:
    output: "boxed/{i}"
    container: "tools/beta"
    shell: "echo x >>started/boxed-{wildcards.i}; echo half >{output}; {AWAIT}; echo whole >>{output}"

rule nested:
    output: "nested/{i}"
    benchmark: "benchmarks/{i}"
    shell: "echo x >>started/nested-{wildcards.i}; echo half >{output}; {AWAIT}; echo whole >>{output}"
"""
AGAIN = ("--rerun-incomplete", "--nolock")
OUTPUTS = [*(f"direct/{name}" for name in NAMES), "boxed/a", "nested/a"]


def starts(folder: Path) -> dict[str, int]:
    """Give how often each task has begun."""
    return {path.name: len(path.read_text().split()) for path in (folder / "started").glob("*")}


@contextmanager
def killed(
    folder: Path, environment: Mapping[str, str], *options: str, begun: int = 1, by: signal.Signals = signal.SIGKILL
) -> Iterator[Running]:
    """Start a run, and kill it at the end of the block, which begins when so many of its tasks have."""
    with harness.start(folder, [*harness.pbs_options(), *AGAIN, *options], environment) as running:
        wait_until(lambda: len(starts(folder)) >= begun, f"{begun} tasks run")
        yield running
        running.process.send_signal(by)
        running.process.wait(harness.TIME_LIMIT)


def taken_over(run: Run) -> list[str]:
    return re.findall(r"^(?:rule|group) (.*) goes on as PBS job", run.said, re.MULTILINE)


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGHUP])
def test_jobs_that_wait_or_run_are_taken_over(by: signal.Signals, tmp_path: Path, environment: dict[str, str]) -> None:
    """Also when the session of the login node was lost."""
    folder = write(tmp_path / "flow", {"Snakefile": WORKFLOW})
    with killed(folder, environment, by=by) as first:
        first.wait_for_jobs(5)
    with harness.start(folder, [*harness.pbs_options(), *AGAIN], environment) as second:
        wait_until(lambda: second.said.count("goes on as PBS job") == 5, "the jobs are taken over")
        (folder / "go").touch()
        assert second.process.wait(harness.TIME_LIMIT) == 0, second.said
    assert harness.submitted_in(second.said) == []
    assert {(folder / output).read_text() for output in OUTPUTS} == {"half\nwhole\n"}
    assert set(starts(folder).values()) == {1}


def test_what_has_written_nothing_yet_is_taken_over_without_rerun_incomplete(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """What is half written, Snakemake itself refuses without it."""
    folder = write(tmp_path / "flow", {"Snakefile": WORKFLOW.replace("echo half >{output}; ", "")})
    with killed(folder, environment) as first:
        first.wait_for_jobs(5)
    with harness.start(folder, [*harness.pbs_options(), "--nolock"], environment) as second:
        wait_until(lambda: second.said.count("goes on as PBS job") == 5, "the jobs are taken over")
        (folder / "go").touch()
        assert second.process.wait(harness.TIME_LIMIT) == 0, second.said
    assert harness.submitted_in(second.said) == []
    assert set(starts(folder).values()) == {1}


def test_jobs_that_ended_well_meanwhile_count(
    tmp_path: Path, environment: dict[str, str], snakemake: Snakemake
) -> None:
    folder = write(tmp_path / "flow", {"Snakefile": WORKFLOW})
    with killed(folder, environment, begun=1) as first:
        jobs = first.wait_for_jobs(5)
    (folder / "go").touch()
    for job in jobs.values():
        wait_until(lambda job=job: qstat(environment, job.pbs_id).get("job_state", "F") in "FX", "PBS ends the job")
    run = snakemake(folder, *AGAIN)
    assert run.submitted == []
    assert "5 ended well" in run.said
    assert set(starts(folder).values()) == {1}
    assert "Nothing to be done" in snakemake(folder).said


def test_a_job_that_ended_well_meanwhile_runs_again_if_its_output_was_removed(
    tmp_path: Path, environment: dict[str, str], snakemake: Snakemake
) -> None:
    folder = write(tmp_path / "flow", {"Snakefile": WORKFLOW})
    with killed(folder, environment, "direct/a") as first:
        (job,) = first.wait_for_jobs(1).values()
    (folder / "go").touch()
    wait_until(lambda: qstat(environment, job.pbs_id).get("job_state", "F") in "FC", "PBS ends the job")
    (folder / "direct/a").unlink()
    run = snakemake(folder, *AGAIN, "direct/a")
    assert len(run.submitted) == 1
    assert run.text("direct/a") == "half\nwhole"


def test_a_job_that_was_deleted_meanwhile_is_submitted_again(
    tmp_path: Path, environment: dict[str, str], snakemake: Snakemake
) -> None:
    folder = write(tmp_path / "flow", {"Snakefile": WORKFLOW})
    with killed(folder, environment, "direct/a") as first:
        (job,) = first.wait_for_jobs(1).values()
    pbs_command(environment, "qdel", job.pbs_id)
    wait_until(lambda: qstat(environment, job.pbs_id).get("job_state", "F") == "F", "PBS deletes the job")
    (folder / "go").touch()
    run = snakemake(folder, *AGAIN, "direct/a")
    assert len(run.submitted) == 1
    assert run.text("direct/a") == "half\nwhole"


def test_a_job_that_failed_meanwhile_runs_again(
    tmp_path: Path, environment: dict[str, str], snakemake: Snakemake
) -> None:
    folder = write(tmp_path / "flow", {"Snakefile": WORKFLOW.replace("echo whole", "test -e well; echo whole")})
    with killed(folder, environment, "direct/a") as first:
        (job,) = first.wait_for_jobs(1).values()
    (folder / "go").touch()
    wait_until(lambda: qstat(environment, job.pbs_id).get("job_state", "F") == "F", "the job fails")
    (folder / "well").touch()
    run = snakemake(folder, *AGAIN, "direct/a")
    assert "1 failed, to be run again" in run.said
    assert len(run.submitted) == 1


def test_a_job_that_has_changed_is_deleted_and_gone_before_the_new_one_is_submitted(
    tmp_path: Path, environment: dict[str, str], snakemake: Snakemake
) -> None:
    folder = write(tmp_path / "flow", {"Snakefile": WORKFLOW})
    with killed(folder, environment, "direct/a") as first:
        (job,) = first.wait_for_jobs(1).values()
    write(folder, {"Snakefile": WORKFLOW.replace("echo whole", "echo other")})
    (folder / "go").unlink(missing_ok=True)
    with harness.start(folder, [*harness.pbs_options(), *AGAIN, "direct/a"], environment) as second:
        wait_until(lambda: starts(folder)["direct-a"] == 2, "the new one runs")
        assert qstat(environment, job.pbs_id).get("job_state", "F") == "F"
        (folder / "go").touch()
        assert second.process.wait(harness.TIME_LIMIT) == 0, second.said
    assert "has changed" in second.said
    assert (folder / "direct/a").read_text() == "half\nother\n"


def test_a_job_whose_id_nobody_heard_is_found_by_its_name(
    tmp_path: Path, environment: dict[str, str], snakemake: Snakemake
) -> None:
    """The run is killed when PBS has the job and the ledger has not its id."""
    folder = write(tmp_path / "flow", {"Snakefile": WORKFLOW})
    qsub = 'case "$*" in *" -J "*|*"-t 0-"*) REAL "$@" >/dev/null; kill -KILL $PPID; sleep 1;; *) exec REAL "$@";; esac'
    path = wrap(tmp_path / "bin", environment, {"qsub": qsub})
    with harness.start(folder, [*harness.pbs_options(), *AGAIN], {**environment, "PATH": path}) as first:
        assert first.process.wait(harness.TIME_LIMIT) < 0
    with harness.start(folder, [*harness.pbs_options(), *AGAIN], environment) as second:
        wait_until(lambda: len(starts(folder)) >= 3, "the array runs")
        (folder / "go").touch()
        assert second.process.wait(harness.TIME_LIMIT) == 0, second.said
    assert "goes on as PBS job" in second.said
    assert set(starts(folder).values()) == {1}


def test_a_job_whose_script_somebody_removed_is_replaced(tmp_path: Path, environment: dict[str, str]) -> None:
    """It could leave no record."""
    folder = write(tmp_path / "flow", {"Snakefile": WORKFLOW})
    with killed(folder, environment, "direct/a") as first:
        (job,) = first.wait_for_jobs(1).values()
    shutil.rmtree(folder / ".snakemake/pbs-singularity/runs")
    with harness.start(folder, [*harness.pbs_options(), *AGAIN, "direct/a"], environment) as second:
        second.wait_for_jobs(1)
        assert qstat(environment, job.pbs_id).get("job_state", "F") == "F"
        (folder / "go").touch()
        assert second.process.wait(harness.TIME_LIMIT) == 0, second.said
    assert (folder / "direct/a").read_text() == "half\nwhole\n"


def test_a_job_whose_image_was_pulled_for_it_is_taken_over(
    tmp_path: Path, environment: dict[str, str], registry: Registry
) -> None:
    """When it was planned the image was not there, when it is planned again it is."""
    folder = write(
        tmp_path / "flow", {"Snakefile": WORKFLOW.replace('"tools/beta"', f'"{registry.uri("test/delta:1")}"')}
    )
    store = f"--pbs-singularity-store={tmp_path / 'store'}"
    with killed(folder, environment, store, "boxed/a"):
        pass
    with harness.start(folder, [*harness.pbs_options(), *AGAIN, store, "boxed/a"], environment) as second:
        wait_until(lambda: "goes on as PBS job" in second.said, "the job is taken over")
        (folder / "go").touch()
        assert second.process.wait(harness.TIME_LIMIT) == 0, second.said
    assert set(starts(folder).values()) == {1}


def test_a_job_that_waits_is_replaced_when_it_is_to_ask_for_something_else(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """Such as one that asked for more than there is; one that has begun goes on."""
    held = WORKFLOW.replace('output: "direct/{i}"', 'output: "direct/{i}"\n    resources: pbs_extra="-h"')
    folder = write(
        tmp_path / "flow", {"Snakefile": held.replace("container:", "resources: mem_mb=500\n    container:")}
    )
    with killed(folder, environment, "direct/a", "boxed/a") as first:
        before = first.wait_for_jobs(2)
    write(folder, {"Snakefile": WORKFLOW})
    (folder / "go").touch()
    with harness.start(folder, [*harness.pbs_options(), *AGAIN, "direct/a", "boxed/a"], environment) as second:
        assert second.process.wait(harness.TIME_LIMIT) == 0, second.said
    after = harness.submitted_in(second.said)
    assert [job.label for job in after] == ["direct (i=a)"], second.said
    assert qstat(environment, before["direct (i=a)"].pbs_id).get("job_state", "F") == "F"
    assert set(starts(folder).values()) == {1}


@pytest.mark.parametrize("options", [(), ("--pbs-singularity-bundle=3",), ("--pbs-singularity-max-array-size=1",)])
def test_runs_that_are_killed_at_any_moment_lose_nothing_and_repeat_nothing(
    options: tuple[str, ...], tmp_path: Path, environment: dict[str, str], snakemake: Snakemake
) -> None:
    count = 12
    snakefile = f"""
rule all:
    input: expand("out/{{i}}", i=range({count}))

rule one:
    output: "out/{{i}}"
    shell: "mkdir -p started; echo x >>started/{{wildcards.i}}; sleep 0.5; echo whole >{{output}}"
"""
    folder = write(tmp_path / "flow", {"Snakefile": snakefile})
    moments = random.Random(str(options))
    for _ in range(3):
        with harness.start(folder, [*harness.pbs_options(), *AGAIN, *options], environment) as running:
            lines = moments.randrange(20, 120)
            wait_until(
                lambda lines=lines, running=running: (
                    running.said.count("\n") > lines or running.process.poll() is not None
                ),
                "some lines are said",
                150,  # a submission that was under way is looked for by its name for a minute
            )
            running.process.kill()
            running.process.wait()
    run = snakemake(folder, *AGAIN, *options)
    assert {path.read_text() for path in (folder / "out").iterdir()} == {"whole\n"}
    assert starts(folder) == {str(i): 1 for i in range(count)}, run.said
