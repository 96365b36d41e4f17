"""qstat of TORQUE, with its traps: ``qstat 'N[]'`` without ``-t`` lists every job, and ``-x`` means XML."""

from __future__ import annotations

import time
from collections.abc import Iterator

from .. import status
from ..attributes import Attribute, View, as_text, view_of
from ..call import Answer, Call, UsageError, options
from ..cluster import Cluster
from ..job import BadIdError, Job, looks_like_id, parse_id
from ..operands import all_jobs, indices_of
from ..refusal import RefusalError
from . import VERSION
from .views import as_xml, attributes, state, table, wide_table

_USAGE = """usage:{blank}
                          qstat [-f [-1]] [-W site_specific] [-x] [ job_identifier... | destination... ]
                          qstat [-a|-i|-r|-e] [-u user] [-n [-1]] [-s] [-t] [-G|-M] [-R] [job_id... | destination...]
                          qstat -Q [-f [-1]] [-W site_specific] [ destination... ]
                          qstat -q [-G|-M] [ destination... ]
                          qstat -B [-f [-1]] [-W site_specific] [ server_name... ]
                          qstat -t
""".replace("{blank}", " ")
_STATES = {**{letter: name for letter, name in status.STATES.items() if letter != "B"}, "C": "Complete"}
_UNKNOWN_JOB, _UNKNOWN_QUEUE = 153, 172
_QUEUE_TITLE = """Queue              Max    Tot   Ena   Str   Que   Run   Hld   Wat   Trn   Ext T   Cpt
----------------   ---   ----    --    --   ---   ---   ---   ---   ---   --- -   ---
"""
_SERVER_TITLE = """Server             Max   Tot   Que   Run   Hld   Wat   Trn   Ext   Com Status{blank}
----------------   ---   ---   ---   ---   ---   ---   ---   ---   --- ----------
""".replace("{blank}", " " * 4)


def answer(call: Call, cluster: Cluster) -> Answer:
    """Answer a query."""
    try:
        pairs, names = options(call.arguments, "aBefGiMnqQrRstu:W:x1")
    except UsageError as error:
        return Answer(err=f"qstat: {error}{_USAGE}", code=2)
    flags = {option[1] for option, _ in pairs}
    cluster.forget_old()
    if "B" in flags:
        return Answer(out=_server(cluster, full="f" in flags))
    if flags & {"Q", "q"}:
        return _queues(cluster, flags, names)
    users = {user.partition("@")[0] for option, value in pairs if option == "-u" for user in value.split(",")}
    return _jobs(cluster, flags, names, users)


def views(cluster: Cluster, jobs: Iterator[Job], *, subjobs: bool) -> Iterator[View]:
    """Give jobs, and arrays or in their place their subjobs, as long as TORQUE knows of them."""
    since = time.time() - cluster.settings.remembers
    for job in jobs:
        comment = cluster.comment(job)
        indices = [None] if job.request.indices is None or not subjobs else job.request.indices.all()
        for index in indices:
            view = view_of(job, index, comment)
            if view.state not in "FX" or view.run.changed >= since:
                yield view


def _jobs(cluster: Cluster, flags: set[str], names: list[str], users: set[str]) -> Answer:
    out: list[str] = []
    err: list[str] = []
    code = 0
    found: list[tuple[str, list[Attribute]]] = []
    title = True
    for name in names or [""]:
        try:
            shown = _named(cluster, name, subjobs="t" in flags)
        except (RefusalError, BadIdError):
            identity = name if "." in name else f"{name}.{cluster.server}"
            err.append(f"qstat: Unknown Job Id Error {identity}\n")
            code = _UNKNOWN_JOB
            continue
        except KeyError:
            err.append(f"qstat: Unknown queue destination {name}\n")
            code = _UNKNOWN_QUEUE
            continue
        if users:
            shown = [view for view in shown if view.job.request.owner.partition("@")[0] in users]
        if "r" in flags:
            shown = [view for view in shown if state(view) == "R"]
        if "i" in flags:
            shown = [view for view in shown if state(view) in "QHW"]
        if flags & {"f", "x"}:
            epoch = "x" in flags
            found += [
                (view.job.identity(view.index).text(cluster.server), attributes(view, cluster.server, epoch=epoch))
                for view in shown
            ]
        elif shown:
            rows = wide_table if flags & {"a", "e", "i", "n", "r", "s", "u"} else table
            out.append(rows(shown, cluster.server, title=title))
            title = False
    if "x" in flags:
        out.append(as_xml(found))
    else:
        out += [as_text(f"Job Id: {name}", one, wide="1" in flags) for name, one in found]
    return Answer("".join(out), "".join(err), code)


