"""Tasks become batches: those that ask for the same go out in one `qsub`, as a job array.

Pure, but for `write_batch`. A bundle is what one subjob runs: a task, or several short ones one after the other.
"""

import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TypeVar

from .pbs import Pbs, Submission, job_name
from .pbs.request import Request
from .task import Task
from .tasks.identity import request_digest
from .tasks.script import DirectTask, Surroundings, batch_script, submitted_script
from .tracking.ledger import LedgerBatch, LedgerTask
from .tracking.run_folder import RunFolder, new_token, write_private

Bundle = tuple[Task, ...]
T = TypeVar("T")


@dataclass(frozen=True)
class Batch:
    """What one `qsub` submits."""

    token: str
    bundles: tuple[Bundle, ...]

    @property
    def tasks(self) -> list[Task]:
        """Give its tasks in their order."""
        return list(chain.from_iterable(self.bundles))

    @property
    def request(self) -> Request:
        """Give what each of its tasks asks for."""
        return self.bundles[0][0].request

    @property
    def title(self) -> str:
        """Give a name of it for people."""
        tasks = self.tasks
        if len(tasks) == 1:
            return tasks[0].label
        rules = list(dict.fromkeys(task.rule for task in tasks))
        return f"{len(tasks)} tasks of {', '.join(rules[:3])}{' and others' if len(rules) > 3 else ''}"

    @property
    def longest(self) -> int:
        """Give how many tasks its largest bundle has."""
        return max(map(len, self.bundles))

    def cut(self, size: int) -> list["Batch"]:
        """Give it as batches of at most so many bundles, itself if that is what it is."""
        if len(self.bundles) <= size:
            return [self]
        return [Batch(new_token(), tuple(bundles)) for bundles in _cut(self.bundles, size)]


def form_batches(tasks: Iterable[Task], limit: Callable[[Request], int]) -> list[Batch]:
    """Put tasks together that ask for the same, in arrays of at most so many subjobs as `limit` allows a request."""
    return [
        Batch(new_token(), tuple(bundles))
        for alike in _grouped(tasks, lambda task: (task.request, task.bundle))
        for bundles in _cut(_bundles(alike), limit(alike[0].request))
    ]


def write_batch(
    batch: Batch, surroundings: Surroundings, folder: RunFolder, pbs: Pbs, max_running: int | None = None
) -> Submission:
    """Write the two scripts of a batch and give what PBS is to be told.

    Raises OSError; PbsError for what this kind of PBS cannot be asked for.
    """
    script = folder.script(batch.token)
    bundles = [[task.work for task in bundle] for bundle in batch.bundles]
    write_private(script, batch_script(batch.title, bundles, surroundings))
    submitted = folder.submitted_script(batch.token)
    write_private(submitted, submitted_script(batch.title, script))
    for parent in {task.log.parent for task in batch.tasks}:
        parent.mkdir(mode=0o700, exist_ok=True)
    size = len(batch.bundles)
    return Submission(
        script=submitted,
        name=job_name(f"{batch.tasks[0].rule}-{batch.token}"),
        output=folder.pbs_log(batch.token, None),
        arguments=pbs.dialect.request_arguments(batch.request, batch.longest),
        workdir=surroundings.workdir,
        size=size,
        max_running=max_running,
    )


def ledger_batch(batch: Batch, name: str, folder: RunFolder) -> LedgerBatch:
    """Give what the ledger is to know of a batch that is about to be submitted."""
    request = request_digest(batch.request)
    tasks = {
        task.token: LedgerTask(task.token, index, task.job_digest, task.work_digest, request, task.label, str(task.log))
        for index, bundle in enumerate(batch.bundles)
        for task in bundle
    }
    return LedgerBatch(batch.token, name, folder.name, time.time(), len(batch.bundles), tasks)


def pbs_log(batch: Batch, index: int, folder: RunFolder) -> Path:
    """Give the file for what PBS writes of the subjob of an index, or of the job if it is no array."""
    return folder.pbs_log(batch.token, index if len(batch.bundles) > 1 else None)


def _bundles(tasks: Sequence[Task]) -> list[Bundle]:
    """Cut tasks into bundles; those that share a container come together, so that it starts once for them."""
    size = tasks[0].bundle
    if size == 1:
        return [(task,) for task in tasks]
    return [tuple(bundle) for same in _grouped(tasks, _container) for bundle in _cut(same, size)]


def _container(task: Task) -> Hashable:
    return task.work.container if isinstance(task.work, DirectTask) else "nested"


def _grouped(tasks: Iterable[Task], key: Callable[[Task], Hashable]) -> list[list[Task]]:
    groups: dict[Hashable, list[Task]] = {}
    for task in tasks:
        groups.setdefault(key(task), []).append(task)
    return list(groups.values())


def _cut(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
