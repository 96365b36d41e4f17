"""Why a queue refuses a request, known before it is asked. Pure.

What is not known is never a reason. OpenPBS and TORQUE judge differently (svr_chkque in svr_jobfunc.c of both):

- OpenPBS sums the chunks up (``ncpus``, ``mem``, ``ngpus``, ``mpiprocs``; ``nodect`` counts them) and fills in what the
  request does not say: first the chunks' defaults, then the queue's, the server's, the queue's maximum, the server's.
- TORQUE looks only at what is asked for: ``walltime``, ``mem`` (of the job), ``nodect`` and ``procct``, which count
  nodes and cores.
- In both a maximum of the queue takes the place of the server's, and minima are the queue's own.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import inf

from .amounts import number
from .demand import Demand, Part, demand_of
from .request import Request
from .server import Queue, Server


@dataclass(frozen=True)
class User:
    """Who submits, as access lists name them."""

    name: str
    groups: tuple[str, ...] = ()
    """The first one is the user's own; none if they are not known, empty text for one whose name is not."""
    hosts: tuple[str, ...] = ()
    """Names of this host. The server may know it by another."""


@dataclass(frozen=True)
class Misfit:
    """One reason why a queue refuses a request."""

    problem: str
    """What the queue does, such as "takes at most 60 minutes of runtime (600 asked for)"."""
    remedy: str = ""
    """What it would take, such as "at most 60 minutes of runtime"; empty if asking for less or more is no help."""
    excess: float = inf
    """How many times too much or too little is asked for."""

    def __str__(self) -> str:
        return self.problem


@dataclass(frozen=True)
class Rules:
    """What a request is judged by: the server's queues, who submits, and which kind of PBS it is."""

    queues: Mapping[str, Queue]
    server: Server
    user: User
    torque: bool = False


def misfits(queue: Queue, request: Request, rules: Rules, *, tasks: int = 1) -> tuple[Misfit, ...]:
    """Give every reason why a queue refuses a request for so many tasks, one after the other; none if it takes it.

    A routing queue takes what one of its destinations takes, or may take: queues of other servers are not known. If
    none does, an OpenPBS 23.06.06 gives a job's id all the same, and the next moment there is no such job.
    """
    return _judge(queue, demand_of(request, torque=rules.torque, tasks=tasks), request, rules, seen=(), routed=False)


def first_destination(queue: Queue, request: Request, rules: Rules) -> Queue | None:
    """Give the queue that a job of a routing queue ends up in, as the server tries them in order; None if unknown."""
    demand = demand_of(request, torque=rules.torque)
    waits_for = None
    for name in queue.destinations:
        destination = rules.queues.get(name)
        if destination is None:
            return waits_for
        if not _judge(destination, demand, request, rules, seen=(queue.name,), routed=True):
            if destination.enabled:
                return destination
            waits_for = waits_for or destination
    return waits_for


def may_leave(queue: Queue, rules: Rules, seen: tuple[str, ...] = ()) -> bool:
    """Tell whether a queue may hand jobs on to another server."""
    if not queue.routes or queue.name in seen:
        return False
    destinations = [rules.queues.get(name) for name in queue.destinations]
    return any(one is None or may_leave(one, rules, (*seen, queue.name)) for one in destinations)


def is_open(queue: Queue, request: Request, rules: Rules) -> bool | None:
    """Tell whether the user may use a queue; None if that depends on what only the server knows."""
    if ("-u" in request.extra) or any(a == "-W" and "group_list" in b for a, b in pairwise(request.extra)):
        return None if queue.users is not None or queue.groups is not None else _opens_to_host(queue, rules.user)
    users = None if queue.users is None else [_admits(queue.users, lambda entry: _names_user(entry, rules.user.name))]
    is_unchecked = rules.torque and queue.routes
    groups = None if queue.groups is None else [is_unchecked or _admits_group(queue, rules)]
    verdicts = [*(users or []), *(groups or [])]
    either = rules.torque and (queue.either_acl or rules.server.either_acl)
    if either and len(verdicts) > 1:
        verdicts = [True if True in verdicts else None if None in verdicts else False]
    return _all([*verdicts, _opens_to_host(queue, rules.user)])


