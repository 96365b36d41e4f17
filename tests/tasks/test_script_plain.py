"""A task's script by itself, as ``pbs-singularity script`` prints it."""

import subprocess
from dataclasses import replace

from hypothesis import given

from snakemake_executor_plugin_pbs_singularity.tasks.script import DirectTask, plain_script

from .run import SET_BY_PBS, Node, each_shell, many_texts, texts


def plain(node: Node, task: DirectTask, **surroundings: object) -> str:
    return plain_script(["# to read"], replace(task, log=None), replace(node.surroundings, **surroundings))


@each_shell
def test_its_output_and_exit_status_are_the_commands(sh: str, node: Node) -> None:
    task = node.direct("pwd; echo oh >&2; exit 3")
    assert node.run_text(plain(node, task), sh) == (3, f"{node.workdir}\noh\n")
    assert list(node.records.iterdir()) == []


def test_it_can_be_read_from_stdin_as_pbs_gives_it_to_a_shell(node: Node) -> None:
    text = plain(node, node.direct("cat; exit 4"))
    done = subprocess.run(
        ["sh"], input=text, env=SET_BY_PBS, cwd="/", capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (4, "")


@given(texts())
@many_texts
def test_a_command_may_hold_anything(node: Node, text: str) -> None:
    word = text.replace("\r", "")
    status, printed = node.run_text(plain(node, node.direct(f"printf %s {_quoted(word)}")))
    assert (status, printed) == (0, _shown(word))


@each_shell
def test_a_setup_that_fails_is_told(sh: str, node: Node) -> None:
    for setup in ("false", "exit 5", ". /no/such/file"):
        status, said = node.run_text(plain(node, node.direct("echo ran"), node_setup=setup), sh)
        assert status == 1
        assert "--pbs-singularity-node-setup failed" in said
        assert "ran\n" not in said


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _shown(text: str) -> str:
    return text.encode(errors="surrogateescape").decode(errors="replace")
