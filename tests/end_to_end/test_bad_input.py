"""A bad request fails before anything is submitted, in words that name the value and the remedy."""

import os
import shutil
from pathlib import Path

import pytest

from .harness import Run, Snakemake, write

WORKFLOW = """
rule all:
    input: "fine", {inputs}

rule fine:
    output: "fine"
    shell: "touch {{output}}"
"""

RULES = {
    "mem_zero": "resources: mem_mb=0",
    "mem_negative": "resources: mem_mb=-5",
    "runtime_zero": "resources: runtime=0",
    "runtime_negative": "resources: runtime=-1",
    "extra_output": "resources: pbs_extra='-o /dev/null'",
    "extra_name": "resources: pbs_extra='-N mine'",
    "extra_array": "resources: pbs_extra='-J 0-9'",
    "extra_quotes": "resources: pbs_extra='-l \"x'",
    "queue": "resources: pbs_queue='nowhere'",
    "library": "container: 'deep_learning/alpa'",
    "path": "container: '/no/such/image.sif'",
    "text": "container: 'text.sif'",
    "truncated": "container: 'truncated.sif'",
    "scheme": "container: 'nonsense://image'",
}

SAYS = {
    "mem_zero": ("mem_mb=0", "at least 1", "MiB"),
    "mem_negative": ("mem_mb=-5", "at least 1", "MiB"),
    "runtime_zero": ("runtime=0", "at least 1", "minutes"),
    "runtime_negative": ("runtime=-1", "at least 1", "minutes"),
    "extra_output": ("-o /dev/null", "log:"),
    "extra_name": ("-N mine", "names the jobs"),
    "extra_array": ("-J 0-9", "arrays"),
    "extra_quotes": ("pbs_extra", "quotes"),
    "queue": ("'nowhere'", "Choose one of"),
    "library": ("deep_learning/alpa", "deep_learning/alpha"),
    "path": ("/no/such/image.sif", "does not exist"),
    "text": ("text.sif", "not a"),
    "truncated": ("truncated.sif", "truncated"),
    "scheme": ("nonsense://image",),
}


@pytest.fixture(scope="module")
def folder(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workflow with everything wrong that a rule can have."""
    workflow = WORKFLOW.format(inputs=", ".join(f'"{rule}"' for rule in RULES))
    for rule, line in RULES.items():
        workflow += f'\nrule {rule}:\n    output: "{rule}"\n    {line}\n    shell: "touch {{output}}"\n'
    folder = write(tmp_path_factory.mktemp("bad"), {"Snakefile": workflow, "text.sif": "no image\n"})
    image = (library / "tools/beta.sif").read_bytes()
    (folder / "truncated.sif").write_bytes(image[: len(image) // 2])
    return folder


@pytest.fixture(scope="module")
def bad(folder: Path, snakemake: Snakemake) -> Run:
    """The run of them all; --keep-going makes no difference, as nothing has begun."""
    return snakemake(folder, "--keep-going", fails=True)


def assert_that_nothing_was_submitted(run: Run) -> None:
    assert run.submitted == []
    assert not (run.folder / ".snakemake/pbs-singularity/logs").exists()
    assert not (run.folder / "fine").exists()
    assert "Traceback" not in run.said


def test_nothing_is_submitted_if_anything_is_wrong(bad: Run) -> None:
    assert_that_nothing_was_submitted(bad)
    assert "Nothing was submitted:" in bad.said


@pytest.mark.parametrize("rule", RULES)
def test_each_mistake_is_named_with_its_rule_and_remedy(bad: Run, rule: str) -> None:
    (line,) = [line for line in bad.said.splitlines() if line.strip().startswith(f"Rule {rule}")]
    assert [word for word in SAYS[rule] if word not in line] == []


def test_rules_that_are_not_run_need_not_be_right(folder: Path, snakemake: Snakemake) -> None:
    assert [job.label for job in snakemake(folder, "fine").submitted] == ["fine"]
    shutil.rmtree(folder / ".snakemake")
    (folder / "fine").unlink()


def without(name: str, environment: dict[str, str]) -> dict[str, str | None]:
    """Give the change that hides a command by a PATH that leads to all but its folders."""
    folders = environment["PATH"].split(os.pathsep)
    return {"PATH": os.pathsep.join(part for part in folders if not Path(part, name).exists())}


@pytest.mark.skipif(shutil.which("qsub", path=os.defpath) is not None, reason="qsub is where all commands are")
def test_a_missing_qsub_is_said_with_what_to_do(
    folder: Path, snakemake: Snakemake, environment: dict[str, str]
) -> None:
    run = snakemake(folder, "fine", fails=True, variables=without("qsub", environment))
    assert "qsub" in run.said
    assert "--pbs-singularity-pbs local" in run.said
    assert_that_nothing_was_submitted(run)


@pytest.mark.skipif(shutil.which("apptainer", path=os.defpath) is not None, reason="it is where all commands are")
def test_a_missing_container_runtime_is_said_with_what_to_do(
    folder: Path, snakemake: Snakemake, environment: dict[str, str]
) -> None:
    workflow = folder / "container.smk"
    workflow.write_text("rule fine:\n    output: 'fine'\n    container: 'tools/beta'\n    shell: 'touch {output}'\n")
    without_runtime = without("singularity", {"PATH": str(without("apptainer", environment)["PATH"])})
    run = snakemake(folder, "-s", str(workflow), fails=True, variables=without_runtime)
    assert "apptainer" in run.said.lower()
    assert "PATH" in run.said
    assert_that_nothing_was_submitted(run)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (["--pbs-singularity-library", "/no/such/library"], ["/no/such/library", "does not exist"]),
        (["--pbs-singularity-bind", "/no/such/folder"], ["/no/such/folder", "does not exist"]),
        (["--pbs-singularity-container-args='--bind"], ["--pbs-singularity-container-args", "quotes"]),
        (["--pbs-singularity-queue", "nowhere"], ["'nowhere'", "Choose one of"]),
        (["--immediate-submit", "--notemp"], ["--immediate-submit", "leave it out"]),
    ],
    ids=lambda value: value[0].split("=")[0] if isinstance(value, list) else None,
)
def test_a_bad_option_is_named(folder: Path, snakemake: Snakemake, option: list[str], words: list[str]) -> None:
    run = snakemake(folder, "fine", *option, fails=True)
    assert [word for word in words if word not in run.said] == []
    assert_that_nothing_was_submitted(run)
