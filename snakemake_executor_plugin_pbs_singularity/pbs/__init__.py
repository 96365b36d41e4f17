"""Talks to PBS. Knows nothing of Snakemake or containers.

``find_pbs`` finds the commands; ``submit``, ``status`` and ``delete`` use them; ``explain_exit`` says in words
why it ended a job. All problems are PbsErrors, which say what to do.
"""

from .client import delete, find_by_name, status, subjob_status, submit
from .commands import Pbs, find_pbs
from .errors import ErrorKind, LimitError, PbsError
from .explain import explain_exit, explain_waiting, raise_memory, used_in_words
from .ids import array_of, subjob_id
from .outcome import Cause, Hindrance, JobStatus, State, Usage, Verdict, hindrance
from .placement import Placement
from .queues import check_queue
from .signals import signal_name
from .submission import Submission, job_name, subjob_output
from .survey import Survey

__all__ = [
    "Cause",
    "ErrorKind",
    "Hindrance",
    "JobStatus",
    "LimitError",
    "Pbs",
    "PbsError",
    "Placement",
    "State",
    "Submission",
    "Survey",
    "Usage",
    "Verdict",
    "array_of",
    "check_queue",
    "delete",
    "explain_exit",
    "explain_waiting",
    "find_by_name",
    "find_pbs",
    "hindrance",
    "job_name",
    "raise_memory",
    "signal_name",
    "status",
    "subjob_id",
    "subjob_output",
    "subjob_status",
    "submit",
    "used_in_words",
]
