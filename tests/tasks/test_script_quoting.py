"""Law 8: no string is trusted. Whatever a path, a variable or a command holds arrives as it is."""

import os
import shlex
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from snakemake_executor_plugin_pbs_singularity.tasks.script import one_line, submitted_script
from snakemake_executor_plugin_pbs_singularity.tracking.witness import parse_record

from .run import SHELLS, Maker, Node, container, each_shell, many_texts, names, recorded, recorder, texts

NASTY = """it's a "test" $HOME `id` \\ \n#PBS -l select=9\n*;&"""
shells = st.sampled_from(SHELLS)


@many_texts
@given(workdir=names(), sh=shells)
@example(workdir=NASTY, sh=SHELLS[0])
def test_a_working_directory_of_any_name_is_the_one_that_the_command_runs_in(
    workdir: str, sh: str, new_node: Maker
) -> None:
    node = new_node(workdir)
    ended = node.run(node.direct('pwd -P >here && printf %s "$PBS_O_WORKDIR" >there', outputs=("here",)), sh)
    assert ended.status == 0, ended
    assert (node.workdir / "here").read_bytes() == os.fsencode(node.workdir.resolve()) + b"\n"
    assert (node.workdir / "there").read_bytes() == os.fsencode(node.workdir)


@many_texts
@given(name=names(), sh=shells)
@example(name="-rf", sh=SHELLS[0])
@example(name=NASTY, sh=SHELLS[0])
def test_files_of_any_name_are_awaited_removed_and_made(name: str, sh: str, new_node: Maker) -> None:
    node = new_node()
    for folder in ("in", "out"):
        (node.workdir / folder).mkdir()
        (node.workdir / folder / name).write_text("old")
    (node.workdir / name).write_text("old")
    task = node.direct(
        "true",
        inputs=(f"in/{name}",),
        outputs=(name, f"out/{name}", f"new/{name}/{name}"),
        logs=(f"logs/{name}/x",),
    )
    ended = node.run(task, sh)
    assert ended.status == 0, ended
    assert not os.path.lexists(node.workdir / name)
    assert not os.path.lexists(node.workdir / "out" / name)
    assert (node.workdir / "in" / name).read_text() == "old"
    assert (node.workdir / "new" / name).is_dir()
    assert (node.workdir / "logs" / name).is_dir()
    assert sorted(path.name for path in node.workdir.iterdir()) == ["in", "logs", "new", "out"]


@many_texts
@given(name=names(), sh=shells)
@example(name="-rf", sh=SHELLS[0])
def test_a_declared_directory_of_any_name_is_removed_with_all_in_it(name: str, sh: str, new_node: Maker) -> None:
    node = new_node()
    (node.workdir / name / "old").mkdir(parents=True)
    (node.workdir / f"{name}x").mkdir()
    ended = node.run(node.direct(outputs=(name,), directories=(name,)), sh)
    assert ended.status == 0, ended
    assert [path.name for path in node.workdir.iterdir()] == [f"{name}x"]


@many_texts
@given(value=texts(max_size=100), sh=shells)
@example(value=NASTY, sh=SHELLS[0])
def test_a_declared_variable_has_its_very_value(value: str, sh: str, new_node: Maker) -> None:
    node = new_node()
    environment = {**node.surroundings.environment, "DECLARED": value}
    ended = node.run(node.direct('printf %s "$DECLARED" >value'), sh, environment=environment)
    assert ended.status == 0, ended
    assert (node.workdir / "value").read_bytes() == os.fsencode(value)


@many_texts
@given(command=texts(min_size=1, max_size=200), shell=names(), sh=shells)
@example(command=NASTY, shell="-x", sh=SHELLS[0])
def test_the_shell_is_given_the_very_command(command: str, shell: str, sh: str, new_node: Maker) -> None:
    node = new_node()
    shell_path = recorder(node.root / "shells" / shell)
    ended = node.run(node.direct(command, shell=str(shell_path)), sh)
    assert ended.status == 0, ended
    assert recorded(node.workdir) == ["-c", command]


@many_texts
@given(
    workdir=names(),
    runtime=names(),
    image=names(),
    options=st.lists(texts(max_size=20), max_size=3),
    command=texts(max_size=50),
    sh=shells,
)
@example(workdir=NASTY, runtime=NASTY, image=NASTY, options=[NASTY, ""], command=NASTY, sh=SHELLS[0])
def test_the_container_runtime_is_given_every_word_as_it_is(
    workdir: str, runtime: str, image: str, options: list[str], command: str, sh: str, new_node: Maker
) -> None:
    node = new_node(workdir)
    command_path = recorder(node.root / "bin" / runtime)
    image_path = Path("/images", image)
    box = container(command_path, options=tuple(options))
    task = node.direct(command, container=type(box)(box.runtime, image_path, box.options), tmpdir="/tmp")
    ended = node.run(task, sh)
    assert ended.status == 0, ended
    home = ["exec", "--home", str(node.workdir), "--pwd", str(node.workdir)]
    assert recorded(node.workdir) == [*home, *options, str(image_path), "bash", "-c", command]


