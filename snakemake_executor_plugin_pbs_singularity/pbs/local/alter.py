"""qdel, qhold and qrls."""

from __future__ import annotations

from collections.abc import Callable

from .call import Answer, Call, UsageError, options
from .cluster import Cluster
from .job import BadIdError, Job, JobId, parse_id
from .operands import indices_of
from .refusal import Reason, RefusalError

_QDEL_USAGE = "usage:\n\tqdel [-W force|suppress_email=X] [-x] job_identifier...\n\tqdel --version\n"
_HOLD_USAGE = "usage: {command} [-h hold_list] job_identifier...\n       {command} --version\n"


def delete(call: Call, cluster: Cluster) -> Answer:
    """Delete jobs, arrays and subjobs (transcripts openpbs/04p to 04s and 08)."""
    try:
        pairs, names = options(call.arguments, "W:x")
    except UsageError as error:
        return Answer(err=f"qdel: {error}{_QDEL_USAGE}", code=2)
    wanted = {value for option, value in pairs if option == "-W"}
    if any(value != "force" and not value.startswith("suppress_email=") and not value.isdigit() for value in wanted):
        return Answer(err=f"qdel: illegal -W value\n{_QDEL_USAGE}", code=2)
    if not names:
        return Answer(err=_QDEL_USAGE, code=2)
    forget = any(option == "-x" for option, _ in pairs)

    def act(job: Job, identity: JobId) -> None:
        _delete(cluster, job, indices_of(job, identity), force="force" in wanted, forget=forget)

    return _each(call, cluster, names, act)


def _delete(cluster: Cluster, job: Job, indices: list[int], *, force: bool, forget: bool) -> None:
    if forget and not indices:
        cluster.forget(job)
    elif job.run.state == "F":
        raise RefusalError(Reason.FINISHED)
    elif not indices:
        cluster.delete(job, None, force=force)
    else:
        over = [index for index in indices if index in job.subjobs and job.subjobs[index].state == "X"]
        if len(over) == len(indices) == 1:
            raise RefusalError(Reason.FINISHED)
        for index in indices:
            cluster.delete(job, index, force=force)


def hold(call: Call, cluster: Cluster) -> Answer:
    """Put a user hold on jobs and arrays."""
    return _holds(call, cluster, cluster.hold)


def release(call: Call, cluster: Cluster) -> Answer:
    """Take the user hold off jobs and arrays."""
    return _holds(call, cluster, cluster.release)


def _holds(call: Call, cluster: Cluster, change: Callable[[Job], None]) -> Answer:
    usage = _HOLD_USAGE.format(command=call.command)
    try:
        pairs, names = options(call.arguments, "h:")
    except UsageError as error:
        return Answer(err=f"{call.command}: {error}{usage}", code=2)
    if any(set(value) - set("nuosp") for _, value in pairs):
        return Answer(err=f"{call.command}: illegal -h value\n{usage}", code=2)
    if not names:
        return Answer(err=usage, code=2)

    def act(job: Job, identity: JobId) -> None:
        if job.run.state == "F":
            raise RefusalError(Reason.FINISHED)
        if identity.index:
            raise RefusalError(Reason.BAD_STATE)
        change(job)

    return _each(call, cluster, names, act)


def _each(call: Call, cluster: Cluster, names: list[str], act: Callable[[Job, JobId], None]) -> Answer:
    """Do something to each job named; what fails is said and the others go on."""
    errors = []
    code = 0
    for name in names:
        try:
            identity = parse_id(name, cluster.server)
            job = cluster.find(identity, subjobs=True)
            act(job, identity)
        except BadIdError:
            errors.append(f"{call.command}: illegally formed job identifier: {name}\n")
            code = 1
        except RefusalError as error:
            shown = name if "." in name else f"{name}.{cluster.server}"
            errors.append(f"{call.command}: {error} {shown}\n")
            code = error.reason.code
    return Answer(err="".join(errors), code=code)
