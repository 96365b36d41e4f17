"""What a queue lets in, and why a job waits. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from .backlog import Room
from .job import Job, Request
from .machine import group_names
from .refusal import Reason, RefusalError
from .resources import SIZES, TIMES, parse_size, parse_time
from .settings import Settings


def need_of(job: Job) -> Room:
    """Give what a job, or each subjob of an array, takes."""
    wanted = job.request.resources
    return Room(wanted.ncpus, wanted.mem_kb, wanted.ngpus)


def check_admission(request: Request, settings: Settings, jobs: Iterable[Job]) -> None:
    """Raise RefusalError for what the queue or the server does not take (transcripts openpbs/05a and 06)."""
    queue = settings.queues.get(request.queue)
    if queue is None:
        raise RefusalError(Reason.UNKNOWN_QUEUE)
    if not queue.enabled:
        raise RefusalError(Reason.QUEUE_DISABLED)
    user, groups = request.owner.partition("@")[0], group_names()
    closed = queue.closed or (queue.acl_users and user not in _names(queue.acl_users))
    if closed or (queue.acl_groups and not groups & _names(queue.acl_groups)):
        raise RefusalError(Reason.NOT_ALLOWED)
    for kind, limits in (("max", queue.resources_max), ("min", queue.resources_min)):
        for name, limit in limits.items():
            asked, least = _amount(name, request.resources.value(name)), _amount(name, limit)
            if asked is not None and least is not None and (asked > least if kind == "max" else asked < least):
                raise RefusalError(Reason.OVER_LIMIT, limit=f"{kind} {name}")
    walltime = request.resources.walltime
    if queue.max_walltime is not None and walltime is not None and walltime > queue.max_walltime:
        raise RefusalError(Reason.OVER_LIMIT)
    size = 1
    if request.indices is not None:
        size = len(request.indices.all())
        if size > min(settings.max_array_size, queue.max_array_size or size):
            raise RefusalError(Reason.ARRAY_TOO_LARGE)
    if queue.max_queued is not None:
        there = sum(_not_over(job) for job in jobs if job.request.queue == request.queue)
        if there + size > queue.max_queued:
            raise RefusalError(Reason.TOO_MANY)


def _names(entries: Iterable[str]) -> set[str]:
    return {entry.removeprefix("+").partition("@")[0] for entry in entries if not entry.startswith("-")}


def _amount(name: str, text: str | None) -> int | None:
    """Give an amount as a number that can be compared: seconds, KiB or what it is; None if it is none."""
    if text is None:
        return None
    if name in TIMES:
        return parse_time(text)
    if name in SIZES:
        return parse_size(text)
    return int(text) if text.isdigit() else None


def _not_over(job: Job) -> int:
    return job.queued + job.running if job.is_array else 1


def may_start(job: Job, settings: Settings, total: Room) -> bool:
    """Tell whether a job or array may start something as soon as there is room."""
    queue = settings.queues.get(job.request.queue)
    if job.run.state not in "QB" or job.run.holds != "n" or queue is None or not queue.started:
        return False
    indices = job.request.indices
    if indices is not None:
        at_limit = indices.limit is not None and job.running >= indices.limit
        if at_limit or not job.queued:
            return False
    return total.holds(need_of(job)) and not job.request.resources.needs_more_hosts


def comment_of(job: Job, settings: Settings, total: Room, free: Room) -> str:
    """Give a job's comment; for one that waits, why it does, in the words of OpenPBS's scheduler."""
    if job.run.state != "Q":
        return job.run.comment
    queue = settings.queues.get(job.request.queue)
    if queue is None or not queue.started:
        return "Not Running: Queue not started."
    need, asked = need_of(job), job.request.resources.value("mem") or ""
    never = total.shortage(need, total, asked)
    if never:
        return f"Can Never Run: {never}"
    if job.request.resources.needs_more_hosts:
        return "Can Never Run: Not enough total nodes available"
    now = total.shortage(need, free, asked)
    return f"Not Running: {now}" if now else job.run.comment
