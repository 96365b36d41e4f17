"""``pbs-singularity shell``: a shell in a container, in an interactive job, on a real terminal."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from local.conftest import pbs
from terminal import Terminal

from snakemake_executor_plugin_pbs_singularity.pbs import openpbs, torque

from .test_exec import ALPHA, EXEC, Site, site

__all__ = ["pbs", "site"]

PATIENCE = 40


class ShellTerminal(Terminal):
    """``pbs-singularity shell`` on a terminal."""

    def __init__(self, site: Site, *words: str, **variables: str) -> None:
        super().__init__([EXEC[0], "shell", *words], site.folder, {**site.environment, **variables})

    def wait_for_prompt(self) -> None:
        """Wait until the shell reads what is typed: bash drops what came before."""
        self.wait_for("> ")


Start = Callable[..., ShellTerminal]


@pytest.fixture
def start(site: Site) -> Iterator[Start]:
    terminals: list[ShellTerminal] = []

    def run(*words: str, **variables: str) -> ShellTerminal:
        terminals.append(ShellTerminal(site, *words, **variables))
        return terminals[-1]

    yield run
    for terminal in terminals:
        os.close(terminal.descriptor)


def test_it_is_a_shell_in_the_image_and_its_exit_code_is_given(site: Site, start: Start) -> None:
    terminal = start(ALPHA)
    terminal.wait_for_prompt()
    terminal.type("grep PRETTY /etc/os-release; pwd; echo JOB=$PBS_JOBID\n")
    terminal.wait_for('PRETTY_NAME="test image alpha"\n' + str(site.folder))
    terminal.wait_for("JOB=1.")
    terminal.type("exit 3\n")
    assert terminal.end() == 3
    assert site.is_left_clean()


def test_on_a_torque_it_is_the_same(site: Site, start: Start) -> None:
    site.pbs.set(face="torque")
    terminal = start(ALPHA)
    terminal.wait_for_prompt()
    terminal.type("grep PRETTY /etc/os-release; stty size\n")
    terminal.wait_for('PRETTY_NAME="test image alpha"\n33 111\n')
    terminal.type("exit 3\n")
    assert terminal.end() == 3
    assert list(site.folder.iterdir()) == []


def test_the_window_has_its_size(start: Start) -> None:
    terminal = start(ALPHA)
    terminal.wait_for_prompt()
    terminal.type("stty size; echo $TERM\n")
    terminal.wait_for("33 111\nvt220\n")
    terminal.type("exit\n")
    assert terminal.end() == 0


def test_ctrl_c_is_the_shells(start: Start) -> None:
    terminal = start(ALPHA)
    terminal.wait_for_prompt()
    terminal.type("sh -c 'echo begun; exec sleep 60'\n")
    terminal.wait_for("begun\n")
    terminal.type("\x03")
    terminal.wait_for_prompt()
    terminal.type("echo code $?\n")
    terminal.wait_for("code 130\n")
    terminal.wait_for_prompt()
    terminal.type("\x04")
    assert terminal.end() == 0


def test_ctrl_c_while_the_job_waits_deletes_it(site: Site, start: Start) -> None:
    terminal = start("--extra=-h", ALPHA)
    terminal.wait_for("waiting for job")
    terminal.wait_for("It is held")
    terminal.type("\x03")
    assert terminal.end() == 130
    assert site.is_left_clean()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_the_job(number: int, code: int, site: Site, start: Start) -> None:
    terminal = start(ALPHA)
    terminal.wait_for_prompt()
    terminal.type("echo beg''un\n")
    terminal.wait_for("begun\n")
    os.kill(terminal.process, number)
    assert terminal.end() == code
    assert site.is_left_clean()


def test_a_closed_window_ends_the_job(site: Site) -> None:
    terminal = ShellTerminal(site, ALPHA)
    terminal.wait_for_prompt()
    os.close(terminal.descriptor)
    os.waitpid(terminal.process, 0)
    assert site.is_left_clean()


def test_a_job_that_is_deleted_is_told_in_words(site: Site, start: Start) -> None:
    terminal = start(ALPHA)
    terminal.wait_for_prompt()
    site.pbs.out(f"qdel {site.last_job()}")
    assert terminal.end() == 143
    assert "It was deleted while it ran" in terminal.seen
    assert site.is_left_clean()


def test_an_image_without_bash_has_a_shell_too(library: Path, start: Start) -> None:
    terminal = start("tools/bare")
    terminal.wait_for_prompt()
    terminal.type("echo sh''ell\n")
    terminal.wait_for("shell\n")
    terminal.type("exit 0\n")
    assert terminal.end() == 0


def test_here_within_a_job_no_other_is_submitted(site: Site, start: Start) -> None:
    terminal = start("--here", ALPHA, PBS_JOBID="1.vm")
    terminal.wait_for_prompt()
    terminal.type("grep PRETTY /etc/os-release\n")
    terminal.wait_for('PRETTY_NAME="test image alpha"\n')
    terminal.type("exit 5\n")
    assert terminal.end() == 5
    assert site.pbs.out("qselect -x") == ""
    assert site.is_left_clean()


def test_without_a_terminal_exec_is_named(site: Site) -> None:
    done = subprocess.run(
        [EXEC[0], "shell", ALPHA], cwd=site.folder, env=site.environment, stdin=subprocess.DEVNULL, capture_output=True
    )
    assert done.returncode == 2
    assert b"pbs-singularity exec IMAGE" in done.stderr


def test_each_pbs_starts_the_script_in_its_own_way() -> None:
    script = Path("/work/shell.sh")
    assert openpbs.interactive_arguments(["-q", "short"], "shell-1", script) == (
        ["-I", "-q", "short", "-N", "shell-1", "--", "/bin/sh", "/work/shell.sh", "0"]
    )
    assert torque.interactive_arguments([], "shell-1", script) == ["-I", "-N", "shell-1", "-x", "/work/shell.sh"]
