"""Names of signals. Pure."""

import signal


def signal_name(number: int) -> str | None:
    """Give the name of a signal, such as SIGKILL; None for a number that is none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return None


def signal_in_words(number: int) -> str:
    """Give a signal with its name, such as ``signal 9 (SIGKILL)``."""
    name = signal_name(number)
    return f"signal {number}{f' ({name})' if name else ''}"
