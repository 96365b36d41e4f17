"""A job's attributes as TORQUE's qstat shows them, as text and as XML, and its tables. Pure.

The order is that of transcripts torque/03 to 09 and 16.
"""

from __future__ import annotations

import grp
import os
import time
from collections.abc import Iterable, Iterator
from functools import lru_cache
from xml.sax.saxutils import escape

from ..attributes import Attribute, View
from ..job import INDEX_TAG
from ..resources import format_time
from ..tables import short_memory

_STATUSES = {-29: -11, -27: -10}
"""Numbers of OpenPBS for walltime and memory, and those of TORQUE."""
_DATES = frozenset({"ctime", "mtime", "qtime", "etime", "start_time", "comp_time", "Execution_Time"})
_TITLE = """Job ID                    Name             User            Time Use S Queue
------------------------- ---------------- --------------- -------- - -----
"""
_WIDE_TITLE = """
{server}:{blank}
                                                                                  Req'd       Req'd       Elap
Job ID                  Username    Queue    Jobname          SessID  NDS   TSK   Memory      Time    S   Time
----------------------- ----------- -------- ---------------- ------ ----- ------ --------- --------- - ---------
"""


def state(view: View) -> str:
    """Give TORQUE's letter: C for what is over, H for subjobs beyond the slot limit."""
    if view.state in "FX":
        return "C"
    if view.state == "B":
        return "R"
    if view.state == "Q" and is_beyond_limit(view):
        return "H"
    return view.state


def is_beyond_limit(view: View) -> bool:
    """Tell whether a subjob waits because others of its array take all slots (``-t 0-9%2``)."""
    indices = view.job.request.indices
    if view.index is None or indices is None or indices.limit is None or view.index in view.job.subjobs:
        return False
    before = sum(1 for index in indices.all() if index < view.index and index not in view.job.subjobs)
    return before >= indices.limit - view.job.running


def name_of(view: View) -> str:
    """Give a job's name; that of a subjob ends with its index."""
    return view.job.request.name + ("" if view.index is None else f"-{view.index}")


def exit_status(view: View) -> int | None:
    """Give TORQUE's number; None for what never ran, but for a job whose dependency has failed."""
    run = view.run
    if run.comment.startswith("Job deleted as result of dependency"):
        return 271
    if run.started is None or run.exit_status is None or (view.index is None and view.job.is_array):
        return None
    return _STATUSES.get(run.exit_status, run.exit_status)


def attributes(view: View, server: str, *, epoch: bool) -> list[Attribute]:
    """Give all attributes of a job in TORQUE's order; ``epoch`` gives times as XML has them."""
    shown = (Attribute(*item) for item in _attributes(view, server) if item[1])
    if epoch:
        return list(shown)
    return [one._replace(value=time.ctime(int(one.value))) if one.name in _DATES else one for one in shown]


def _attributes(view: View, server: str) -> Iterator[tuple[str, str] | tuple[str, str, str]]:
    job, run, request, index = view.job, view.run, view.job.request, view.index
    subjob, parent = index is not None, index is None and job.is_array
    letter = state(view)
    yield "Job_Name", name_of(view)
    yield "Job_Owner", request.owner
    if run.used and not parent:
        yield "resources_used", format_time(run.used["cput"]), "cput"
        yield "resources_used", f"{run.used['vmem']}kb", "vmem"
        yield "resources_used", format_time(run.used["walltime"]), "walltime"
        yield "resources_used", f"{run.used['mem']}kb", "mem"
        yield "resources_used", "0", "energy_used"
    yield "job_state", letter
    yield "queue", request.queue
    yield "server", server
    yield "Account_Name", request.account
    yield "Checkpoint", "u"
    yield "ctime", _seconds(request.submitted)
    yield (
        "depend",
        ",".join(f"{kind}:{':'.join(f'{number}.{server}' for number in numbers)}" for kind, numbers in request.depend),
    )
    yield "Error_Path", _path(request.error, index)
    if run.slot is not None and not parent:
        slots = request.resources.ncpus
        yield "exec_host", f"{server}/{run.slot}" + (f"-{run.slot + slots - 1}" if slots > 1 else "")
    yield "Execution_Time", _seconds(request.execution_time)
    yield "Hold_Types", "l" if letter == "H" and is_beyond_limit(view) else "" if subjob else job.run.holds
    yield "interactive", "True" if request.interactive is not None else ""
    yield "Join_Path", request.join
    yield "Keep_Files", request.keep
    yield "Mail_Points", request.mail_points
    yield "Mail_Users", request.mail_users
    yield "mtime", _seconds(run.changed)
    yield "Output_Path", _path(request.output, index)
    yield "Priority", str(request.priority)
    yield "qtime", "" if parent else _seconds(request.submitted)
    yield "Rerunable", str(request.rerunable)
    for name, value in request.resources.listed:
        yield "Resource_List", value, name
    yield "session_id", "" if run.session is None or parent else str(run.session)
    yield "Shell_Path_List", request.shell
    variables = (*((("PBS_ARRAYID", str(index)),) if subjob else ()), *request.variables)
    yield "Variable_List", ",".join(f"{name}={value}" for name, value in variables)
    yield "euser", request.owner.partition("@")[0]
    yield "egroup", _group()
    yield "queue_type", "E"
    yield "comment", _comment(view, letter)
    yield "etime", _seconds(run.eligible)
    status = exit_status(view) if letter == "C" else None
    yield "exit_status", "" if status is None else str(status)
    yield "submit_args", request.arguments
    yield "job_array_id", str(index) if subjob else ""
    if request.indices is not None and parent:
        yield "job_array_request", request.indices.text
    yield "start_time", "" if parent else _seconds(run.started)
    yield "start_count", str(run.run_count) if run.run_count and not parent else ""
    yield "fault_tolerant", "False"
    if run.started is not None and run.ended is not None and not parent:
        yield "comp_time", _seconds(run.ended)
        yield "job_radix", "0"
        yield "total_runtime", f"{run.ended - run.started:f}"
    else:
        yield "job_radix", "0"
    yield "submit_host", server
    yield "init_work_dir", dict(request.variables).get("PBS_O_WORKDIR", "")
    yield "request_version", "1"


