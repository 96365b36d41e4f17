"""The end of a run that is cancelled: all its jobs are deleted from PBS, and seen gone."""

import time
from collections.abc import Callable

from .pbs import PbsError
from .text import count
from .tracker import Tracker

LONGEST = 120.0
"""Seconds that a cancelled run waits for PBS to end its jobs."""
SOON = 2.0
"""Seconds that a `qsub` has to answer before a word is said."""
PAUSE = 1.0
"""Seconds between two looks."""


def cancel_all(
    tracker: Tracker, stop: Callable[[float | None], bool], say: Callable[[str], None], complain: Callable[[str], None]
) -> None:
    """Delete all that a run has in PBS and wait until it is gone; Ctrl-C again leaves at once.

    `stop` ends submissions; it tells whether none is under way any more, after so many seconds if given. A server that
    is away is waited for too. What remains, because of that or as PBS takes too long, is said.
    """
    left: set[str] | None = None
    said = ""
    try:
        if not stop(SOON):
            say("Waiting for the answer of qsub. Ctrl-C again leaves at once.")
            stop(None)
        until = time.monotonic() + LONGEST
        while left != set() and time.monotonic() < until:
            try:
                if left is None:
                    ids, tasks = tracker.ids, len(tracker.submitted)
                    if ids:
                        say(f"Deleting {count(len(ids), 'PBS job')} with {count(tasks, 'task')}.")
                    left = set(tracker.delete_all())
                else:
                    left -= tracker.gone(left)
                progress = f"{count(len(left), 'PBS job')} still to end." if left else ""
            except PbsError as error:
                progress = f"PBS has not deleted the jobs yet. {error}"
            if progress and progress != said:
                said = progress
                say(f"{progress} Ctrl-C again leaves at once.")
            if left != set():
                time.sleep(PAUSE)
    except KeyboardInterrupt:
        say("Left at once.")
    if left == set():
        tracker.close()
    else:
        complain(
            "PBS may still have jobs of this run. `pbs-singularity jobs` lists them, `pbs-singularity jobs cancel` "
            "deletes them; the next run here takes care of what it needs itself."
        )
