"""What the screen says of each way to wait or to end is enough for a person who has never seen PBS."""

import os
import re
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from snakemake_executor_plugin_pbs_singularity.pbs.local.settings import change

from . import harness
from .conftest import ON_PATH
from .harness import Run, Running, Submitted, pbs_command, qstat, wait_until, write

WORKFLOW = r"""
rule all:
    input:
        "deleted", "deleted_early", "held", "image_lost", "image_bad", "no_shell", "not_in_image", "not_on_node",
        "not_executable", "killed", "crashed", "ended_by_code", "node_lost", "forgotten", "too_much_memory", "suspended"

rule deleted:
    output: "deleted"
    shell: "echo words of the deleted; sleep 600"

rule deleted_early:
    output: "deleted_early"
    resources: pbs_extra="-h"
    shell: "touch {output}"

rule held:
    output: "held"
    resources: pbs_extra="-h"
    shell: "touch {output}"

rule image_lost:
    output: "image_lost"
    container: "lost.sif"
    resources: pbs_extra="-h"
    shell: "touch {output}"

rule image_bad:
    output: "image_bad"
    container: "bad.sif"
    resources: pbs_extra="-h"
    shell: "touch {output}"

rule no_shell:
    output: "no_shell"
    container: "tools/bare"
    shell: "touch {output}"

rule not_in_image:
    output: "not_in_image"
    container: "tools/beta"
    shell: "no-such-program"

rule not_on_node:
    output: "not_on_node"
    shell: "no-such-program"

rule not_executable:
    output: "not_executable"
    container: "tools/beta"
    shell: "touch program; ./program"

rule killed:
    output: "killed"
    container: "tools/beta"
    resources: mem_mb=350
    shell: "sleep 2; kill -KILL $$"

rule crashed:
    output: "crashed"
    container: "tools/beta"
    shell: "kill -SEGV $$"

rule ended_by_code:
    output: "ended_by_code"
    container: "tools/beta"
    shell: "echo no such sample; exit 255"

rule node_lost:
    output: "node_lost"
    shell: "if [ {config[local]} = 1 ]; then echo words of the lost; sleep 600; fi; touch {output}"

rule forgotten:
    output: "forgotten"
    shell: "if [ {config[local]} = 1 ]; then echo words of the forgotten; sleep 600; fi; touch {output}"

rule too_much_memory:
    output: "too_much_memory"
    container: "tools/beta"
    resources: mem_mb=360
    shell:
        "if [ {config[local]} = 1 ]; then "
        "for _ in 1 2; do python3 -c 'import time; x = bytearray(200 << 20); time.sleep(600)' & done; wait; fi; "
        "touch {output}"

rule suspended:
    output: "suspended"
    shell: "if [ {config[local]} = 0 ]; then echo words of the suspended; sleep 20; fi; touch {output}"
"""

IMPOSSIBLE = """
rule impossible:
    output: "impossible"
    resources: pbs_select="1:ncpus=9999"
    shell: "touch {output}"
"""

SINGLE = "--pbs-singularity-max-array-size=1"
"""PBS holds and releases arrays whole, and does not say of one that a subjob is suspended."""

only_local = pytest.mark.skipif(ON_PATH, reason="happens to the local PBS only: a real one is not to be broken")
only_on_path = pytest.mark.skipif(not ON_PATH, reason="the local PBS suspends no jobs")


def delete(environment: Mapping[str, str], job: Submitted) -> None:
    assert pbs_command(environment, "qdel", job.pbs_id).returncode == 0


def wait_for_words(job: Submitted, words: str) -> None:
    """Wait until a job runs."""
    wait_until(lambda: job.log.exists() and words in job.log.read_text(), f"{job.label} runs", seconds=120)


def wait_until_said(running: Running, words: str) -> None:
    wait_until(lambda: words in running.said, f"{words!r} is said")


