"""The commands: each hands its arguments to the server, which it starts if need be, and prints the answer.

Imported by every command, so it imports little.
"""

from __future__ import annotations

import json
import os
import sys
import time

from .asking import ask, request_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

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


def _version(settings: dict[str, Any]) -> str:
    if settings.get("face") == "torque":
        from .torque import VERSION as TORQUE_VERSION

        return f"Version: {TORQUE_VERSION}\nCommit: "
    from .attributes import VERSION

    return f"pbs_version = {VERSION}"


def serve(home: str) -> None:
    """Be the server; what a command starts when none is there."""
    from .server import run_server

    run_server(home)


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
