"""The commands: each hands its arguments to the server, which it starts if need be, and prints the answer.

Imported by every command, so it imports little. A request and its answers are lines of JSON.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys
import time

from .address import try_connect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_CONNECT_ATTEMPTS = 5
_UNREACHABLE_CODES = {"qstat": 255, "pbsnodes": 1}


def main(home: str, command: str) -> int:
    """Run one PBS command with the arguments of this process and give its exit code."""
    arguments = sys.argv[1:]
    try:
        settings = _settings(home)
        if arguments == ["--version"]:
            print(_version(settings))
            return 0
        if settings.get("server") == "away":
            if settings.get("face") == "torque":
                from .torque.away import say_unreachable

                return say_unreachable(command)
            return _say_unreachable(command, arguments)
        code = 0
        for answer in ask(home, command, arguments):
            if answer.get("ask") == "terminal":
                from .interactive import run

                return run(home, request_of(command, arguments))
            if settings.get("answer_delay"):
                time.sleep(settings["answer_delay"])
            _print(2, answer.get("err", ""))
            _print(1, answer.get("out", ""))
            code = answer.get("code", code)
    except BrokenPipeError:
        return 1
    except (OSError, ValueError) as error:
        print(f"{command}: the local PBS in {home} does not work: {error}", file=sys.stderr)
        return 1
    return code


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


def _version(settings: dict[str, Any]) -> str:
    if settings.get("face") == "torque":
        from .torque import VERSION as TORQUE_VERSION

        return f"Version: {TORQUE_VERSION}\nCommit: "
    from .attributes import VERSION

    return f"pbs_version = {VERSION}"


def request_of(command: str, arguments: list[str]) -> dict[str, Any]:
    """Give what the server is to know of a command."""
    return {
        "command": command,
        "arguments": arguments,
        "cwd": os.getcwd(),  # noqa: PTH109 - pathlib takes longer to import
        "environment": dict(os.environ),
    }


def serve(home: str) -> None:
    """Be the server; what a command starts when none is there."""
    from .server import run_server

    run_server(home)


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


def _settings(home: str) -> dict[str, Any]:
    try:
        with open(f"{home}/settings.json") as file:  # noqa: PTH123 - pathlib takes longer to import
            values = json.load(file)
    except FileNotFoundError:
        return {}
    return values if isinstance(values, dict) else {}


def _say_unreachable(command: str, arguments: list[str]) -> int:
    """Say what the commands of a PBS say whose server is down (transcripts openpbs/12b to 12h)."""
    name = os.uname().nodename.split(".")[0]
    refused = "Connection refused\n"
    text = {
        "qdel": f"{refused}Couldn't connect to cluster: {name}\n",
        "pbsnodes": f"{refused}pbsnodes: cannot connect to server {name}, error=15010\n",
    }.get(command, f"{refused}{command}: cannot connect to server {name} (errno=15010)\n")
    if command == "qstat":
        from .qstat import opening, operands

        _print(1, opening(arguments, name))
        text *= max(operands(arguments), 1)
    _print(2, text)
    return _UNREACHABLE_CODES.get(command, 162)


def _print(descriptor: int, text: object) -> None:
    data = str(text).encode("utf-8", "surrogateescape")
    while data:
        data = data[os.write(descriptor, data) :]
