"""Containers do not run where Snakemake itself runs, unless that is a node of PBS's or the site allows it."""

from pathlib import Path

import pytest

from .harness import Snakemake, write

WORKFLOW = """
container: "tools/beta"
localrules: here

rule all:
    input: "here"

rule here:
    output: "here"
    shell: "grep PRETTY_NAME /etc/os-release >{output}"
"""
ALLOWED = "--pbs-singularity-login-containers"
APPTAINER = ("--software-deployment-method", "apptainer")
WITH_PATH = WORKFLOW.replace('"tools/beta"', "__import__('os').environ['IMAGE']")


@pytest.mark.parametrize("options", [(), APPTAINER], ids=["ignored", "used"])
def test_a_local_rule_with_a_container_is_refused_before_anything_is_submitted(
    options: tuple[str, ...], snakemake: Snakemake, tmp_path: Path
) -> None:
    run = snakemake(write(tmp_path, {"Snakefile": WORKFLOW}), *options, fails=True)
    assert "Rule here is local with a container, but containers may not run on a login node" in run.said
    assert ALLOWED in run.said
    assert not (run.folder / "here").exists()


def test_a_local_rule_without_one_runs(snakemake: Snakemake, tmp_path: Path) -> None:
    workflow = WORKFLOW.replace("    shell:", "    container: None\n    shell:")
    run = snakemake(write(tmp_path, {"Snakefile": workflow}))
    assert "test image" not in run.text("here")


def test_a_container_that_would_be_left_out_is_pointed_out(snakemake: Snakemake, tmp_path: Path) -> None:
    run = snakemake(write(tmp_path, {"Snakefile": WORKFLOW}), ALLOWED, fails=True)
    assert "Add that, or take it out of localrules" in run.said


@pytest.mark.parametrize(
    ("options", "variables"),
    [((ALLOWED,), {}), ((), {"PBS_JOBID": "1.elsewhere"})],
    ids=["site allows it", "in a PBS job"],
)
def test_where_containers_may_run_a_local_rule_runs_in_its_own(
    options: tuple[str, ...], variables: dict[str, str], library: Path, snakemake: Snakemake, tmp_path: Path
) -> None:
    image = str(library / "tools" / "beta.sif")
    folder = write(tmp_path, {"Snakefile": WITH_PATH})
    run = snakemake(folder, *options, *APPTAINER, variables={**variables, "IMAGE": image})
    assert run.text("here") == 'PRETTY_NAME="test image beta"'
