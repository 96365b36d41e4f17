"""The files of a run: private, named safely, tidied up."""

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from snakemake_executor_plugin_pbs_singularity.tracking.run_folder import (
    KEPT_DAYS,
    RunFolder,
    has_words,
    make_run_folder,
    new_token,
    remove_if_empty,
    run_folders,
    write_private,
)

TOKEN = "0123456789"


@pytest.fixture
def open_umask() -> object:
    """A user who closes nothing."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return make_run_folder(tmp_path_factory.mktemp("state"))


def aged(path: Path, days: float, text: str = "x") -> Path:
    """Write a file as if it had been written days ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    then = time.time() - days * 86400
    os.utime(path, (then, then))
    return path


@contextmanager
def other_process(folder: RunFolder) -> Iterator[Callable[[], str]]:
    """A process that tries to hold a run when told to and, when this ends, is killed as by a machine that fails."""
    script = """
import sys
from pathlib import Path
from snakemake_executor_plugin_pbs_singularity.tracking.run_folder import RunFolder
folder = RunFolder(Path(sys.argv[1]), sys.argv[2])
for _ in sys.stdin:
    print(folder.hold(), flush=True)
"""
    words = [sys.executable, "-c", script, str(folder.state), folder.name]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    def hold() -> str:
        stdin.write("hold\n")
        return stdout.readline().strip()

    try:
        yield hold
    finally:
        process.kill()
        process.communicate()


# Law 7


@pytest.mark.usefixtures("open_umask")
def test_the_folders_are_the_users_alone(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path / ".snakemake" / "pbs-singularity")
    for path in (folder.logs, folder.pbs, folder.scripts, folder.records, folder.ended, folder.scripts.parent):
        assert path.stat().st_mode & 0o777 == 0o700


@pytest.mark.usefixtures("open_umask")
def test_private_files_are_the_users_alone(tmp_path: Path) -> None:
    write_private(tmp_path / "a", "secret")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


@given(text=st.binary().map(os.fsdecode))
def test_private_files_hold_bytes_as_they_were(text: str, folder: RunFolder) -> None:
    path = folder.scripts / "a"
    write_private(path, text)
    assert path.read_bytes() == os.fsencode(text)


# Names


@given(rule=st.text(min_size=1), wildcards=st.text())
@example(rule="a", wildcards="..")
@example(rule="..", wildcards="x=../../../etc/passwd")
@example(rule="规则" * 200, wildcards="样本=" + "中文" * 200)
@example(rule="a", wildcards="x=\n\0\x1b[31m\udc80")
@example(rule="a", wildcards="x=" + "\n" * 300)
@example(rule="a", wildcards="x=" + "\U0001f9ec" * 100)
def test_a_log_can_be_written_whatever_rule_and_wildcards_hold(rule: str, wildcards: str, folder: RunFolder) -> None:
    log = folder.log(rule, wildcards, TOKEN)
    assert log.resolve().is_relative_to(folder.logs.resolve())
    assert len(os.fsencode(log.name)) <= 255
    assert log.name.isprintable()
    log.parent.mkdir(exist_ok=True)
    log.write_text("written")
    log.unlink()


@given(wildcards=st.text(), tokens=st.lists(st.from_regex(r"[0-9a-f]{10}", fullmatch=True), min_size=2, unique=True))
def test_no_two_submissions_share_a_log(wildcards: str, tokens: list[str], folder: RunFolder) -> None:
    assert len({folder.log("a", wildcards, token) for token in tokens}) == len(tokens)


def test_a_log_is_named_by_rule_and_wildcards(folder: RunFolder) -> None:
    assert folder.log("map_reads", "sample=é 1", TOKEN) == folder.logs / "map_reads" / f"sample=é 1.{TOKEN}.log"
    assert folder.log("all", "", TOKEN) == folder.logs / "all" / f"job.{TOKEN}.log"


def test_a_batch_has_two_scripts_in_the_runs_own_folder(folder: RunFolder) -> None:
    assert folder.script(TOKEN) == folder.scripts / f"{TOKEN}.sh"
    assert folder.submitted_script(TOKEN) == folder.scripts / f"{TOKEN}.pbs"


def test_what_pbs_writes_has_a_file_for_each_job_and_subjob(folder: RunFolder) -> None:
    logs = [folder.pbs_log(TOKEN, index) for index in (None, 0, 1, 10)]
    assert [log.name for log in logs] == [f"{TOKEN}.log{index}" for index in ("", "-0", "-1", "-10")]
    assert {log.parent for log in logs} == {folder.pbs}


