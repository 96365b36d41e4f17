"""The process beside each running job: starts it, watches over it, records how it ended.

It is forked from the server and outlives it, so that a job's end is never lost. While it lives it holds the
job's FIFO open, by which a server knows that it is there; through it go session and usage, one JSON line
each. It takes SIGTERM for "end the job" and SIGUSR1 for "kill it". The last thing it does is to write the
file ``end``.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import resource
import shlex
import shutil
import signal
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_LIBC = ctypes.CDLL(None)
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER: orphans of the job become children of the keeper
_SIGNALS = frozenset({signal.SIGCHLD, signal.SIGTERM, signal.SIGUSR1})
_FIRST_SAMPLE = 1.0
_MOST_BETWEEN_SAMPLES = 5.0
_BETWEEN_SAMPLES_OF_A_LIMIT = 0.5
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024


@dataclass(frozen=True)
class Plan:
    """All that a keeper has to know."""

    folder: Path
    """The job's own folder in the home."""
    script: Path
    shell: str
    login: bool
    """Whether the shell reads the user's profile."""
    environment: Mapping[str, str]
    workdir: str
    umask: int
    output: str
    """Where its stdout goes at the end; "" for nowhere."""
    error: str
    default_names: tuple[str, str]
    """Names of the two files should ``output`` and ``error`` be folders."""
    join: str
    remove: str
    """Which of the two files (o, e) is thrown away if it ends well."""
    undelivered: Path
    walltime: int | None
    mem_kb: int | None
    """Memory at which the job is killed."""
    cput: int | None
    pvmem_kb: int | None
    grace: float
    """Seconds between TERM and KILL."""


@dataclass
class _Usage:
    cput: float = 0
    mem_kb: int = 0
    vmem_kb: int = 0
    walltime: int = 0


def start(plan: Plan, held: int) -> int:
    """Fork a keeper and give its process id. ``held`` is the writing end of the job's FIFO."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    process = os.fork()
    if process == 0:
        try:
            _keep(plan, held)
        except BaseException:
            (plan.folder / "trouble").write_text(traceback.format_exc())
        finally:
            os._exit(0)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return process


def _keep(plan: Plan, held: int) -> None:
    gc.disable()  # it would copy the server's memory
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    (plan.folder / "pid").write_text(str(os.getpid()))
    held = _close_all_but(held)
    _LIBC.prctl(_SUBREAPER, 1, 0, 0, 0)
    began = time.monotonic()
    job = _start_job(plan)
    _tell(held, {"session": job})
    status, reason, usage = _watch(plan, job, held, began)
    os.umask(plan.umask)
    staged_out = _deliver(plan, plan.remove if status == 0 and not reason else "")
    shutil.rmtree(plan.folder / "tmp", ignore_errors=True)
    record = {
        "status": status,
        "reason": reason,
        "session": job,
        "ended": time.time(),
        "staged_out": staged_out,
        "used": _used(usage),
    }
    unfinished = plan.folder / "end.new"
    unfinished.write_text(json.dumps(record))
    unfinished.rename(plan.folder / "end")


def _close_all_but(held: int) -> int:
    """Close what came from the server; stdin, stdout and stderr stay."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names are all that is wanted
        if int(name) > 2 and int(name) != held:
            with suppress(OSError):  # the one that the listing itself had open
                os.close(int(name))
    return held


def _start_job(plan: Plan) -> int:
    reading, writing = os.pipe()
    os.write(writing, f"{shlex.quote(str(plan.script))}\n".encode("utf-8", "surrogateescape"))
    os.close(writing)
    job = os.fork()
    if job == 0:
        try:
            _become_job(plan, reading)
        except BaseException as error:
            os.write(2, f"PBS: job could not be started: {error}\n".encode("utf-8", "backslashreplace"))
        finally:
            os._exit(254)
    os.close(reading)
    return job


def _become_job(plan: Plan, script_name: int) -> None:
    os.setsid()
    os.umask(0o077)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    output, error = (os.open(plan.folder / name, flags, 0o600) for name in ("OU", "ER"))
    if plan.join != "n":
        output = error = output if plan.join == "oe" else error
    os.dup2(script_name, 0)
    os.dup2(output, 1)
    os.dup2(error, 2)
    for signal_number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
        signal.signal(signal_number, signal.SIG_DFL)  # Python ignores or catches these
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if plan.cput is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (plan.cput, plan.cput))
    if plan.pvmem_kb is not None:
        resource.setrlimit(resource.RLIMIT_AS, (plan.pvmem_kb * 1024, plan.pvmem_kb * 1024))
    try:
        os.chdir(plan.workdir)
    except OSError:
        os.chdir("/")
    os.umask(plan.umask)
    # As pbs_mom does it: the shell reads the script's name from its standard input.
    os.execve(plan.shell, [f"{'-' if plan.login else ''}{Path(plan.shell).name}"], dict(plan.environment))  # noqa: S606


