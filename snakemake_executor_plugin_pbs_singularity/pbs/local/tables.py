"""qstat's tables of jobs. Pure. Widths and cuts are those of OpenPBS."""

from __future__ import annotations

import time
from collections.abc import Iterable

from .attributes import View
from .resources import format_time

_TITLE = """Job id            Name             User              Time Use S Queue
----------------  ---------------- ----------------  -------- - -----
"""
_ALTERNATE_TITLE = """
{server}:{blank}
                                                            Req'd  Req'd   Elap
Job ID          Username Queue    Jobname    SessID NDS TSK Memory Time  S Time
--------------- -------- -------- ---------- ------ --- --- ------ ----- - -----
"""
_UNITS = "bkmgtp"


def job_table(views: Iterable[View], server: str, *, title: bool) -> str:
    """Give qstat's short table; ``title`` says whether with its two title lines."""
    lines = [_TITLE if title else ""]
    for view in views:
        request = view.job.request
        used = format_time(view.run.used["cput"]) if view.run.used else "0"
        lines.append(
            f"{_cut(view.job.identity(view.index).text(server), 17):<17} "
            f"{_cut_name(request.name, 16):<16} {_cut(_user(view), 16):<16}  "
            f"{used:>8} {view.state} {_cut(request.queue, 16):<16}\n"
        )
    return "".join(lines)


def alternate_table(views: Iterable[View], server: str, *, title: bool, comments: bool, nodes: bool) -> str:
    """Give the table of qstat -a, -u, -H and the like, with comments (-s) or nodes (-n) below each job."""
    lines = [_ALTERNATE_TITLE.format(server=server, blank=" ") if title else ""]
    for view in views:
        request, run = view.job.request, view.run
        wanted = request.resources
        elapsed = _elapsed(view)
        walltime = wanted.value("walltime") or " -- "
        lines.append(
            f"{_cut(view.job.identity(view.index).text(server), 15):<15} {_cut(_user(view), 8):<8} "
            f"{_cut(request.queue, 8):<8} {_cut(request.name, 10):<10} "
            f"{' -- ' if run.session is None else run.session:>6} {wanted.value('nodect') or ' -- ':>3} "
            f"{wanted.ncpus or ' -- ':>3} {short_memory(wanted.value('mem')):>6.6} {walltime:>5.5} "
            f"{view.state} {elapsed:>5.5}\n"
        )
        if nodes:
            lines.append(f"   {' -- ' if run.slot is None else f'{server}/{run.slot}'}\n")
        if comments and view.comment:
            comment = view.comment if len(view.comment) <= 74 else f"{view.comment[:71]}..."
            lines.append(f"   {comment}\n")
    return "".join(lines)


def _elapsed(view: View) -> str:
    if view.run.started is None or (view.index is None and view.job.is_array):
        return " -- "
    return format_time((view.run.ended or time.time()) - view.run.started)


def short_memory(size: str | None) -> str:
    """Give a size with at most four digits, rounded up."""
    if size is None:
        return " -- "
    digits = "".join(character for character in size if character.isdigit())
    number, unit = int(digits), max(_UNITS.find(size[len(digits) : len(digits) + 1]), 0)
    while number > 9999:
        number, unit = -(-number // 1024), unit + 1
    return f"{number}{'' if unit == 0 else _UNITS[unit]}b"


def _user(view: View) -> str:
    return view.job.request.owner.partition("@")[0]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}*"


def _cut_name(text: str, width: int) -> str:
    return text if len(text) < width else f"{text[: width - 1]}*"
