"""Looks up one queue, such as one of another server. What all of this one's take is known to ``survey.py``."""

from .commands import Pbs, run_connected
from .errors import ErrorKind, PbsError
from .ids import QUEUE_NAME
from .placement import choose_one
from .server import parse_queues


def check_queue(pbs: Pbs, queue: str) -> None:
    """Check that a queue exists and takes jobs. One that is stopped passes: jobs wait there.

    Raises PbsError: REFUSED with the names of the queues there are, UNREACHABLE, OTHER.
    """
    if not QUEUE_NAME.fullmatch(queue):
        raise PbsError(ErrorKind.REFUSED, f"{queue!r} cannot be the name of a queue.", _others(pbs, ""))
    server = queue.partition("@")[2]
    answer = run_connected(pbs, "qstat", ["-Q", "-f", queue])
    if pbs.dialect.is_unknown_queue(answer):
        raise PbsError(ErrorKind.REFUSED, f"There is no queue {queue!r}.", _others(pbs, server))
    if answer.exit_code != 0:
        raise answer.error()
    if any(not found.enabled for found in parse_queues(answer.stdout).values()):
        problem = f"The queue {queue!r} takes no jobs now (it is not enabled)."
        raise PbsError(ErrorKind.REFUSED, problem, _others(pbs, server))


def _others(pbs: Pbs, server: str) -> str:
    """Tell the queues of a server, or of the default one."""
    of_server = [f"@{server}"] if server else []
    found = parse_queues(run_connected(pbs, "qstat", ["-Q", "-f", *of_server]).stdout)
    return choose_one(found.values()) if found else f"See `{' '.join(['qstat -Q', *of_server])}`."
