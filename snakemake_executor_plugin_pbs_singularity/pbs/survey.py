"""Asks a PBS about its queues and nodes, once in a run, and judges requests by it."""

import grp
import os
import pwd
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from . import torque
from .commands import Pbs, run_connected
from .errors import ErrorKind, LimitError, PbsError
from .misfits import Rules, User, first_destination, may_leave
from .nodes import Node, impossible, parse_nodes_listing
from .placement import Placement, choose_queue, is_elsewhere
from .queues import check_queue
from .request import Request
from .server import Queue, Server, parse_queues, parse_server

_Known = TypeVar("_Known")


class Survey:
    """What a PBS says of itself. It is asked when that is first needed: three commands, whatever the number of jobs.

    What cannot be read is None: not knowing is not failing. ``problems`` says why, and ``ask_again`` has the next
    need ask once more.
    """

    def __init__(self, pbs: Pbs, *, nodes_may_come: bool = False) -> None:
        """Ask this PBS; with ``nodes_may_come``, what no node of today can run is not refused."""
        self._pbs = pbs
        self._nodes_may_come = nodes_may_come
        self._known: dict[str, object] = {}
        self._rules: Rules | None = None
        self._placed: dict[tuple[Request, int], Placement | PbsError] = {}
        self._impossibles: dict[Request, str | None] = {}
        self.problems: dict[str, PbsError] = {}
        """Why something could not be read, by the command that was run for it."""

    @property
    def queues(self) -> dict[str, Queue] | None:
        """All queues by their names."""
        return self._ask("qstat -Q -f", lambda text: parse_queues(text) or None)

    @property
    def server(self) -> Server | None:
        """The server."""
        return self._ask("qstat -B -f", parse_server)

    @property
    def nodes(self) -> tuple[Node, ...] | None:
        """All nodes, up or not. A site may keep them to itself."""
        return self._ask("pbsnodes -a", lambda text: parse_nodes_listing(text) or None)

    @property
    def torque(self) -> bool:
        """Whether it is a TORQUE."""
        return self._pbs.dialect.NAME == torque.NAME

    @property
    def rules(self) -> Rules | None:
        """What requests are judged by."""
        queues, server = self.queues, self.server
        if queues is None or server is None:
            return None
        if self._rules is None:
            self._rules = Rules(queues, server, this_user(), self.torque)
        return self._rules

    def ask_again(self) -> None:
        """Forget what could not be read, and what followed from it."""
        for command in self.problems:
            self._known.pop(command, None)
        self.problems.clear()
        self._placed.clear()
        self._impossibles.clear()

    def place(self, request: Request, tasks: int = 1) -> Placement:
        """Choose the queue for a request, as ``choose_queue`` says, and see that some node could ever run it.

        Raises LimitError with every limit in the way and the remedy, PbsError for a queue that is not there.
        """
        key = (request, tasks)
        if key not in self._placed:
            try:
                self._placed[key] = self._place(request, tasks)
            except PbsError as error:
                self._placed[key] = error
        placed = self._placed[key]
        if isinstance(placed, PbsError):
            raise type(placed)(placed.kind, placed.problem, placed.remedy)
        return placed

    def _place(self, request: Request, tasks: int) -> Placement:
        rules = self.rules
        placement = Placement(request.queue) if rules is None else choose_queue(request, rules, tasks=tasks)
        if rules is not None and placement.queue is not None and is_elsewhere(placement.queue, rules.server):
            self._check_elsewhere(placement.queue)
            return placement
        problem = None if self._may_leave(placement) else self._impossible(request)
        if problem is not None:
            raise LimitError(
                ErrorKind.REFUSED,
                f"This can never run: {problem}.",
                "Ask for less on each node, or for what `pbsnodes -a` lists.",
            )
        return placement

    def _may_leave(self, placement: Placement) -> bool:
        """Tell whether another server's nodes may run it, of which nothing is known here."""
        if self.rules is None:
            return "@" in (placement.queue or "")
        name = placement.queue or self.rules.server.default_queue or ""
        queue = self.rules.queues.get(name.partition("@")[0])
        return queue is not None and may_leave(queue, self.rules)

    def _impossible(self, request: Request) -> str | None:
        """Say why no node could ever run this; many requests differ in nothing that a node gives."""
        wanted = replace(request, walltime=None, queue=None, account=None, project=None, site=(), extra=())
        if wanted not in self._impossibles:
            nodes = None if self._nodes_may_come else self.nodes
            self._impossibles[wanted] = (
                None if nodes is None else impossible(wanted, nodes, torque=self.torque, server=self.server)
            )
        return self._impossibles[wanted]

    def _check_elsewhere(self, queue: str) -> None:
        """Check that a queue of another server is there and takes jobs, as far as that server can be asked."""
        command = f"qstat -Q -f {queue}"
        if command not in self._known:
            self._known[command] = True
            try:
                check_queue(self._pbs, queue)
            except PbsError as error:
                self.problems[command] = error
        problem = self.problems.get(command)
        if problem is not None and problem.kind is ErrorKind.REFUSED:
            raise problem

    def max_array_size(self, request: Request) -> int | None:
        """Give how many subjobs an array with this request may have: what its queue or the server says.

        The queue is the one it names, or the default queue. A routing queue is as good as the first destination that
        takes the request, for the server tries that first. 1 if they take no arrays; None if neither says anything.
        Raises PbsError if that cannot be read.
        """
        rules = self.rules
        if rules is None:
            raise next(iter(self.problems.values()))
        name = request.queue or rules.server.default_queue or ""
        queue = None if is_elsewhere(name, rules.server) else rules.queues.get(name.partition("@")[0])
        asked = [queue, first_destination(queue, request, rules) if queue is not None and queue.routes else None]
        sizes = [rules.server.max_array_size, *(one.max_array_size for one in asked if one is not None)]
        return min((max(size, 1) for size in sizes if size is not None), default=None)

    def _ask(self, command: str, read: Callable[[str], _Known | None]) -> _Known | None:
        if command not in self._known:
            self._known[command] = self._read(command, read)
        known: _Known | None = self._known[command]  # type: ignore[assignment]
        return known

    def _read(self, command: str, read: Callable[[str], _Known | None]) -> _Known | None:
        name, *arguments = command.split()
        try:
            answer = run_connected(self._pbs, name, arguments)
        except PbsError as error:
            self.problems[command] = error
            return None
        known = read(answer.stdout) if answer.exit_code == 0 else None  # half a listing lacks what may be there
        if known is None:
            unreadable = PbsError(ErrorKind.OTHER, f"What `{command}` printed cannot be read: {answer.stdout[:200]!r}.")
            self.problems[command] = answer.error() if answer.exit_code else unreadable
        return known


def this_user() -> User:
    """Give the user of this process, with all groups."""
    try:
        entry = pwd.getpwuid(os.geteuid())
    except KeyError:  # such as in a container that was given a bare user number
        return User(str(os.geteuid()))
    groups = []
    for group in [entry.pw_gid, *os.getgrouplist(entry.pw_name, entry.pw_gid)]:
        try:
            groups.append(grp.getgrgid(group).gr_name)
        except KeyError:
            groups.append("")
    host = os.uname().nodename
    return User(entry.pw_name, tuple(dict.fromkeys(groups)), (host, host.partition(".")[0]))
