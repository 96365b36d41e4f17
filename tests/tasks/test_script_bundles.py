"""Tasks of a bundle run one after the other, and each is one of its own."""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from snakemake_executor_plugin_pbs_singularity.tasks.script import DirectTask, NestedTask
from snakemake_executor_plugin_pbs_singularity.tracking.witness import put_away

from .bundled import Make, MakeDirect, boxed, each_direct_kind, each_kind, nested, plain
from .run import SET_BY_PBS, Maker, Node, each_shell, own, recorder, shell_command


@each_kind
@each_shell
def test_each_task_has_its_own_log_and_record_and_a_failing_one_does_not_take_the_others_along(
    make: Make, sh: str, node: Node
) -> None:
    ended = node.run_bundle(make(node, ["echo a", "echo b >&2; exit 3", "kill -KILL $$", "echo d"]), sh)
    assert (ended.status, ended.records, ended.printed) == (1, [0, 3, 137, 0], "")
    assert [ended.logs[number] for number in (0, 1, 3)] == ["a\n", "b\n", "d\n"]


@each_kind
@each_shell
def test_a_bundle_of_tasks_that_end_well_ends_well(make: Make, sh: str, node: Node) -> None:
    ended = node.run_bundle(make(node, ["echo a", "true", "echo c"]), sh)
    assert (ended.status, ended.records, ended.logs, ended.printed) == (0, [0, 0, 0], ["a\n", "", "c\n"], "")


@each_kind
@each_shell
@pytest.mark.parametrize("failing", [0, 2])
def test_a_bundle_fails_whichever_of_its_tasks_does(make: Make, failing: int, sh: str, node: Node) -> None:
    statuses = [5 if number == failing else 0 for number in range(3)]
    ended = node.run_bundle(make(node, [f"exit {status}" for status in statuses]), sh)
    assert (ended.status, ended.records) == (1, statuses)


@each_kind
@each_shell
def test_tasks_run_in_their_order_and_one_at_a_time(make: Make, sh: str, node: Node) -> None:
    commands = [f"echo {number} >>order; sleep 0.05; echo {number} >>order" for number in range(3)]
    assert node.run_bundle(make(node, commands), sh).status == 0
    assert (node.workdir / "order").read_text().split() == ["0", "0", "1", "1", "2", "2"]


@each_kind
def test_records_say_when_each_task_ran(make: Make, node: Node) -> None:
    tasks = make(node, ["true", "sleep 1.1", "true"])
    node.run_bundle(tasks)
    records = [dict(line.split("=") for line in (node.records / task.token).read_text().split()) for task in tasks]
    times = [int(record[name]) for record in records for name in ("started", "ended")]
    assert times == sorted(times)
    assert times[3] > times[2]
    assert {record["pbs_jobid"] for record in records} == {"7.server"}


@each_kind
@each_shell
def test_a_task_that_reads_stdin_takes_nothing_of_the_others(make: Make, sh: str, node: Node) -> None:
    ended = node.run_bundle(make(node, ["cat; echo a", "read -r line; echo b", "cat >all; echo c"]), sh)
    assert (ended.records, ended.logs) == ([0, 0, 0], ["a\n", "b\n", "c\n"])


@each_kind
@each_shell
def test_what_a_task_leaves_running_keeps_nobody_waiting(make: Make, sh: str, node: Node) -> None:
    leave = "sleep 300 & echo $! >>left"
    ended = node.run_bundle(make(node, [leave, f"{leave}; exit 4", "echo c"]), sh)
    for pid in (node.workdir / "left").read_text().split():
        os.kill(int(pid), signal.SIGKILL)
    assert (ended.records, ended.logs) == ([0, 4, 0], ["", "", "c\n"])


@each_kind
@each_shell
def test_a_task_leaves_the_others_nothing_but_its_files(make: Make, sh: str, node: Node) -> None:
    show = 'umask; pwd; echo "$LEFT:$PATH:$TMPDIR"; type ls >/dev/null'
    change = (
        "echo a >file; cd /; umask 077; export LEFT=x PATH=/nowhere TMPDIR=/nowhere; ls() { false; }; set -e; false"
    )
    ended = node.run_bundle(make(node, [show, change, f"{show}; cat file"]), sh)
    assert ended.records == [0, 1, 0]
    assert ended.logs[2] == f"{ended.logs[0]}a\n"


@each_direct_kind
@each_shell
def test_an_input_that_is_missing_concerns_its_task_alone(make: MakeDirect, sh: str, node: Node) -> None:
    first, second, third = make(node, ["echo a", "echo b", "echo c"])
    ended = node.run_bundle([first, replace(second, inputs=("missing",)), third], sh)
    assert (ended.status, ended.records) == (1, [0, 1, 0])
    assert (ended.logs[0], ended.logs[2]) == ("a\n", "c\n")
    assert ended.logs[1].startswith("The input file missing is not there after 0 seconds.")


