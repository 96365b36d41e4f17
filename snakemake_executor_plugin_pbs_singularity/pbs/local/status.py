"""What qstat says of queues and of the server itself."""

from __future__ import annotations

from collections import Counter

from .attributes import VERSION, Attribute
from .cluster import Cluster
from .resources import format_time
from .settings import Queue

_QUEUE_TITLE = """Queue              Max   Tot Ena Str   Que   Run   Hld   Wat   Trn   Ext Type
---------------- ----- ----- --- --- ----- ----- ----- ----- ----- ----- ----
"""
_SERVER_TITLE = """Server             Max   Tot   Que   Run   Hld   Wat   Trn   Ext Status
---------------- ----- ----- ----- ----- ----- ----- ----- ----- -----------
"""
_LIMITS_TITLE = """
server: {server}

Queue            Memory CPU Time Walltime Node   Run   Que   Lm  State
---------------- ------ -------- -------- ---- ----- ----- ----  -----
"""
STATES = {"T": "Transit", "Q": "Queued", "H": "Held", "W": "Waiting", "R": "Running", "E": "Exiting", "B": "Begun"}


def _counts(cluster: Cluster, queue: str | None = None) -> Counter[str]:
    """Count jobs that are not over by state, an array as one."""
    jobs = cluster.jobs.values()
    return Counter(job.run.state for job in jobs if queue is None or job.request.queue == queue)


def _count_text(counts: Counter[str]) -> str:
    return " ".join(f"{name}:{counts[letter]}" for letter, name in STATES.items()) + " "


def _columns(counts: Counter[str]) -> str:
    return " ".join(f"{counts[letter]:>5}" for letter in "QRHWTE")


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def queue_table(cluster: Cluster, names: list[str], *, title: bool) -> str:
    """Give the table of qstat -Q."""
    lines = [_QUEUE_TITLE if title else ""]
    for name in names:
        queue, counts = cluster.settings.queues[name], _counts(cluster, name)
        lines.append(
            f"{name[:16]:<16} {'0':>5} {counts.total():>5} {_yes(queue.enabled):>3} {_yes(queue.started):>3} "
            f"{_columns(counts)} Exec\n"
        )
    return "".join(lines)


def queue_limits_table(cluster: Cluster, names: list[str]) -> str:
    """Give the table of qstat -q."""
    lines = [_LIMITS_TITLE.format(server=cluster.server)]
    running = waiting = 0
    for name in names:
        queue, counts = cluster.settings.queues[name], _counts(cluster, name)
        waits = counts["Q"] + counts["H"] + counts["W"]
        running, waiting = running + counts["R"], waiting + waits
        limit = "  --   " if queue.max_walltime is None else format_time(queue.max_walltime)
        lines.append(
            f"{name:<16.16} {'--  ':>6} {'  --   ':>8} {limit:>8.8} {'-- ':>4} {counts['R']:>5} {waits:>5} "
            f"{'  --':>4}   {'E' if queue.enabled else 'D'} {'R' if queue.started else 'S'}\n"
        )
    indent = " " * 47
    lines.append(f"{indent}----- -----\n{indent}{running:>5} {waiting:>5}\n")
    return "".join(lines)


def queue_attributes(cluster: Cluster, name: str) -> list[Attribute]:
    """Give what qstat -Qf shows of a queue."""
    counts = _counts(cluster, name)
    return [
        Attribute("queue_type", "Execution"),
        Attribute("total_jobs", str(counts.total())),
        Attribute("state_count", _count_text(counts)),
        *queue_limits(cluster.settings.queues[name]),
    ]


def queue_limits(queue: Queue) -> list[Attribute]:
    """Give what a queue's settings say, which all kinds of PBS show alike."""
    shown: list[Attribute] = []
    if queue.max_array_size is not None:
        shown.append(Attribute("max_array_size", str(queue.max_array_size)))
    if queue.priority:
        shown.append(Attribute("Priority", str(queue.priority)))
    for kind, entries in (("user", queue.acl_users), ("group", queue.acl_groups)):
        if entries:
            shown += [Attribute(f"acl_{kind}_enable", "True"), Attribute(f"acl_{kind}s", ",".join(entries))]
    for group in ("resources_max", "resources_min", "resources_default"):
        shown += [Attribute(group, value, name) for name, value in getattr(queue, group).items()]
    if queue.max_walltime is not None:
        shown.append(Attribute("resources_max", format_time(queue.max_walltime), "walltime"))
    if queue.max_queued is not None:
        shown.append(Attribute("max_queued", f"[u:PBS_GENERIC={queue.max_queued}]"))
    return [*shown, Attribute("enabled", str(queue.enabled)), Attribute("started", str(queue.started))]


def server_table(cluster: Cluster) -> str:
    """Give the table of qstat -B; finished jobs count in Tot (transcript openpbs/14c)."""
    counts = _counts(cluster)
    total = counts.total() + cluster.store.count_finished()
    return f"{_SERVER_TITLE}{cluster.server[:16]:<16} {'0':>5} {total:>5} {_columns(counts)} {'Active':<10}\n"


def server_attributes(cluster: Cluster) -> list[Attribute]:
    """Give what qstat -Bf shows."""
    settings, counts = cluster.settings, _counts(cluster)
    return [
        Attribute("server_state", "Active"),
        Attribute("server_host", cluster.server),
        Attribute("scheduling", "True"),
        Attribute("total_jobs", str(counts.total() + cluster.store.count_finished())),
        Attribute("state_count", _count_text(counts)),
        Attribute("default_queue", next(iter(settings.queues))),
        Attribute("max_array_size", str(settings.max_array_size)),
        Attribute("pbs_version", VERSION),
        Attribute("job_history_enable", str(settings.history_hours > 0)),
    ]
