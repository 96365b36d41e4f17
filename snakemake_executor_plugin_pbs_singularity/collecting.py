"""Tasks that become ready within moments of each other are submitted together, by a thread of its own.

Snakemake hands jobs over as others end, often one by one; nobody waits for stragglers, but a few milliseconds are
no waiting. A PBS server that is slow keeps only this thread, and what comes meanwhile is the next batch.
"""

import time
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from threading import Event, Thread

from .task import Task

QUIET = 0.05
"""Seconds in which no task has come, after which those that have are submitted."""
LONGEST = 1.0
"""Seconds after which a task is submitted, whatever else comes."""


class Collector:
    """Collects tasks and gives them to `submit`, which is told when to stop."""

    def __init__(self, submit: Callable[[list[Task]], None], report: Callable[[Exception], None]) -> None:
        self._submit = submit
        self._report = report
        self._ready: SimpleQueue[list[Task]] = SimpleQueue()
        self.stopped = Event()
        self._thread = Thread(target=self._run, name="submit", daemon=True)
        self._thread.start()

    def put(self, tasks: Iterable[Task]) -> None:
        """Let these tasks be submitted soon."""
        self._ready.put(list(tasks))

    def stop(self, patience: float | None = None) -> bool:
        """Submit nothing more; tell whether a `qsub` that was under way has answered, in so many seconds if given."""
        self.stopped.set()
        self._ready.put([])
        self._thread.join(patience)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self.stopped.is_set():
                tasks = self._collect()
                if tasks and not self.stopped.is_set():
                    self._submit(tasks)
        except Exception as error:  # what a thread does not report, a run waits for without end
            self._report(error)

    def _collect(self) -> list[Task]:
        tasks = list(self._ready.get())
        until = time.monotonic() + LONGEST
        while (left := until - time.monotonic()) > 0 and not self.stopped.is_set():
            try:
                tasks += self._ready.get(timeout=min(QUIET, left))
            except Empty:
                break
        return tasks
