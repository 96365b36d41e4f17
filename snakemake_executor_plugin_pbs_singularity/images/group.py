"""Run a command with all that it starts as one group, of which no process outlives the call.

Apptainer starts ``mksquashfs``, which lives on when Apptainer is killed (transcripts apptainer/63 and 69).
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

POLL = 0.05
"""Seconds between two looks at a process."""
GRACE = 10.0
"""Seconds that a command has to clean up after TERM; Apptainer needs less than one (transcript apptainer/68)."""

Watch = Callable[[int, float], None]
"""Called at every look with the group's id and the seconds since its start; what it raises ends the group."""


def run_group(arguments: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path, watch: Watch) -> int:
    """Run a command in a folder, its words going to a log, and give its exit status."""
    start = time.monotonic()
    with log.open("wb") as file:
        process = subprocess.Popen(
            arguments,
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        while not _has_ended(process):
            watch(process.pid, time.monotonic() - start)
            time.sleep(POLL)
    finally:
        _end(process)
    return process.returncode


def bytes_handled(group: int) -> int:
    """Give how many bytes the living processes of a group have read and written so far, sockets included.

    A number that stays the same for minutes means that nothing goes on (proc(5), ``/proc/PID/io``).
    """
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(folder.name)) != group:
                continue
            lines = (folder / "io").read_text().splitlines()
        except (ProcessLookupError, FileNotFoundError, PermissionError):  # it ended meanwhile, or is not ours
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith(("rchar", "wchar")))
    return total


def end_orphans(folder: Path) -> None:
    """End the processes that work in a folder whose owner is gone, and wait a little for them to be gone.

    A command whose caller was killed works on (transcript apptainer/69); ``run_group`` started it there.
    """
    end = time.monotonic() + GRACE
    while (orphans := list(_working_in(folder))) and time.monotonic() < end:
        for orphan in orphans:
            with contextlib.suppress(ProcessLookupError):
                os.kill(orphan, signal.SIGKILL)
        time.sleep(POLL)


def _working_in(folder: Path) -> Iterator[int]:
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            if (process / "cwd").readlink().is_relative_to(folder.resolve()):
                yield int(process.name)


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Tell whether a process has ended; it is not reaped, so its id stays its own."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process, politely at first, and all that it started.

    The process is reaped last, so the id of its group cannot have become somebody else's.
    """
    try:
        if not _has_ended(process):
            os.killpg(process.pid, signal.SIGTERM)
            end = time.monotonic() + GRACE
            while not _has_ended(process) and time.monotonic() < end:
                time.sleep(POLL)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
