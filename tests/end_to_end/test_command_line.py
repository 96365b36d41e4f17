"""Snakemake's own options and statements about the whole workflow mean what they mean without PBS."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from . import harness
from .harness import Run, Snakemake, command, write

WORKFLOW = """
configfile: "config/config.yaml"
shell.executable("/bin/sh")

workdir: "place"

module other:
    snakefile: "other/Snakefile"
    config: config["other"]
    prefix: "from_other"

use rule * from other as other_*

rule all:
    default_target: True
    input: "kept", "shell", "from_other/word"

rule temporary:
    output: temp("temporary")
    shell: "touch {output}"

rule keep:
    input: "temporary"
    output: protected("kept")
    shell: "touch {output}"

rule folder:
    input: "source"
    output: directory("folder")
    shell: "mkdir {output}; cp {input} {output}/$(cat {input})"

rule shell:
    output: "shell"
    shell: "cat /proc/$$/comm > {output}; echo $0 >> {output}"
"""

OTHER = """
rule word:
    output: "word"
    params: word=config["word"]
    shell: "echo {params.word} > {output}"
"""

CONFIG = "word: of the workflow\nother:\n    word: of the module\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {"workflow/Snakefile": WORKFLOW, "workflow/other/Snakefile": OTHER, "config/config.yaml": CONFIG}
    return write(tmp_path_factory.mktemp("options"), files)


@pytest.fixture(scope="module")
def dry(folder: Path, snakemake: Snakemake) -> Run:
    """A dry run before anything is there."""
    return snakemake(folder, "--dry-run")


@pytest.fixture(scope="module")
def kept(dry: Run, snakemake: Snakemake) -> Run:
    """The first real run, which keeps temporary files."""
    return snakemake(dry.folder, "--notemp")


def test_a_dry_run_shows_the_jobs_and_submits_none(dry: Run) -> None:
    assert "rule other_word:" in dry.said
    assert dry.submitted == []


def test_a_dry_run_leaves_nothing_behind(folder: Path, snakemake: Snakemake, tmp_path: Path) -> None:
    shutil.copytree(folder / "workflow", tmp_path / "workflow")
    shutil.copytree(folder / "config", tmp_path / "config")
    snakemake(tmp_path, "--dry-run")
    assert list(tmp_path.glob("place/.snakemake/pbs-singularity")) == []


def test_temporary_outputs_are_kept_with_notemp(kept: Run) -> None:
    assert (kept.folder / "place/temporary").exists()


def test_the_workdir_of_a_workflow_is_where_its_rules_run(kept: Run) -> None:
    assert (kept.folder / "place/kept").exists()
    assert all(job.log.is_relative_to(kept.folder / "place") for job in kept.submitted)


def test_a_module_has_a_configuration_of_its_own(kept: Run) -> None:
    assert kept.text("place/from_other/word") == "of the module"


def test_the_shell_is_the_one_that_the_workflow_sets(kept: Run) -> None:
    assert kept.text("place/shell").splitlines()[1] == "/bin/sh"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to what is write-protected")
def test_a_write_protected_output_is_not_made_again(kept: Run, snakemake: Snakemake) -> None:
    refused = snakemake(kept.folder, "--forcerun", "keep", fails=True)
    assert "Write-protected output files for rule keep" in refused.said


@pytest.fixture(scope="module")
def changed_source(kept: Run, snakemake: Snakemake) -> Path:
    """The folder after its source has changed twice, and it has been made once."""
    source = kept.folder / "place/source"
    source.write_text("first")
    snakemake(kept.folder, "folder")
    source.write_text("second")
    return kept.folder


def test_touch_makes_an_output_new_without_running_its_rule(changed_source: Path, snakemake: Snakemake) -> None:
    assert snakemake(changed_source, "--touch", "folder").submitted == []
    assert "Nothing to be done" in snakemake(changed_source, "--dry-run", "folder").said
    assert (changed_source / "place/folder/first").exists()


def test_a_folder_is_made_anew_from_nothing(changed_source: Path, snakemake: Snakemake) -> None:
    snakemake(changed_source, "folder", "--forcerun", "folder")
    assert [path.name for path in (changed_source / "place/folder").glob("[!.]*")] == ["second"]


def test_another_directory_takes_the_place_of_the_folder_that_one_is_in(snakemake: Snakemake, tmp_path: Path) -> None:
    workflow = "rule here:\n    output: 'here'\n    log: 'log'\n    run: shell('pwd > {output}')\n"
    write(tmp_path, {"Snakefile": workflow, "it's elsewhere/source": ""})
    snakemake(tmp_path, "--directory", "it's elsewhere")
    assert (tmp_path / "it's elsewhere/here").read_text() == f"{tmp_path}/it's elsewhere\n"


def test_a_profile_can_hold_all_options(environment: dict[str, str], tmp_path: Path) -> None:
    queue = harness.default_queue(environment)
    profile = f"executor: pbs-singularity\njobs: 2\npbs-singularity-queue: {queue}\nlatency-wait: 5\n"
    workflow = "rule here:\n    output: 'here'\n    shell: 'echo $PBS_QUEUE > {output}'\n"
    write(tmp_path, {"Snakefile": workflow, "profile/config.yaml": profile})
    run = harness.run(tmp_path, ["--profile", "profile"], environment, fails=False)
    assert run.text("here") == queue


def test_a_profile_for_the_cluster_may_name_the_queue_in_the_environment(snakemake: Snakemake, folder: Path) -> None:
    variables = {"SNAKEMAKE_PBS_SINGULARITY_QUEUE": "nowhere"}
    assert (
        "There is no queue 'nowhere'"
        in snakemake(folder, "shell", "--forcerun", "shell", fails=True, variables=variables).said
    )


OPTIONS = (
    *("queue", "account", "project", "library", "store", "bind", "container-args"),
    *("max-array-size", "max-running", "bundle", "pbs"),
)


@pytest.fixture(scope="module")
def help_text() -> str:
    said = subprocess.run(command("--help"), capture_output=True, text=True, timeout=60, check=True)
    return " ".join(said.stdout.split("pbs-singularity executor plugin settings:")[1].split())


@pytest.mark.parametrize("option", OPTIONS)
def test_the_help_explains_every_option_and_names_its_environment_variable(help_text: str, option: str) -> None:
    name = option.replace("-", "_").upper()
    explained = re.search(
        rf"--pbs-singularity-{option} \S+ (.*?) \[env var: SNAKEMAKE_PBS_SINGULARITY_{name}\]", help_text
    )
    assert explained is not None
    assert len(explained[1].split()) > 8
    assert "[env var" not in explained[1]