@pytest.fixture(scope="module")
def messages(environment: dict[str, str], library: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run in which each job waits or ends in another way."""
    folder = write(tmp_path_factory.mktemp("messages"), {"Snakefile": WORKFLOW})
    lost, bad = folder / "lost.sif", folder / "bad.sif"
    for image in (lost, bad):
        shutil.copy(library / "tools" / "beta.sif", image)
    home = None if ON_PATH else Path(environment["PBS_SINGULARITY_LOCAL_HOME"])
    if home is not None:
        change(home, enforce_mem=True)
    options = [*harness.pbs_options(), "--keep-going", SINGLE, "--config", f"local={int(not ON_PATH)}"]
    try:
        with harness.start(folder, options, environment) as running:
            jobs = running.wait_for_jobs(16)
            held = [jobs[name] for name in ("deleted_early", "held", "image_lost", "image_bad")]
            for job in held:
                wait_until_said(running, f"(PBS job {job.pbs_id}): It is held")
            lost.unlink()
            bad.write_text("This is no image.")
            delete(environment, jobs["deleted_early"])
            for name in ("held", "image_lost", "image_bad"):
                assert pbs_command(environment, "qrls", jobs[name].pbs_id).returncode == 0
            wait_for_words(jobs["deleted"], "words of the deleted")
            delete(environment, jobs["deleted"])
            if home is not None:
                wait_for_words(jobs["node_lost"], "words of the lost")
                process = home / "jobs" / jobs["node_lost"].pbs_id / "pid"
                os.kill(int(process.read_text()), signal.SIGKILL)
                wait_for_words(jobs["forgotten"], "words of the forgotten")
                change(home, lost=[jobs["forgotten"].pbs_id])
            else:
                wait_for_words(jobs["suspended"], "words of the suspended")
                suspend(environment, running, jobs["suspended"])
            exit_code = running.process.wait(harness.TIME_LIMIT)
    finally:
        if home is not None:
            change(home, enforce_mem=None, lost=None)
    return Run(folder, exit_code, running.said)


def suspend(environment: Mapping[str, str], running: Running, job: Submitted) -> None:
    """Suspend a job as an administrator would, and resume it when that was said."""
    if pbs_command(environment, "qsig", "-s", "suspend", job.pbs_id).returncode == 0:
        wait_until(lambda: qstat(environment, job.pbs_id)["job_state"] == "S", "the job is suspended")
        wait_until_said(running, f"(PBS job {job.pbs_id}): It is suspended")
        assert pbs_command(environment, "qsig", "-s", "resume", job.pbs_id).returncode == 0


# Jobs that wait


def test_a_held_job_is_said_once_with_what_releases_it_and_goes_on(messages: Run) -> None:
    job = messages.job("held")
    (line,) = re.findall(rf"^.*\(PBS job {re.escape(job.pbs_id)}\): .*$", messages.said, re.MULTILINE)
    assert line.startswith("rule held (PBS job ")
    assert "it has not failed" in line
    assert f"`qrls {job.pbs_id}`" in line
    assert (messages.folder / "held").exists()
    assert not messages.errors_of("held")


@only_on_path
def test_a_suspended_job_goes_on(messages: Run) -> None:
    assert (messages.folder / "suspended").exists()
    assert not messages.errors_of("suspended")


# Jobs that PBS ended


def test_a_deleted_job_says_by_whom_and_what_it_had_written(messages: Run) -> None:
    error = messages.error_of("deleted")
    assert re.search(r"It was deleted while it ran, by (\S+@\S+ \(qdel\)|hand \(qdel\) or by the site)\.", error)
    assert re.search("If that was not you|If nobody deleted it", error)
    assert "words of the deleted" in error


def test_a_job_that_was_deleted_before_it_ran_says_so_and_where_its_logs_would_be(messages: Run) -> None:
    error = messages.error_of("deleted_early")
    assert "It was deleted before it ran, by hand (qdel) or by the site." in error
    assert f"Nothing was written to {messages.job('deleted_early').log} or " in error


@only_local
def test_a_job_over_its_memory_says_what_it_used_and_what_to_try(messages: Run) -> None:
    error = messages.error_of("too_much_memory")
    assert re.search(r"Killed by PBS: it used \d+ MiB of memory, more than the \d+ MiB it asked for\.", error)
    assert re.search(r"Raise the rule's mem_mb \(it asked for \d+ MiB\), for example `resources: mem_mb=\d+`\.", error)


@only_local
def test_a_job_whose_node_was_lost_says_so(messages: Run) -> None:
    error = messages.error_of("node_lost")
    assert "its node was restarted while it ran" in error
    assert "words of the lost" in error


@only_local
def test_a_job_that_pbs_forgot_says_so(messages: Run) -> None:
    error = messages.error_of("forgotten")
    assert "PBS no longer knows this job" in error
    assert "Its exit record did not appear within" in error


# Commands that failed


def test_a_command_that_the_image_lacks_says_which_image(messages: Run, library: Path) -> None:
    error = messages.error_of("not_in_image")
    assert f"Exit code 127: a command was not found in the image {library / 'tools' / 'beta.sif'}." in error
    assert "no-such-program: command not found" in error


def test_a_command_that_the_node_lacks_says_that_it_ran_on_the_node(messages: Run) -> None:
    error = messages.error_of("not_on_node")
    assert "Exit code 127: a command was not found on the node." in error
    assert "PATH" in error


def test_a_command_that_cannot_be_executed_says_so(messages: Run) -> None:
    error = messages.error_of("not_executable")
    assert "Exit code 126: a command was found in the image" in error
    assert "chmod +x" in error


def test_a_command_that_was_killed_says_what_it_asked_for_and_what_to_try(messages: Run) -> None:
    error = messages.error_of("killed")
    assert "Exit code 137: it was killed (signal 9), most often because memory ran out." in error
    assert re.search(r"Raise the rule's mem_mb \(it asked for \d+ MiB\), for example `resources: mem_mb=\d+`\.", error)


def test_a_command_that_crashed_says_so(messages: Run) -> None:
    assert "Exit code 139: it crashed (signal 11, segmentation fault)." in messages.error_of("crashed")


def test_a_container_whose_image_is_gone_says_so(messages: Run) -> None:
    image = messages.folder / "lost.sif"
    error = messages.error_of("image_lost")
    assert f"Exit code 255: the container could not start: its image {image} is not there any more." in error


def test_a_container_whose_image_cannot_be_read_says_why(messages: Run) -> None:
    error = messages.error_of("image_bad")
    assert f"Exit code 255: the container of the image {messages.folder / 'bad.sif'} could not start: " in error
    assert "you may read it on the compute nodes" in error


def test_a_container_without_the_rules_shell_says_so(messages: Run, library: Path) -> None:
    error = messages.error_of("no_shell")
    assert f"the image {library / 'tools' / 'bare.sif'} lacks the shell" in error


def test_a_command_that_ends_with_255_is_not_said_to_be_a_bad_image(messages: Run) -> None:
    error = messages.error_of("ended_by_code")
    assert "or a program in it ended with this code" in error
    assert "no such sample" in error


def test_every_failure_names_its_pbs_job_and_its_log(messages: Run) -> None:
    failed = [job for job in messages.submitted if messages.errors_of(job.label)]
    assert len(failed) >= 10
    for job in failed:
        error = messages.error_of(job.label)
        assert f"external_jobid: {job.pbs_id}" in error
        assert str(job.log) in error


# Jobs that can never run


def without_pbsnodes(environment: dict[str, str], folder: Path) -> dict[str, str]:
    """Give an environment whose PBS keeps its nodes to itself, so that nobody knows what can run before PBS says so."""
    folder.mkdir()
    for name in ("qsub", "qstat", "qdel", "qselect"):
        (folder / name).symlink_to(str(shutil.which(name, path=environment["PATH"])))
    (folder / "pbsnodes").write_text("#!/bin/sh\necho 'pbsnodes: Unauthorized Request' >&2\nexit 1\n")
    (folder / "pbsnodes").chmod(0o755)
    return {**environment, "PATH": f"{folder}{os.pathsep}{environment['PATH']}"}


def test_what_no_node_can_run_is_refused_before_anything_is_submitted(
    environment: dict[str, str], tmp_path: Path
) -> None:
    if harness.is_torque(environment):
        pytest.skip("it asks in OpenPBS's words")
    run = harness.run(write(tmp_path, {"Snakefile": IMPOSSIBLE}), harness.pbs_options(), environment, fails=True)
    assert "Rule impossible: This can never run: no node has" in run.said
    assert "Ask for less on each node" in run.said
    assert not run.submitted


def test_a_job_that_can_never_run_is_said_at_once_and_failed_after_the_set_time(
    environment: dict[str, str], tmp_path: Path
) -> None:
    if harness.is_torque(environment):
        pytest.skip("TORQUE refuses at once what no node has")
    folder = write(tmp_path, {"Snakefile": IMPOSSIBLE})
    options = [*harness.pbs_options(), "--pbs-singularity-never-run-minutes=0.1"]
    with harness.start(folder, options, without_pbsnodes(environment, tmp_path / "commands")) as running:
        job = running.wait_for_jobs(1)["impossible"]
        wait_until_said(running, f"(PBS job {job.pbs_id}): It can never run")
        assert "PBS says: Can Never Run: Insufficient amount of resource: ncpus" in running.said
        assert "If PBS says so for 0.1 minutes, it is deleted and counts as failed." in running.said
        assert not Run(folder, 0, running.said).errors_of("impossible")
        exit_code = running.process.wait(60)
    run = Run(folder, exit_code, running.said)
    error = run.error_of("impossible")
    assert "It can never run: no node has what it asks for. PBS says: Can Never Run: Insufficient amount" in error
    assert "Ask for less" in error
    assert qstat(environment, job.pbs_id)["job_state"] == "F"
