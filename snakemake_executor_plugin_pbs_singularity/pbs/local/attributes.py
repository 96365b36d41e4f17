"""A job's attributes as qstat -f shows them, in its order and its two notations. Pure."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from json.encoder import encode_basestring
from typing import NamedTuple

from .job import INDEX_TAG, Job, Run
from .resources import format_time

VERSION = "23.06.06"
_LINE_LIMIT = 78
_NUMBERS = frozenset(
    (
        "Priority",
        "substate",
        "run_count",
        "Stageout_status",
        "Exit_status",
        "session_id",
        "array_index",
        "history_timestamp",
        "total_jobs",
        "umask",
    )
)
_GROUPS = frozenset({"resources_used", "Resource_List", "resources_available", "resources_assigned"})
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")


class Attribute(NamedTuple):
    """One line of qstat -f: ``name = value`` or ``name.resource = value``."""

    name: str
    value: str
    resource: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """One job, array or subjob as a query sees it."""

    job: Job
    run: Run
    index: int | None
    state: str
    comment: str


def view_of(job: Job, index: int | None, comment: str, *, keeps_history: bool = True) -> View:
    """Give the view of a job or array (``comment`` as the cluster sees it) or of one of its subjobs.

    A server without history has no job of a subjob that is over, and shows attributes of its array (seen on 23.06.06).
    """
    if index is None:
        return View(job, job.run, None, job.run.state, comment)
    run = job.subjobs.get(index)
    array_over = job.run.state == "F"
    if run is None:
        if array_over or job.run.deleted_by:  # deleted before it began
            gone = Run(substate=91, exit_status=job.run.exit_status, changed=job.run.changed)
            return View(job, gone, index, "F" if array_over else "X", "Subjob finished")
        waiting = Run(eligible=job.run.eligible, changed=job.run.changed)
        state = job.run.state if job.run.state in "HW" else "Q"
        return View(job, waiting, index, state, comment if job.run.state == "Q" else "")
    if run.state == "X" and not array_over and not keeps_history:
        shown = Run(started=job.run.started, changed=job.run.changed, substate=70, exit_status=job.run.exit_status)
        return View(job, shown, index, "X", "Subjob finished")
    state = "F" if run.state == "X" and array_over else run.state
    return View(job, run, index, state, run.comment)


def attributes(view: View, server: str, workdir: str) -> list[Attribute]:
    """Give all attributes of a job in the order of the transcripts (openpbs/01c, 03e and 08c2)."""
    return [Attribute(*item) for item in _attributes(view, server, workdir) if item[1]]


def _attributes(view: View, server: str, workdir: str) -> Iterator[tuple[str, str] | tuple[str, str, str]]:
    job, run, request, index = view.job, view.run, view.job.request, view.index
    whole = index is None
    yield "Job_Name", request.name
    yield "Job_Owner", request.owner
    for name, amount in sorted(run.used.items()):
        yield "resources_used", _amount(name, amount), name
    yield "job_state", view.state
    yield "queue", request.queue
    yield "server", server
    yield "Account_Name", request.account
    yield "Checkpoint", "u" if whole else ""
    yield "ctime", _date(request.submitted)
    yield "depend", _dependencies(job, server)
    yield "Error_Path", _path(request.error, index)
    if run.slot is not None:
        yield (
            "exec_host",
            "+".join(
                f"{server}/{run.slot}" + (f"*{chunk.ncpus}" if chunk.ncpus != 1 else "")
                for chunk in request.resources.chunks
            ),
        )
        yield (
            "exec_vnode",
            "+".join(f"({':'.join((server, *chunk.asked))})" for chunk in request.resources.chunks),
        )
    yield "Execution_Time", _date(request.execution_time)
    yield "Hold_Types", run.holds if whole else ""
    yield "interactive", "True" if request.interactive is not None else ""
    yield "Join_Path", request.join
    yield "Keep_Files", request.keep
    yield "Mail_Points", request.mail_points
    yield "Mail_Users", request.mail_users
    yield "mtime", _date(run.changed)
    yield "Output_Path", _path(request.output, index)
    yield "Priority", str(request.priority)
    yield "qtime", _date(request.submitted)
    yield "Remove_Files", request.remove
    yield "Rerunable", str(request.rerunable)
    for name, value in request.resources.listed:
        yield "Resource_List", value, name
    yield "Shell_Path_List", request.shell
    yield "stime", _date(run.started)
    yield "obittime", _date(run.ended)
    yield "session_id", "" if run.session is None else str(run.session)
    yield "jobdir", workdir if run.session is not None else ""
    yield "substate", str(run.substate)
    yield "Variable_List", _variables(request.variables)
    yield "comment", view.comment
    yield "umask", "" if request.umask is None else f"{request.umask:o}"
    yield "etime", _date(run.eligible)
    yield "run_count", str(run.run_count) if run.run_count else ""
    yield "Stageout_status", "" if run.staged_out is None else str(int(run.staged_out))
    yield "Exit_status", "" if run.exit_status is None else str(run.exit_status)
    if whole:
        yield "Submit_arguments", request.arguments
        yield from _array(job)
    else:
        yield "array_id", job.identity().text(server)
        yield "array_index", str(index)
    history = job.run.history
    yield "history_timestamp", "" if history is None else str(int(history))
    yield "project", request.project
    yield "Submit_Host", server


def _array(job: Job) -> Iterator[tuple[str, str]]:
    indices = job.request.indices
    if indices is None:
        return
    yield "array", "True"
    over = job.run.state == "F"
    expired = job.run.never_begun if over else job.expired
    yield "array_state_count", f"Queued:{job.queued} Running:{job.running} Exiting:0 Expired:{expired}"
    yield "array_indices_submitted", str(indices)
    yield "array_indices_remaining", _ranges([] if over else remaining(job), indices.step)
    if indices.limit is not None:
        yield "max_run_subjobs", str(indices.limit)


def remaining(job: Job) -> list[int]:
    """Give the indices of an array that are still queued."""
    indices = job.request.indices
    if indices is None or not job.queued:
        return []
    return [index for index in indices.all() if index not in job.subjobs]


def _ranges(indices: list[int], step: int) -> str:
    """Give indices in PBS's short form, ``3-5,8``; ``-`` for none."""
    parts: list[str] = []
    start = 0
    for at, index in enumerate(indices):
        if at + 1 < len(indices) and indices[at + 1] == index + step:
            continue
        first = indices[start]
        by = f":{step}" if step != 1 else ""
        parts.append(str(first) if first == index else f"{first}-{index}{by}")
        start = at + 1
    return ",".join(parts) or "-"


