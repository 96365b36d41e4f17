"""The server process: one loop that takes requests, listens to keepers and minds the time."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from . import alter, pbsnodes, qselect, qstat, qsub
from .address import is_running, socket_address
from .call import Answer, Call, NeedsInputError
from .cluster import Cluster
from .job import Job
from .node import Keeping
from .settings import FILE_NAME, Settings, SettingsError, load

_HANDLERS: dict[str, Callable[[Call, Cluster], Answer]] = {
    "qsub": qsub.answer,
    "qstat": qstat.answer,
    "qdel": alter.delete,
    "qhold": alter.hold,
    "qrls": alter.release,
    "qselect": qselect.answer,
    "pbsnodes": pbsnodes.answer,
}
_LOOK_AGAIN = 0.1  # seconds between looks at the settings of a hung server
_HISTORY_ROUND = 3600
_PREDECESSOR = 10  # seconds that an earlier server has to end
_FIRST_REQUEST = 5  # seconds that the command which started the server has to ask it something


def run_server(home: str) -> None:
    """Serve until there is nothing to do. Gives up if the home has a server already."""
    lock = os.open(f"{home}/server.lock", os.O_RDWR | os.O_CREAT, 0o600)
    if not _become_the_only_one(home, lock):
        return
    os.truncate(lock, 0)
    os.write(lock, str(os.getpid()).encode())  # for whoever looks for the process
    os.umask(0o077)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers speak through their FIFOs
    _Server(Path(home)).run()


def _become_the_only_one(home: str, lock: int) -> bool:
    """Take the home's lock; an earlier server may need a moment to end."""
    until = time.monotonic() + _PREDECESSOR
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if is_running(home):
                return False
            if time.monotonic() > until:
                print("another server neither listens nor ends", file=sys.stderr)
                return False
            time.sleep(_LOOK_AGAIN / 10)
        else:
            return True