def _named(cluster: Cluster, name: str, *, subjobs: bool) -> list[View]:
    """Give what an operand names. Raises RefusalError, BadIdError, or KeyError for a queue."""
    every = list(views(cluster, all_jobs(cluster, history=True, subjobs=True), subjobs=subjobs))
    if not looks_like_id(name):
        queue = name.partition("@")[0]
        if queue:
            cluster.settings.queues[queue]
        return [view for view in every if queue in ("", view.job.request.queue)]
    identity = parse_id(name, cluster.server)
    job = cluster.find(identity, subjobs=True)
    indices = indices_of(job, identity)
    if job.is_array and not indices and not subjobs:
        return every  # the trap
    mine = list(views(cluster, iter([job]), subjobs=subjobs or bool(indices)))
    chosen = [view for view in mine if not indices or view.index in indices]
    if not chosen:
        raise BadIdError(name)
    return chosen


def _counts(cluster: Cluster, queue: str | None) -> dict[str, int]:
    counts = dict.fromkeys("TQHWREC", 0)
    for view in views(cluster, all_jobs(cluster, history=True, subjobs=True), subjobs=True):
        if queue in (None, view.job.request.queue):
            counts[state(view)] += 1
    return counts


def _count_text(counts: dict[str, int]) -> str:
    return " ".join(f"{name}:{counts[letter]}" for letter, name in _STATES.items()) + " "


def _queues(cluster: Cluster, flags: set[str], names: list[str]) -> Answer:
    queues = cluster.settings.queues
    wrong = [name for name in names if name.partition("@")[0] not in queues]
    if wrong:
        return Answer(err=f"qstat: Unknown queue destination {wrong[0]}\n", code=_UNKNOWN_QUEUE)
    chosen = [name.partition("@")[0] for name in names] or list(queues)
    if "q" in flags:
        return Answer(err="qstat: the local PBS does not know -q of TORQUE; use -Q\n", code=1)
    if "f" in flags:
        blocks = []
        for name in chosen:
            counts = _counts(cluster, name)
            shown = [
                Attribute("queue_type", "Execution"),
                Attribute("total_jobs", str(sum(counts.values()))),
                Attribute("state_count", _count_text(counts)),
                *status.queue_limits(queues[name]),
            ]
            blocks.append(as_text(f"Queue: {name}", shown))
        return Answer(out="".join(blocks))
    lines = [_QUEUE_TITLE]
    for name in chosen:
        counts, queue = _counts(cluster, name), queues[name]
        numbers = " ".join(f"{counts[letter]:>5}" for letter in "QRHWTE")
        lines.append(
            f"{name:<16} {0:>5} {sum(counts.values()):>6} {'yes' if queue.enabled else 'no':>5} "
            f"{'yes' if queue.started else 'no':>5} {numbers} E {counts['C']:>5}\n"
        )
    return Answer(out="".join(lines))


def _server(cluster: Cluster, *, full: bool) -> str:
    counts = _counts(cluster, None)
    if not full:
        numbers = " ".join(f"{counts[letter]:>5}" for letter in "QRHWTEC")
        return f"{_SERVER_TITLE}{cluster.server:<16} {0:>5} {sum(counts.values()):>5} {numbers} {'Active':<10}\n"
    settings = cluster.settings
    shown = [
        Attribute("server_state", "Active"),
        Attribute("scheduling", "True"),
        Attribute("total_jobs", str(sum(counts.values()))),
        Attribute("state_count", _count_text(counts)),
        Attribute("default_queue", next(iter(settings.queues))),
        Attribute("pbs_version", VERSION),
        Attribute("keep_completed", str(int(settings.keep_completed))),
        Attribute("max_job_array_size", str(settings.max_array_size)),
    ]
    return as_text(f"Server: {cluster.server}", shown)
