"""A request in PBS's own words becomes `resources:` of a rule."""

import difflib
import re
from collections.abc import Mapping

from snakemake_interface_common.exceptions import WorkflowError

from .growth import Growth, Unit
from .notation import mebibytes, minutes, text, whole_number, word

Value = int | str | Growth

_KNOWN = ("queue", "walltime", "mem", "ngpus", "nodes", "mpiprocs", "select", "place", "account", "project", "extra")
_ELSEWHERE = {
    "ncpus": "Cores are the rule's own: write 'threads: {value}' beside resources.",
    "ppn": "Cores are the rule's own: write 'threads: {value}' beside resources.",
    "threads": "Cores are the rule's own: write 'threads: {value}' beside resources.",
    "gpu": "In PBS's words it is ngpus={value}.",
    "gpus": "In PBS's words it is ngpus={value}.",
    "mem_mb": 'In PBS\'s words it is mem="{value}mb".',
    "runtime": 'In PBS\'s words it is walltime="hours:minutes:seconds".',
    "tasks": "In PBS's words it is mpiprocs=, the number of processes on each node.",
    "name": "The plugin names the jobs itself.",
}
_CHUNK = re.compile(r"\d+|(\d+:)?[A-Za-z][\w.-]*=[^\s:+=]+(:[A-Za-z][\w.-]*=[^\s:+=]+)*", re.ASCII)
_COUNTS = ("ncpus", "ngpus", "mpiprocs", "ompthreads")


class PbsResources(dict[str, Value]):
    """Resources of a rule, for `resources: **…`, and the cores that the same request asks for on each node."""

    def __init__(self, values: Mapping[str, Value | None], threads: int = 1) -> None:
        super().__init__({name: value for name, value in values.items() if value is not None})
        self.threads = threads
        """For `threads:` of the rule, which no resource can set."""


def pbs(
    *,
    queue: str | None = None,
    walltime: str | Growth | None = None,
    mem: str | Growth | None = None,
    ngpus: int | None = None,
    nodes: int | None = None,
    mpiprocs: int | None = None,
    select: str | None = None,
    place: str | None = None,
    account: str | None = None,
    project: str | None = None,
    extra: str | None = None,
    **unknown: object,
) -> PbsResources:
    """Give resources of a rule from PBS's notation: `resources: **pbs(mem="8gb", walltime="02:00:00")`.

    `walltime` is hours:minutes:seconds and becomes `runtime` (minutes, rounded up). `mem`, `ngpus` and `mpiprocs`
    count for each of the `nodes` and become `mem_mb` (MiB), `gpu` and `tasks`. These other executors know too.
    `queue`, `account`, `project`, `place`, `select` and `extra` become `pbs_queue` and so on, which others pass over;
    `select` is the whole request but for the walltime. What is None is left out. Cores stay with the rule's
    `threads:`; with `mpiprocs`, each process gets as many.

    Raises WorkflowError naming the argument, its value and what to write.
    """
    for name, value in unknown.items():
        raise _unknown(name, value)
    if select is not None:
        inside = {"mem": mem, "ngpus": ngpus, "nodes": nodes, "mpiprocs": mpiprocs}
        for name, value in inside.items():
            if value is not None:
                raise WorkflowError(
                    f"pbs(select={select!r}, {name}={value!r}): with select, {name} belongs into it, as in "
                    "select='2:ncpus=8:mem=16gb'."
                )
    chunks = None if select is None else parse_select(select, "pbs(select=…)")
    count = None if nodes is None else whole_number(nodes, "pbs(nodes=…)", 1)
    processes = None if mpiprocs is None else whole_number(mpiprocs, "pbs(mpiprocs=…)", 1)
    return PbsResources(
        {
            "mem_mb": _growing(mem, "MiB", "pbs(mem=…)"),
            "runtime": _growing(walltime, "minutes", "pbs(walltime=…)"),
            "gpu": None if ngpus is None else whole_number(ngpus, "pbs(ngpus=…)", 0),
            "nodes": count,
            "tasks": None if processes is None else processes * (count or 1),
            "pbs_queue": None if queue is None else word(queue, "pbs(queue=…)"),
            "pbs_account": None if account is None else word(account, "pbs(account=…)"),
            "pbs_project": None if project is None else word(project, "pbs(project=…)"),
            "pbs_select": select,
            "pbs_place": None if place is None else word(place, "pbs(place=…)"),
            "pbs_extra": None if extra is None else text(extra, "pbs(extra=…)"),
        },
        threads=int(chunks[0][1].get("ncpus", "1")) if chunks else 1,
    )


def parse_select(select: object, where: str) -> list[tuple[int, dict[str, str]]]:
    """Give the chunks of `select`, each with how often it is asked for.

    Raises WorkflowError, beginning with `where` it is from, for what PBS would refuse whatever the site's resources.
    """
    whole = word(select, where)
    chunks: list[tuple[int, dict[str, str]]] = []
    for part in whole.split("+"):
        if not _CHUNK.fullmatch(part):
            raise WorkflowError(
                f"{where}: {part!r} in {whole!r} is no chunk. Write COUNT:NAME=VALUE:NAME=VALUE, as in "
                "'1:ncpus=8:mem=16gb', and join several with '+'."
            )
        count, _, rest = part.partition(":") if part[0].isdigit() else ("1", ":", part)
        wanted = dict(pair.split("=", 1) for pair in rest.split(":") if pair)
        for name, value in wanted.items():
            if name in _COUNTS:
                whole_number(value, f"{where}: {name}", 0)
            elif name == "mem":
                mebibytes(value, f"{where}: mem")
        chunks.append((whole_number(count, f"{where}: the number of chunks", 1), wanted))
    return chunks


def _growing(value: object, unit: Unit, where: str) -> int | Growth | None:
    if value is None:
        return None
    if isinstance(value, Growth):
        if value.unit != unit:
            example = "grow('8gb')" if unit == "MiB" else "grow('02:00:00')"
            raise WorkflowError(f"{where}: grow() has numbers of no such unit here. Write it as {example}.")
        return value
    if callable(value):
        name = "mem_mb" if unit == "MiB" else "runtime"
        raise WorkflowError(
            f"{where}: a function has no place here. Write {name}=FUNCTION after **pbs(…), or use grow()."
        )
    return mebibytes(value, where) if unit == "MiB" else minutes(value, where)


def _unknown(name: str, value: object) -> WorkflowError:
    if name in _ELSEWHERE:
        remedy = _ELSEWHERE[name].format(value=value)
    else:
        near = difflib.get_close_matches(name, _KNOWN, n=1)
        remedy = f"Did you mean {near[0]}? " if near else ""
        remedy += f"Known are {', '.join(_KNOWN)}; write other resources beside **pbs(…)."
    return WorkflowError(f"pbs({name}={value!r}): there is no such argument. {remedy}")
