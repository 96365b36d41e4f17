"""Ids of PBS jobs, which all kinds of PBS write alike. Pure."""

import re
from collections.abc import Iterable

JOB_ID = re.compile(r"\d+(?:\[\d*\])?\.[A-Za-z0-9._-]+(?::\d+)?")
"""``12.server``, ``12[].server`` for an array, ``12[3].server`` for a subjob; of a server on a port of its own,
``12.server:15999``."""
QUEUE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*(?:@[A-Za-z0-9_.:-]+)?")


def parse_job_id(text: str) -> str | None:
    """Find the job id in what ``qsub`` printed: the last line that is one; wrappers of sites print more."""
    ids = parse_job_ids(text)
    return ids[-1] if ids else None


def parse_job_ids(text: str) -> list[str]:
    """Give all job ids in what ``qselect`` printed, one on a line."""
    return [line.strip() for line in text.splitlines() if JOB_ID.fullmatch(line.strip())]


def subjob_id(array_id: str, index: int) -> str:
    """Give the id of a subjob: ``12[3].server`` of ``12[].server`` and 3; of what is no array, the id itself."""
    return array_id.replace("[]", f"[{index}]", 1)


def array_of(job_id: str) -> str | None:
    """Give the id of a subjob's array; None for what is no subjob."""
    array, subjobs = re.subn(r"\[\d+\]", "[]", job_id)
    return array if subjobs else None


def is_array_id(job_id: str) -> bool:
    """Tell whether an id is that of an array as a whole."""
    return "[]" in job_id


def deletable(ids: Iterable[str]) -> list[str]:
    """Leave out what comes twice, and subjobs of arrays that are there themselves.

    An array that stands in one ``qdel`` with subjobs of its own is not deleted, without a word (OpenPBS 23.06.06).
    """
    unique = dict.fromkeys(ids)
    return [job_id for job_id in unique if array_of(job_id) not in unique]
