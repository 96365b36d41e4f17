"""qsub -I: waits for the job's turn, then passes on what is typed and what the job writes.

The job runs on a pseudo-terminal that qsub makes and keeps: when qsub is gone, the job's shell gets SIGHUP, and the
server, which sees it go, ends the job. Words and behaviour are those of OpenPBS 23.06 and TORQUE 6.1.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import socket
import sys
import termios
import tty
from contextlib import suppress

from .asking import ask, connect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, BinaryIO, NoReturn

_TIME_TO_THINK = 60  # seconds
_ASKED_ABOUT = {signal.SIGINT, signal.SIGTERM}


class _KilledError(Exception):
    """A signal is to end this process, once the terminal is as it was."""


def run(home: str, request: dict[str, Any]) -> int:
    """Submit an interactive job, be its terminal until it ends, and give the exit code: 0 however the job ended."""
    has_terminal = os.isatty(0) and os.isatty(1)
    master, slave = os.openpty()
    if has_terminal:
        termios.tcsetattr(slave, termios.TCSANOW, termios.tcgetattr(0))
        _copy_size(master)
    request |= {"terminal": os.ttyname(slave), "has_terminal": has_terminal}
    with connect(home) as connection, connection.makefile("rb") as answers:
        connection.sendall(json.dumps(request).encode() + b"\n")
        first = json.loads(answers.readline())
        # Whoever reads that it waits may press Ctrl-C at once.
        signal.pthread_sigmask(signal.SIG_BLOCK, _ASKED_ABOUT)
        _print(first)
        if "job" not in first:
            return int(first["code"])
        _expect_interrupts(home, first["job"])
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ASKED_ABOUT)
        line = answers.readline()
        for number in (signal.SIGINT, signal.SIGTSTP, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        if not line:  # the server is gone; the next one deletes what nobody waits for
            line = json.dumps({"err": f"qsub: job {first['job']} apparently deleted\n", "code": 1}).encode()
        answer = json.loads(line)
        _print(answer)
        if "ready" not in answer:
            return int(answer["code"])
        return _converse(connection, answers, master, slave, first["job"], has_terminal=has_terminal)


def _expect_interrupts(home: str, job: str) -> None:
    """While the job waits, ask at Ctrl-C whether to delete it."""

    def give_up() -> NoReturn:
        print(f"Job {job} is being deleted", flush=True)
        for _ in ask(home, "qdel", [job]):
            pass
        raise SystemExit(0)

    def think(_: int, __: FrameType | None) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, _ASKED_ABOUT)
        signal.alarm(_TIME_TO_THINK)
        print("Do you wish to terminate the job and exit (y|[n])? ", end="", flush=True)
        while (said := os.read(0, 1024)[:1].lower()) not in (b"n", b"\n"):
            if said in (b"y", b""):
                give_up()
            print("yes or no please", flush=True)
        signal.alarm(0)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ASKED_ABOUT)

    def too_long(_: int, __: FrameType | None) -> None:
        print("Timeout -- deleting job")
        give_up()

    def stay(_: int, __: FrameType | None) -> None:
        print("Sorry, you cannot suspend qsub until the job is started", flush=True)

    signal.signal(signal.SIGINT, think)
    signal.signal(signal.SIGTERM, think)
    signal.signal(signal.SIGTSTP, stay)
    signal.signal(signal.SIGALRM, too_long)


def _converse(
    connection: socket.socket, answers: BinaryIO, master: int, slave: int, job: str, *, has_terminal: bool
) -> int:
    """Pass on what is typed and written until the job has ended."""

    def end(number: int, _: FrameType | None) -> None:
        raise _KilledError(number)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGHUP, end)
    last: dict[str, Any] = {"out": f"\nqsub: job {job} completed\n", "code": 0}
    before = termios.tcgetattr(0) if has_terminal else None
    try:
        if before is not None:
            signal.signal(signal.SIGWINCH, lambda _, __: _copy_size(master))
            _copy_size(master)
            tty.setraw(0, termios.TCSANOW)  # not TCSAFLUSH: what was typed meanwhile is for the job
        said = _pass_on(connection, answers, master, slave)
        if said:
            last = json.loads(said)
            os.close(slave)
            while text := _read(master):
                os.write(1, text)
    except _KilledError as killed:
        _restore(before)
        signal.signal(killed.args[0], signal.SIG_DFL)
        os.kill(os.getpid(), killed.args[0])
    _restore(before)
    _print(last)
    return int(last["code"])


def _restore(before: list[Any] | None) -> None:
    """Make the caller's terminal what it was before the job."""
    if before is not None:
        with suppress(termios.error):  # it is gone
            termios.tcsetattr(0, termios.TCSADRAIN, before)


def _pass_on(connection: socket.socket, answers: BinaryIO, master: int, slave: int) -> bytes:
    """Copy between the two terminals until the server says something, and give it.

    Where the server goes first, the end of what the job writes is the end, and nothing is given.
    """
    sources = [0, master, connection.fileno()]
    while True:
        ready, _, _ = select.select(sources, [], [])
        if master in ready:
            text = _read(master)
            if not text:
                return b""
            os.write(1, text)
        if 0 in ready:
            typed = _read(0)
            if typed:
                os.write(master, typed)
            elif os.isatty(0):
                raise _KilledError(signal.SIGHUP)
            else:
                sources.remove(0)
        if connection.fileno() in ready:
            said = answers.readline()
            if said:
                return said
            sources.remove(connection.fileno())
            os.close(slave)  # the job alone has it open now


def _read(descriptor: int) -> bytes:
    """Give what there is, or nothing at the end, which a terminal tells by an error."""
    try:
        return os.read(descriptor, 65536)
    except OSError:
        return b""


def _copy_size(master: int) -> None:
    """Give the job's terminal the size of this one."""
    size = fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8))
    fcntl.ioctl(master, termios.TIOCSWINSZ, size)


def _print(answer: dict[str, Any]) -> None:
    sys.stderr.write(answer.get("err", ""))
    sys.stdout.write(answer.get("out", ""))
    sys.stdout.flush()
