"""qselect: ids of the jobs that fit."""

from __future__ import annotations

from .attributes import View
from .call import Answer, Call, UsageError, options
from .cluster import Cluster
from .operands import all_jobs, views_of
from .refusal import Reason

_OPTIONS = "a:A:c:h:HJl:N:p:q:r:s:t:Tu:xP:"
_USAGE = """usage: qselect [-a [op]date_time] [-A account_string] [-c [op]interval]
	[-h hold_list] [-H] [-J] [-l resource_list] [-N name] [-p [op]priority]
	[-q destination] [-r y|n] [-s states] [-t subopt[op]date_time] [-T] [-P project_name]
	[-x] [-u user_name]
       qselect --version
"""
_UNSUPPORTED = frozenset("aclrtp")


def answer(call: Call, cluster: Cluster) -> Answer:
    """Give ids, one a line: by name, queue, state, user, project, account or hold; -T shows subjobs."""
    try:
        pairs, operands = options(call.arguments, _OPTIONS)
    except UsageError as error:
        return Answer(err=f"qselect: {error}{_USAGE}", code=2)
    wanted = {option[1]: value for option, value in pairs}
    if operands:
        return Answer(err=_USAGE, code=2)
    unsupported = sorted(_UNSUPPORTED & set(wanted))
    if unsupported:
        return Answer(err=f"qselect: the local PBS does not select by -{unsupported[0]}\n", code=1)
    history = bool({"x", "H"} & set(wanted))
    if history and cluster.settings.history_hours == 0:
        return Answer(err=f"qselect: {Reason.NO_HISTORY.words}\n", code=Reason.NO_HISTORY.code)
    queue = wanted.get("q", "").partition("@")[0]
    if queue and queue not in cluster.settings.queues:
        return Answer(err=f"qselect: {Reason.UNKNOWN_QUEUE.words}\n", code=Reason.UNKNOWN_QUEUE.code)
    subjobs = "T" in wanted
    lines = [
        f"{view.job.identity(view.index).text(cluster.server)}\n"
        for job in all_jobs(cluster, history=history, subjobs=subjobs)
        for view in views_of(cluster, job, subjobs=subjobs)
        if _fits(view, wanted, queue)
    ]
    return Answer(out="".join(lines))


def _fits(view: View, wanted: dict[str, str], queue: str) -> bool:
    request = view.job.request
    users = {user.partition("@")[0] for user in wanted.get("u", "").split(",")} - {""}
    return (
        wanted.get("N", request.name) == request.name
        and (not queue or request.queue == queue)
        and ("s" not in wanted or view.state in wanted["s"])
        and (not users or request.owner.partition("@")[0] in users)
        and wanted.get("P", request.project) == request.project
        and wanted.get("A", request.account) == request.account
        and ("h" not in wanted or set(wanted["h"]) <= set(view.run.holds))
        and ("J" not in wanted or view.job.is_array)
        and ("H" not in wanted or view.state in "FMX")
    )
