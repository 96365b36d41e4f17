"""What the container runtime is told."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from snakemake_executor_plugin_pbs_singularity.tasks.script import (
    Container,
    container_command,
    container_command_with_tmpdir,
)

from .run import Node, container, each_shell, recorded, recorder


def arguments(node: Node, tmpdir: str | None, sh: str, **fields: str) -> list[str]:
    """Run a task in a container with a runtime that only keeps what it is told."""
    runtime = recorder(node.root / "bin/apptainer")
    ended = node.run(node.direct("true", container=container(runtime), tmpdir=tmpdir), sh, set_by_pbs=fields)
    assert ended.status == 0, ended
    return recorded(node.workdir)


def test_home_is_the_working_directory_and_the_shell_is_looked_up_in_the_image() -> None:
    box = Container(Path("/bin/singularity"), Path("/images/a.sif"), ("--nv",), quiet=True)
    assert container_command(box, Path("/work"), "/opt/bin/zsh", "echo") == (
        "/bin/singularity --quiet --silent exec --home /work --pwd /work --nv /images/a.sif zsh -c echo"
    )


def test_the_status_of_the_container_is_the_tasks(node: Node) -> None:
    runtime = recorder(node.root / "bin/apptainer")
    runtime.write_text("#!/bin/sh\nexit 255\n")
    ended = node.run(node.direct(container=container(runtime)))
    assert ended.record is not None
    assert ended.record.exit_status == 255


@each_shell
@pytest.mark.parametrize("folder", ["/tmp", "/var/tmp"])
def test_a_tmpdir_that_every_container_has_is_not_bound(folder: str, sh: str, node: Node) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as below:
        assert "--bind" not in arguments(node, folder, sh)
        assert "--bind" not in arguments(node, below, sh)


@each_shell
def test_any_other_tmpdir_is_bound(sh: str, node_outside_tmp: Node) -> None:
    node = node_outside_tmp
    tmpdir = str(node.root / "it's a scratch")
    words = arguments(node, tmpdir, sh)
    assert words[5:7] == ["--bind", tmpdir]
    assert words[7:] == ["/images/a.sif", "bash", "-c", "true"]


@each_shell
def test_the_nodes_own_tmpdir_is_bound(sh: str, node_outside_tmp: Node) -> None:
    node = node_outside_tmp
    scratch = node.root / "pbs.7.server"
    scratch.mkdir()
    assert arguments(node, None, sh, TMPDIR=str(scratch))[5:7] == ["--bind", str(scratch)]


@each_shell
def test_a_tmpdir_in_the_working_directory_is_there_without_being_bound(sh: str, node: Node) -> None:
    assert "--bind" not in arguments(node, "scratch", sh)


@each_shell
@pytest.mark.parametrize("name", ["a:b", "a,b"])
def test_a_tmpdir_that_bind_would_take_apart_is_not_bound(name: str, sh: str, node_outside_tmp: Node) -> None:
    node = node_outside_tmp
    assert "--bind" not in arguments(node, str(node.root / name), sh)


@pytest.mark.parametrize("shell", ["sh", "bash", "zsh", "tcsh", "fish"])
@pytest.mark.parametrize(
    ("tmpdir", "bound"),
    [("/scratch/7", ["--bind", "/scratch/7"]), ("/tmp/7", []), ("/scratch/a:b", []), ("here", []), ("", [])],
)
def test_the_shell_of_snakemakes_commands_starts_a_container_of_whatever_family_it_is(
    shell: str, tmpdir: str, bound: list[str], tmp_path: Path
) -> None:
    if (path := shutil.which(shell)) is None:
        pytest.skip(f"{shell} is not here")
    box = container(recorder(tmp_path / "bin/apptainer"), shell_text='--env "A=$HOME"')
    text = container_command_with_tmpdir(box, tmp_path, path, "echo 'one'")
    variables = {"PATH": os.defpath, "TMPDIR": tmpdir, "HOME": "/home/a"}
    subprocess.run([path, "-c", text], env=variables, cwd=tmp_path, timeout=30, check=True)
    home = ["exec", "--home", str(tmp_path), "--pwd", str(tmp_path)]
    assert recorded(tmp_path) == [*home, "--env", "A=/home/a", *bound, "/images/a.sif", shell, "-c", "echo 'one'"]
