import os
import subprocess
from pathlib import Path

import pytest

from tools.apptainer import install
from tools.cache import ToolError, cache_folder


@pytest.fixture(scope="module")
def prefix() -> Path:
    """Our own Apptainer, also where this machine has one."""
    prefix = cache_folder() / "apptainer"
    install(prefix)
    return prefix


def run(prefix: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = f"{prefix / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        arguments, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("name", ["apptainer", "singularity"])
def test_both_names_work(name: str, prefix: Path) -> None:
    assert run(prefix, name, "--version").stdout.startswith("apptainer version 1.")


def test_what_a_command_says_and_how_it_ends_pass_through(prefix: Path, library: Path) -> None:
    ended = run(prefix, "apptainer", "exec", str(library / "tools/beta.sif"), "sh", "-c", "echo said; exit 42")
    assert (ended.stdout, ended.returncode) == ("said\n", 42)


@pytest.mark.parametrize("image", ["deep_learning/alpha.simg", "tools/beta.sif", "tools/bare.sif", "sandboxes/gamma"])
def test_every_kind_of_image_runs(image: str, prefix: Path, library: Path) -> None:
    ended = run(prefix, "apptainer", "exec", str(library / image), "cat", "/etc/os-release")
    assert f'PRETTY_NAME="test image {Path(image).stem}"' in ended.stdout


def test_no_start_complains_about_what_is_missing(prefix: Path, library: Path) -> None:
    ended = run(prefix, "apptainer", "exec", str(library / "sandboxes/gamma"), "true")
    assert ended.stderr == ""


def test_a_new_folder_has_an_apptainer_that_works(tmp_path: Path, library: Path) -> None:
    assert install(tmp_path / "new", cache=cache_folder()) == tmp_path / "new/bin"
    assert run(tmp_path / "new", "apptainer", "exec", str(library / "sandboxes/gamma"), "true").returncode == 0


def test_a_second_call_changes_nothing(prefix: Path) -> None:
    before = prefix.stat().st_mtime_ns
    assert install(prefix, cache=Path("/nowhere")) == prefix / "bin"
    assert prefix.stat().st_mtime_ns == before


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(ToolError, match="is not empty and not Apptainer's"):
        install(tmp_path)
    assert (tmp_path / "mine").read_text() == "precious"


@pytest.mark.parametrize("name", ["a place", "it's", "a,b", "a:b"])
def test_a_folder_that_apptainer_cannot_work_in_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="choose a folder"):
        install(tmp_path / name)
