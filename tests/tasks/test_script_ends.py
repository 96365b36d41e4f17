"""How a task's script ends, and the surroundings that it gives its command."""

import os
import subprocess
import sys
import threading
import time

import pytest

from snakemake_executor_plugin_pbs_singularity.tasks.script import submitted_script

from .run import PATH, Node, each_shell, recorder

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "GOTO_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
TMPDIR_VARIABLES = ("TMPDIR", "TMP", "TEMPDIR", "TEMP")
"""As `snakemake/shell.py` sets them."""

# The exit record


@each_shell
@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("true", 0),
        ("exit 1", 1),
        ("exit 255", 255),
        ("no-such-command", 127),
        ("kill -SEGV $$", 139),
        ("kill -KILL $$", 137),
        ("kill -TERM $$", 143),
    ],
)
def test_the_record_and_the_shell_say_how_the_command_ended(command: str, status: int, sh: str, node: Node) -> None:
    ended = node.run(node.direct(command), sh)
    assert ended.record is not None
    assert (ended.record.exit_status, ended.status) == (status, status)


@each_shell
def test_the_record_says_when_and_where_the_task_ran(sh: str, node: Node) -> None:
    before = int(time.time())
    ended = node.run(node.direct("sleep 0.01"), sh)
    values = dict(line.split("=", 1) for line in (node.records / "a").read_text().splitlines())
    assert ended.record is not None
    assert values["host"] == ended.record.host == os.uname().nodename
    assert values["pbs_jobid"] == "7.server"
    assert before <= int(values["started"]) <= int(values["ended"]) <= time.time()


@each_shell
def test_only_a_whole_record_has_the_records_name(sh: str, node: Node) -> None:
    ended = node.run(node.direct("ls ../records"), sh)
    assert ended.log == ""
    assert [path.name for path in node.records.iterdir()] == ["a"]


@each_shell
def test_a_script_that_is_killed_leaves_no_record(sh: str, node: Node) -> None:
    ended = node.run(node.direct("kill -TERM $PPID"), sh)
    assert ended.status in (-15, 143)
    assert list(node.records.iterdir()) == []


@each_shell
def test_a_working_directory_that_is_gone_fails_the_task(sh: str, node: Node) -> None:
    ended = node.run(node.direct("echo ran"), sh, workdir=node.root / "gone")
    assert ended.record is not None
    assert ended.record.exit_status == 1
    assert "gone" in ended.log
    assert "ran" not in ended.log


@each_shell
def test_both_outputs_of_the_command_go_to_the_log_in_their_order(sh: str, node: Node) -> None:
    ended = node.run(node.direct("echo one; echo two >&2; echo three"), sh)
    assert (ended.log, ended.printed) == ("one\ntwo\nthree\n", "")


# Surroundings


@each_shell
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600), (0o002, 0o664)])
def test_files_get_the_users_umask(umask: int, mode: int, sh: str, node: Node) -> None:
    node.run(node.direct("touch out"), sh, umask=umask)
    assert (node.workdir / "out").stat().st_mode & 0o777 == mode


@each_shell
def test_thread_variables_are_the_rules_threads(sh: str, node: Node) -> None:
    ended = node.run(node.direct("env", threads=7), sh)
    shown = dict(line.split("=", 1) for line in ended.log.splitlines())
    assert {name: shown[name] for name in THREAD_VARIABLES} == dict.fromkeys(THREAD_VARIABLES, "7")


@each_shell
def test_the_tmpdir_resource_is_made_and_told(sh: str, node: Node) -> None:
    tmpdir = str(node.root / "it's $HOME" / "tmp")
    ended = node.run(node.direct('env; test -d "$TMPDIR"', tmpdir=tmpdir), sh)
    assert ended.status == 0, ended
    shown = dict(line.split("=", 1) for line in ended.log.splitlines())
    assert {name: shown[name] for name in TMPDIR_VARIABLES} == dict.fromkeys(TMPDIR_VARIABLES, tmpdir)


@each_shell
@pytest.mark.parametrize(
    "set_on_node", [set(), {"TMPDIR"}, {"TEMP"}, {"TMP"}, {"TEMP", "TMP"}, {"TMPDIR", "TEMP", "TMP"}]
)
@pytest.mark.parametrize("missing", [set(), {"TMPDIR"}])
def test_without_the_resource_tmpdir_is_what_python_finds_on_the_node(
    set_on_node: set[str], missing: set[str], sh: str, node: Node
) -> None:
    variables = {name: str(node.root / name) for name in set_on_node}
    for name in set_on_node - missing:
        (node.root / name).mkdir()
    found = subprocess.run(
        [sys.executable, "-c", "import tempfile; print(tempfile.gettempdir(), end='')"],
        env={"PATH": PATH, **variables},
        cwd=node.workdir,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout
    ended = node.run(node.direct('printf %s "$TMPDIR"'), sh, set_by_pbs=variables)
    assert ended.log == found


@each_shell
def test_a_tmpdir_may_look_like_an_option(sh: str, node: Node) -> None:
    ended = node.run(node.direct('test -d "./$TMPDIR"', tmpdir="-p"), sh)
    assert (ended.status, ended.log) == (0, "")


# Nested tasks and the script that is submitted


@each_shell
def test_a_nested_task_ends_as_its_snakemake_does(sh: str, node: Node) -> None:
    python = recorder(node.root / "python")
    python.write_text("#!/bin/sh\necho it went wrong\nexit 3\n")
    ended = node.run(node.nested(python), sh)
    assert ended.record is not None
    assert (ended.record.exit_status, ended.log) == (3, "it went wrong\n")


@each_shell
def test_a_precommand_comes_first_and_its_failure_is_the_tasks(sh: str, node: Node) -> None:
    python = recorder(node.root / "python")
    ended = node.run(node.nested(python, "echo first && exit 4"), sh)
    assert (ended.status, ended.log) == (4, "first\n")
    ended = node.run(node.nested(python, "echo first && false", token="b"), sh)
    assert ended.record is not None
    assert ended.record.exit_status == 1
    assert not (node.workdir / "arguments").exists()
    assert node.run(node.nested(python, "echo first", token="c"), sh).status == 0
    assert (node.workdir / "arguments").exists()


@each_shell
def test_the_submitted_script_waits_for_a_late_script_of_the_batch(sh: str, node: Node) -> None:
    late = node.root / "late.sh"
    timer = threading.Timer(0.3, late.write_text, ["echo started; exit 3\n"])
    timer.start()
    ended = node.run_text(submitted_script("rule a", late), sh)
    timer.join()
    assert ended == (3, "started\n")