def test_a_long_name_is_cut_between_characters(folder: RunFolder) -> None:
    name = folder.log("a", "中" * 100, TOKEN).name
    assert name.startswith("中中中")
    assert name.endswith(f"中….{TOKEN}.log")


def test_tokens_differ() -> None:
    assert len({new_token() for _ in range(100)}) == 100


def test_two_runs_that_start_together_do_not_share_a_folder(tmp_path: Path) -> None:
    first, second = (make_run_folder(tmp_path) for _ in range(2))
    assert first.records != second.records
    assert first.logs == second.logs


# Tidying up


def test_the_end_of_a_run_leaves_its_logs_and_nothing_else(tmp_path: Path) -> None:
    folder, other = make_run_folder(tmp_path), make_run_folder(tmp_path)
    folder.logs.joinpath("a.log").write_text("x")
    folder.script(TOKEN).write_text("x")
    folder.submitted_script(TOKEN).write_text("x")
    for path in (folder.records, folder.ended):
        (path / TOKEN).write_text("x")
    folder.remove()
    assert folder.logs.joinpath("a.log").exists()
    assert list((tmp_path / "runs").iterdir()) == [other.scripts.parent]
    folder.remove()


def test_logs_are_kept_for_some_weeks(tmp_path: Path) -> None:
    logs, pbs = tmp_path / "logs" / "a", tmp_path / "pbs"
    old = [aged(logs / "old", KEPT_DAYS + 1), aged(pbs / "old", KEPT_DAYS + 1)]
    young = [aged(logs / "young", KEPT_DAYS - 1), aged(pbs / "young", KEPT_DAYS - 1)]
    make_run_folder(tmp_path)
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in young)


def test_what_pbs_writes_late_and_empty_goes(tmp_path: Path) -> None:
    late, just_now = aged(tmp_path / "pbs" / "late", 0.1, ""), aged(tmp_path / "pbs" / "now", 0, "")
    make_run_folder(tmp_path)
    assert (late.exists(), just_now.exists()) == (False, True)


def test_the_empty_log_of_a_task_that_may_still_run_stays(tmp_path: Path) -> None:
    log = aged(tmp_path / "logs" / "a" / "quiet", 2, "")
    make_run_folder(tmp_path)
    assert log.exists()


def test_links_and_what_others_remove_meanwhile_are_no_trouble(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "dangling").symlink_to("nowhere")
    folder = aged(tmp_path / "elsewhere" / "file", KEPT_DAYS + 1).parent
    (logs / "folder").symlink_to(folder)
    make_run_folder(tmp_path)
    assert (folder / "file").exists()


def test_only_an_empty_log_is_removed(tmp_path: Path) -> None:
    empty, full = aged(tmp_path / "empty", 0, ""), aged(tmp_path / "full", 0)
    for path in (empty, full, tmp_path / "missing"):
        remove_if_empty(path)
    assert (empty.exists(), full.exists()) == (False, True)


# Runs that live


class Stale(type(Path())):  # type: ignore[misc]
    """A file that a network file system cannot find any more."""

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))


def test_a_log_that_cannot_be_looked_at_ends_no_run(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.touch()
    remove_if_empty(Stale(log))
    assert log.exists()
    assert not has_words(Stale(log))


def test_a_log_has_words_when_something_was_written_to_it(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    assert not has_words(log)
    log.touch()
    assert not has_words(log)
    log.write_text("x")
    assert has_words(log)


def test_a_run_is_held_by_one_process_while_it_lives(tmp_path: Path) -> None:
    folder = make_run_folder(tmp_path)
    assert run_folders(tmp_path) == [folder]
    with other_process(folder) as hold:
        assert hold() == "False"
    dead = RunFolder(tmp_path, "dead")
    dead.run.mkdir()
    with other_process(dead) as hold:
        assert hold() == "True"
        assert not dead.hold()
    assert dead.hold()


def test_the_lock_of_a_run_is_the_users_alone(tmp_path: Path) -> None:
    assert (make_run_folder(tmp_path).run / "lock").stat().st_mode & 0o777 == 0o600


def test_a_folder_without_a_lock_is_one_that_is_just_being_made(tmp_path: Path) -> None:
    RunFolder(tmp_path, "new").run.mkdir(parents=True)
    assert run_folders(tmp_path) == []
    assert run_folders(tmp_path / "absent") == []
