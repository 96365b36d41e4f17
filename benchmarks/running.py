"""Runs one case to its end and measures it. Whatever happens, no job of it is left in PBS."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from . import workflow
from .cases import Case, Way
from .commands import install
from .output import Reports, end_times
from .results import Result, delays
from .site import Site

POLL = 0.02
"""Seconds between two looks at a process or, as far as that is quick, at outputs."""
SHARE_OF_TIME = 0.05
"""The part of the time that looking at outputs may take."""
ASK_PBS = 10.0
"""Seconds after which PBS is asked whether jobs by hand are still there."""
PATIENCE = 60.0
"""Seconds for an interrupted process, and for the jobs of a run, to end."""


class RunError(Exception):
    """A run that failed; the text says why."""


class TooLongError(RunError):
    """A run that was ended because it took too long."""


@dataclass
class Ended:
    """A process that is over."""

    code: int
    cpu_seconds: float
    """Its own, and those of its children."""
    peak_mib: float
    """Of the largest of them."""


def run(site: Site, case: Case, repeat: int, folder: Path, limit: float, snakemake: Sequence[str] = ()) -> Result:
    """Run a case in a new folder and measure it. No job of it is left in PBS, and no process.

    Raises RunError if a job fails, TooLongError if the run takes more than ``limit`` seconds. The folder stays; what
    was printed is in its file ``said``.
    """
    folder.mkdir(parents=True)
    for name in (workflow.OUTPUTS, workflow.LOGS):
        (folder / name).mkdir()
    counting = install(folder / "bin", site.commands)
    environment = {**site.environment, "PATH": f"{counting.folder}{os.pathsep}{site.environment['PATH']}"}
    for name, text in workflow.files(case, site.runtime, site.image, site.environment["PATH"]).items():
        (folder / name).write_text(text)
    if case.way is Way.NULL:
        environment["PYTHONPATH"] = os.pathsep.join(
            filter(None, [str(workflow.NULL_FOLDER), environment.get("PYTHONPATH")])
        )
    load = os.getloadavg()[0]
    reports = Reports()
    start = time.monotonic()
    try:
        with _started(workflow.command(case, snakemake), folder, environment, reports) as process:
            ended = _wait(process, start + limit)
        if ended.code == 0 and case.way.is_by_hand:
            _wait_for_outputs(site, counting.ids, folder / workflow.OUTPUTS, case.size, start + limit)
        seconds = time.monotonic() - start
    except BaseException:
        site.delete(counting.ids)
        raise
    finally:
        _wait_for_end(site, counting.ids)
    outputs = _outputs(folder / workflow.OUTPUTS)
    if ended.code != 0 or len(outputs) < case.size:
        raise RunError(f"exit status {ended.code}, {len(outputs)} of {case.size} outputs")
    late = delays(end_times(outputs), reports.times)
    return Result(case, repeat, seconds, counting.calls, ended.cpu_seconds, ended.peak_mib, late, load)


@contextlib.contextmanager
def _started(
    command: list[str], folder: Path, environment: dict[str, str], reports: Reports
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command whose output goes to the file ``said`` and through ``reports``; interrupt what is left of it.

    It has a session of its own, so that Ctrl-C reaches it once, from here.
    """
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        reader = threading.Thread(target=_read, args=(process, reports, said), daemon=True)
        reader.start()
        try:
            yield process
        finally:
            if process.returncode is None:
                _interrupt(process)
            reader.join(1)  # a qsub of OpenPBS leaves a process behind for a minute, which may hold the pipe


def _read(process: subprocess.Popen[bytes], reports: Reports, said: IO[bytes]) -> None:
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    for line in process.stdout:
        reports.read(line)
        if not said.closed:
            said.write(line)


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait(process: subprocess.Popen[bytes], until: float) -> Ended:
    """Wait for a process; raises TooLongError if it is there longer than ``until``."""
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return Ended(process.returncode, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
        _pause(POLL, until)


def _wait_for_outputs(site: Site, ids: set[str], folder: Path, size: int, until: float) -> None:
    """Wait until all jobs have written their outputs, or PBS has none of them any more."""
    asked = time.monotonic()
    last_look = False
    while True:
        start = time.monotonic()
        if sum(1 for _ in folder.iterdir()) >= size or last_look:
            return
        if start - asked > ASK_PBS:
            asked = start
            last_look = not ids & site.active()
        _pause(max(POLL, (time.monotonic() - start) / SHARE_OF_TIME), until)


def _wait_for_end(site: Site, ids: set[str]) -> None:
    """Wait until PBS has none of these jobs any more; those that stay are deleted."""
    if not ids:
        return
    until = time.monotonic() + PATIENCE
    while ids & site.active():
        if time.monotonic() > until:
            site.delete(ids)
            return
        time.sleep(0.5)


def _pause(seconds: float, until: float) -> None:
    if time.monotonic() > until:
        raise TooLongError("it took too long")
    time.sleep(seconds)


def _outputs(folder: Path) -> dict[int, str]:
    """Give what jobs wrote into their outputs, by index; Snakemake removes the folder if they all failed."""
    return {int(path.name): path.read_text() for path in folder.iterdir()} if folder.exists() else {}
