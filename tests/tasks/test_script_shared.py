"""Tasks of a bundle that share a container: one start for all of them, as long as it lasts."""

import os
import shlex
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from snakemake_executor_plugin_pbs_singularity.tasks.script import DirectTask

from .bundled import MakeDirect, boxed, each_direct_kind, nested, runtime
from .run import (
    SHELLS,
    Maker,
    Node,
    container,
    each_shell,
    many_texts,
    names,
    recorded,
    recorder,
    starter,
    starts,
    texts,
)
from .test_script_ends import THREAD_VARIABLES, TMPDIR_VARIABLES
from .test_script_quoting import NASTY

IMAGE = "/images/a.sif"
each_shell_within = pytest.mark.parametrize("within", [name for name in ("bash", "dash", "sh") if shutil.which(name)])


# One start


@each_shell
@each_shell_within
def test_one_start_is_enough_for_all_whether_they_fail_or_not(sh: str, within: str, node: Node) -> None:
    tasks = boxed(node, ["echo a", "exit 3", "kill -KILL $$", "echo d"])
    ended = node.run_bundle([replace(task, shell=f"/opt/{within}") for task in tasks], sh)
    assert (ended.status, ended.records) == (1, [0, 3, 137, 0])
    assert (ended.logs[0], ended.logs[1], ended.logs[3]) == ("a\n", "", "d\n")
    assert starts(runtime(node)) == [f"{IMAGE} {within} -s"]


@each_shell
def test_a_bundle_of_one_starts_its_container_with_its_command(sh: str, node: Node) -> None:
    assert node.run_bundle(boxed(node, ["exit 3"]), sh).status == 3
    assert starts(runtime(node)) == [f"{IMAGE} bash -c"]


@each_shell
def test_a_task_that_cannot_begin_is_not_in_the_container(sh: str, node: Node) -> None:
    first, *others = boxed(node, ["touch ran", "echo b", "echo c"])
    ended = node.run_bundle([replace(first, inputs=("missing",)), *others], sh)
    assert (ended.status, ended.records, ended.logs[1:]) == (1, [1, 0, 0], ["b\n", "c\n"])
    assert not (node.workdir / "ran").exists()
    assert len(starts(runtime(node))) == 1


@each_shell
def test_where_no_task_can_begin_no_container_starts(sh: str, node: Node) -> None:
    assert node.run_bundle(boxed(node, ["true", "true"], inputs=("missing",)), sh).records == [1, 1]
    assert starts(runtime(node)) == []


@each_shell
def test_old_outputs_of_each_task_are_gone_and_its_folders_there(sh: str, node: Node) -> None:
    for name in ("0", "1"):
        (node.workdir / name).write_text("old")
    tasks = [
        replace(task, outputs=(task.token, f"new{task.token}/out"))
        for task in boxed(node, ["! cat 0 && touch new0/out", "! cat 1 && touch new1/out"])
    ]
    assert node.run_bundle(tasks, sh).records == [0, 0]


@many_texts
@given(
    values=st.lists(texts(max_size=40), min_size=2, max_size=4),
    folder=names(),
    workdir=names(),
    options=st.lists(texts(max_size=20), max_size=2),
    sh=st.sampled_from(SHELLS),
)
@example(values=[NASTY] * 2, folder=NASTY, workdir=NASTY, options=[NASTY], sh=SHELLS[0])
@example(values=["\n", "a\n\nb\n"], folder="\n", workdir="x\n", options=["\n"], sh=SHELLS[-1])
def test_commands_and_logs_may_hold_anything(
    values: list[str], folder: str, workdir: str, options: list[str], sh: str, new_node: Maker
) -> None:
    node = new_node(workdir)
    options = [option for option in options if not option.endswith(".sif")]  # which the stand-in takes for its image
    box = container(starter(runtime(node)), options=tuple(options))
    tasks = [
        node.direct(
            f"printf %s {shlex.quote(value)} >{number}; echo {number}",
            str(number),
            container=box,
            log=node.root / "logs" / folder / f"{number}.log",
        )
        for number, value in enumerate(values)
    ]
    ended = node.run_bundle(tasks, sh)
    assert (ended.status, ended.records) == (0, [0] * len(values)), ended
    assert ended.logs == [f"{number}\n" for number in range(len(values))]
    assert [(node.workdir / task.token).read_bytes() for task in tasks] == [os.fsencode(value) for value in values]
    assert len(starts(runtime(node))) == 1


