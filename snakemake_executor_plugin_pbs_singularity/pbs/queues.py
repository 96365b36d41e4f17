"""The queues of a PBS: which there are, and how large an array they take."""

from .answers import parse_blocks
from .commands import Pbs, run_connected
from .errors import ErrorKind, PbsError
from .ids import QUEUE_NAME


def check_queue(pbs: Pbs, queue: str) -> None:
    """Check that a queue exists and takes jobs. One that is stopped passes: jobs wait there.

    Raises PbsError: REFUSED with the names of the queues there are, UNREACHABLE, OTHER.
    """
    if not QUEUE_NAME.fullmatch(queue):
        raise PbsError(ErrorKind.REFUSED, f"{queue!r} cannot be the name of a queue.", _choose(pbs))
    answer = run_connected(pbs, "qstat", ["-Q", "-f", queue])
    if pbs.dialect.is_unknown_queue(answer):
        raise PbsError(ErrorKind.REFUSED, f"There is no queue {queue!r}.", _choose(pbs))
    if answer.exit_code != 0:
        raise answer.error()
    for _, attributes in parse_blocks(answer.stdout, "Queue"):
        if attributes.get("enabled") == "False":
            problem = f"The queue {queue!r} takes no jobs now (it is not enabled)."
            raise PbsError(ErrorKind.REFUSED, problem, _choose(pbs))


def max_array_size(pbs: Pbs, queue: str | None) -> int | None:
    """Give how many subjobs an array may have in a queue, or in the default queue: what it or the server says.

    1 if they take no arrays; None if neither says anything. What the destinations of a routing queue say is not
    looked at: ``qsub`` then ends with 191, as for anything else that none of them takes. Raises PbsError: REFUSED
    for what is no queue's name, UNREACHABLE, or OTHER as for a queue that is not there.
    """
    if queue and not QUEUE_NAME.fullmatch(queue):
        raise PbsError(ErrorKind.REFUSED, f"{queue!r} cannot be the name of a queue.")
    other_server = queue.partition("@")[2] if queue else ""
    server = _ask_attributes(pbs, "Server", "-B", other_server)
    asked = [server]
    if queue := queue or server.get("default_queue"):
        asked.append(_ask_attributes(pbs, "Queue", "-Q", queue))
    sizes = [attributes.get("max_array_size", "") for attributes in asked]
    return min((max(int(size), 1) for size in sizes if size.isdecimal()), default=None)


def _ask_attributes(pbs: Pbs, kind: str, option: str, name: str) -> dict[str, str]:
    answer = run_connected(pbs, "qstat", [option, "-f", *([name] if name else [])])
    if answer.exit_code != 0:
        raise answer.error()
    return next((attributes for _, attributes in parse_blocks(answer.stdout, kind)), {})


def _choose(pbs: Pbs) -> str:
    answer = run_connected(pbs, "qstat", ["-Q", "-f"])
    names = [
        name
        for name, attributes in parse_blocks(answer.stdout, "Queue")
        if attributes.get("enabled") == "True" and attributes.get("from_route_only") != "True"
    ]
    return f"Choose one of: {', '.join(sorted(names))}." if names else "No queue of this server takes jobs now."
