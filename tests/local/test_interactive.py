"""Interactive jobs (``qsub -I``) on a terminal, as a real OpenPBS runs them."""

import fcntl
import os
import signal
import struct
import termios
import time
from collections.abc import Callable, Iterator

import pytest
from terminal import Terminal

from snakemake_executor_plugin_pbs_singularity.pbs.local.machine import current_user

from .conftest import LocalPbs

Start = Callable[..., Terminal]


@pytest.fixture
def start(pbs: LocalPbs) -> Iterator[Start]:
    """Starts commands on terminals, which are closed at the end."""
    terminals: list[Terminal] = []

    def run(*command: str) -> Terminal:
        terminals.append(Terminal(command, pbs.cwd, pbs.environment))
        return terminals[-1]

    yield run
    for terminal in terminals:
        os.close(terminal.descriptor)


def test_a_command_runs_on_the_terminal_and_qsub_gives_0(pbs: LocalPbs, start: Start) -> None:
    terminal = start("qsub", "-I", "--", "/bin/sh", "-c", "echo $PBS_ENVIRONMENT $TERM; stty size; pwd; exit 3")

    assert terminal.end() == 0

    assert terminal.seen == (
        f"qsub: waiting for job 1.{pbs.host} to start\nqsub: job 1.{pbs.host} ready\n\n"
        f"PBS_INTERACTIVE vt220\n33 111\n{current_user().home}\n\nqsub: job 1.{pbs.host} completed\n"
    )
    assert pbs.exit_status("1") == "0"
    assert pbs.attribute("1", "interactive") == "True"


def test_a_shell_reads_what_is_typed_and_ctrl_c_is_the_shells(pbs: LocalPbs, start: Start) -> None:
    terminal = start("qsub", "-I", "-S", "/bin/sh")
    terminal.wait_for("ready")
    terminal.type("sh -c 'echo begun; exec sleep 30'\n")
    terminal.wait_for("begun\n")
    terminal.type("\x03")
    terminal.type("echo after-$((40 + 2))\n")
    terminal.wait_for("after-42")
    terminal.type("exit 4\n")

    assert terminal.end() == 0
    assert pbs.state("1") == "F"


def test_a_window_that_changes_its_size_changes_the_jobs(start: Start) -> None:
    terminal = start("qsub", "-I", "-S", "/bin/sh")
    terminal.wait_for("ready")
    fcntl.ioctl(terminal.descriptor, termios.TIOCSWINSZ, struct.pack("4H", 20, 60, 0, 0))
    terminal.type("until stty size | grep '20 60'; do sleep 0.1; done; exit\n")
    terminal.wait_for("20 60\n")

    assert terminal.end() == 0


def test_it_waits_for_its_turn_as_any_job(pbs: LocalPbs, start: Start) -> None:
    first = pbs.submit("sleep 60", "-l ncpus=64")
    pbs.wait(first, state="R")
    terminal = start("qsub", "-I", "--", "/bin/echo", "late")
    terminal.wait_for("waiting for job 2")
    pbs.wait("2", state="Q")
    pbs.out(f"qdel {first}")

    assert terminal.end() == 0
    assert "late\n" in terminal.seen


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_no_job_is_left_when_qsub_is_killed(sent: signal.Signals, pbs: LocalPbs, start: Start) -> None:
    terminal = start("qsub", "-I", "--", "/bin/sleep", "60")
    terminal.wait_for("ready")
    pbs.wait("1", state="R")
    os.kill(terminal.process, sent)

    assert terminal.end() == -sent
    pbs.wait("1")


def test_nothing_is_left_of_a_job_that_ignores_the_end_of_its_terminal(pbs: LocalPbs, start: Start) -> None:
    pbs.set(kill_grace=0.3)
    terminal = start("qsub", "-I", "--", "/bin/sh", "-c", "trap '' HUP TERM; echo set; sleep 60; sleep 60")
    terminal.wait_for("\nset")
    os.kill(terminal.process, signal.SIGKILL)
    terminal.end()

    pbs.wait("1")


def test_a_job_that_waits_goes_with_its_qsub(pbs: LocalPbs, start: Start) -> None:
    terminal = start("qsub", "-I", "-h")
    terminal.wait_for("waiting")
    os.kill(terminal.process, signal.SIGKILL)
    terminal.end()

    pbs.wait("1")