@many_texts
@given(name=names(), sh=shells)
@example(name=NASTY, sh=SHELLS[0])
def test_log_and_folder_of_the_records_may_have_any_name(name: str, sh: str, new_node: Maker) -> None:
    node = new_node()
    log = node.root / "logs" / name / f"{name}.log"
    (node.root / name).mkdir()
    task = node.direct("echo heard", log=log)
    ended = node.run(task, sh, records=node.root / name)
    assert ended.log == "heard\n"
    record = parse_record((node.root / name / task.token).read_text())
    assert record is not None
    assert record.exit_status == 0


@many_texts
@given(title=texts(max_size=100), sh=shells)
@example(title="rule a (x=\n#PBS -l select=9\n)", sh=SHELLS[0])
@example(title="a\rtouch bad", sh=SHELLS[0])
def test_a_title_never_ends_the_comment_that_it_stands_in(title: str, sh: str, new_node: Maker) -> None:
    node = new_node()
    ended = node.run(node.direct(), sh, title=title)
    assert (ended.status, ended.log, ended.printed) == (0, "", "")


@many_texts
@given(description=texts(max_size=100), python_name=names(), sh=shells)
@example(description=NASTY, python_name=NASTY, sh=SHELLS[0])
@example(description="\n", python_name="python", sh=SHELLS[0])
@example(description="\n-n \\c %s\n" * 5000, python_name="python", sh=SHELLS[0])
def test_a_nested_task_is_started_with_any_python_and_reads_the_very_description(
    description: str, python_name: str, sh: str, new_node: Maker
) -> None:
    node = new_node()
    python = recorder(node.root / "bin" / python_name)
    with python.open("a") as script:
        script.write("exec cat >description\n")
    ended = node.run(node.nested(python, description=description), sh)
    assert ended.status == 0, ended
    assert recorded(node.workdir) == ["-P", "-m", "snakemake_executor_plugin_pbs_singularity.nested"]
    assert (node.workdir / "description").read_bytes() == os.fsencode(description)


def directives(script: str) -> list[str]:
    """Read a script as qsub does: directives stand before the first line that would be executed (qsub(1B))."""
    found = []
    for line in script.split("\n"):
        if line.startswith("#PBS"):
            found.append(line)
        elif line.strip() and not line.lstrip().startswith("#"):
            break
    return found


@given(title=texts(), folder=texts(min_size=1))
@example(title=NASTY, folder=NASTY)
@example(title="\n#PBS -l select=9", folder="\n#PBS -l select=9\n")
def test_neither_title_nor_path_becomes_a_directive(title: str, folder: str) -> None:
    assert directives(submitted_script(title, Path("/", folder, "batch.sh"))) == []


def test_a_directive_would_be_found_where_the_title_stands() -> None:
    assert directives("#!/bin/sh\n# rule a\n#PBS -l select=9\ntask=x\n") == ["#PBS -l select=9"]


@many_texts
@given(name=names(), title=texts(max_size=50), sh=shells)
@example(name=NASTY, title=NASTY, sh=SHELLS[0])
def test_the_submitted_script_starts_the_batchs_own_of_any_name(
    name: str, title: str, sh: str, new_node: Maker
) -> None:
    node = new_node()
    script = node.root / name
    script.write_text("echo started; exit 3\n")
    assert node.run_text(submitted_script(title, script), sh) == (3, "started\n")


@given(texts())
def test_one_line_is_one_printable_line(text: str) -> None:
    line = one_line(text)
    assert line.isprintable()
    assert line.encode("utf-8").decode() == line


@given(st.text(st.characters(categories=["L", "N", "P", "S"])))
def test_printable_text_is_shown_as_it_is(text: str) -> None:
    assert one_line(text) == text


@each_shell
@pytest.mark.parametrize("name", ["LC_A-B", "LC_1 2", "BASH_FUNC_ml%%", "LC_X;echo bad #", "1", "", "UID", "SHELLOPTS"])
def test_a_variable_whose_name_no_shell_takes_is_left_out(name: str, sh: str, node: Node) -> None:
    environment = {**node.surroundings.environment, name: "x", "LAST": "seen"}
    ended = node.run(node.direct('printf %s "$LAST"'), sh, environment=environment)
    assert (ended.status, ended.log, ended.printed) == (0, "seen", "")


@each_shell
def test_shell_text_of_apptainer_args_is_expanded_as_snakemake_does(sh: str, node: Node) -> None:
    runtime = recorder(node.root / "bin/apptainer")
    box = container(runtime, shell_text='--bind "$HERE/a b" --cleanenv')
    environment = {**node.surroundings.environment, "HERE": "/data"}
    ended = node.run(node.direct("true", container=box, tmpdir="/tmp"), sh, environment=environment)
    assert ended.status == 0, ended
    words = recorded(node.workdir)
    assert words[5:8] == ["--bind", "/data/a b", "--cleanenv"]
    assert shlex.join(words[8:]) == "/images/a.sif bash -c true"
