"""The processes of a job, seen from its keeper: all that are below this process."""

from __future__ import annotations

import os
import resource
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024


@dataclass
class Usage:
    """What a job has used so far."""

    cput: float = 0
    """Seconds."""
    mem_kb: int = 0
    vmem_kb: int = 0
    walltime: int = 0
    """Seconds."""


def reap(job: int) -> int | None:
    """Collect all children that ended, and give the job's own wait status if it is among them."""
    found = None
    while True:
        try:
            process, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if process == job:
            found = status
        if process == 0:
            return found


def wait_for_rest(until: float) -> None:
    """Give the processes of a job whose shell has ended on TERM the time to end as well."""
    while _has_children() and (left := until - time.monotonic()) > 0:
        received = signal.sigtimedwait({signal.SIGCHLD, signal.SIGUSR1}, left)
        if received is not None and received.si_signo == signal.SIGUSR1:
            return
        reap(0)


def end_rest() -> None:
    """Kill what a job leaves behind when its script has ended."""
    for _ in range(100):
        reap(0)
        if not _has_children() or not signal_all(signal.SIGKILL):
            return
        time.sleep(0.01)


def _has_children() -> bool:
    """Tell whether anything of the job is left; orphans are this process's children too."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def signal_all(number: int) -> bool:
    """Send a signal to every process of the job; tell whether there was one."""
    processes = _descendants()
    for process in processes:
        with suppress(ProcessLookupError, PermissionError):  # it ended by itself, or became another user's
            os.kill(process, number)
    return bool(processes)


def _descendants() -> dict[int, list[str]]:
    """Give every living process below this one, with the fields of its ``stat`` from the state on."""
    parents: dict[int, list[int]] = {}
    stats: dict[int, list[str]] = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            text = Path(f"/proc/{entry.name}/stat").read_text(errors="replace")
        except OSError:
            continue  # it has ended
        values = text[text.rindex(")") + 2 :].split()
        process = int(entry.name)
        stats[process] = values
        parents.setdefault(int(values[1]), []).append(process)
    found: dict[int, list[str]] = {}
    below = [os.getpid()]
    while below:
        for process in parents.get(below.pop(), ()):
            below.append(process)
            if stats[process][0] != "Z":
                found[process] = stats[process]
    return found


def sample(usage: Usage, elapsed: float) -> None:
    """Look what the job uses now, so many seconds after it began."""
    processes = _descendants().values()
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    # fields 14 to 17, 23 and 24 of proc(5) stat: times, those of waited-for children, vsize, rss
    ticks = sum(int(value) for values in processes for value in values[11:15])
    usage.cput = max(usage.cput, ticks / _TICKS + ended.ru_utime + ended.ru_stime)
    usage.vmem_kb = max(usage.vmem_kb, sum(int(values[20]) for values in processes) // 1024)
    usage.mem_kb = max(usage.mem_kb, sum(int(values[21]) for values in processes) * _PAGE_KB)
    usage.walltime = int(elapsed)


def used(usage: Usage) -> dict[str, int]:
    """Give usage under the names that PBS has for it."""
    return {
        "cpupercent": int(100 * usage.cput / max(usage.walltime, 1)) if usage.walltime else 0,
        "cput": int(usage.cput),
        "mem": usage.mem_kb,
        "vmem": usage.vmem_kb,
        "walltime": usage.walltime,
    }
