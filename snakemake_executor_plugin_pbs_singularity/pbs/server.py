"""What a server says of itself and of its queues (``qstat -B -f``, ``qstat -Q -f``), read. Pure.

OpenPBS and TORQUE print both alike and have the same names for most attributes; each has some that the other lacks,
which are then as if they were not set. Everybody may read all of them: what ``qmgr -c "print server"`` adds concerns
operators only.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from .amounts import Amounts, parse_amounts
from .answers import parse_blocks


@dataclass(frozen=True)
class Queue:
    """One queue."""

    name: str
    routes: bool = False
    """Whether it only hands jobs on to its destinations."""
    enabled: bool = True
    """Whether it takes jobs."""
    started: bool = True
    """Whether its jobs may begin; they wait until it is."""
    maxima: Amounts = field(default_factory=dict)
    """The most that a job of it may ask for: ``resources_max``."""
    minima: Amounts = field(default_factory=dict)
    defaults: Amounts = field(default_factory=dict)
    chunk_defaults: Amounts = field(default_factory=dict)
    """What each chunk asks for that does not say: ``default_chunk``."""
    users: tuple[str, ...] | None = None
    """``acl_users``, such as ``+joan@*`` or ``-``; None if it is not enabled: then everybody may use it."""
    groups: tuple[str, ...] | None = None
    hosts: tuple[str, ...] | None = None
    either_acl: bool = False
    """Whether users or groups are enough (``acl_logic_or`` of TORQUE); otherwise it takes both."""
    all_groups: bool = False
    """Whether TORQUE looks at all groups of a user (``acl_group_sloppy``), and not at the first alone."""
    max_array_size: int | None = None
    """1 if it takes no arrays."""
    counts: tuple[tuple[str, str], ...] = ()
    """How many jobs may be in it or run, as it says that: ``("max_queued", "[u:PBS_GENERIC=10]")``."""
    destinations: tuple[str, ...] = ()
    """Where a routing queue tries to send its jobs, in this order; ``name@server`` is a queue elsewhere."""
    from_route_only: bool = False
    takes_batch: bool = True
    """False for a queue of TORQUE that is for interactive jobs only (``disallowed_types``)."""
    priority: int = 0


@dataclass(frozen=True)
class Server:
    """The server."""

    name: str
    default_queue: str | None = None
    maxima: Amounts = field(default_factory=dict)
    """The most that a job may ask for where its queue says nothing."""
    defaults: Amounts = field(default_factory=dict)
    chunk_defaults: Amounts = field(default_factory=dict)
    available: Amounts = field(default_factory=dict)
    """``resources_available``: on TORQUE, ``nodect`` is how many nodes a job may ask for, however many there are."""
    max_array_size: int | None = None
    keeps_history: bool | None = None
    """Whether OpenPBS remembers jobs that are over; None if it does not say (its default is not to)."""
    keep_completed: int | None = None
    """Seconds for which TORQUE remembers them."""
    version: str = ""
    either_acl: bool = False
    all_groups: bool = False
    schedules: bool = True
    """Whether its scheduler is switched on (``scheduling``); jobs wait until it is."""


_COUNTS = re.compile(r"max_(?:\w+_)?(?:run|queued|running|queuable)(?:_soft|_res|_res_soft)?(?:\..+)?")


def parse_queues(text: str) -> dict[str, Queue]:
    """Read ``qstat -Q -f``; queues that cannot be made sense of are left out."""
    return {name: _queue(name, attributes) for name, attributes in parse_blocks(text, "Queue")}


def parse_server(text: str) -> Server | None:
    """Read ``qstat -B -f``; None if it says nothing of a server."""
    for name, attributes in parse_blocks(text, "Server"):
        return Server(
            name=name,
            default_queue=attributes.get("default_queue", "").strip() or None,
            maxima=parse_amounts(attributes, "resources_max"),
            defaults=parse_amounts(attributes, "resources_default"),
            chunk_defaults=parse_amounts(attributes, "default_chunk"),
            available=parse_amounts(attributes, "resources_available"),
            max_array_size=_count(attributes, "max_array_size", "max_job_array_size"),
            keeps_history=_flag(attributes, "job_history_enable", None),
            keep_completed=_count(attributes, "keep_completed"),
            version=attributes.get("pbs_version", "").strip(),
            either_acl=_is_set(attributes, "acl_logic_or"),
            all_groups=_is_set(attributes, "acl_group_sloppy"),
            schedules=_flag(attributes, "scheduling", True) is True,
        )
    return None


def _queue(name: str, attributes: Mapping[str, str]) -> Queue:
    disallowed = _list(attributes.get("disallowed_types", ""))
    return Queue(
        name=name,
        routes=attributes.get("queue_type", "").strip().lower().startswith("r"),
        enabled=_flag(attributes, "enabled", True) is True,
        started=_flag(attributes, "started", True) is True,
        maxima=parse_amounts(attributes, "resources_max"),
        minima=parse_amounts(attributes, "resources_min"),
        defaults=parse_amounts(attributes, "resources_default"),
        chunk_defaults=parse_amounts(attributes, "default_chunk"),
        users=_acl(attributes, "acl_user_enable", "acl_users"),
        groups=_acl(attributes, "acl_group_enable", "acl_groups"),
        hosts=_acl(attributes, "acl_host_enable", "acl_hosts"),
        either_acl=_is_set(attributes, "acl_logic_or"),
        all_groups=_is_set(attributes, "acl_group_sloppy"),
        max_array_size=1 if "job_array" in disallowed else _count(attributes, "max_array_size"),
        counts=tuple((name, value) for name, value in attributes.items() if _COUNTS.fullmatch(name)),
        destinations=_list(attributes.get("route_destinations", "")),
        from_route_only=_is_set(attributes, "from_route_only"),
        takes_batch="batch" not in disallowed,
        priority=_integer(attributes.get("Priority", attributes.get("priority", ""))) or 0,
    )


def _acl(attributes: Mapping[str, str], enabled: str, entries: str) -> tuple[str, ...] | None:
    return _list(attributes.get(entries, "")) if _is_set(attributes, enabled) else None


def _list(text: str) -> tuple[str, ...]:
    return tuple(entry.strip() for entry in text.split(",") if entry.strip())


def _is_set(attributes: Mapping[str, str], name: str) -> bool:
    return _flag(attributes, name, False) is True


def _flag(attributes: Mapping[str, str], name: str, default: bool | None) -> bool | None:
    return {"true": True, "1": True, "false": False, "0": False}.get(attributes.get(name, "").strip().lower(), default)


def _count(attributes: Mapping[str, str], *names: str) -> int | None:
    return next((count for name in names if (count := _integer(attributes.get(name, ""))) is not None), None)


def _integer(text: str) -> int | None:
    return int(text) if re.fullmatch(r"-?\d{1,18}", text.strip(), re.ASCII) else None
