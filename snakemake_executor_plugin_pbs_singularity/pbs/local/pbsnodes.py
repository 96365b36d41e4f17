"""pbsnodes: the one node."""

from __future__ import annotations

import os
import time

from .attributes import VERSION, Attribute, as_json, json_text
from .call import Answer, Call, UsageError, options
from .cluster import Cluster

_USAGE = """usage:
	pbsnodes [-v] [-a] [-S|-j] [-L] [-F json] [host or vnode ...]
	pbsnodes --version
"""


def answer(call: Call, cluster: Cluster) -> Answer:
    """Show the node."""
    try:
        pairs, names = options(call.arguments, "ajvSLlF:H")
    except UsageError as error:
        return Answer(err=f"pbsnodes: {error}{_USAGE}", code=2)
    flags = {option[1] for option, _ in pairs}
    if not names and not flags & {"a", "l", "S", "j"}:
        return Answer(err=_USAGE, code=2)
    unknown = [name for name in names if name not in (cluster.server, os.uname().nodename)]
    if unknown:
        return Answer(err=f"Node: {unknown[0]},  Error: Unknown node \n", code=1)
    if "l" in flags:
        return Answer()
    shown = _attributes(cluster)
    if any(option == "-F" and value.lower() == "json" for option, value in pairs):
        top = {
            "timestamp": int(time.time()),
            "pbs_version": VERSION,
            "pbs_server": cluster.server,
            "nodes": {cluster.server: as_json(shown)},
        }
        return Answer(out=json_text(top) + "\n")
    lines = [cluster.server]
    lines += [f"     {item.name}{'.' if item.resource else ''}{item.resource} = {item.value}" for item in shown]
    return Answer(out="\n".join(lines) + "\n\n")


def _attributes(cluster: Cluster) -> list[Attribute]:
    total, free = cluster.node.total, cluster.node.free
    busy = free.ncpus <= 0
    jobs = ", ".join(
        f"{cluster.jobs[keeping.key[0]].identity(keeping.key[1]).text(cluster.server)}/{keeping.slot}"
        for keeping in sorted(cluster.node.keepings.values(), key=lambda keeping: keeping.slot)
    )
    available = [
        ("arch", "linux"),
        ("host", cluster.server),
        ("mem", f"{total.mem_kb}kb"),
        ("ncpus", str(total.ncpus)),
        *([("ngpus", str(total.ngpus))] if total.ngpus else []),
        ("vnode", cluster.server),
    ]
    assigned = [
        ("mem", f"{total.mem_kb - free.mem_kb}kb"),
        ("ncpus", str(total.ncpus - free.ncpus)),
        *([("ngpus", str(total.ngpus - free.ngpus))] if total.ngpus else []),
    ]
    return [
        Attribute("Mom", cluster.server),
        Attribute("ntype", "PBS"),
        Attribute("state", "job-busy" if busy else "free"),
        Attribute("pcpus", str(os.cpu_count())),
        *([Attribute("jobs", jobs)] if jobs else []),
        *(Attribute("resources_available", value, name) for name, value in available),
        *(Attribute("resources_assigned", value, name) for name, value in assigned),
        Attribute("resv_enable", "True"),
        Attribute("sharing", "default_shared"),
    ]
