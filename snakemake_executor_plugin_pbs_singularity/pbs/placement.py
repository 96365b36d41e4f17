"""Which queue a request goes to. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

from .amounts import number
from .errors import ErrorKind, LimitError, PbsError
from .ids import QUEUE_NAME
from .misfits import Misfit, Rules, closeness, is_meant_for_others, is_open, misfits
from .request import Request
from .server import Queue, Server

_MOST_QUEUES_NAMED = 6


@dataclass(frozen=True)
class Placement:
    """Where a request goes."""

    queue: str | None
    """The queue to name to ``qsub``; None leaves it to the server's default."""
    why: str = ""
    """Why another queue than the default is named, for the user; empty if the user named it or none is."""


def choose_queue(request: Request, rules: Rules, *, tasks: int = 1) -> Placement:
    """Choose the queue for a request, for so many tasks one after the other.

    A queue that the request names has to take it. Otherwise it goes to the server's default queue if that takes it,
    even if it is stopped, so that the job waits. Otherwise to the queue that takes it, is started and is open to the
    user for sure, with

    1. the smallest maximum of walltime, as short queues start sooner; execution queues before routing queues;
    2. the highest priority;
    3. the first name of the alphabet.

    Left out are queues that are hardly there for such a request: those of reservations, those with a minimum of what it
    does not ask for, and those that give GPUs to a request without.

    Raises LimitError with each limit that is in the way and with the queue that would take it or is nearest to, and
    PbsError for a queue that is not there.
    """
    if request.queue is not None:
        return _named(request.queue, request, rules, tasks)
    default = rules.server.default_queue
    if default is not None:
        queue = rules.queues.get(default)
        if queue is None or not misfits(queue, request, rules, tasks=tasks):
            return Placement(None)
    in_the_way = _judge_all(request, rules, tasks)
    best = _best(request, rules, in_the_way)
    if best is None:
        raise LimitError(ErrorKind.REFUSED, *_refusal(in_the_way, default))
    if default is None:
        return Placement(best.name, f"queue {best.name}, as the server has no default queue")
    reason = _and(map(str, in_the_way[default]))
    return Placement(best.name, f"queue {best.name}, as the default queue {default} {reason}")


def is_elsewhere(name: str, server: Server) -> bool:
    """Tell whether a queue such as ``long@other`` is another server's, or may be."""
    at = name.partition("@")[2]
    return at not in ("", server.name)


def _named(name: str, request: Request, rules: Rules, tasks: int) -> Placement:
    if not QUEUE_NAME.fullmatch(name):
        problem = f"{name!r} cannot be the name of a queue."
        raise PbsError(ErrorKind.REFUSED, problem, choose_one(rules.queues.values()))
    if is_elsewhere(name, rules.server):
        return Placement(name)
    local = name.partition("@")[0]
    queue = rules.queues.get(local)
    if queue is None:
        raise PbsError(ErrorKind.REFUSED, f"There is no queue {local!r}.", choose_one(rules.queues.values()))
    found = misfits(queue, request, rules, tasks=tasks)
    if not found:
        return Placement(name)
    in_the_way = _judge_all(request, rules, tasks)
    problem = f"The queue {local!r} {_and(map(str, found))}."
    default = rules.server.default_queue
    if default is not None and in_the_way.get(default) == ():
        raise LimitError(ErrorKind.REFUSED, problem, f"The default queue, {default}, takes it: name no queue.")
    best = _best(request, rules, in_the_way)
    remedy = _nearest(in_the_way) if best is None else f"The queue {best.name} takes it: name that one."
    raise LimitError(ErrorKind.REFUSED, problem, remedy)


def _judge_all(request: Request, rules: Rules, tasks: int) -> dict[str, tuple[Misfit, ...]]:
    return {name: misfits(queue, request, rules, tasks=tasks) for name, queue in rules.queues.items()}


def _best(request: Request, rules: Rules, in_the_way: dict[str, tuple[Misfit, ...]]) -> Queue | None:
    fitting = [
        queue
        for name, queue in rules.queues.items()
        if not in_the_way[name]
        and queue.started
        and is_open(queue, request, rules)
        and not is_meant_for_others(queue, request, rules)
    ]
    return min(fitting, key=lambda queue: _rank(queue, rules), default=None)


def _rank(queue: Queue, rules: Rules) -> tuple[bool, float, int, str]:
    most = number(queue.maxima if "walltime" in queue.maxima else rules.server.maxima, "walltime")
    return queue.routes, inf if most is None else most, -queue.priority, queue.name


def _refusal(in_the_way: dict[str, tuple[Misfit, ...]], default: str | None) -> tuple[str, str]:
    refusing = {name: found for name, found in in_the_way.items() if found}
    if not refusing:
        problem = "The server has no default queue, and none that is there for such a request."
    else:
        nearest_first = sorted(refusing, key=lambda name: (name != default, closeness(refusing[name]), name))
        told = [
            f"{name}{' (the default)' if name == default else ''} {_and(map(str, refusing[name]))}"
            for name in nearest_first[:_MOST_QUEUES_NAMED]
        ]
        others = len(refusing) - len(told)
        more = f"; {others} more {'does' if others == 1 else 'do'} not either" if others else ""
        problem = f"No queue is there for this request: {'; '.join(told)}{more}."
    if len(refusing) < len(in_the_way):
        takers = sorted(name for name, found in in_the_way.items() if not found)
        which = f"The queue {takers[0]}" if len(takers) == 1 else f"Each of {', '.join(takers)}"
        return (
            problem,
            f"{which} might take it if you name it: it is stopped, meant for others, or not surely open to you.",
        )
    return problem, _nearest(in_the_way)


def _and(words: Iterable[str]) -> str:
    return " and ".join(dict.fromkeys(words))


def _nearest(in_the_way: dict[str, tuple[Misfit, ...]]) -> str:
    """Tell the queue that is nearest to taking a request, and what to ask it for."""
    near = [name for name, found in in_the_way.items() if found and all(one.remedy for one in found)]
    if not near:
        return ""
    name = min(near, key=lambda name: (closeness(in_the_way[name]), name))
    return f"The nearest is {name}: ask for {_and(one.remedy for one in in_the_way[name])}."


def choose_one(queues: Iterable[Queue]) -> str:
    """Tell the queues that can be named."""
    names = sorted(queue.name for queue in queues if queue.enabled and not queue.from_route_only)
    return f"Choose one of: {', '.join(names)}." if names else "No queue of this server takes jobs now."
