"""What the site wants done on a node before anything runs, and the container command that the node has."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake_executor_plugin_pbs_singularity.tasks.script import Container

from .run import SHELLS, Maker, Node, each_shell, many_texts, recorded, recorder


def container(command: Path) -> Container:
    return Container(command, Path("/images/a.sif"))


@each_shell
def test_what_it_sets_is_there_for_the_command(sh: str, node: Node) -> None:
    ended = node.run(node.direct('echo "$GREETING"'), sh, node_setup="GREETING=hello; export GREETING")
    assert (ended.status, ended.log) == (0, "hello\n"), ended


@each_shell
def test_what_it_puts_on_path_is_found_though_the_path_of_the_workflow_goes_with_the_task(sh: str, node: Node) -> None:
    recorder(node.root / "opt/singularity")
    box = container(Path("singularity"))
    ended = node.run(node.direct("true", container=box), sh, node_setup=f"PATH={node.root}/opt:$PATH")
    assert ended.status == 0, ended
    assert recorded(node.workdir)[0] == "exec"


@each_shell
def test_it_runs_once_for_all_tasks_of_a_job(sh: str, node: Node) -> None:
    tasks = node.several("true", "true", "exit 3")
    ended = node.run_bundle(tasks, sh, node_setup=f"echo ready >>'{node.root}/ready'")
    assert ended.records == [0, 0, 3]
    assert (node.root / "ready").read_text() == "ready\n"


@each_shell
@pytest.mark.parametrize(
    ("setup", "status"),
    [
        ("echo no such module >&2; false", "1"),
        ("(exit 7)", "7"),
        ("no-such-command", "127"),
        (". /nosuch/profile.sh; module load singularity", ""),
        ("exit 9", "9"),
        ("exit 0", "1"),
        ("set -e; false; true", "1"),
    ],
)
def test_where_it_fails_so_does_the_task_with_a_record_and_its_log_says_why(
    setup: str, status: str, sh: str, node: Node
) -> None:
    ended = node.run(node.direct("echo ran"), sh, node_setup=setup)
    assert ended.status == 1, ended
    assert ended.record is not None
    assert ended.record.exit_status == 1
    assert f"--pbs-singularity-node-setup failed with exit status {status}" in ended.log
    assert setup in ended.log
    assert "ran" not in ended.log.splitlines()


@each_shell
def test_what_it_says_when_it_fails_is_in_the_log(sh: str, node: Node) -> None:
    assert "no such module" in node.run(node.direct(), sh, node_setup="echo no such module; false").log


@each_shell
@pytest.mark.parametrize("setup", ["false", ". /nosuch"])
def test_where_it_fails_so_do_all_tasks_of_a_bundle(setup: str, sh: str, node: Node) -> None:
    together = [*node.several("true", "true", container=container(Path("/bin/singularity")))]
    ended = node.run_bundle(together, sh, node_setup=setup)
    assert (ended.status, ended.records) == (1, [1, 1]), ended
    assert all("node-setup failed" in log for log in ended.logs)


@each_shell
def test_a_task_that_has_ended_does_not_fail_afterwards(sh: str, node: Node) -> None:
    task = node.direct()
    (node.records / task.token).write_text("exit_status=0\nstarted=1\nended=2\nhost=a\npbs_jobid=1\n")
    ended = node.run(task, sh, node_setup="false")
    assert ended.record is not None
    assert ended.record.exit_status == 0


@each_shell
def test_it_is_asked_nothing(sh: str, node: Node) -> None:
    assert node.run(node.direct(), sh, node_setup="cat").status == 0


@each_shell
def test_module_is_found_where_login_shells_would_have_it(sh: str, node: Node) -> None:
    (node.root / "init").mkdir()
    (node.root / "init/sh").write_text('module() { LOADED="$*"; export LOADED; }\n')
    ended = node.run(
        node.direct('echo "$LOADED"'), sh, node_setup="module load a/1", set_by_pbs={"MODULESHOME": str(node.root)}
    )
    assert (ended.status, ended.log) == (0, "load a/1\n"), ended


@each_shell
@pytest.mark.skipif(Path("/usr/share/modules/init/sh").exists(), reason="this machine has environment modules")
def test_module_where_there_is_none_is_said(sh: str, node: Node) -> None:
    ended = node.run(node.direct(), sh, node_setup="module load a")
    assert "module: " in ended.log
    assert "not found" in ended.log
    assert "exit status 127" in ended.log


@many_texts
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r")), sh=st.sampled_from(SHELLS))
def test_whatever_it_holds_reaches_the_shell_as_it_is(text: str, sh: str, new_node: Maker) -> None:
    node = new_node()
    setup = f": <<'END OF TEXT'\n{text}\nEND OF TEXT\nexport HEARD=1"
    ended = node.run(node.direct("echo $HEARD"), sh, node_setup=setup)
    assert (ended.status, ended.log) == (0, "1\n"), ended


# The container command


@each_shell
@pytest.mark.parametrize("command", ["singularity-that-is-not-here", "/nosuch/bin/apptainer"])
def test_a_container_command_that_the_node_has_not_is_said_in_the_log(command: str, sh: str, node: Node) -> None:
    ended = node.run(node.direct(container=container(Path(command))), sh)
    assert ended.status == 127
    assert f"The container command {command} is not on the node " in ended.log


@each_shell
def test_a_container_command_that_the_node_has_not_fails_each_task_of_a_bundle(sh: str, node: Node) -> None:
    ended = node.run_bundle(node.several("true", "true", container=container(Path("/nosuch/apptainer"))), sh)
    assert (ended.status, ended.records) == (1, [127, 127])
    assert all("is not on the node" in log for log in ended.logs)


@each_shell
def test_a_name_is_looked_up_on_the_nodes_own_path_too(sh: str, node: Node) -> None:
    recorder(node.root / "opt/singularity")
    task = node.direct(container=container(Path("singularity")))
    ended = node.run(task, sh, set_by_pbs={"PATH": f"{node.root}/opt:/usr/bin:/bin"})
    assert ended.status == 0, ended
    assert recorded(node.workdir)[0] == "exec"


@each_shell
def test_terminal_escapes_before_what_a_shared_container_says_are_read_over(sh: str, node: Node) -> None:
    """Singularity 2.6.1 with --nv where there is no GPU: transcript singularity-2.6.1/08."""
    command = node.root / "singularity"
    command.write_text(
        '#!/bin/sh\nprintf \'\\033[33m\\033(B\\033[m\'\nwhile [ "$1" != bash ]; do shift; done\nexec "$@"\n'
    )
    command.chmod(0o755)
    ended = node.run_bundle(node.several("true", "exit 4", container=container(command)), sh)
    assert ended.records == [0, 4], ended
