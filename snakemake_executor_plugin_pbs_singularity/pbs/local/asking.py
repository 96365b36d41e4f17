"""Asks the server, which is started if need be.

Imported by every command, so it imports little. A request and its answers are lines of JSON.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys

from .address import try_connect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_CONNECT_ATTEMPTS = 5


def ask(home: str, command: str, arguments: list[str]) -> Iterator[dict[str, Any]]:
    """Give the server's answers to one request; more than one where it has to wait for something."""
    request = request_of(command, arguments)
    for _ in range(_CONNECT_ATTEMPTS):
        try:
            with connect(home) as connection:
                answers = _exchange(connection, request)
                first = next(answers, None)
                if first is not None and first.get("ask") == "stdin":
                    request["stdin"] = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
                    continue
                if first is None:
                    raise OSError("End of File: the server ended before it answered; see server.log there")
                yield first
                yield from answers
                return
        except (ConnectionResetError, BrokenPipeError):
            continue  # a server that was about to end: it has read nothing
    raise OSError("the server cannot be reached; see server.log there")


def request_of(command: str, arguments: list[str]) -> dict[str, Any]:
    """Give what the server is to know of a command."""
    return {
        "command": command,
        "arguments": arguments,
        "cwd": os.getcwd(),  # noqa: PTH109 - pathlib takes longer to import
        "environment": dict(os.environ),
    }


def _exchange(connection: socket.socket, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    connection.sendall(json.dumps(request).encode() + b"\n")
    with connection.makefile("rb") as answers:
        for line in answers:
            yield json.loads(line)


def connect(home: str) -> socket.socket:
    """Give a connection to the server, which is started if need be. Raises OSError."""
    folder = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return try_connect(folder) or _start_and_connect(home, folder)
    finally:
        os.close(folder)


def _start_and_connect(home: str, folder: int) -> socket.socket:
    lock = os.open(f"{home}/start.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        connection = try_connect(folder)
        if connection is not None:
            return connection
        _start_server(home)
        connection = try_connect(folder)
        if connection is None:
            raise OSError("its server does not start; see server.log there")
        return connection
    finally:
        os.close(lock)


def _start_server(home: str) -> None:
    """Start a server and wait until it listens."""
    import subprocess
    from pathlib import Path

    from .home import check_home, python_line

    check_home(Path(home))
    kept = ("LANG", "LC_ALL", "TZ")
    environment = {"PATH": "/usr/bin:/bin", **{name: os.environ[name] for name in kept if name in os.environ}}
    with Path(home, "server.log").open("ab") as log:
        server = subprocess.Popen(
            python_line(Path(home), "serve"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd="/",
            env=environment,
            start_new_session=True,
        )
    assert server.stdout is not None  # noqa: S101 - it was asked for
    server.stdout.read()  # until the server closes it, when it listens or when it failed
    server.stdout.close()
    server.returncode = 0  # it is to outlive this process, which need not say so
