"""Where the server of a home listens. Imported by every command, so it imports little."""

from __future__ import annotations

import os
import socket


def socket_address(folder: int) -> str:
    """Give the path of the server's socket from a descriptor of its home: a socket's path must be short."""
    return f"/proc/self/fd/{folder}/socket"


def is_running(home: str) -> bool:
    """Tell whether the home has a server that listens."""
    folder = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    try:
        connection = try_connect(folder)
    finally:
        os.close(folder)
    if connection is None:
        return False
    connection.close()
    return True


def try_connect(folder: int) -> socket.socket | None:
    """Give a connection to the server of a home, by a descriptor of it; None if none listens."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(socket_address(folder))
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    return connection