@each_shell
def test_more_commands_than_a_pipe_holds_run_in_one_start(sh: str, node: Node) -> None:
    commands = [f": {'x' * 50_000}; exit {number}" for number in range(5)]
    ended = node.run_bundle(boxed(node, commands), sh)
    assert (ended.records, len(starts(runtime(node)))) == ([0, 1, 2, 3, 4], 1)


# Containers that end too early


@each_shell
def test_whose_command_ends_the_container_has_its_status_and_the_others_run_in_another(sh: str, node: Node) -> None:
    ended = node.run_bundle(boxed(node, ["echo a", "echo b; kill -KILL $PPID; sleep 1", "echo c", "echo d"]), sh)
    assert (ended.status, ended.records) == (1, [0, 137, 0, 0])
    assert [log.splitlines()[0] for log in ended.logs] == ["a", "b", "c", "d"]
    assert len(starts(runtime(node))) == 2


@each_shell
def test_a_container_that_ends_well_before_its_commands_have_is_a_failure(sh: str, node: Node) -> None:
    tasks = boxed(node, ["echo a", "echo b"])
    runtime(node).write_text('#!/bin/sh\necho start >>"$0.starts"\n')
    ended = node.run_bundle(tasks, sh)
    assert (ended.status, ended.records) == (1, [1, 1])
    assert len(starts(runtime(node))) == 2


@each_shell
def test_every_task_of_a_container_that_cannot_start_says_why(sh: str, node: Node) -> None:
    tasks = boxed(node, ["echo a", "echo b", "echo c"])
    runtime(node).write_text('#!/bin/sh\necho start >>"$0.starts"\necho FATAL: no such image >&2\nexit 255\n')
    ended = node.run_bundle(tasks, sh)
    assert (ended.status, ended.records) == (1, [255, 255, 255])
    assert ended.logs == ["FATAL: no such image\n"] * 3


@each_shell
def test_every_task_has_a_record_where_there_is_no_runtime(sh: str, node: Node) -> None:
    tasks = boxed(node, ["echo a", "echo b"])
    runtime(node).unlink()
    ended = node.run_bundle(tasks, sh)
    assert (ended.status, ended.records) == (1, [127, 127])
    assert "apptainer" in ended.logs[0]


@each_shell
def test_a_container_that_outlives_its_runtime_runs_nothing_twice(sh: str, node: Node) -> None:
    commands = ["echo 0 >>ran", "echo 1 >>ran; kill -KILL $RUNTIME; sleep 0.2; exit 5", "echo 2 >>ran"]
    tasks = boxed(node, commands)
    runtime(node).write_text(
        '#!/bin/sh\necho start >>"$0.starts"\nuntil [ "${1%.sif}" != "$1" ]; do shift; done\n'
        'shift\nexport RUNTIME=$$\nexec 3<&0\n"$@" <&3 &\nwait\n'
    )
    ended = node.run_bundle(tasks, sh)
    assert (ended.status, ended.records) == (1, [0, 5, 0])
    assert (node.workdir / "ran").read_text().split() == ["0", "1", "2"]


@each_shell
def test_what_a_container_prints_of_its_own_is_no_record(sh: str, node: Node) -> None:
    tasks = boxed(node, ["echo a", "exit 3"])
    text = runtime(node).read_text()
    runtime(node).write_text(text.replace("exec", 'echo WARNING: 1 0; echo "1 0 x"; echo; echo container 9; exec'))
    ended = node.run_bundle(tasks, sh)
    assert (ended.status, ended.records, ended.logs) == (1, [0, 3], ["a\n", ""])


# What is not shared


@each_shell
def test_each_image_has_a_start_of_its_own(sh: str, node: Node) -> None:
    starter(runtime(node))
    images = ["a", "a", "b", "b", "c"]
    boxes = [container(runtime(node), image=Path(f"/images/{image}.sif")) for image in images]
    tasks = [node.direct(f"echo {number}", str(number), container=box) for number, box in enumerate(boxes)]
    ended = node.run_bundle(tasks, sh)
    assert (ended.status, ended.records, ended.logs) == (0, [0] * 5, [f"{number}\n" for number in range(5)])
    assert starts(runtime(node)) == ["/images/a.sif bash -s", "/images/b.sif bash -s", "/images/c.sif bash -c"]


