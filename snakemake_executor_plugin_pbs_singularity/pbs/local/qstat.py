"""qstat: queries as OpenPBS answers them, quirks included, for a client has to live with them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from . import status
from .attributes import VERSION, View, as_json, as_text, attributes, json_text, view_of
from .call import Answer, Call, UsageError, options
from .cluster import Cluster
from .job import BadIdError, looks_like_id, parse_id
from .operands import all_jobs, indices_of, views_of
from .refusal import Reason, RefusalError
from .tables import alternate_table, job_table

_OPTIONS = "aBD:EfF:GHiJMnpqQrstTu:wW:x1"
_USAGE = """usage:{blank}
qstat [-f] [-J] [-p] [-t] [-x] [-E] [-F format | -w] [-D delim] [ job_identifier... | destination... ]
qstat [-a|-i|-r|-H|-T] [-J] [-t] [-u user] [-n] [-s] [-G|-M] [-1] [-w]
	[ job_identifier... | destination... ]
qstat -Q [-f] [-F format] [-D delim] [ destination... ]
qstat -q [-G|-M] [ destination... ]
qstat -B [-f] [-F format] [-D delim] [ server_name... ]
qstat --version
""".replace("{blank}", " ")
_CONFLICT = "qstat: conflicting options.\n"
_ALTERNATE = frozenset("aiHrTunsGMq1")


@dataclass
class _Output:
    """What is printed so far."""

    json: bool
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)
    code: int = 0
    objects: dict[str, dict[str, object]] = field(default_factory=dict)
    title_pending: bool = True

    def refuse(self, message: str, code: int) -> None:
        self.err.append(f"qstat: {message}\n")
        self.code = code


def answer(call: Call, cluster: Cluster) -> Answer:
    """Answer a query."""
    try:
        flags, values, names = _parse(call.arguments)
    except UsageError as error:
        return Answer(err=f"{error}{_USAGE}", code=2)
    output = _Output(json="F" in values)
    if "B" in flags:
        _show_server(cluster, flags, output)
    elif flags & {"Q", "q"}:
        _show_queues(cluster, flags, names, output)
    else:
        _show_jobs(cluster, flags, values, names, output)
    if output.json:
        top: dict[str, object] = _top(cluster.server)
        top.update(output.objects)
        output.out = [json_text(top) + "\n"]
    return Answer("".join(output.out), "".join(output.err), output.code)


def opening(arguments: list[str], server: str) -> str:
    """Give what qstat prints even if the server cannot be reached: the head of its JSON, or nothing."""
    try:
        _, values, _ = _parse(arguments)
    except UsageError:
        return ""
    return json_text(_top(server)) + "\n" if "F" in values else ""


def operands(arguments: list[str]) -> int:
    """Give the number of operands; qstat connects once for each."""
    try:
        return len(_parse(arguments)[2])
    except UsageError:
        return 0


def _top(server: str) -> dict[str, object]:
    return {"timestamp": int(time.time()), "pbs_version": VERSION, "pbs_server": server}


def _parse(arguments: list[str]) -> tuple[set[str], dict[str, str], list[str]]:
    """Give flags, options with values and operands. Raises UsageError for what qstat does not take."""
    try:
        pairs, names = options(arguments, _OPTIONS)
    except UsageError as error:
        raise UsageError(f"qstat: {error}") from error
    flags = {option[1] for option, _ in pairs}
    values = {option[1]: value for option, value in pairs if value}
    form = values.get("F", "default").lower()
    if form == "default":
        values.pop("F", None)
    elif form != "json":
        raise UsageError("qstat: the local PBS knows the formats default and json\n")
    alternate = flags & _ALTERNATE
    if len(flags & set("aiHrq")) > 1 or ("F" in values and ("f" not in flags or alternate)):
        raise UsageError(_CONFLICT)
    if "1" in flags and not flags & {"n", "s"}:
        raise UsageError(_CONFLICT)
    if flags & {"n", "s"}:
        flags.discard("f")
    return flags, values, names


def _show_jobs(cluster: Cluster, flags: set[str], values: dict[str, str], names: list[str], output: _Output) -> None:
    if flags & {"x", "H"} and cluster.settings.history_hours == 0:
        output.refuse(Reason.NO_HISTORY.words, 0)
        return
    for name in names or [""]:
        views = _views(cluster, flags, values, name, output)
        if views:
            _print_jobs(cluster, flags, views, output)
        output.title_pending = False


def _views(cluster: Cluster, flags: set[str], values: dict[str, str], name: str, output: _Output) -> list[View]:
    """Give what one operand names; say what is wrong with it if it names nothing."""
    history, subjobs = bool(flags & {"x", "H"}), "t" in flags
    if looks_like_id(name):
        try:
            return _views_by_id(cluster, name, history=history, subjobs=subjobs)
        except BadIdError:
            output.refuse(f"illegally formed job identifier: {name}", 1)
        except RefusalError as error:
            shown = name.partition("@")[0]
            if "." not in shown:
                shown = f"{shown}.{cluster.server}"
            if error.reason is Reason.FINISHED:
                hint = "use -x or -H to obtain historical job information"
                output.refuse(f"{shown} {error}, {hint}", error.reason.code)
            else:
                output.refuse(f"{error} {shown}", error.reason.code)
        return []
    queue = name.partition("@")[0]
    if queue and queue not in cluster.settings.queues:
        output.refuse(f"Unknown queue destination {queue}", Reason.UNKNOWN_QUEUE.code)
        return []
    wanted = _filters(flags, values, queue)
    return [
        view
        for job in all_jobs(cluster, history=history, subjobs=subjobs)
        for view in views_of(cluster, job, subjobs=subjobs)
        if all(fits(view) for fits in wanted)
    ]


def _views_by_id(cluster: Cluster, name: str, *, history: bool, subjobs: bool) -> list[View]:
    identity = parse_id(name, cluster.server)
    job = cluster.find(identity, subjobs=subjobs)
    indices = indices_of(job, identity)
    if job.run.state == "F" and not history:
        raise RefusalError(Reason.FINISHED)
    if indices:
        comment = cluster.comment(job)
        keeps_history = cluster.settings.history_hours > 0
        return [view_of(job, index, comment, keeps_history=keeps_history) for index in indices]
    return list(views_of(cluster, job, subjobs=subjobs))


def _filters(flags: set[str], values: dict[str, str], queue: str) -> list[Callable[[View], bool]]:
    states = {"i": "EHQTW", "r": "RSB", "H": "MFX"}
    filters: list[Callable[[View], bool]] = []
    for flag, letters in states.items():
        if flag in flags:
            filters.append(lambda view, letters=letters: view.state in letters)  # type: ignore[misc]
    if queue:
        filters.append(lambda view: view.job.request.queue == queue)
    if "J" in flags:
        filters.append(lambda view: view.job.is_array)
    if "u" in values:
        users = {user.partition("@")[0] for user in values["u"].split(",")}
        filters.append(lambda view: view.job.request.owner.partition("@")[0] in users)
    return filters


def _print_jobs(cluster: Cluster, flags: set[str], views: list[View], output: _Output) -> None:
    server, title = cluster.server, output.title_pending
    if "f" not in flags:
        if flags & _ALTERNATE:
            output.out.append(alternate_table(views, server, title=title, comments="s" in flags, nodes="n" in flags))
        else:
            output.out.append(job_table(views, server, title=title))
        return
    if output.json and output.objects:
        return  # as OpenPBS's master does it: only the first operand that names something is shown
    for view in views:
        name = view.job.identity(view.index).text(server)
        shown = attributes(view, server, cluster.node.user.home)
        if output.json:
            output.objects.setdefault("Jobs", {})[name] = as_json(shown)
        else:
            output.out.append(as_text(f"Job Id: {name}", shown, wide="w" in flags))


def _show_queues(cluster: Cluster, flags: set[str], names: list[str], output: _Output) -> None:
    queues = cluster.settings.queues
    for name in names or [""]:
        queue = name.partition("@")[0]
        if queue and queue not in queues:
            output.refuse(f"Unknown queue {queue}", Reason.UNKNOWN_QUEUE.code)
            continue
        chosen = [queue] if queue else list(queues)
        if "q" in flags:
            output.out.append(status.queue_limits_table(cluster, chosen))
        elif "f" not in flags:
            output.out.append(status.queue_table(cluster, chosen, title=output.title_pending))
            output.title_pending = False
        else:
            for one in chosen:
                shown = status.queue_attributes(cluster, one)
                output.out.append(as_text(f"Queue: {one}", shown))
                output.objects.setdefault("Queue", {})[one] = as_json(shown)


def _show_server(cluster: Cluster, flags: set[str], output: _Output) -> None:
    if "f" not in flags:
        output.out.append(status.server_table(cluster))
        return
    shown = status.server_attributes(cluster)
    output.out.append(as_text(f"Server: {cluster.server}", shown))
    output.objects["Server"] = {cluster.server: as_json(shown)}