class _Server:
    """Selector, socket and cluster of one server."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._folder = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
        self._selector = selectors.DefaultSelector()
        self._settings_seen: tuple[int, int] | None = None
        self._settings = Settings()
        self._look_at_settings()
        self._cluster = Cluster(home, self._settings, self._watch, self._unwatch)
        self._cluster.store.commit()
        self._listener = self._listen()
        self._last_request = time.monotonic() + _FIRST_REQUEST
        self._last_history_round = time.monotonic()
        self._stopping = False

    def run(self) -> None:
        """Do what there is to do until there is nothing."""
        os.dup2(2, 1)  # tells the command that started this server that it listens
        while True:
            ready = self._selector.select(self._patience())
            self._look_at_settings()
            while self._settings.server == "hung":
                time.sleep(_LOOK_AGAIN)
                self._look_at_settings()
            if self._settings.server == "away":
                self._close()
                return
            for key, _ in ready:
                key.data(key.fileobj)
            self._cluster.on_time()
            if time.monotonic() - self._last_history_round > _HISTORY_ROUND:
                self._cluster.forget_old()
                self._last_history_round = time.monotonic()
            self._cluster.store.commit()
            if self._is_done() and self._leave():
                return

    def _patience(self) -> float:
        """Give the seconds after which there is something to do even if nobody calls."""
        patience = self._last_request + self._settings.idle - time.monotonic()
        if self._cluster.node.keepings or patience <= 0:
            patience = _HISTORY_ROUND
        at = self._cluster.next_time()
        if at is not None:
            patience = min(patience, at - time.time())
        return max(patience, 0)

    def _is_done(self) -> bool:
        if self._cluster.node.keepings or any(self._cluster.on_end.values()):
            return False
        if self._stopping:
            return True
        idle = time.monotonic() - self._last_request >= self._settings.idle
        return idle and self._cluster.next_time() is None

    def _leave(self) -> bool:
        """Close the socket, unless somebody has just knocked."""
        self._remove_socket()
        late = selectors.DefaultSelector()
        late.register(self._listener, selectors.EVENT_READ)
        if late.select(0) and not self._stopping:
            self._selector.unregister(self._listener)
            waiting = self._listener
            self._listener = self._listen()
            self._accept(waiting)
            waiting.close()
            return False
        self._close()
        return True

    def _close(self) -> None:
        self._remove_socket()
        self._listener.close()
        self._cluster.store.close()

    def _remove_socket(self) -> None:
        """Remove the socket of this home, not of another that has come to its path since."""
        with suppress(FileNotFoundError):
            os.unlink("socket", dir_fd=self._folder)

    def _listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX)
        self._remove_socket()
        listener.bind(socket_address(self._folder))
        listener.listen(512)
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ, self._accept)
        return listener

    def _watch(self, keeping: Keeping) -> None:
        self._selector.register(keeping.fifo, selectors.EVENT_READ, lambda _: self._hear(keeping))

    def _unwatch(self, keeping: Keeping) -> None:
        self._selector.unregister(keeping.fifo)

    def _hear(self, keeping: Keeping) -> None:
        if keeping.key in self._cluster.node.keepings:
            self._cluster.hear(keeping)
        if not self._cluster.node.keepings:
            self._last_request = max(self._last_request, time.monotonic())

    def _accept(self, listener: Any) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno == errno.EMFILE:
                    return  # the others first
                raise
            connection.setblocking(False)
            text = bytearray()
            self._selector.register(connection, selectors.EVENT_READ, lambda sock, t=text: self._read(sock, t))

    def _read(self, connection: socket.socket, text: bytearray) -> None:
        while True:
            try:
                part = connection.recv(1 << 16)
            except BlockingIOError:
                return
            except ConnectionResetError:
                part = b""
            if not part:  # the command was killed before it had said all
                self._hang_up(connection)
                return
            text += part
            if text.endswith(b"\n"):
                self._selector.unregister(connection)
                connection.setblocking(True)
                connection.settimeout(10)
                self._serve(connection, bytes(text))
                return

    def _hang_up(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        connection.close()

    def _serve(self, connection: socket.socket, text: bytes) -> None:
        self._last_request = time.monotonic()
        request = json.loads(text)
        request.setdefault("stdin", None)
        call = Call(**request)
        if call.command == "stop":
            self._stop()
            _reply(connection, {"code": 0})
            connection.close()
            return
        try:
            answer = self._handler(call.command)(call, self._cluster)
            self._cluster.store.commit()
        except NeedsInputError as need:
            _reply(connection, {"ask": str(need)})
            connection.close()
            return
        except Exception:
            traceback.print_exc(file=sys.stderr)
            answer = Answer(err=f"{call.command}: the local PBS failed; see server.log in {self._home}\n", code=1)
        message = {"out": answer.out, "err": answer.err, "code": answer.code}
        if answer.wait_for is None or answer.wait_for not in self._cluster.jobs:
            _reply(connection, message)
            connection.close()
            return
        self._attend(connection, message, self._cluster.jobs[answer.wait_for], interactive=answer.interactive)

    def _handler(self, command: str) -> Callable[[Call, Cluster], Answer]:
        if self._settings.face == "torque":
            from .torque.handlers import HANDLERS

            return HANDLERS[command]
        return _HANDLERS[command]

    def _attend(self, connection: socket.socket, message: dict[str, object], job: Job, *, interactive: bool) -> None:
        """Let a qsub wait for its job: for its end, or as the terminal of an interactive one."""
        identity = job.identity().text(self._cluster.server)

        def tell_start() -> None:
            _reply(connection, {"out": f"qsub: job {identity} ready\n\n", "ready": True})

        def tell_end(job: Job) -> None:
            status = job.run.exit_status
            if not interactive:
                _reply(connection, {"code": 3 if status is None else status & 0xFF})
            elif job.run.started:
                _reply(connection, {"out": f"\nqsub: job {identity} completed\n", "code": 0})
            else:
                _reply(connection, {"err": f"qsub: job {identity} apparently deleted\n", "code": 1})
            self._hang_up(connection)

        def lose(_: object) -> None:
            if connection.fileno() < 0:
                return  # its job has ended at the same moment
            self._cluster.on_start.pop(job.number, None)
            self._cluster.on_end.get(job.number, [tell_end]).remove(tell_end)
            self._hang_up(connection)
            if interactive and job.number in self._cluster.jobs:
                self._cluster.delete(job, None, force=False)

        _reply(connection, {**message, "job": identity})
        self._selector.register(connection, selectors.EVENT_READ, lose)
        self._cluster.on_end.setdefault(job.number, []).append(tell_end)
        if not interactive:
            return
        if job.run.state == "R":
            tell_start()
        else:
            self._cluster.on_start[job.number] = tell_start

    def _stop(self) -> None:
        """Delete all jobs and end once they are gone."""
        self._stopping = True
        for job in list(self._cluster.jobs.values()):
            self._cluster.delete(job, None, force=True)

    def _look_at_settings(self) -> None:
        """Read the settings if their file has changed; nonsense in it is logged and changes nothing."""
        try:
            status = os.stat(FILE_NAME, dir_fd=self._folder)
            seen = (status.st_mtime_ns, status.st_ino)
        except FileNotFoundError:
            seen = None
        if seen == self._settings_seen:
            return
        self._settings_seen = seen
        try:
            self._settings = load(self._home)
        except SettingsError as error:
            print(error, file=sys.stderr, flush=True)
            return
        if hasattr(self, "_cluster"):
            self._cluster.apply(self._settings)


def _reply(connection: socket.socket, message: dict[str, object]) -> None:
    with suppress(OSError):  # the command was killed; what it asked for is done
        connection.sendall(json.dumps(message).encode() + b"\n")