def _amount(name: str, amount: int) -> str:
    if name in ("cput", "walltime"):
        return format_time(amount)
    return f"{amount}kb" if name in ("mem", "vmem") else str(amount)


def _date(moment: float | None) -> str:
    return "" if moment is None else _clock(int(moment))


_clock = lru_cache(maxsize=1024)(time.ctime)


def _path(path: str, index: int | None) -> str:
    return path if index is None else path.replace(INDEX_TAG, str(index))


def _dependencies(job: Job, server: str) -> str:
    return ",".join(
        f"{kind}:{':'.join(f'{number}.{server}@{server}' for number in numbers)}"
        for kind, numbers in job.request.depend
    )


_ESCAPED = re.compile(r"""[\\"',]""")


@lru_cache(maxsize=64)
def _variables(variables: tuple[tuple[str, str], ...]) -> str:
    """Give a Variable_List; what would end a value has a backslash before it (transcripts openpbs/11)."""
    return ",".join(f"{name}={_escaped(value)}" for name, value in variables)


def _escaped(value: str) -> str:
    return _ESCAPED.sub(r"\\\g<0>", value)


# ----- the two notations


def as_text(title: str, shown: Iterable[Attribute], *, wide: bool = False) -> str:
    """Give attributes as qstat -f prints them: lines folded at commas or at the limit, or with -w none."""
    line = _unfolded if wide else _folded
    lines = [title]
    for attribute in shown:
        name = f"{attribute.name}.{attribute.resource}" if attribute.resource else attribute.name
        lines.append(line(name, attribute.value))
    return "\n".join(lines) + "\n\n"


def _unfolded(name: str, value: str) -> str:
    if "\n" in value or "\f" in value:
        value = value.replace("\n", "\\n").replace("\f", "\\f")
    return f"    {name} = {value}"


def _folded(name: str, value: str) -> str:
    text = [f"    {name} = "]
    column = len(name) + 7
    for at, part in enumerate(part for part in value.split(",") if part):
        if at:
            text.append(",")
        if len(part) + column < _LINE_LIMIT:
            text.append(part)
            column += len(part)
            continue
        if at:
            text.append("\n\t")
            column = 9
        for character in part:
            text.append(character)
            column += 1
            if column > _LINE_LIMIT:
                text.append("\n\t")
                column = 8
    return "".join(text)


@dataclass(frozen=True, slots=True)
class Raw:
    """JSON text that is put in as it is."""

    text: str


def as_json(shown: Iterable[Attribute]) -> dict[str, object]:
    """Give attributes as the object that qstat -F json prints."""
    found: dict[str, object] = {}
    for attribute in shown:
        if attribute.name in _GROUPS:
            group = found.setdefault(attribute.name, {})
            assert isinstance(group, dict)  # noqa: S101 - made one line above
            group[attribute.resource] = _parsed(attribute.value)
        elif attribute.name == "Variable_List":
            found[attribute.name] = _variables_as_json(attribute.value)
        elif attribute.name in _NUMBERS:
            found[attribute.name] = _parsed(attribute.value)
        else:
            found[attribute.name] = attribute.value
    return found


@lru_cache(maxsize=64)  # the same for all subjobs of an array
def _variables_as_json(text: str) -> dict[str, object]:
    return {name: _parsed(value) for name, value in _split(text)}


def _split(text: str) -> Iterator[tuple[str, str]]:
    """Take a Variable_List apart as qstat does: only commas after a backslash are part of a value."""
    at = 0
    while at < len(text):
        item = []
        while at < len(text) and text[at] != ",":
            if text[at] == "\\" and text[at + 1 : at + 2] == ",":
                at += 1
            item.append(text[at])
            at += 1
        at += 1
        name, _, value = "".join(item).partition("=")
        yield name, value


def _parsed(text: str) -> object:
    """Give a value as qstat does that takes it for JSON if it can (transcripts openpbs/11)."""
    if _NUMBER.fullmatch(text):
        number = float(text)
        if number in (float("inf"), float("-inf")):
            return Raw("null")
        return int(number) if number == int(number) and abs(number) < 2**53 else number
    if text in ("true", "false", "null"):
        return Raw(text)
    if text.startswith("["):
        try:
            return Raw(json.dumps(json.loads(text)))
        except ValueError:
            return text
    return text


def json_text(value: object, indent: int = 0) -> str:
    """Print an object as qstat does: tabs, and a tab after each colon."""
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, str):
        return encode_basestring(value)
    if not isinstance(value, dict):
        return repr(value)
    if not value:
        return "{}"
    tabs = "\t" * (indent + 1)
    items = ",\n".join(
        f"{tabs}{encode_basestring(name)}:\t{json_text(item, indent + 1)}" for name, item in value.items()
    )
    return "{\n" + items + "\n" + "\t" * indent + "}"
