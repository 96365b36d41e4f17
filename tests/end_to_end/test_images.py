"""Rules of every kind run in images named in every way."""

from itertools import product
from pathlib import Path

import pytest

from tools.registry import Registry

from .conftest import ON_PATH
from .harness import Run, Snakemake, write

KINDS = ("shell", "script", "run")
IMAGES = {"path": "test image beta", "library": "test image alpha", "uri": "test image delta 1"}

WORKFLOW = """
IMAGES = {{"path": "{path}", "library": "deep_learning/alpha", "uri": "{uri}"}}

rule all:
    input: expand("{{kind}}_{{image}}.txt", kind=["shell", "script", "run"], image=IMAGES)

rule shell_rule:
    output: "shell_{{image}}.txt"
    container: lambda wildcards: IMAGES[wildcards.image]
    shell: "cp /etc/os-release {{output}}"

rule script_rule:
    output: "script_{{image}}.txt"
    container: lambda wildcards: IMAGES[wildcards.image]
    script: "release.py"

rule run_rule:
    output: "run_{{image}}.txt"
    container: lambda wildcards: IMAGES[wildcards.image]
    run:
        shell("cp /etc/os-release {{output}}")

rule grouped_run:
    output: "grouped_run.txt"
    group: "together"
    container: "deep_learning/alpha"
    run:
        shell("cp /etc/os-release {{output}}")

rule grouped_shadow:
    output: "grouped_shadow.txt"
    group: "together"
    shadow: "minimal"
    container: "{uri}"
    shell: "cp /etc/os-release {{output}}"

rule after_group:
    input: "grouped_run.txt", "grouped_shadow.txt"
    output: "grouped.txt"
    group: "together"
    shell: "cat {{input}} > {{output}}"

rule bound_shell:
    output: "bound_shell.txt"
    container: "tools/beta"
    resources: container_args="--bind '{of_rule}:/of rule'"
    shell: "cat /of_all/file '/of rule/file' > {{output}}"

rule bound_run:
    output: "bound_run.txt"
    container: "tools/beta"
    resources: container_args="--bind '{of_rule}:/of rule'"
    run:
        shell("cat /of_all/file '/of rule/file' > {{output}}")

rule bare:
    output: "bare.txt"
    shell: "cp /etc/os-release {{output}}"
"""

SCRIPT = "import shutil\nshutil.copy('/etc/os-release', snakemake.output[0])\n"

TARGETS = ("all", "bare.txt", "grouped.txt", "bound_shell.txt", "bound_run.txt")
LOCAL = () if ON_PATH else ("--pbs-singularity-pbs", "local")


@pytest.fixture(scope="module")
def nine(snakemake: Snakemake, library: Path, registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Run:
    bound = write(tmp_path_factory.mktemp("bound"), {"all/file": "of all ", "one rule/file": "of this rule"})
    workflow = WORKFLOW.format(
        path=library / "tools/beta.sif", uri=registry.uri("test/delta:1"), of_rule=bound / "one rule"
    )
    folder = write(tmp_path_factory.mktemp("nine"), {"Snakefile": workflow, "release.py": SCRIPT})
    return snakemake(folder, *LOCAL, *TARGETS, "--pbs-singularity-bind", f"{bound}/all:/of_all")


def image_of(output: str) -> str:
    return output.split('PRETTY_NAME="')[1].split('"')[0]


@pytest.mark.parametrize(("kind", "image"), list(product(KINDS, IMAGES)))
def test_a_rule_runs_in_the_image_that_it_names(nine: Run, kind: str, image: str) -> None:
    assert image_of(nine.text(f"{kind}_{image}.txt")) == IMAGES[image]


def test_a_rule_without_a_container_runs_on_the_bare_node(nine: Run) -> None:
    assert nine.text("bare.txt") == Path("/etc/os-release").read_text().removesuffix("\n")


@pytest.mark.parametrize("kind", ["shell", "run"])
def test_containers_see_what_is_bound_for_all_rules_and_for_theirs(nine: Run, kind: str) -> None:
    assert nine.text(f"bound_{kind}.txt") == "of all of this rule"


@pytest.mark.parametrize(("rule", "image"), [("run", "library"), ("shadow", "uri")])
def test_a_rule_of_a_group_runs_in_the_image_that_it_names(nine: Run, rule: str, image: str) -> None:
    assert image_of(nine.text(f"grouped_{rule}.txt")) == IMAGES[image]


def test_every_rule_and_every_group_is_a_job_of_pbs(nine: Run) -> None:
    assert len({job.pbs_id for job in nine.submitted}) == 9 + 1 + 1 + 2


def test_an_image_of_a_registry_is_pulled_once(nine: Run) -> None:
    assert nine.said.count("Pulled docker://") == 1


def test_a_second_run_has_nothing_to_do(nine: Run, snakemake: Snakemake) -> None:
    again = snakemake(nine.folder, *LOCAL, *TARGETS)
    assert "Nothing to be done" in again.said
    assert again.submitted == []


@pytest.fixture(scope="module")
def nine_with_sdm(nine: Run, snakemake: Snakemake) -> Run:
    outputs = [f"{kind}_{image}.txt" for kind, image in product(KINDS, IMAGES)]
    for output in outputs:
        (nine.folder / output).unlink()
    return snakemake(nine.folder, "--sdm", "apptainer")


@pytest.mark.parametrize(("kind", "image"), list(product(KINDS, IMAGES)))
def test_a_rule_runs_in_its_image_under_sdm_apptainer_too(nine_with_sdm: Run, kind: str, image: str) -> None:
    assert image_of(nine_with_sdm.text(f"{kind}_{image}.txt")) == IMAGES[image]


def test_a_second_run_under_sdm_apptainer_has_nothing_to_do(nine_with_sdm: Run, snakemake: Snakemake) -> None:
    assert "Nothing to be done" in snakemake(nine_with_sdm.folder, "--sdm", "apptainer").said
