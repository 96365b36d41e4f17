"""What the Snakemake on the node is told, and what it makes of containers."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snakemake.deployment import singularity

from snakemake_executor_plugin_pbs_singularity.nested import Description, _use_image_files
from snakemake_executor_plugin_pbs_singularity.tasks.command_line import Target

NASTY = """it's a "test" $HOME `id` \\ \n;&"""

texts = st.text() | st.binary().map(os.fsdecode)
targets = st.builds(Target, texts, st.dictionaries(texts, texts, max_size=3))
descriptions = st.builds(
    Description,
    arguments=st.lists(texts),
    targets=st.lists(targets, max_size=3),
    runtime=st.none() | texts,
    images=st.dictionaries(texts, texts),
    container_options=st.lists(texts),
)


@given(descriptions)
def test_a_description_is_read_as_it_was_written(description: Description) -> None:
    assert Description.from_json(description.to_json()) == description


@given(descriptions)
def test_a_description_can_be_written_and_read_in_any_locale(description: Description) -> None:
    assert description.to_json().isascii()


def test_a_job_runs_whatever_its_wildcards_hold(tmp_path: Path) -> None:
    value = """a,b=c:'"$HOME` \\ """
    (tmp_path / "Snakefile").write_text(
        "rule a:\n    output: 'a{x}'\n    run: open(output[0], 'w').write(wildcards.x)\n"
    )
    arguments = ["--snakefile", "Snakefile", "--cores", "1", "--target-jobs", "kept:", "--force", "--nolock"]
    arguments += ["--mode", "remote", "--allowed-rules", "a", "--target-files-omit-workdir-adjustment"]
    description = Description([*arguments, "--quiet", "all"], [Target("a", {"x": value})])
    run = subprocess.run(
        [sys.executable, "-P", "-m", "snakemake_executor_plugin_pbs_singularity.nested"],
        input=description.to_json(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert (tmp_path / f"a{value}").read_text() == value


# Containers


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A container runtime that keeps its arguments and SINGULARITYENV_* variables, used by this Snakemake."""
    runtime = tmp_path / f"bin {NASTY}"
    runtime.write_text(
        '#!/bin/sh\nprintf "%s\\0" "$@" >arguments\nprintf "%s" "$SINGULARITYENV_DECLARED" >variable\nexit 3\n'
    )
    runtime.chmod(0o755)
    monkeypatch.setattr(singularity, "Image", singularity.Image)
    monkeypatch.setattr(singularity, "shellcmd", singularity.shellcmd)
    (tmp_path / NASTY).mkdir()
    monkeypatch.chdir(tmp_path / NASTY)
    _use_image_files(
        Description([], [], str(runtime), {"docker://a": f"/images/{NASTY}"}, ["--env", f"A={NASTY}"]), str(runtime)
    )
    return runtime


def run(command: str, shell: str, tmpdir: str = "/tmp") -> tuple[int, list[str]]:
    """Run shell text as Snakemake does, and give the status and the arguments of the runtime."""
    ended = subprocess.run(
        [shell, "-c", command], env={"PATH": os.defpath, "TMPDIR": tmpdir}, timeout=30, capture_output=True, check=False
    )
    words = Path("arguments").read_bytes().split(b"\0")[:-1]
    return ended.returncode, [os.fsdecode(word) for word in words]


@pytest.mark.usefixtures("box")
@pytest.mark.parametrize("shell", ["bash", "dash"])
def test_the_runtime_is_given_every_word_as_it_is(shell: str) -> None:
    command: Any = singularity.shellcmd(f"/images/{NASTY}", f"echo {NASTY}", shell_executable="/opt/bin/bash")
    status, words = run(command, shell)
    home = ["exec", "--home", str(Path.cwd()), "--pwd", str(Path.cwd()), "--env", f"A={NASTY}"]
    assert words == [*home, f"/images/{NASTY}", "bash", "-c", f"echo {NASTY}"]
    assert status == 3


@pytest.mark.usefixtures("box")
def test_folders_that_are_there_are_bound_and_apptainer_args_are_shell_text(tmp_path: Path) -> None:
    command = singularity.shellcmd(
        "/a.sif", "true", bind=[tmp_path / NASTY, tmp_path / "absent"], args='--nv --env "B=$TMPDIR"', quiet=True
    )
    _, words = run(command, "sh")
    assert words[:2] == ["--quiet", "--silent"]
    assert words[9:11] == ["--bind", str(tmp_path / NASTY)]
    assert words[11:14] == ["--nv", "--env", "B=/tmp"]
    assert words[14:] == ["/a.sif", "sh", "-c", "true"]


@pytest.mark.usefixtures("box")
def test_a_shadow_folder_is_where_the_command_starts(tmp_path: Path) -> None:
    command = singularity.shellcmd("/a.sif", "true", container_workdir=f".snakemake/shadow/{NASTY}")
    _, words = run(command, "sh")
    assert words[7:9] == ["--pwd", str(Path.cwd() / ".snakemake/shadow" / NASTY)]


@pytest.mark.usefixtures("box")
def test_scripts_find_snakemake_in_the_container() -> None:
    _, words = run(singularity.shellcmd("/a.sif", "true", is_python_script=True), "sh")
    binds = [word for word in words if word.endswith(":/mnt/snakemake_searchpaths/item_0")]
    assert binds == [f"{singularity.get_snakemake_searchpaths()[0]}:/mnt/snakemake_searchpaths/item_0"]


@pytest.mark.usefixtures("box")
@pytest.mark.parametrize("shell", ["bash", "dash"])
def test_declared_variables_reach_the_container(shell: str) -> None:
    run(singularity.shellcmd("/a.sif", "true", envvars={"DECLARED": NASTY}), shell)
    assert Path("variable").read_text() == NASTY


@pytest.mark.usefixtures("box")
def test_the_nodes_tmpdir_is_bound() -> None:
    _, words = run(singularity.shellcmd("/a.sif", "true"), "sh", tmpdir="/scratch/7.server")
    assert words[7:9] == ["--bind", "/scratch/7.server"]


@pytest.mark.usefixtures("box")
def test_an_image_is_the_file_that_the_description_names_and_never_pulled() -> None:
    image = singularity.Image.__new__(singularity.Image)
    image.url = "docker://a"
    assert image.path == f"/images/{NASTY}"
    assert image.pull() is None
