"""What the commands of a TORQUE say whose server is down (transcript torque/17-server-down)."""

from __future__ import annotations

import os
import sys


def say_unreachable(command: str) -> int:
    """Say it, and give the exit code; qstat tries three times."""
    name = os.uname().nodename.split(".")[0]
    tried = f"\nUnable to communicate with {name}(127.0.0.1)\nCannot connect to specified server host '{name}'.\n"
    text = tried * (3 if command == "qstat" else 1)
    text += f"{command}: cannot connect to server {name} (errno=111) Connection refused\n"
    if command == "qstat":
        text += "qstat: Error (111 - Connection refused) \n"
    sys.stderr.write(text)
    return 111
