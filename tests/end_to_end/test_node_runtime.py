"""Compute nodes whose container command is not this machine's, or has to be loaded first."""

import shlex
from pathlib import Path

import pytest

from snakemake_executor_plugin_pbs_singularity.images import find_runtime

from .harness import Run, Snakemake, write

WORKFLOW = """
rule all:
    input: "direct.txt", "nested.txt"
rule direct:
    output: "direct.txt"
    container: "tools/beta"
    shell: ". /etc/os-release; echo $PRETTY_NAME >{output}"
rule nested:
    output: "nested.txt"
    container: "tools/beta"
    shadow: "minimal"
    shell: ". /etc/os-release; echo $PRETTY_NAME >{output}"
"""


@pytest.fixture
def folder(tmp_path: Path, environment: dict[str, str]) -> Path:
    """A workflow, and a container command that is on no PATH: `opt/node-singularity`, which keeps its arguments."""
    runtime = find_runtime(environment).command
    command = write(tmp_path, {"Snakefile": WORKFLOW, "opt/node-singularity": ""}) / "opt/node-singularity"
    command.write_text(f'#!/bin/sh\necho "$*" >>"$0.log"\nexec {shlex.quote(str(runtime))} "$@"\n')
    command.chmod(0o755)
    return tmp_path


def started(run: Run) -> list[str]:
    """Give the images that were started by the command of the nodes."""
    log = run.folder / "opt/node-singularity.log"
    return [Path(word).stem for line in log.read_text().splitlines() for word in line.split() if "tools/" in word]


def test_a_command_that_the_nodes_have_to_load_runs_direct_and_nested_tasks(folder: Path, snakemake: Snakemake) -> None:
    run = snakemake(
        folder,
        *("--pbs-singularity-container-command", "node-singularity"),
        *("--pbs-singularity-node-setup", f"PATH={folder}/opt:$PATH"),
    )
    assert [run.text(f"{name}.txt") for name in ("direct", "nested")] == ["test image beta"] * 2
    assert started(run) == ["beta", "beta"]


def test_a_command_may_be_a_path(folder: Path, snakemake: Snakemake) -> None:
    command = ("--pbs-singularity-container-command", f"{folder}/opt/node-singularity")
    assert started(snakemake(folder, "direct.txt", *command)) == ["beta"]


def test_setup_that_fails_fails_the_job_in_words(folder: Path, snakemake: Snakemake) -> None:
    setup = ("--pbs-singularity-node-setup", ". /nosuch/modules.sh; module load singularity")
    run = snakemake(folder, "direct.txt", "--pbs-singularity-container-command", "node-singularity", *setup, fails=True)
    error = run.error_of("direct.txt")
    assert "the commands that make the node ready failed" in error
    assert "Correct --pbs-singularity-node-setup" in error
    assert "/nosuch/modules.sh" in run.job("direct").log.read_text()


@pytest.mark.parametrize("target", ["direct", "nested"])
def test_a_command_that_the_nodes_lack_fails_the_job_in_words(target: str, folder: Path, snakemake: Snakemake) -> None:
    command = ("--pbs-singularity-container-command", "node-singularity")
    run = snakemake(folder, f"{target}.txt", *command, fails=True)
    assert "The container command node-singularity is not on the node" in run.job(target).log.read_text()
    if target == "direct":
        assert "the node has no node-singularity" in run.error_of("direct.txt")
        assert "--pbs-singularity-node-setup" in run.error_of("direct.txt")


def test_what_the_version_of_the_nodes_lacks_is_refused_before_anything_is_submitted(
    folder: Path, snakemake: Snakemake
) -> None:
    old = ("--pbs-singularity-container-version", "2.6.1", "--pbs-singularity-container-args=--env A=b")
    said = snakemake(folder, *old, fails=True).said
    assert "Nothing was submitted:" in said
    assert "Rule direct, --pbs-singularity-container-args: Singularity 2.6.1" in said
    assert "no option --env. Set the variable" in said
    said = snakemake(folder, "--apptainer-args=--bind=/a:/b", *old[:2], fails=True).said
    assert "Rule direct, --apptainer-args: Singularity 2.6.1 does not know '--bind=/a:/b'" in said