@each_shell
def test_a_container_of_other_options_is_another(sh: str, node: Node) -> None:
    starter(runtime(node))
    boxes = [container(runtime(node), options=options) for options in ((), (), ("--nv",), ("--nv",))]
    tasks = [node.direct("true", str(number), container=box) for number, box in enumerate(boxes)]
    assert node.run_bundle(tasks, sh).records == [0] * 4
    assert len(starts(runtime(node))) == 2


@each_shell
def test_shells_that_cannot_take_several_commands_start_a_container_for_each(sh: str, node: Node) -> None:
    python = shutil.which("python3") or sys.executable
    tasks = boxed(node, ["print('a')", "import sys; sys.exit(3)", "print('c')"], shell=python)
    ended = node.run_bundle(tasks, sh, environment={"PATH": os.environ["PATH"]})
    assert (ended.status, ended.records, ended.logs) == (1, [0, 3, 0], ["a\n", "", "c\n"])
    assert starts(runtime(node)) == [f"{IMAGE} {Path(python).name} -c"] * 3


def seen(node: Node, tasks: list[DirectTask]) -> list[tuple[str, str]]:
    """Give what each task, which ran `env`, saw as its threads and its folder for temporary files."""
    variables = [dict(line.split("=", 1) for line in node.log(task).splitlines()) for task in tasks]
    for name in THREAD_VARIABLES:
        assert [shown[name] for shown in variables] == [shown["OMP_NUM_THREADS"] for shown in variables]
    for name in TMPDIR_VARIABLES:
        assert [shown[name] for shown in variables] == [shown["TMPDIR"] for shown in variables]
    return [(shown["OMP_NUM_THREADS"], shown["TMPDIR"]) for shown in variables]


@each_direct_kind
@each_shell
def test_each_task_has_its_own_threads_and_tmpdir(make: MakeDirect, sh: str, node: Node) -> None:
    for name in ("a", "b", "own"):
        (node.root / name).mkdir()
    a, b = str(node.root / "a"), str(node.root / "b")
    wanted = [(1, a), (1, a), (2, a), (2, a), (2, b), (2, b), (2, None), (2, None), (3, a), (4, None)]
    tasks = [
        replace(task, threads=threads, tmpdir=tmpdir)
        for task, (threads, tmpdir) in zip(make(node, ["env"] * len(wanted)), wanted, strict=True)
    ]
    ended = node.run_bundle(tasks, sh, set_by_pbs={"TMPDIR": str(node.root / "own")})
    assert ended.status == 0
    expected = [(str(threads), tmpdir or str(node.root / "own")) for threads, tmpdir in wanted]
    assert seen(node, tasks) == expected


@each_shell
def test_a_nested_task_after_others_has_neither_their_threads_nor_their_tmpdir(sh: str, node: Node) -> None:
    first, second, _ = boxed(node, ["true"] * 3, tmpdir=str(node.root / "a"), threads=7)
    third = nested(node, ["true", "true", "env"])[2]
    ended = node.run_bundle([first, second, third], sh, set_by_pbs={"TMPDIR": str(node.root)})
    shown = dict(line.split("=", 1) for line in ended.logs[2].splitlines())
    assert shown["TMPDIR"] == str(node.root)
    assert "OMP_NUM_THREADS" not in shown


@each_shell
def test_a_shared_container_is_given_what_each_would_be_alone(sh: str, node_outside_tmp: Node) -> None:
    node = node_outside_tmp
    box = container(recorder(node.root / "apptainer"), options=("--env", NASTY), shell_text='--bind "$HERE"')
    environment = {**node.surroundings.environment, "HERE": "/a b"}
    tmpdir = str(node.root / "it's a scratch")
    node.run_bundle(node.several("true", container=box, tmpdir=tmpdir), sh, environment=environment)
    alone = recorded(node.workdir)
    node.run_bundle(node.several("true", "true", container=box, tmpdir=tmpdir), sh, environment=environment)
    assert recorded(node.workdir) == [*alone[:-2], "-s"]
    assert alone[-3:] == ["bash", "-c", "true"]
    assert ["--bind", tmpdir] == alone[-6:-4]