def _comment(view: View, letter: str) -> str:
    if view.index is None and view.job.is_array:
        return ""
    if view.run.started is not None:
        return f"Job started on {time.strftime('%a %b %d at %H:%M', time.localtime(view.run.started))}"
    return view.run.comment if letter == "C" and view.index is None else ""


def _path(path: str, index: int | None) -> str:
    return path.replace(f"-{INDEX_TAG}", "" if index is None else f"-{index}")


def _seconds(moment: float | None) -> str:
    return "" if moment is None else str(int(moment))


@lru_cache(maxsize=1)
def _group() -> str:
    try:
        return grp.getgrgid(os.getgid()).gr_name
    except KeyError:
        return str(os.getgid())


def as_xml(jobs: Iterable[tuple[str, list[Attribute]]]) -> str:
    """Give jobs, by their ids, as one line of XML; nothing if there are none."""
    text = "".join(f"<Job><Job_Id>{name}</Job_Id>{_elements(shown)}</Job>" for name, shown in jobs)
    return f'<?xml version="1.0"?>\n<Data>{text}</Data>\n' if text else ""


def _elements(shown: list[Attribute]) -> str:
    parts: list[str] = []
    for attribute in shown:
        value = escape(attribute.value)
        if not attribute.resource:
            parts.append(f"<{attribute.name}>{value}</{attribute.name}>")
            continue
        closing = f"</{attribute.name}>"
        if parts and parts[-1].endswith(closing):
            parts[-1] = parts[-1].removesuffix(closing)
        else:
            parts.append(f"<{attribute.name}>")
        parts[-1] += f"<{attribute.resource}>{value}</{attribute.resource}>{closing}"
    return "".join(parts)


def table(views: Iterable[View], server: str, *, title: bool) -> str:
    """Give qstat's short table."""
    lines = [_TITLE if title else ""]
    for view in views:
        name = name_of(view)
        used = format_time(view.run.used["cput"]) if view.run.used and not _is_parent(view) else "0"
        lines.append(
            f"{view.job.identity(view.index).text(server):<26} {name if len(name) <= 16 else f'...{name[-13:]}':<16} "
            f"{view.job.request.owner.partition('@')[0]:<12} {used:>8} {state(view)} {view.job.request.queue:<15}\n"
        )
    return "".join(lines)


def wide_table(views: Iterable[View], server: str, *, title: bool) -> str:
    """Give the table of qstat -a and -u."""
    lines = [_WIDE_TITLE.format(server=server, blank=" ") if title else ""]
    for view in views:
        request, run, wanted = view.job.request, view.run, view.job.request.resources
        counted = wanted.value("nodes") is not None
        session = "--" if run.session is None or _is_parent(view) else str(run.session)
        elapsed = " -- "
        if state(view) == "R" and run.started is not None and not _is_parent(view):
            elapsed = format_time(time.time() - run.started)
        lines.append(
            f"{view.job.identity(view.index).text(server):<23} {request.owner.partition('@')[0]:<11} "
            f"{request.queue:<8} {name_of(view)[:16]:<16} {session:>6} {'1' if counted else '--':>5} "
            f"{wanted.ncpus if counted else '--':>6} {short_memory(wanted.value('mem')).strip():>9} "
            f"{wanted.value('walltime') or ' -- ':>9} {state(view)} {elapsed:>9}\n"
        )
    return "".join(lines)


def _is_parent(view: View) -> bool:
    return view.index is None and view.job.is_array
