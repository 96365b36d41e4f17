"""The script of a batch: an index picks the line that runs, and nothing of the script reaches a command."""

import os
import re
import shlex
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from snakemake_executor_plugin_pbs_singularity.tasks import script as module
from snakemake_executor_plugin_pbs_singularity.tasks.script import (
    Container,
    DirectTask,
    NestedTask,
    Surroundings,
    batch_script,
    submitted_script,
)

from .run import SET_BY_PBS, SHELLS, Maker, Node, container, each_shell, many_texts, names, recorder, starter, texts
from .test_script_ends import THREAD_VARIABLES, TMPDIR_VARIABLES
from .test_script_quoting import NASTY

shells = st.sampled_from(SHELLS)
VARIABLES = set(
    re.findall(
        r"\b_pbs_[a-z_]+",
        Path(module.__file__).with_name("functions.sh").read_text() + Path(module.__file__).read_text(),
    )
)
"""All that the script may call a variable, and some more."""


def one_each(*tasks: DirectTask) -> list[list[DirectTask]]:
    """Give tasks as bundles of one."""
    return [[task] for task in tasks]


# One line of many


@each_shell
@pytest.mark.parametrize("index", [0, 1, 3, 6])
def test_the_bundle_of_the_index_runs_and_no_other(index: int, sh: str, node: Node) -> None:
    tasks = node.several(*(f"echo {number}; exit {number}" for number in range(7)))
    ended = node.run_text(batch_script("tasks", one_each(*tasks), node.surroundings), sh, index)
    assert ended == (index, "")
    assert [node.log(task) for task in tasks] == [f"{number}\n" if number == index else "" for number in range(7)]
    assert [path.name for path in node.records.iterdir()] == [str(index)]


@each_shell
def test_a_bundle_of_several_among_others_runs_alone(sh: str, node: Node) -> None:
    tasks = node.several("echo 0", "echo 1", "echo 2", "echo 3")
    text = batch_script("tasks", [tasks[:1], tasks[1:3], tasks[3:]], node.surroundings)
    assert node.run_text(text, sh, 1) == (0, "")
    assert [node.log(task) for task in tasks] == ["", "1\n", "2\n", ""]


@each_shell
def test_the_index_is_that_of_pbs_and_that_of_a_plain_job_is_zero(sh: str, node: Node) -> None:
    tasks = node.several("echo zero", "echo one", "echo two")
    batch = node.root / "batch.sh"
    batch.write_text(batch_script("tasks", one_each(*tasks), node.surroundings))
    submitted = submitted_script("tasks", batch)
    assert node.run_text(submitted, sh, "", set_by_pbs={"PBS_ARRAY_INDEX": "2"}) == (0, "")
    assert [node.log(task) for task in tasks] == ["", "", "two\n"]
    assert node.run_text(submitted, sh, "") == (0, "")
    assert [node.log(task) for task in tasks] == ["zero\n", "", "two\n"]


@each_shell
@pytest.mark.parametrize("index", [3, 4, 10_000])
def test_an_index_that_is_not_there_fails_and_nothing_runs(index: int, sh: str, node: Node) -> None:
    text = batch_script("tasks", one_each(*node.several("true", "true", "true")), node.surroundings)
    assert node.run_text(text, sh, index) == (1, "")
    assert list(node.records.iterdir()) == []
    assert not (node.root / "logs").exists()


@each_shell
def test_the_last_of_ten_thousand_is_found(sh: str, node: Node) -> None:
    text = batch_script("tasks", one_each(*node.several(*["exit 3"] * 10_000)), node.surroundings)
    assert node.run_text(text, sh, 9_999) == (3, "")
    assert [path.name for path in node.records.iterdir()] == ["9999"]


lines = texts(max_size=30)
paths = lines.map(Path)
boxes = st.builds(Container, paths, paths, st.lists(lines, max_size=2).map(tuple), st.just("--nv"))
direct = st.builds(
    DirectTask,
    token=st.just("a"),
    log=paths,
    shell=lines | st.just("bash"),
    command=lines,
    container=st.none() | boxes | st.just(Container(Path("/bin/apptainer"), Path("/a.sif"))),
    threads=st.integers(1, 9),
    tmpdir=st.none() | lines,
    inputs=st.lists(lines, max_size=2).map(tuple),
    outputs=st.lists(lines, max_size=2).map(tuple),
    directories=st.lists(lines, max_size=1).map(tuple),
    logs=st.lists(lines, max_size=1).map(tuple),
)
nested = st.builds(NestedTask, token=st.just("b"), log=paths, python=lines, description=lines)


@given(
    bundles=st.lists(st.lists(direct | nested, min_size=1, max_size=4), min_size=1, max_size=4),
    title=lines,
    workdir=paths,
    value=lines,
)
def test_whatever_they_hold_each_bundle_is_one_line_at_the_end(
    bundles: list[list[DirectTask | NestedTask]], title: str, workdir: Path, value: str
) -> None:
    surroundings = Surroundings(workdir, workdir, workdir, 0o022, {"DECLARED": value}, 0)
    script = batch_script(title, bundles, surroundings).split("\n")
    assert script[-1] == ""
    assert script[-2 - len(bundles)].startswith('eval "$_pbs_bundle"')
    for line in script[-1 - len(bundles) : -1]:
        assert not any(line.startswith(word) for word in ("#", " ")), line
        assert len(list(shlex.shlex(line, punctuation_chars=True, posix=True))) > 1  # its quotes are balanced