def is_meant_for_others(queue: Queue, request: Request, rules: Rules) -> bool:
    """Tell whether a queue would take a request that it is hardly there for.

    It belongs to a reservation (``R12``, ``S12``, ``M12``, pbs_rsub(1B)), gives GPUs to jobs that ask for none, or has
    a minimum of what the request does not ask for, which OpenPBS lets pass.
    """
    demand = demand_of(request, torque=rules.torque)
    asked = _asked(demand, queue, rules)
    gives_gpus = number(queue.chunk_defaults, "ngpus", "gpus") or number(queue.defaults, "ngpus", "gpus")
    asks_for_gpus = any(part.ngpus for part in demand.parts or ())
    unasked = [name for name, least in queue.minima.items() if name not in asked and least not in (0, "0")]
    if rules.torque:  # it has no such names for what its nodes are asked for
        unasked = [name for name in unasked if name not in ("ncpus", "nodes")]
    is_of_reservation = not rules.torque and re.fullmatch(r"[RSM]\d+", queue.name) is not None
    return is_of_reservation or bool(gives_gpus and not asks_for_gpus) or bool(unasked)


def _judge(
    queue: Queue, demand: Demand, request: Request, rules: Rules, *, seen: tuple[str, ...], routed: bool
) -> tuple[Misfit, ...]:
    found = [*_closed(queue, request, rules, routed=routed), *_over_limits(queue, demand, rules)]
    if found or not queue.routes or queue.name in seen:
        return tuple(found)
    return _destinations_refuse(queue, demand, request, rules, (*seen, queue.name))


def _destinations_refuse(
    queue: Queue, demand: Demand, request: Request, rules: Rules, seen: tuple[str, ...]
) -> tuple[Misfit, ...]:
    refusals = []
    for name in queue.destinations:
        destination = rules.queues.get(name)
        if destination is None:
            return ()
        found = _judge(destination, demand, request, rules, seen=seen, routed=True)
        if not found:
            return ()
        refusals.append((destination.name, found))
    if not refusals:
        return (Misfit("leads to no other queue"),)
    name, nearest = min(refusals, key=lambda refusal: closeness(refusal[1]))
    return tuple(Misfit(f"leads to {name}, which {one.problem}", one.remedy, one.excess) for one in nearest)


def closeness(found: Collection[Misfit]) -> tuple[bool, int, float]:
    """Give what queues that refuse a request are ordered by: the nearest to taking it is the least."""
    excess = max((one.excess for one in found), default=0)
    return any(not one.remedy for one in found), len(found), excess


def _closed(queue: Queue, request: Request, rules: Rules, *, routed: bool) -> Iterator[Misfit]:
    if not queue.enabled and not routed:  # a routing queue keeps its jobs until one of its destinations is
        yield Misfit("takes no jobs now (it is not enabled)")
    if queue.from_route_only and not routed:
        yield Misfit("takes only jobs from other queues (from_route_only)")
    if not queue.takes_batch and not queue.routes:
        yield Misfit("takes only interactive jobs")
    if is_open(queue, request, rules) is False:
        yield Misfit(f"is not open to user {rules.user.name}")


def _over_limits(queue: Queue, demand: Demand, rules: Rules) -> Iterator[Misfit]:
    several = demand.chunks > 1
    for name, (amount, is_default) in _asked(demand, queue, rules).items():
        most = number(queue.maxima, name)
        if name not in queue.maxima:
            most = number(rules.server.maxima, name)
        least = number(queue.minima, name)
        said = "by default" if is_default else "asked for"
        if most is not None and amount > most:
            limit = f"at most {in_words(name, most, several=several)}"
            remedy = limit if most else ""
            yield Misfit(f"takes {limit} ({_figure(name, amount)} {said})", remedy, amount / most if most else inf)
        if least is not None and amount < least and name != "nodes":  # which TORQUE compares as text
            limit = f"at least {in_words(name, least, several=several, round_up=True)}"
            yield Misfit(f"takes {limit} ({_figure(name, amount)} {said})", limit, least / amount if amount else inf)


def _asked(demand: Demand, queue: Queue, rules: Rules) -> dict[str, tuple[int, bool]]:
    """Give what PBS compares with limits, and whether it is filled in."""
    walltime = {} if demand.walltime is None else {"walltime": (demand.walltime, False)}
    if rules.torque:
        return walltime | _asked_of_torque(demand)
    asked = walltime | _asked_of_openpbs(demand, queue, rules.server)
    for amounts in (queue.defaults, rules.server.defaults, queue.maxima, rules.server.maxima):
        for name in amounts:
            amount = number(amounts, name)
            if amount is not None and name not in asked and (demand.parts is not None or name == "walltime"):
                asked[name] = (amount, True)
    return asked


