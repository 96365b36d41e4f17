"""Looks up one queue. What all of them take is known to ``survey.py``."""

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


def _choose(pbs: Pbs) -> str:
    answer = run_connected(pbs, "qstat", ["-Q", "-f"])
    names = [
        name
        for name, attributes in parse_blocks(answer.stdout, "Queue")
        if attributes.get("enabled") == "True" and attributes.get("from_route_only") != "True"
    ]
    return f"Choose one of: {', '.join(sorted(names))}." if names else "No queue of this server takes jobs now."
