"""What to think of a server, its queues, its history and its arrays. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from ...pbs.explain import duration
from ...pbs.server import Queue, Server
from ...text import count
from .findings import Finding, ok, problem, warning

_SMALL_ARRAY = 50
"""Subjobs below which arrays are small."""
_LIMITS = {
    "walltime": "walltime",
    "ncpus": "ncpus",
    "procct": "cores",
    "mem": "mem",
    "nodect": "nodes",
    "ngpus": "ngpus",
}
_QUEUE_REMEDY = "Name one with --queue, and in the profile with pbs-singularity-queue: "


def judge_server(server: Server) -> Finding:
    """Tell that the server answers, and whether it starts jobs."""
    if server.schedules:
        return ok("server", f"{server.name} answers.")
    return warning(
        "server",
        f"{server.name} answers, but its scheduler is switched off (scheduling = False): jobs wait until it is on.",
        "Wait, as during maintenance, or ask the administrators when it will be switched on.",
    )


def judge_history(server: Server, *, torque: bool) -> Finding:
    """Tell whether PBS still knows a job that is over."""
    if torque:
        if server.keep_completed:
            return ok(
                "history", f"Jobs that are over stay known for {duration(server.keep_completed)} (keep_completed)."
            )
        attribute = "keep_completed=300"
    else:
        if server.keeps_history:
            return ok("history", "PBS keeps a history of jobs that are over.")
        attribute = "job_history_enable=True"
    return warning(
        "history",
        "PBS forgets jobs as soon as they are over: that a job ended is learned from its own exit record, but why PBS "
        "killed one (walltime, memory) cannot be told.",
        f"Workflows run without it. Ask the administrators for `qmgr -c 'set server {attribute}'`.",
    )


def judge_arrays(server: Server, queue: Queue | None) -> Finding:
    """Tell how many jobs one submission can hold."""
    sizes = [size for size in (server.max_array_size, queue.max_array_size if queue else None) if size is not None]
    if not sizes:
        return ok("arrays", "Neither server nor queue says how large a job array may be.")
    most = max(min(sizes), 1)
    if most == 1:
        said = "Job arrays are not allowed: every job is submitted by itself."
    else:
        said = f"A job array may have {count(most, 'subjob')}."
    if most >= _SMALL_ARRAY:
        return ok("arrays", said)
    return warning(
        "arrays",
        f"{said} 1,000 jobs are then {count(-(-1000 // most), 'qsub')}.",
        "Arrays are cut to that by themselves. Put several short jobs into one PBS job: --pbs-singularity-bundle 10, "
        "or bundle=10 in a rule's resources.",
    )


def judge_target(target: str | None, queues: Mapping[str, Queue], default: str | None) -> Finding:
    """Tell where a plain job goes; ``target`` is None if nobody knows."""
    names = ", ".join(sorted(name for name, queue in queues.items() if queue.enabled and queue.started))
    remedy = (
        f"{_QUEUE_REMEDY}{names}." if names else "No queue of this server is open now: wait, or ask the administrators."
    )
    if target is None:
        return problem("jobs go to", "No queue: the server has no default queue, and none is named.", remedy)
    queue = queues.get(target.partition("@")[0])
    if queue is None:
        return problem("jobs go to", f"There is no queue {target!r}.", remedy)
    what = f"{queue.name}, the default queue" if queue.name == default else f"The queue {queue.name}"
    if not queue.enabled:
        return problem("jobs go to", f"{what}, which takes no jobs now (not enabled).", remedy)
    if not queue.started:
        return problem("jobs go to", f"{what}, which is stopped: jobs wait there until it is started.", remedy)
    return ok("jobs go to", f"{what}.")


def judge_queues(queues: Mapping[str, Queue]) -> list[Finding]:
    """Tell what each queue takes."""
    return [ok(f"queue {name}", queue_in_words(queue)) for name, queue in sorted(queues.items())]


def queue_in_words(queue: Queue) -> str:
    """Say what a queue takes."""
    words = []
    if queue.routes:
        words.append(f"hands jobs on to {', '.join(queue.destinations) or 'nothing'}")
    if queue.from_route_only:
        words.append("takes jobs from other queues only")
    if not queue.enabled:
        words.append("takes no jobs now (not enabled)")
    if not queue.started:
        words.append("stopped: its jobs wait")
    if not queue.takes_batch:
        words.append("for interactive jobs only")
    words += [f"at most {limit}" for limit in _limits(queue.maxima)]
    words += [f"at least {limit}" for limit in _limits(queue.minima)]
    acls = [("users", queue.users), ("groups", queue.groups), ("hosts", queue.hosts)]
    words += [f"for certain {what} only" for what, entries in acls if entries is not None]
    words += [f"{name} {value}" for name, value in queue.counts]
    text = "; ".join(words) or "no limits that it tells of"
    return f"{text[0].upper()}{text[1:]}."


def _limits(amounts: Mapping[str, int | str]) -> list[str]:
    words = []
    for name, label in _LIMITS.items():
        amount = amounts.get(name)
        if amount is None:
            continue
        if isinstance(amount, int) and name == "walltime":
            words.append(f"{label} {duration(amount)}")
        elif isinstance(amount, int) and name == "mem":
            words.append(f"{label} {amount:,} MiB")
        else:
            words.append(f"{label} {amount}")
    return words
