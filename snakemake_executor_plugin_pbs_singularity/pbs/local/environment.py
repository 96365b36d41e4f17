"""The environment that a job starts with, as pbs_mom gives it. Pure."""

from __future__ import annotations

from .job import Job
from .machine import User

_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"


def job_environment(
    job: Job, index: int | None, *, server: str, user: User, temporary: str, node_file: str
) -> dict[str, str]:
    """Give the variables of a job: the base, those asked for with -v or -V, then PBS's own.

    Nothing of the submitter's environment is in it but what qsub was told to send.
    """
    request = job.request
    first = request.resources.chunks[0]
    environment = {
        "PATH": _PATH,
        "HOME": user.home,
        "LOGNAME": user.name,
        "USER": user.name,
        "SHELL": request.shell or user.shell,
        **dict(request.variables),
        "PBS_ENVIRONMENT": "PBS_BATCH",
        "ENVIRONMENT": "BATCH",
        "PBS_JOBID": job.identity(index).text(server),
        "PBS_JOBNAME": request.name,
        "PBS_QUEUE": request.queue,
        "PBS_NODEFILE": node_file,
        "PBS_NODENUM": "0",
        "PBS_TASKNUM": "1",
        "PBS_JOBDIR": user.home,
        "NCPUS": str(first.ncpus),
        "OMP_NUM_THREADS": str(first.ompthreads),
        "TMPDIR": temporary,
    }
    if request.interactive is not None:
        del environment["ENVIRONMENT"]
        environment |= {"PBS_ENVIRONMENT": "PBS_INTERACTIVE", "TERM": request.interactive.term}
    if index is not None:
        environment["PBS_ARRAY_INDEX"] = str(index)
        environment["PBS_ARRAY_ID"] = job.identity().text(server)
    return environment


def torque_environment(
    job: Job, index: int | None, *, server: str, user: User, temporary: str, node_file: str
) -> dict[str, str]:
    """Give the same as TORQUE's pbs_mom does, which has names of its own and no TMPDIR."""
    environment = job_environment(job, index, server=server, user=user, temporary=temporary, node_file=node_file)
    for name in ("TMPDIR", "NCPUS", "OMP_NUM_THREADS", "PBS_JOBDIR", "PBS_ARRAY_INDEX", "PBS_ARRAY_ID"):
        environment.pop(name, None)
    chunks = job.request.resources.chunks
    walltime = job.request.resources.walltime
    environment |= {
        "PBS_NP": str(job.request.resources.ncpus),
        "PBS_NUM_NODES": str(len(chunks)),
        "PBS_NUM_PPN": str(chunks[0].ncpus),
        "PBS_VNODENUM": "0",
        "PBS_VERSION": "TORQUE-6.1.3.h5",
        **({"PBS_WALLTIME": str(walltime)} if walltime is not None else {}),
    }
    if index is not None:
        environment |= {"PBS_ARRAYID": str(index), "PBS_JOBNAME": f"{job.request.name}-{index}"}
    return environment


def node_lines(job: Job, host: str) -> str:
    """Give the text of PBS_NODEFILE: a line for each MPI process."""
    return f"{host}\n" * sum(chunk.mpiprocs for chunk in job.request.resources.chunks)
