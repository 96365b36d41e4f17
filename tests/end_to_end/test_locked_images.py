"""Runs with and without ``images.lock``: tags that move, images that change, settings."""

import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from snakemake_executor_plugin_pbs_singularity.images import Resolved, ensure_pulled, find_runtime, resolve
from snakemake_executor_plugin_pbs_singularity.images.locked import digest_if_known, lock_image
from snakemake_executor_plugin_pbs_singularity.images.lockfile import write_lock
from tools.registry import Registry

from .harness import Run, Snakemake, write

FROZEN = "--pbs-singularity-frozen"
RULE = """
rule release:
    output: "release.txt"
    container: "{container}"
    shell: "cat /etc/os-release > {{output}}"
"""


@dataclass(frozen=True)
class Workflow:
    """One rule that says in which image it ran."""

    folder: Path
    environment: dict[str, str]
    snakemake: Snakemake

    def lock(self, container: str) -> None:
        store = self.folder / ".snakemake/pbs-singularity/images"
        store.parent.mkdir(parents=True, exist_ok=True)
        runtime = find_runtime(self.environment)
        libraries = [Path(self.environment["SNAKEMAKE_PBS_SINGULARITY_LIBRARY"])]

        def plainly(value: str) -> Resolved:
            return resolve(value, libraries=libraries, store=store, workdir=self.folder, runtime=runtime)

        def pull(uri: str) -> Path:
            ask = partial(digest_if_known, environment=self.environment)
            return ensure_pulled(uri, store, runtime, print, environment=self.environment, ask_digest=ask)

        write_lock(
            self.folder / "images.lock", [lock_image(container, plainly, pull, store, runtime, self.environment)]
        )

    def run(self, *options: str, fails: bool = False, **variables: str) -> Run:
        return self.snakemake(self.folder, "--forceall", *options, fails=fails, variables=variables)

    def image(self, *options: str) -> str:
        self.run(*options)
        return (self.folder / "release.txt").read_text().split('PRETTY_NAME="test image ')[1].split('"')[0]


@pytest.fixture
def moving(registry: Registry) -> str:
    """A URI whose tag was just set to the first of two images."""
    registry.tag("test/delta:1", "moving")
    return registry.uri("test/delta:moving")


@pytest.fixture
def workflow(tmp_path: Path, environment: dict[str, str], snakemake: Snakemake, moving: str) -> Workflow:
    folder = write(tmp_path / "workflow", {"Snakefile": RULE.format(container=moving)})
    return Workflow(folder, environment, snakemake)


def test_a_frozen_run_uses_the_locked_image_after_the_tag_moved(
    workflow: Workflow, registry: Registry, moving: str
) -> None:
    workflow.lock(moving)
    registry.tag("test/delta:2", "moving")
    assert workflow.image(FROZEN) == "delta 1"
    shutil.rmtree(workflow.folder / ".snakemake")  # as for a colleague who has only the Snakefile and the lock
    assert workflow.image(FROZEN) == "delta 1"
    assert workflow.image() == "delta 1"


def test_without_a_lock_a_tag_that_moved_is_pointed_out_once(workflow: Workflow, registry: Registry) -> None:
    assert "has moved" not in workflow.run().said
    registry.tag("test/delta:2", "moving")
    run = workflow.run()
    assert run.said.count("has moved") == 1
    assert 'test image delta 1"' in run.text("release.txt")


def test_a_frozen_run_submits_nothing_that_is_not_locked(workflow: Workflow) -> None:
    assert f"There is no {workflow.folder}/images.lock" in workflow.run(FROZEN, fails=True).said
    write_lock(workflow.folder / "images.lock", [])
    run = workflow.run(FROZEN, fails=True)
    assert "Rule release: The image 'docker://" in run.said
    assert "pbs-singularity images lock" in run.said
    assert run.submitted == []


def test_a_frozen_run_submits_nothing_that_has_a_flipped_byte(workflow: Workflow, moving: str) -> None:
    workflow.lock(moving)
    (image,) = workflow.folder.glob(".snakemake/pbs-singularity/images/docker/*.si*[fg]")
    with image.open("r+b") as file:
        file.seek(image.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 0xFF]))
    run = workflow.run(FROZEN, fails=True)
    assert f"{image} is not" in run.said or f"{image} is damaged" in run.said
    assert run.submitted == []


def test_frozen_may_be_set_in_the_environment(workflow: Workflow) -> None:
    run = workflow.run(fails=True, SNAKEMAKE_PBS_SINGULARITY_FROZEN="true")
    assert "There is no" in run.said


def test_the_lock_is_beside_the_snakefile_wherever_the_workflow_runs(
    workflow: Workflow, moving: str, registry: Registry, tmp_path: Path
) -> None:
    workflow.lock(moving)
    registry.tag("test/delta:2", "moving")
    workflow.run(FROZEN, "--directory", str(tmp_path / "elsewhere"))
    assert 'test image delta 1"' in (tmp_path / "elsewhere/release.txt").read_text()


def test_a_damaged_lock_is_an_error_even_if_it_is_not_asked_for(workflow: Workflow) -> None:
    (workflow.folder / "images.lock").write_text("version = 1\n[[image]]\n")
    run = workflow.run(fails=True)
    assert "images.lock is damaged" in run.said
    assert "Traceback" not in run.said


def test_latest_is_pointed_out(tmp_path: Path, snakemake: Snakemake, registry: Registry) -> None:
    registry.tag("test/delta:1", "latest")
    folder = write(tmp_path / "workflow", {"Snakefile": RULE.format(container=registry.uri("test/delta"))})
    assert snakemake(folder).said.count("means another image whenever") == 1


def test_a_digest_that_is_none_is_an_error_before_anything_is_submitted(tmp_path: Path, snakemake: Snakemake) -> None:
    folder = write(tmp_path / "workflow", {"Snakefile": RULE.format(container="docker://ubuntu@sha256:12")})
    run = snakemake(folder, fails=True)
    assert "Rule release: The digest in docker://ubuntu@sha256:12 is none" in run.said
    assert run.submitted == []
