"""qdel, qhold, qrls, qselect and pbsnodes of TORQUE."""

from __future__ import annotations

import os
import time

from ..call import Answer, Call, UsageError, options
from ..cluster import Cluster
from ..job import BadIdError, parse_id
from ..operands import all_jobs, indices_of
from ..refusal import RefusalError
from . import VERSION
from .qstat import views
from .views import name_of, state

_QDEL_USAGE = """usage: qdel [{ -a | -c | -p | -t | -W delay | -m message}] [-b retry_seconds] \
[<JOBID>[<JOBID>]|'all'|'ALL']...
       -a -c, -m, -p, -t, and -W are mutually exclusive
"""
_HOLD_USAGE = "usage: {command} [-h hold_list] [-t array_range] job_identifier...\n"
_COMPLETE = "Request invalid for state of job MSG=invalid state for job - COMPLETE"


def delete(call: Call, cluster: Cluster) -> Answer:
    """Delete jobs, arrays and subjobs (transcripts torque/07, 08 and 09-arrays-misc)."""
    try:
        pairs, names = options(call.arguments, "ab:cm:pt:W:")
    except UsageError as error:
        return Answer(err=f"qdel: {error}{_QDEL_USAGE}", code=2)
    if not names:
        return Answer(err=_QDEL_USAGE, code=2)
    wanted = dict(pairs)
    if names in (["all"], ["ALL"]):
        names = [job.identity().text(cluster.server) for job in cluster.jobs.values()]
    errors = []
    code = 0
    for name in names:
        text = name.replace("[]", f"[{wanted['-t']}]") if "-t" in wanted else name
        try:
            done = _delete(cluster, text)
        except BadIdError:
            errors.append(f"qdel: illegally formed job identifier: {name}\n")
            code = 1
        except RefusalError:
            errors.append(f"qdel: nonexistent job id: {name}\n")
            code = 153
        else:
            if not done:
                errors.append(f"qdel: {_COMPLETE} {name if '.' in name else f'{name}.{cluster.server}'}\n")
                code = 170
    return Answer(err="".join(errors), code=code)


def _delete(cluster: Cluster, name: str) -> bool:
    """Delete what an id names; False if it is over."""
    cluster.forget_old()
    identity = parse_id(name, cluster.server)
    job = cluster.find(identity, subjobs=True)
    indices = indices_of(job, identity)
    if job.run.state == "F":
        return False
    if not indices:
        cluster.delete(job, None, force=False)
        return True
    left = [index for index in indices if index not in job.subjobs or job.subjobs[index].state != "X"]
    for index in left:
        cluster.delete(job, index, force=False)
    return bool(left)


def hold(call: Call, cluster: Cluster) -> Answer:
    """Put a user hold on jobs and arrays, or take it off (qrls). One that is not there is only a code, 153."""
    try:
        _, names = options(call.arguments, "h:t:")
    except UsageError as error:
        return Answer(err=f"{call.command}: {error}{_HOLD_USAGE.format(command=call.command)}", code=2)
    if not names:
        return Answer(err=_HOLD_USAGE.format(command=call.command), code=2)
    errors = []
    code = 0
    for name in names:
        try:
            job = cluster.find(parse_id(name, cluster.server), subjobs=True)
        except BadIdError:
            errors.append(f"{call.command}: illegally formed job identifier: {name}\n")
            code = 1
        except RefusalError:
            code = 153
        else:
            if job.run.state != "F":
                (cluster.hold if call.command == "qhold" else cluster.release)(job)
    return Answer(err="".join(errors), code=code)


def select(call: Call, cluster: Cluster) -> Answer:
    """Give ids, subjobs' in the place of their arrays', complete ones too: by name, queue, state or user."""
    try:
        pairs, operands = options(call.arguments, "a:A:c:eh:l:N:p:q:r:s:u:")
    except UsageError as error:
        return Answer(err=f"qselect: {error}", code=2)
    wanted = {option[1]: value for option, value in pairs}
    unsupported = sorted(set("aclprhA") & set(wanted))
    if operands or unsupported:
        return Answer(err="qselect: the local PBS selects by -N, -q, -s and -u\n", code=2)
    queue = wanted.get("q", "").partition("@")[0]
    if queue and queue not in cluster.settings.queues:
        return Answer(err="qselect: Unknown queue destination\n", code=172)
    users = {user.partition("@")[0] for user in wanted.get("u", "").split(",")} - {""}
    cluster.forget_old()
    return Answer(
        out="".join(
            f"{view.job.identity(view.index).text(cluster.server)}\n"
            for view in views(cluster, all_jobs(cluster, history=True, subjobs=True), subjobs=True)
            if wanted.get("N", name_of(view)) == name_of(view)
            and queue in ("", view.job.request.queue)
            and ("s" not in wanted or state(view) in wanted["s"])
            and (not users or view.job.request.owner.partition("@")[0] in users)
        )
    )


def nodes(call: Call, cluster: Cluster) -> Answer:
    """Show the node (``pbsnodes -a``)."""
    try:
        pairs, names = options(call.arguments, "acdD:lnoN:qrsx")
    except UsageError as error:
        return Answer(err=f"pbsnodes: {error}", code=2)
    if any(name != cluster.server for name in names):
        return Answer(err=f"pbsnodes: Unknown node  MSG=cannot locate specified node {names[0]}\n", code=1)
    if any(option == "-l" for option, _ in pairs):
        return Answer()
    total, free = cluster.node.total, cluster.node.free
    memory = f"totmem={total.mem_kb}kb,availmem={total.mem_kb}kb,physmem={total.mem_kb}kb"
    system = " ".join((os.uname().sysname, os.uname().nodename, os.uname().release))
    lines = [
        f"state = {'job-exclusive' if free.ncpus <= 0 else 'free'}",
        "power_state = Running",
        f"np = {total.ncpus}",
        "ntype = cluster",
        *([f"gpus = {total.ngpus}"] if total.ngpus else []),
        f"status = opsys=linux,uname={system},nsessions=0,nusers=0,idletime=0,{memory},ncpus={os.cpu_count()},"
        f"loadave=0.00,gres=,netload=0,state=free,varattr= ,cpuclock=Fixed,version={VERSION},"
        f"rectime={int(time.time())},jobs=",
        "mom_service_port = 15002",
        "mom_manager_port = 15003",
    ]
    return Answer(out=f"{cluster.server}\n" + "".join(f"     {line}\n" for line in lines) + "\n")