@each_direct_kind
@each_shell
def test_an_output_that_is_protected_concerns_its_task_alone(
    make: MakeDirect, sh: str, user_node: tuple[Node, int | None]
) -> None:
    node, user = user_node
    protected = node.workdir / "protected"
    protected.write_text("precious")
    protected.chmod(0o444)
    own(protected, user)
    tasks = make(node, ["echo a >first", "echo b >protected", "echo c >last"])
    outputs = ["first", "protected", "last"]
    tasks = [replace(task, outputs=(output,)) for task, output in zip(tasks, outputs, strict=True)]
    ended = node.run_bundle(tasks, sh, user=user)
    assert (ended.status, ended.records) == (1, [0, 1, 0])
    assert ended.logs[1].startswith("The output protected is write-protected.")
    assert [(node.workdir / name).read_text() for name in outputs] == ["a\n", "precious", "c\n"]


@each_direct_kind
@each_shell
def test_where_no_task_can_begin_all_have_records(make: MakeDirect, sh: str, new_node: Maker) -> None:
    node = new_node()
    ended = node.run_bundle(make(node, ["echo a", "echo b"], inputs=("missing",)), sh)
    assert (ended.status, ended.records) == (1, [1, 1])
    node = new_node()
    ended = node.run_bundle(make(node, ["echo a", "echo b"]), sh, workdir=node.root / "gone")
    assert (ended.status, ended.records) == (1, [1, 1])
    assert all("gone" in log for log in ended.logs)


@each_shell
def test_tasks_of_all_kinds_may_be_in_one_bundle(sh: str, node: Node) -> None:
    commands = ["echo 0", "exit 3", "echo 2", "echo 3", "exit 4", "echo 5"]
    kinds = [make(node, commands) for make in (plain, boxed, nested, boxed, boxed, plain)]
    tasks = [tasks[number] for number, tasks in enumerate(kinds)]
    ended = node.run_bundle(tasks, sh)
    assert (ended.status, ended.records) == (1, [0, 3, 0, 0, 4, 0])
    assert ended.logs == ["0\n", "", "2\n", "3\n", "", "5\n"]


# What the script of a bundle leaves when PBS ends it, or begins it again


def kill_in_the_second(node: Node, tasks: Sequence[DirectTask | NestedTask], sh: str, by: signal.Signals) -> None:
    """Run a bundle and, as PBS does, end all its processes while its second task runs; back when all are gone."""
    reading, writing = os.pipe()
    script = node.write([tasks])
    process = subprocess.Popen(
        [*shell_command(sh, script), "0"], env=SET_BY_PBS, start_new_session=True, pass_fds=[writing]
    )
    os.close(writing)
    deadline = time.monotonic() + 60
    while not ((node.workdir / "begun").exists() and node.record(tasks[0])):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, by)
    assert process.wait(60) != 0
    assert os.read(reading, 1) == b""  # what ends when the last process has
    os.close(reading)


@each_kind
@each_shell
@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL])
def test_a_bundle_that_is_killed_leaves_the_records_of_those_that_have_ended(
    make: Make, by: signal.Signals, sh: str, node: Node
) -> None:
    tasks = make(node, ["exit 3", "touch begun; sleep 60", "touch ran"])
    kill_in_the_second(node, tasks, sh, by)
    assert node.exit_statuses(tasks) == [3, None, None]
    assert not (node.workdir / "ran").exists()


@each_kind
@each_shell
@pytest.mark.parametrize("is_read", [False, True])
def test_what_has_ended_does_not_run_again_when_pbs_begins_the_bundle_again(
    make: Make, is_read: bool, sh: str, node: Node
) -> None:
    commands = ["echo 0 >>ran; exit 3", "echo 1 >>ran; [ -e begun ] || { touch begun; sleep 60; }", "echo 2 >>ran"]
    tasks = make(node, commands)
    kill_in_the_second(node, tasks, sh, signal.SIGKILL)
    assert node.exit_statuses(tasks) == [3, None, None]
    if is_read:
        put_away(["0"], node.records, node.surroundings.ended)
    assert node.run_bundle(tasks, sh).records == [None if is_read else 3, 0, 0]
    assert (node.workdir / "ran").read_text().split() == ["0", "1", "1", "2"]


@each_shell
@pytest.mark.parametrize("is_read", [False, True])
@pytest.mark.parametrize("status", [0, 3])
def test_a_task_alone_that_has_ended_does_not_run_again_when_pbs_begins_it_again(
    status: int, is_read: bool, sh: str, node: Node
) -> None:
    task = node.direct(f"echo said; echo 0 >>ran; exit {status}", outputs=("ran",))
    first = node.run(task, sh)
    record = first.record
    assert record is not None
    assert record.exit_status == first.status == status
    if is_read:
        put_away([task.token], node.records, node.surroundings.ended)
    again = node.run(task, sh)
    assert again.record == (None if is_read else record)
    assert again.log == "said\n"
    assert (node.workdir / "ran").read_text().split() == ["0"]


@each_shell
def test_a_nested_task_that_has_ended_does_not_start_snakemake_again(sh: str, node: Node) -> None:
    task = node.nested(recorder(node.root / "python"))
    assert node.run(task, sh).status == 0
    (node.workdir / "arguments").unlink()
    node.run(task, sh)
    assert not (node.workdir / "arguments").exists()


@each_shell
def test_a_task_alone_that_was_killed_runs_when_pbs_begins_it_again(sh: str, node: Node) -> None:
    task = node.direct("echo 0 >>ran; [ -e begun ] || { touch begun; kill -KILL $PPID; }")
    assert node.run(task, sh).record is None
    assert node.run(task, sh).status == 0
    assert (node.workdir / "ran").read_text().split() == ["0", "0"]
