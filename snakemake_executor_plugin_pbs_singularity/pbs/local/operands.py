"""Job ids given to qstat, qdel and the like, as what they name."""

from __future__ import annotations

from collections.abc import Iterator

from .attributes import View, view_of
from .cluster import Cluster
from .job import Job, JobId
from .refusal import Reason, RefusalError


def indices_of(job: Job, identity: JobId) -> list[int]:
    """Give the subjob indices that ``12[3]`` or ``12[3-7:2]`` names.

    Raises RefusalError(UNKNOWN_JOB) for one that the array does not have.
    """
    indices = job.request.indices
    if indices is None or not identity.index:
        return []
    wanted, _, step = identity.index.partition(":")
    first, _, last = wanted.partition("-")
    named = list(range(int(first), int(last or first) + 1, int(step or 1)))
    if not named or any(index not in indices.all() for index in named):
        raise RefusalError(Reason.UNKNOWN_JOB)
    return named


def views_of(cluster: Cluster, job: Job, *, subjobs: bool) -> Iterator[View]:
    """Give the view of a job, and of all its subjobs if wanted."""
    comment = cluster.comment(job)
    yield view_of(job, None, comment)
    if subjobs and job.request.indices is not None:
        for index in job.request.indices.all():
            yield view_of(job, index, comment, keeps_history=cluster.settings.history_hours > 0)


def all_jobs(cluster: Cluster, *, history: bool, subjobs: bool) -> Iterator[Job]:
    """Give every job in order of number: those not over, and history too if wanted."""
    finished = list(cluster.store.finished(subjobs=subjobs)) if history else []
    yield from sorted([*finished, *cluster.jobs.values()], key=lambda job: job.number)
