"""Bundles in real containers."""

import shlex
import time
from pathlib import Path
from typing import Any

import pytest

from snakemake_executor_plugin_pbs_singularity.images import find_runtime
from snakemake_executor_plugin_pbs_singularity.tasks.script import Container, DirectTask

from .run import SHELLS, Node, each_shell


class RealNode:
    """A node with a real container runtime, whose starts are counted."""

    def __init__(self, node: Node, environment: dict[str, str]) -> None:
        self.node = node
        self._environment = environment
        runtime = find_runtime(environment).command
        self._command = node.root / "apptainer"
        self._command.write_text(f'#!/bin/sh\necho start >>"$0.starts"\nexec {shlex.quote(str(runtime))} "$@"\n')
        self._command.chmod(0o755)

    def tasks(self, image: Path, *commands: str, **fields: Any) -> list[DirectTask]:
        """Make tasks that run commands in an image."""
        return self.node.several(*commands, container=Container(self._command, image), **fields)

    def run(self, tasks: list[DirectTask], sh: str = SHELLS[0]) -> Any:
        """Run tasks as a bundle."""
        return self.node.run_bundle(tasks, sh, environment={"PATH": self._environment["PATH"]})

    @property
    def starts(self) -> int:
        """Give how many containers have been started."""
        return len(Path(f"{self._command}.starts").read_text().splitlines())


@pytest.fixture
def real(node: Node, container_environment: dict[str, str]) -> RealNode:
    return RealNode(node, container_environment)


NAME = ". /etc/os-release; echo $PRETTY_NAME"


@each_shell
def test_tasks_of_one_image_run_in_one_start(real: RealNode, library: Path, sh: str) -> None:
    commands = [NAME, f"{NAME}; exit 3", "cat; pwd", "kill -KILL $$", "echo e >&2"]
    ended = real.run(real.tasks(library / "tools/beta.sif", *commands), sh)
    assert (ended.status, ended.records, ended.printed) == (1, [0, 3, 0, 137, 0], ""), ended
    workdir = f"{real.node.workdir}\n"
    assert [ended.logs[n] for n in (0, 1, 2, 4)] == ["test image beta\n", "test image beta\n", workdir, "e\n"]
    assert real.starts == 1


def test_tasks_of_several_images_start_one_container_for_each(real: RealNode, library: Path) -> None:
    beta = real.tasks(library / "tools/beta.sif", *[NAME] * 4)
    bare = real.tasks(library / "tools/bare.sif", *[NAME] * 4, shell="/bin/sh")
    ended = real.run([*beta[:2], *bare[2:]])
    assert (ended.status, ended.records, ended.printed) == (0, [0] * 4, ""), ended
    assert ended.logs == ["test image beta\n"] * 2 + ["test image bare\n"] * 2
    assert real.starts == 2


def test_whose_command_ends_the_container_has_its_status_and_the_others_run_in_another(
    real: RealNode, library: Path
) -> None:
    ended = real.run(real.tasks(library / "tools/beta.sif", "echo a", "kill -KILL $PPID", "echo c", "echo d"))
    assert (ended.status, ended.records) == (1, [0, 137, 0, 0]), ended
    assert [ended.logs[n].splitlines()[0] for n in (0, 2, 3)] == ["a", "c", "d"]
    assert real.starts == 2


def test_every_task_of_an_image_that_is_not_there_says_so(real: RealNode, node: Node) -> None:
    ended = real.run(real.tasks(node.root / "absent.sif", "echo a", "echo b"))
    assert (ended.status, ended.records) == (1, [255, 255])
    assert all("absent.sif" in log for log in ended.logs)


def test_a_shell_that_the_image_has_not_fails_every_task_of_it(real: RealNode, library: Path) -> None:
    ended = real.run(real.tasks(library / "tools/bare.sif", "echo a", "echo b", shell="/bin/bash"))
    assert (ended.status, 0 in ended.records, None in ended.records) == (1, False, False)
    assert all("bash" in log for log in ended.logs)


def test_what_a_task_leaves_running_keeps_nobody_waiting(real: RealNode, library: Path) -> None:
    started = time.monotonic()
    commands = ["sleep 300 & echo $! >pid", "kill -KILL $(cat pid)", "echo c"]
    ended = real.run(real.tasks(library / "tools/beta.sif", *commands))
    assert ended.records == [0, 0, 0]
    assert time.monotonic() - started < 200


def test_each_task_alone_and_in_a_bundle_sees_the_same_variables(real: RealNode, library: Path) -> None:
    (alone,) = real.tasks(library / "tools/beta.sif", "env | sort")
    together = real.tasks(library / "tools/beta.sif", "true", "env | sort")
    own = {"_", "SHLVL", "APPTAINER_COMMAND"}

    def seen(log: str) -> set[str]:
        return {line for line in log.splitlines() if line.partition("=")[0] not in own}

    first = seen(real.run([alone]).logs[0])
    assert first == seen(real.run(together).logs[1])
    assert "OMP_NUM_THREADS=1" in first