@many_texts
@given(
    parts=st.lists(st.tuples(texts(min_size=1, max_size=60), names(), names()), min_size=2, max_size=4),
    index=st.integers(0, 3),
    value=texts(max_size=30),
    sh=shells,
)
@example(
    parts=[(NASTY, NASTY, NASTY), ("\n", "\n", "\n"), ("a\n\nb\n", "x\ny", "\ny")], index=0, value="\n", sh=SHELLS[0]
)
@example(
    parts=[(NASTY, NASTY, NASTY), ("\n", "\n", "\n"), ("a\n\nb\n", "x\ny", "\ny")], index=1, value="", sh=SHELLS[0]
)
@example(
    parts=[("\n", "\n", "\n"), (NASTY, NASTY, NASTY), ("a\n\nb\n", "x\ny", "\ny")], index=1, value="'", sh=SHELLS[-1]
)
def test_what_runs_is_what_the_index_says_whatever_the_others_hold(
    parts: list[tuple[str, str, str]], index: int, value: str, sh: str, new_node: Maker
) -> None:
    node = new_node()
    index %= len(parts)
    shell = str(recorder(node.root / "keeper"))
    tasks = [
        node.direct(
            command,
            str(number),
            shell=shell,
            log=node.root / "logs" / str(number) / f"{name}.log",
            outputs=(f"{number}/{name}/x",),
            tmpdir=f"tmp/{number}/{tmpdir}",
        )
        for number, (command, name, tmpdir) in enumerate(parts)
    ]
    text = batch_script("".join(map(str, parts)), one_each(*tasks), node.surroundings)
    assert node.run_text(text, sh, index) == (0, "")
    command, name, tmpdir = parts[index]
    assert (node.workdir / "arguments").read_bytes() == b"-c\0" + os.fsencode(command) + b"\0"
    assert [path.name for path in (node.root / "logs").iterdir()] == [str(index)]
    assert list((node.root / "logs" / str(index)).iterdir()) == [tasks[index].log]
    assert (node.workdir / str(index) / name).is_dir()
    assert (node.workdir / "tmp" / str(index) / tmpdir).is_dir()
    assert len(list(node.workdir.iterdir())) == 3


# The environment of a command


def environment(file: Path) -> dict[str, str]:
    """Read what `env -0` wrote, less what each shell sets for itself."""
    variables = dict(os.fsdecode(item).split("=", 1) for item in file.read_bytes().split(b"\0")[:-1])
    return {name: value for name, value in variables.items() if name not in ("_", "OLDPWD", "SHLVL")}


def tasks_of_each_kind(node: Node, command: str) -> list[list[DirectTask | NestedTask]]:
    """Give bundles that run a command: by itself, in a container, nested, and the same in bundles of two."""
    box = container(starter(node.root / "apptainer"))
    python = node.root / "python"
    python.write_text(f"#!/bin/sh\n{command}\n")
    python.chmod(0o755)

    def plain(token: str) -> DirectTask:
        return node.direct(command, token, tmpdir="/tmp")

    def boxed(token: str) -> DirectTask:
        return node.direct(command, token, tmpdir="/tmp", container=box)

    return [
        [plain("a")],
        [boxed("b")],
        [node.nested(python, token="c")],
        [plain("d"), plain("e")],
        [boxed("f"), boxed("g")],
        [node.nested(python, token="h"), node.nested(python, token="i")],
    ]


@each_shell
@pytest.mark.parametrize("kind", range(6))
def test_a_command_sees_what_was_declared_and_nothing_of_the_script(kind: int, sh: str, node: Node) -> None:
    bundles = tasks_of_each_kind(node, "env -0 >seen")
    declared = {**node.surroundings.environment, "LC_ALL": "C", "DECLARED": NASTY}
    surroundings = {"environment": declared}
    ended = node.run_bundle(bundles[kind], sh, **surroundings)
    assert ended.status == 0, ended
    is_nested = isinstance(bundles[kind][0], NestedTask)
    assert environment(node.workdir / "seen") == {
        **SET_BY_PBS,
        **declared,
        **({} if is_nested else {**dict.fromkeys(THREAD_VARIABLES, "1"), **dict.fromkeys(TMPDIR_VARIABLES, "/tmp")}),
        "PWD": str(node.workdir),
        "PBS_O_WORKDIR": str(node.workdir),
    }


@each_shell
@pytest.mark.parametrize("kind", range(6))
def test_a_variable_may_be_called_as_anything_in_the_script(kind: int, sh: str, node: Node) -> None:
    assert {"_pbs_record", "_pbs_status", "_pbs_token"} <= VARIABLES
    words = {name.removeprefix(prefix) for name in VARIABLES for prefix in ("_pbs", "_pbs_")} | {
        "label",
        "task",
        "script",
        "waited",
        "add",
        "finish",
        "i",
    }
    declared = {**node.surroundings.environment, **{name: f"my {name}" for name in words}}
    ended = node.run_bundle(tasks_of_each_kind(node, "env -0 >seen")[kind], sh, environment=declared)
    assert ended.status == 0, ended
    seen = environment(node.workdir / "seen")
    assert {name: seen.get(name) for name in declared} == declared


# What the server gets


@each_shell
def test_the_server_gets_less_than_four_kibibytes_without_anything_declared(sh: str, node: Node) -> None:
    folder = node.root
    while len(str(folder)) < 2_000:
        folder /= 'it\'s a "long" name ' * 10
    folder.mkdir(parents=True)
    wildcards = ",".join(f"sample{number}={'中' * 80}" for number in range(50))
    batch = folder / "batch.sh"
    batch.write_text("echo started\n")
    text = submitted_script(f"rule a ({wildcards})", batch)
    assert len(text.encode()) < 4096
    assert node.run_text(text, sh) == (0, "started\n")