def _watch(plan: Plan, job: int, held: int, began: float) -> tuple[int, str, _Usage]:
    """Wait for the job's end, and bring it about if it must be. Gives wait status, reason and usage."""
    usage = _Usage()
    reason = ""
    kill_at = float("inf")
    limit_at = float("inf") if plan.walltime is None else began + plan.walltime + 1
    between = _BETWEEN_SAMPLES_OF_A_LIMIT if plan.mem_kb is not None else _FIRST_SAMPLE
    sample_at = began + between
    while True:
        left = min(kill_at, limit_at, sample_at) - time.monotonic()
        received = signal.sigtimedwait(_SIGNALS, max(left, 0)) if left > 0 else None
        now = time.monotonic()
        usage.walltime = int(now - began)
        number = received.si_signo if received is not None else 0
        if number == signal.SIGCHLD:
            status = _reap(job)
            if status is not None:
                break
        elif number == signal.SIGUSR1:
            reason = "force"
            kill_at = now
        elif number == signal.SIGTERM and not reason:
            reason = "deleted"
        if now >= sample_at:
            _sample(usage, now - began)
            _tell(held, {"used": _used(usage)})
            if plan.mem_kb is None:
                between = min(between * 2, _MOST_BETWEEN_SAMPLES)
            sample_at = now + between
        if not reason:
            reason = _over_limit(plan, usage, now >= limit_at)
        if now >= limit_at:
            limit_at = float("inf")
        if reason and kill_at == float("inf"):
            _signal_all(signal.SIGTERM)
            kill_at = now + plan.grace
        elif now >= kill_at:
            _signal_all(signal.SIGKILL)
            kill_at = now + 0.5  # until it is gone
    if reason:
        _wait_for_rest(kill_at)
    usage.walltime = int(time.monotonic() - began)
    _end_rest()
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    usage.cput = max(usage.cput, children.ru_utime + children.ru_stime)
    return status, reason, usage


def _over_limit(plan: Plan, usage: _Usage, out_of_time: bool) -> str:
    if out_of_time:
        words = f"walltime {usage.walltime} exceeded limit {plan.walltime}"
        reason = "walltime"
    elif plan.mem_kb is not None and usage.mem_kb > plan.mem_kb:
        words = f"mem {usage.mem_kb}kb exceeded limit {plan.mem_kb}kb"
        reason = "mem"
    else:
        return ""
    with (plan.folder / ("OU" if plan.join == "oe" else "ER")).open("a") as file:
        file.write(f"=>> PBS: job killed: {words}\n")
    return reason


def _reap(job: int) -> int | None:
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


def _wait_for_rest(until: float) -> None:
    """Give the processes of a job whose shell has ended on TERM the time to end as well."""
    while _has_children() and (left := until - time.monotonic()) > 0:
        received = signal.sigtimedwait({signal.SIGCHLD, signal.SIGUSR1}, left)
        if received is not None and received.si_signo == signal.SIGUSR1:
            return
        _reap(0)


def _end_rest() -> None:
    """Kill what a job leaves behind when its script has ended."""
    for _ in range(100):
        _reap(0)
        if not _has_children() or not _signal_all(signal.SIGKILL):
            return
        time.sleep(0.01)


def _has_children() -> bool:
    """Tell whether anything of the job is left; orphans are this process's children too."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _signal_all(number: int) -> bool:
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


def _sample(usage: _Usage, elapsed: float) -> None:
    processes = _descendants().values()
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    # fields 14 to 17, 23 and 24 of proc(5) stat: times, those of waited-for children, vsize, rss
    ticks = sum(int(value) for values in processes for value in values[11:15])
    usage.cput = max(usage.cput, ticks / _TICKS + ended.ru_utime + ended.ru_stime)
    usage.vmem_kb = max(usage.vmem_kb, sum(int(values[20]) for values in processes) // 1024)
    usage.mem_kb = max(usage.mem_kb, sum(int(values[21]) for values in processes) * _PAGE_KB)
    usage.walltime = int(elapsed)


def _used(usage: _Usage) -> dict[str, int]:
    return {
        "cpupercent": int(100 * usage.cput / max(usage.walltime, 1)) if usage.walltime else 0,
        "cput": int(usage.cput),
        "mem": usage.mem_kb,
        "vmem": usage.vmem_kb,
        "walltime": usage.walltime,
    }


def _tell(held: int, message: dict[str, object]) -> None:
    with suppress(BlockingIOError):  # no server has read for long; the file "end" will tell
        os.write(held, json.dumps(message).encode() + b"\n")


def _deliver(plan: Plan, remove: str) -> bool | None:
    """Copy the job's output to where it belongs; what cannot be is kept in the home. None if there is nothing to.

    What ``remove`` names (o, e) stays in the job's folder, which goes with the job.
    """
    delivered: bool | None = None
    for name, wanted, default in zip(("OU", "ER"), (plan.output, plan.error), plan.default_names, strict=True):
        source = plan.folder / name
        if not source.exists() or not wanted or {"OU": "o", "ER": "e"}[name] in remove:
            continue
        delivered = delivered is not False
        target = Path(wanted)
        if target.is_dir():
            target = target / default
        try:
            with source.open("rb") as reading, target.open("wb") as writing:
                shutil.copyfileobj(reading, writing)
        except OSError:
            delivered = False
            shutil.move(source, plan.undelivered / f"{plan.folder.name}.{name}")
    return delivered
