import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools.cache import cache_folder, locked, new_folder


def test_a_folder_is_there_only_when_it_is_complete(tmp_path: Path) -> None:
    with new_folder(tmp_path / "built") as work:
        (work / "file").write_text("content")
        assert not (tmp_path / "built").exists()
    assert (tmp_path / "built/file").read_text() == "content"


def test_what_could_not_be_built_leaves_nothing(tmp_path: Path) -> None:
    def build() -> None:
        with new_folder(tmp_path / "built") as work:
            (work / "file").touch()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        build()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_there_stays_as_it_is_when_building_fails(tmp_path: Path) -> None:
    (tmp_path / "built").mkdir()
    (tmp_path / "built/old").touch()
    with pytest.raises(RuntimeError), new_folder(tmp_path / "built"):
        raise RuntimeError
    assert (tmp_path / "built/old").exists()


def test_two_processes_do_not_build_at_the_same_time(tmp_path: Path) -> None:
    script = "import sys, pathlib; from tools.cache import locked; lock = locked(pathlib.Path(sys.argv[1]))"
    with locked(tmp_path / "lock"):
        other = subprocess.Popen(
            [sys.executable, "-c", f"{script}; lock.__enter__(); print('in')", tmp_path / "lock"],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert other.stderr is not None
        assert other.stderr.readline().startswith("Waiting for another process")
        time.sleep(0.05)
        assert other.poll() is None
    assert other.communicate(timeout=20)[0] == "in\n"


@pytest.mark.parametrize(
    ("variable", "expected"),
    [("/elsewhere", Path("/elsewhere")), ("", Path("/home/me/.cache")), ("relative", Path("/home/me/.cache"))],
)
def test_the_cache_is_where_the_user_has_his(variable: str, expected: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("XDG_CACHE_HOME", variable)
    assert cache_folder() == expected / "snakemake-executor-plugin-pbs-singularity"