def test_ctrl_c_while_it_waits_asks_whether_to_delete_it(pbs: LocalPbs, start: Start) -> None:
    question = "Do you wish to terminate the job and exit (y|[n])? "
    terminal = start("qsub", "-I", "-h")
    terminal.wait_for("waiting")
    terminal.type("\x03")
    terminal.wait_for(question)
    terminal.type("what\n")
    terminal.wait_for("yes or no please\n")
    terminal.type("y\n")

    assert terminal.end() == 0
    assert terminal.seen.endswith(f"y\nJob 1.{pbs.host} is being deleted\n")
    assert pbs.state("1") == "F"


def test_a_job_stays_that_is_not_to_be_deleted(pbs: LocalPbs, start: Start) -> None:
    terminal = start("qsub", "-I", "-h", "--", "/bin/echo", "at last")
    terminal.wait_for("waiting")
    terminal.type("\x03")
    terminal.wait_for("(y|[n])? ")
    terminal.type("n\n")
    pbs.out("qrls 1")

    assert terminal.end() == 0
    assert "at last\n" in terminal.seen


def test_qsub_ends_when_its_job_is_deleted(pbs: LocalPbs, start: Start) -> None:
    waiting, running = start("qsub", "-I", "-h"), start("qsub", "-I", "--", "/bin/sleep", "60")
    waiting.wait_for("waiting")
    running.wait_for("ready")
    jobs = pbs.out("qselect").split()
    pbs.out(f"qdel {' '.join(jobs)}")

    assert (waiting.end(), running.end()) == (1, 0)
    assert waiting.seen.endswith("apparently deleted\n")
    assert running.seen.endswith("completed\n")


def test_walltime_ends_it_and_is_said_on_the_terminal(pbs: LocalPbs, start: Start) -> None:
    terminal = start("qsub", "-I", "-l", "walltime=1", "--", "/bin/sleep", "60")

    assert terminal.end() == 0
    assert "\n=>> PBS: job killed: walltime 2 exceeded limit 1\n" in terminal.seen
    assert pbs.exit_status("1") == "-29"


def test_it_outlives_the_server(pbs: LocalPbs, start: Start) -> None:
    terminal = start("qsub", "-I", "-S", "/bin/sh")
    terminal.wait_for("ready")
    pbs.wait_until(lambda: pbs.attribute("1", "session_id"), "the shell never starts")
    pbs.stop_server()
    terminal.type("echo still-$((40 + 2))\n")
    terminal.wait_for("still-42")
    terminal.type("exit\n")

    assert terminal.end() == 0
    assert terminal.seen.endswith("completed\n")
    pbs.wait("1")


def test_one_that_waits_is_deleted_by_the_next_server(pbs: LocalPbs, start: Start) -> None:
    terminal = start("qsub", "-I", "-h")
    terminal.wait_for("waiting")
    pbs.stop_server()

    assert terminal.end() == 1
    assert pbs.state("1") == "F"


def test_a_server_stays_for_a_qsub_that_waits(pbs: LocalPbs, start: Start) -> None:
    pbs.set(idle=0.1)
    terminal = start("qsub", "-I", "-h", "--", "/bin/echo", "at last")
    terminal.wait_for("waiting")
    time.sleep(0.5)
    pbs.out("qrls 1")

    assert terminal.end() == 0
    assert "at last" in terminal.seen


def test_a_script_is_read_for_directives_only(pbs: LocalPbs, start: Start) -> None:
    (pbs.cwd / "job.sh").write_text("#PBS -N named\n#PBS -S /bin/sh\necho script\n")
    terminal = start("qsub", "-I", "job.sh")
    terminal.wait_for("ready")
    terminal.type("echo $PBS_JOBNAME-$((40 + 2)); exit\n")

    assert terminal.end() == 0
    assert "named-42\n" in terminal.seen
    assert "\nscript\n" not in terminal.seen


def test_it_cannot_be_an_array(start: Start) -> None:
    terminal = start("qsub", "-I", "-J", "0-3")

    assert terminal.end() == 2
    assert terminal.seen.startswith("qsub: interactive and array job submission cannot be used together\nusage: ")


def test_torque_runs_a_script_on_the_terminal(pbs: LocalPbs, start: Start) -> None:
    pbs.set(face="torque")
    script = pbs.cwd / "job.sh"
    script.write_text("#!/bin/sh\necho $PBS_ENVIRONMENT $TERM; stty size; exit 3\n")
    script.chmod(0o755)
    terminal = start("qsub", "-I", "-l", "nodes=1:ppn=2", "-N", "named", "-x", str(script))

    assert terminal.end() == 0
    assert "ready\n\nPBS_INTERACTIVE vt220\n33 111\n\nqsub: job 1" in terminal.seen