def _asked_of_torque(demand: Demand) -> dict[str, tuple[int, bool]]:
    if demand.parts is None:
        return {}
    asked = {
        "nodect": demand.chunks,
        "nodes": demand.parts[0].count,
        "procct": sum(part.count * (part.ncpus or 1) for part in demand.parts),
    }
    if mem := sum(part.count * (part.mem or 0) for part in demand.parts):
        asked["mem"] = mem
    return {name: (amount, False) for name, amount in asked.items()}


def _asked_of_openpbs(demand: Demand, queue: Queue, server: Server) -> dict[str, tuple[int, bool]]:
    if demand.parts is None:
        return {}
    defaults = {**server.chunk_defaults, **queue.chunk_defaults}
    sums: dict[str, Callable[[Part], int | None]] = {
        "ncpus": lambda part: part.ncpus if part.ncpus is not None else number(defaults, "ncpus") or 1,
        "mem": lambda part: part.mem if part.mem is not None else number(defaults, "mem"),
        "ngpus": lambda part: part.ngpus if part.ngpus is not None else number(defaults, "ngpus"),
        "mpiprocs": lambda part: part.mpiprocs if part.mpiprocs is not None else number(defaults, "mpiprocs"),
    }
    asked = {"nodect": (demand.chunks, False)}
    for name, amount_of in sums.items():
        amounts = [(part.count, amount_of(part)) for part in demand.parts]
        if any(amount is not None for _, amount in amounts):
            is_default = all(getattr(part, name) is None for part in demand.parts)
            asked[name] = (sum(count * (amount or 0) for count, amount in amounts), is_default)
    return asked


_UNITS = {
    "walltime": ("minute", " of runtime"),
    "mem": ("MiB", " of memory"),
    "ncpus": ("core", ""),
    "procct": ("core", ""),
    "ngpus": ("GPU", ""),
    "gpus": ("GPU", ""),
    "nodect": ("node", ""),
    "nodes": ("node", ""),
    "mpiprocs": ("MPI process", ""),
}
_SUMMED = ("mem", "ncpus", "procct", "ngpus", "mpiprocs")


def in_words(name: str, amount: int, *, several: bool = False, round_up: bool = False) -> str:
    """Give an amount of a resource in words: a walltime in minutes, as Snakemake's ``runtime`` is."""
    unit, what = _UNITS.get(name, ("", f" of {name}"))
    if name == "walltime":
        minutes = -(-amount // 60) if round_up else amount // 60
        unit, amount = (unit, minutes) if minutes else ("second", amount)
    plural = "" if amount == 1 or unit in ("", "MiB") else "es" if unit.endswith("s") else "s"
    in_all = " in all" if several and name in _SUMMED else ""
    return f"{amount}{' ' if unit else ''}{unit}{plural}{what}{in_all}"


def _figure(name: str, amount: int) -> str:
    return str(-(-amount // 60) if name == "walltime" else amount)


def _opens_to_host(queue: Queue, user: User) -> bool | None:
    if queue.hosts is None:
        return True
    return True if _admits(queue.hosts, lambda entry: entry in user.hosts or None) else None


def _admits_group(queue: Queue, rules: Rules) -> bool | None:
    groups = rules.user.groups
    if not groups:
        return None
    if rules.torque and not (queue.all_groups or rules.server.all_groups):
        groups = groups[:1]
    admitted = _admits(queue.groups or (), lambda entry: entry in groups)
    return None if not admitted and "" in groups else admitted


def _names_user(entry: str, name: str) -> bool | None:
    """Tell whether an entry such as ``joan@*.example.org`` names the user: only the server knows the host's name."""
    user, _, host = entry.partition("@")
    if user not in (name, "*"):
        return False
    return True if user == name and host in ("", "*") else None


def _admits(entries: Collection[str], matches: Callable[[str], bool | None]) -> bool | None:
    """Read an access list as the server does: the first entry that matches, else ``+`` or ``-`` alone, else no."""
    otherwise, is_sure = False, True
    for entry in entries:
        if entry in ("+", "-"):
            otherwise = entry == "+"
            continue
        verdict = matches(entry.lstrip("+-"))
        if verdict:
            return not entry.startswith("-") if is_sure else None
        is_sure = is_sure and verdict is False
    return otherwise if is_sure else None


def _all(verdicts: Collection[bool | None]) -> bool | None:
    return False if False in verdicts else None if None in verdicts else True
