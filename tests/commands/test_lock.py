"""``pbs-singularity images lock`` and ``verify``, as users call them."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from snakemake_executor_plugin_pbs_singularity.images.lockfile import read_lock
from tools.registry import Registry

SNAKEFILE = """
configfile: "config.yaml"

rule all:
    input: expand("{{image}}.txt", image=config["images"])

rule release:
    output: "{{image}}.txt"
    container: lambda wildcards: config["images"][wildcards.image]
    shell: "cat /etc/os-release > {{output}}"
"""


@dataclass(frozen=True)
class Workflow:
    folder: Path
    environment: dict[str, str]

    def uses(self, **images: str) -> None:
        self.folder.mkdir(exist_ok=True)
        (self.folder / "Snakefile").write_text(SNAKEFILE.format())
        (self.folder / "config.yaml").write_text(json.dumps({"images": images}))

    @property
    def lock(self) -> Path:
        return self.folder / "images.lock"

    @property
    def store(self) -> Path:
        return self.folder / ".snakemake/pbs-singularity/images"

    def call(self, *arguments: str, fails: bool = False, where: Path | None = None) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [Path(sys.executable).with_name("pbs-singularity"), "images", *arguments],
            cwd=where or self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done


@pytest.fixture
def workflow(tmp_path: Path, library: Path, container_environment: dict[str, str]) -> Workflow:
    own = tmp_path / "library"
    shutil.copytree(library / "tools", own / "tools")
    settings = {"SNAKEMAKE_PBS_SINGULARITY_LIBRARY": str(own), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    return Workflow(tmp_path / "workflow", {**container_environment, **settings})


@pytest.fixture
def bare(registry: Registry) -> str:
    registry.tag("test/bare:1", "cli")
    return registry.uri("test/bare:cli")


def flip(image: Path) -> None:
    with image.open("r+b") as file:
        file.seek(image.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 0xFF]))


def test_all_images_of_a_workflow_are_locked_and_pulled(workflow: Workflow, bare: str) -> None:
    workflow.uses(a=bare, b="tools/bare", c="tools/beta")
    said = workflow.call("lock").stdout
    assert said.splitlines() == [f"new      {bare}", "new      tools/bare", "new      tools/beta",
                                 f"3 images locked in {workflow.lock}."]  # fmt: skip
    locked = read_lock(workflow.lock)
    assert locked.keys() == {bare, "tools/bare", "tools/beta"}
    assert locked[bare].digest is not None
    assert locked["tools/bare"].digest is None
    assert str(locked[bare].runtime).startswith("Apptainer")
    assert len(list(workflow.store.glob("docker/*.sif"))) == 1


def test_locking_again_changes_nothing(workflow: Workflow, bare: str) -> None:
    workflow.uses(a=bare, b="tools/bare")
    workflow.call("lock")
    before = workflow.lock.read_text()
    assert workflow.call("lock").stdout == f"2 images locked in {workflow.lock}.\n"
    assert workflow.lock.read_text() == before


def test_a_colleague_who_locks_the_same_digest_changes_nothing(workflow: Workflow, bare: str) -> None:
    workflow.uses(a=bare)
    workflow.call("lock")
    before = workflow.lock.read_text()
    shutil.rmtree(workflow.store)
    workflow.call("lock")
    assert workflow.lock.read_text() == before


def test_a_tag_that_moved_is_locked_anew_and_shown(workflow: Workflow, bare: str, registry: Registry) -> None:
    workflow.uses(a=bare, b="tools/bare")
    workflow.call("lock")
    old = read_lock(workflow.lock)[bare].digest
    registry.tag("test/bare:2", "cli")
    workflow.uses(a=bare)
    said = workflow.call("lock").stdout
    assert f"changed  {bare}: {old} is now {read_lock(workflow.lock)[bare].digest}" in said
    assert "gone     tools/bare" in said


def test_the_lock_is_beside_the_snakefile_and_the_store_in_the_working_directory(
    workflow: Workflow, bare: str, tmp_path: Path
) -> None:
    workflow.uses(a=bare)
    (tmp_path / "run").mkdir()
    shutil.move(workflow.folder / "config.yaml", tmp_path / "run/config.yaml")
    workflow.call("lock", "-s", "workflow/Snakefile", "-d", "run", where=tmp_path)
    assert workflow.lock.exists()
    assert not workflow.store.exists()
    assert list(tmp_path.glob("run/.snakemake/pbs-singularity/images/docker/*.sif"))


def test_an_image_that_cannot_be_had_is_an_error_with_its_rule_and_nothing_is_written(
    workflow: Workflow, registry: Registry
) -> None:
    workflow.uses(a=registry.uri("test/bare:none"), b="tools/nothing")
    said = workflow.call("lock", fails=True).stderr
    assert "Rule release: The registry" in said
    assert "Rule release: There is no image 'tools/nothing'" in said
    assert not workflow.lock.exists()


def test_a_lock_of_a_newer_version_is_not_written_over(workflow: Workflow) -> None:
    workflow.uses(b="tools/bare")
    workflow.lock.write_text("version = 2\n")
    assert "Install a newer" in workflow.call("lock", fails=True).stderr
    assert workflow.lock.read_text() == "version = 2\n"


def test_a_damaged_lock_is_written_anew(workflow: Workflow) -> None:
    workflow.uses(b="tools/bare")
    workflow.lock.write_text("version =")
    assert "is damaged" in workflow.call("lock").stderr
    assert read_lock(workflow.lock).keys() == {"tools/bare"}


def test_a_workflow_that_cannot_be_read_is_an_error_in_snakemakes_words(workflow: Workflow) -> None:
    workflow.uses()
    (workflow.folder / "Snakefile").write_text("rule all:\n    input: 'nobody makes this'\n")
    assert "nobody makes this" in workflow.call("lock", fails=True).stderr


def test_a_folder_without_a_workflow_has_nothing_to_lock(workflow: Workflow, tmp_path: Path) -> None:
    assert "No Snakefile found" in workflow.call("lock", fails=True, where=tmp_path).stderr


# --- verify ---


def test_good_images_are_good(workflow: Workflow, bare: str) -> None:
    workflow.uses(a=bare, b="tools/bare")
    workflow.call("lock")
    said = workflow.call("verify").stdout.splitlines()
    assert [line.split()[:2] for line in said] == [["good", bare], ["good", "tools/bare"]]


def test_a_flipped_byte_is_found_in_the_store_and_in_the_library(workflow: Workflow, bare: str, tmp_path: Path) -> None:
    workflow.uses(a=bare, b="tools/bare", c="tools/beta")
    workflow.call("lock")
    (pulled,) = workflow.store.glob("docker/*.sif")
    flip(pulled)
    flip(tmp_path / "library/tools/bare.sif")
    verified = json.loads(workflow.call("verify", "--json", fails=True).stdout)
    assert {one["reference"]: one["good"] for one in verified} == {bare: False, "tools/bare": False, "tools/beta": True}
    assert "Remove it" in verified[0]["problem"]


def test_an_image_that_is_not_pulled_yet_is_no_problem_and_one_that_a_library_lost_is(
    workflow: Workflow, bare: str, tmp_path: Path
) -> None:
    workflow.uses(a=bare, b="tools/bare")
    workflow.call("lock")
    shutil.rmtree(workflow.store)
    assert f"not pulled  {bare}" in workflow.call("verify").stdout
    (tmp_path / "library/tools/bare.sif").unlink()
    assert "WRONG       tools/bare: There is no image" in workflow.call("verify", fails=True).stdout


def test_an_image_that_was_cut_off_after_its_pull_is_found(workflow: Workflow, bare: str) -> None:
    workflow.uses(a=bare)
    workflow.call("lock")
    (pulled,) = workflow.store.glob("docker/*.sif")
    with pulled.open("r+b") as file:
        file.truncate(50_000)
    assert f"{pulled} is damaged" in workflow.call("verify", fails=True).stdout


def test_where_nothing_is_there_is_nothing_to_verify(workflow: Workflow, tmp_path: Path) -> None:
    assert "Nothing to verify" in workflow.call("verify", where=tmp_path).stdout
