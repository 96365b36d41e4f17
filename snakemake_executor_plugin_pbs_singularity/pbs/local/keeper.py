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

from .processes import Usage, end_rest, reap, sample, signal_all, used, wait_for_rest

_LIBC = ctypes.CDLL(None)
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER: orphans of the job become children of the keeper
_SIGNALS = frozenset({signal.SIGCHLD, signal.SIGTERM, signal.SIGUSR1})
_FIRST_SAMPLE = 1.0
_MOST_BETWEEN_SAMPLES = 5.0
_BETWEEN_SAMPLES_OF_A_LIMIT = 0.5


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
    data_kb: int | None
    """Limit of the data segment of each process (``ulimit -d``)."""
    grace: float
    """Seconds between TERM and KILL."""
    terminal: str = ""
    """The terminal of an interactive job, which has no output files."""
    command: tuple[str, ...] = ()
    """What an interactive job runs instead of its shell."""


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
    staged_out = _deliver(plan, plan.remove if status == 0 and not reason else "")
    _remove(plan.folder / "tmp")
    record = {
        "status": status,
        "reason": reason,
        "session": job,
        "ended": time.time(),
        "staged_out": staged_out,
        "used": used(usage),
    }
    unfinished = plan.folder / "end.new"
    unfinished.write_text(json.dumps(record))
    unfinished.rename(plan.folder / "end")


def _remove(folder: Path) -> None:
    """Remove a folder; quickly, if nothing is in it."""
    try:
        folder.rmdir()
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)


def _close_all_but(held: int) -> int:
    """Close what came from the server; stdin, stdout and stderr stay."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names are all that is wanted
        if int(name) > 2 and int(name) != held:
            with suppress(OSError):  # the one that the listing itself had open
                os.close(int(name))
    return held


def _start_job(plan: Plan) -> int:
    """Start the job's shell; this process has the job's folder and umask from now on.

    As pbs_mom does it, the shell reads the script's name from its standard input. Spawned, not forked: a copy of
    this process would cost more than all else that it does.
    """
    reading, writing = os.pipe()
    actions: list[tuple[object, ...]]
    if plan.terminal:
        # The first terminal that a new session opens becomes its own.
        outputs = []
        actions = [(os.POSIX_SPAWN_OPEN, 0, plan.terminal, os.O_RDWR, 0)]
        actions += [(os.POSIX_SPAWN_DUP2, 0, 1), (os.POSIX_SPAWN_DUP2, 0, 2)]
    else:
        outputs = [_open_output(plan, name) for name in ("OU", "ER")]
        actions = [(os.POSIX_SPAWN_DUP2, one, target) for target, one in enumerate((reading, *outputs))]
    os.umask(plan.umask)
    try:
        os.chdir(plan.workdir)
    except OSError:
        os.chdir("/")
    job = _spawn(plan, actions)
    with suppress(BrokenPipeError):  # a shell that has already ended
        os.write(writing, f"{shlex.quote(str(plan.script))}\n".encode("utf-8", "surrogateescape"))
    for descriptor in {reading, writing, *outputs}:
        os.close(descriptor)
    return job


def _spawn(plan: Plan, file_actions: list[tuple[object, ...]]) -> int:
    """Start the shell or command, within its limits and in a session of its own, and give its process id."""
    try:
        job = os.posix_spawn(
            plan.command[0] if plan.command else plan.shell,
            plan.command or [f"{'-' if plan.login else ''}{Path(plan.shell).name}"],
            plan.environment,
            file_actions=file_actions,
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT),  # Python ignores or catches these
        )
    except OSError as error:
        _say(plan, f"PBS: job could not be started: {error}")
        job = os.fork()
        if job == 0:
            os._exit(254)
    if plan.cput is not None:
        resource.prlimit(job, resource.RLIMIT_CPU, (plan.cput, plan.cput))
    if plan.data_kb is not None:
        resource.prlimit(job, resource.RLIMIT_DATA, (plan.data_kb * 1024, plan.data_kb * 1024))
    if plan.pvmem_kb is not None:
        resource.prlimit(job, resource.RLIMIT_AS, (plan.pvmem_kb * 1024, plan.pvmem_kb * 1024))
    return job


def _say(plan: Plan, words: str) -> None:
    """Write a line to the job's stderr."""
    with suppress(OSError):  # a terminal whose qsub is gone
        error = os.open(plan.terminal, os.O_WRONLY | os.O_NOCTTY) if plan.terminal else _open_output(plan, "ER")
        os.write(error, f"{words}\n".encode("utf-8", "backslashreplace"))
        os.close(error)


def _open_output(plan: Plan, name: str) -> int:
    """Open the file for one of the two outputs, or for both if they are joined."""
    name = {"oe": "OU", "eo": "ER"}.get(plan.join, name)
    return os.open(plan.folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def _watch(plan: Plan, job: int, held: int, began: float) -> tuple[int, str, Usage]:
    """Wait for the job's end, and bring it about if it must be. Gives wait status, reason and usage."""
    usage = Usage()
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
            status = reap(job)
            if status is not None:
                break
        elif number == signal.SIGUSR1:
            reason = "force"
            kill_at = now
        elif number == signal.SIGTERM and not reason:
            reason = "deleted"
        if now >= sample_at:
            sample(usage, now - began)
            _tell(held, {"used": used(usage)})
            if plan.mem_kb is None:
                between = min(between * 2, _MOST_BETWEEN_SAMPLES)
            sample_at = now + between
        if not reason:
            reason = _over_limit(plan, usage, now >= limit_at)
        if now >= limit_at:
            limit_at = float("inf")
        if reason and kill_at == float("inf"):
            signal_all(signal.SIGTERM)
            kill_at = now + plan.grace
        elif now >= kill_at:
            signal_all(signal.SIGKILL)
            kill_at = now + 0.5  # until it is gone
    if reason:
        wait_for_rest(kill_at)
    usage.walltime = int(time.monotonic() - began)
    end_rest()
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    usage.cput = max(usage.cput, children.ru_utime + children.ru_stime)
    return status, reason, usage


def _over_limit(plan: Plan, usage: Usage, out_of_time: bool) -> str:
    if out_of_time:
        words = f"walltime {usage.walltime} exceeded limit {plan.walltime}"
        reason = "walltime"
    elif plan.mem_kb is not None and usage.mem_kb > plan.mem_kb:
        words = f"mem {usage.mem_kb}kb exceeded limit {plan.mem_kb}kb"
        reason = "mem"
    else:
        return ""
    _say(plan, f"=>> PBS: job killed: {words}")
    return reason


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
        if not wanted or {"OU": "o", "ER": "e"}[name] in remove or not source.exists():
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
