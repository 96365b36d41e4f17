"""What a job asks PBS for, from its Snakemake resources."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from snakemake_interface_common.exceptions import WorkflowError

from ..settings import ExecutorSettings, split_options

_OWN_EXTRA_OPTIONS = {
    "-A": "the resource pbs_account",
    "-I": "no interactive job; the plugin submits batch jobs",
    "-J": "nothing; the plugin makes arrays itself",
    "-N": "nothing; the plugin names the jobs",
    "-P": "the resource pbs_project",
    "-R": "nothing; the plugin keeps the logs",
    "-S": "Snakemake's shell.executable()",
    "-V": "the Snakefile's envvars: (nothing else of your environment goes with a job)",
    "-X": "no interactive job; the plugin submits batch jobs",
    "-e": "the rule's log: (the plugin keeps the job's output)",
    "-f": "nothing; the plugin waits for qsub",
    "-j": "the rule's log: (the plugin keeps the job's output)",
    "-k": "the rule's log: (the plugin keeps the job's output)",
    "-o": "the rule's log: (the plugin keeps the job's output)",
    "-q": "the resource pbs_queue",
    "-v": "the Snakefile's envvars: (arguments of qsub can be read by other users)",
    "-z": "nothing; the plugin reads the job id",
}
_FREE_EXTRA_OPTIONS = {"-a", "-c", "-l", "-m", "-M", "-p", "-r", "-u", "-W"}
_FREE_EXTRA_FLAGS = {"-h"}
_OWN_RESOURCES = {
    "mem": "mem_mb",
    "ncpus": "threads",
    "ngpus": "gpu",
    "nodes": "nodes and tasks, or pbs_select",
    "place": "pbs_place",
    "select": "pbs_select",
    "walltime": "runtime",
}
_OWN_ATTRIBUTES = {
    "account_name",
    "block",
    "error_path",
    "interactive",
    "job_name",
    "join_path",
    "keep_files",
    "output_path",
    "project",
    "remove_files",
    "sandbox",
    "shell_path_list",
    "variable_list",
}
"""`qsub -W` sets any attribute of a job, also those that have options of their own (pbs_job_attributes(7B))."""


@dataclass(frozen=True)
class Request:
    """One job's request: jobs with equal requests may share a submission."""

    select: str
    walltime: int | None
    """Seconds."""
    place: str | None = None
    queue: str | None = None
    account: str | None = None
    project: str | None = None
    extra: tuple[str, ...] = ()
    gpus: int = 0
    """GPUs on each chunk."""

    @property
    def allows_arrays(self) -> bool:
        """Tell whether it may be an array's: PBS refuses those that must not be run again (`qsub -r n`)."""
        return ("-r", "n") not in pairwise(self.extra)


def build_request(rule: str, threads: int, resources: Mapping[str, object], settings: ExecutorSettings) -> Request:
    """Translate Snakemake's resources into PBS's.

    `mem_mb` and `disk_mb` are MiB per node, `runtime` is minutes, `gpu` counts GPUs per node. With `tasks`,
    each of them gets `threads` cores, spread evenly over `nodes` (1 without it). `disk_mb` has no counterpart
    that all PBS sites share: it is checked and left to `pbs_select` or `pbs_extra`.

    Raises WorkflowError naming the rule, the resource, its value and the remedy.
    """
    nodes = _count(rule, resources, "nodes", minimum=1, default=1)
    tasks = _count(rule, resources, "tasks", minimum=1, default=0)
    gpus = _count(rule, resources, "gpu", minimum=0, default=0)
    mem_mb = _count(rule, resources, "mem_mb", minimum=1, default=0)
    runtime = _count(rule, resources, "runtime", minimum=1, default=0)
    _count(rule, resources, "disk_mb", minimum=1, default=0)
    if tasks and tasks < nodes:
        raise _bad(rule, "tasks", tasks, f"is less than nodes={nodes}: give every node at least one task")
    pbs_select = _text(rule, resources, "pbs_select")
    if resources.get("gpu_model") and not pbs_select:
        raise _bad(
            rule,
            "gpu_model",
            resources["gpu_model"],
            "has no name that all PBS sites share: write the whole request as pbs_select, in your site's words "
            f'(such as "{nodes}:ncpus={threads}:ngpus={gpus or 1}:gpu_model={resources["gpu_model"]}")',
        )
    return Request(
        select=pbs_select or _select(nodes, tasks, max(threads, 1), mem_mb, gpus),
        walltime=runtime * 60 or None,
        place=_text(rule, resources, "pbs_place"),
        queue=_text(rule, resources, "pbs_queue") or settings.queue,
        account=_text(rule, resources, "pbs_account") or settings.account,
        project=_text(rule, resources, "pbs_project") or settings.project,
        extra=check_extra(rule, _text(rule, resources, "pbs_extra") or ""),
        gpus=gpus or _gpus_of_select(pbs_select or ""),
    )


def bundle_size(rule: str, resources: Mapping[str, object], settings: ExecutorSettings) -> int:
    """Give how many tasks of a rule may run one after the other in one PBS job; raises WorkflowError as above."""
    return _count(rule, resources, "bundle", minimum=1, default=settings.bundle)


def qsub_arguments(request: Request, tasks: int = 1) -> tuple[str, ...]:
    """Give the arguments of `qsub` that ask for this, for so many tasks one after the other.

    As OpenPBS and PBS Professional have them (qsub(1B)).
    """
    options = [
        ("-l", f"select={request.select}"),
        ("-l", request.walltime and f"walltime={request.walltime * tasks}"),
        ("-l", request.place and f"place={request.place}"),
        ("-q", request.queue),
        ("-A", request.account),
        ("-P", request.project),
    ]
    return (*(word for option, value in options if value for word in (option, str(value))), *request.extra)


def check_extra(rule: str, text: str) -> tuple[str, ...]:
    """Split `pbs_extra` into qsub arguments, refusing what the plugin sets itself.

    Raises WorkflowError naming the option and what to use instead (options: qsub(1B); attributes of -W).
    """
    words = split_options(text, f"Rule {rule}, resource pbs_extra")
    arguments: list[str] = []
    index = 0
    while index < len(words):
        word = words[index]
        option, attached = word[:2], word[2:]
        if option in _OWN_EXTRA_OPTIONS:
            raise _bad(rule, "pbs_extra", text, f"has {option}: use instead {_OWN_EXTRA_OPTIONS[option]}")
        if word in _FREE_EXTRA_FLAGS:
            arguments.append(word)
        elif option in _FREE_EXTRA_OPTIONS:
            if not attached:
                index += 1
            if index >= len(words):
                raise _bad(rule, "pbs_extra", text, f"ends with {option}: give its value")
            value = attached or words[index]
            _check_extra_value(rule, text, option, value)
            arguments += [option, value]
        else:
            known = " ".join(sorted(_FREE_EXTRA_OPTIONS | _FREE_EXTRA_FLAGS))
            raise _bad(rule, "pbs_extra", text, f"has {word!r}, which is none of the options it may hold: {known}")
        index += 1
    return tuple(arguments)


def _check_extra_value(rule: str, text: str, option: str, value: str) -> None:
    names = [part.split("=")[0].strip().lower() for part in value.split(",")]  # as qsub reads them
    for name in names:
        if option == "-l" and name in _OWN_RESOURCES:
            raise _bad(rule, "pbs_extra", text, f"has -l {name}: use instead {_OWN_RESOURCES[name]}")
        if option == "-W" and name in _OWN_ATTRIBUTES:
            raise _bad(rule, "pbs_extra", text, f"has -W {name}, which is for the plugin to set: leave it out")


def _select(nodes: int, tasks: int, threads: int, mem_mb: int, gpus: int) -> str:
    if not tasks:
        return _chunk(nodes, threads, 0, mem_mb, gpus)
    per_node, nodes_with_one_more = divmod(tasks, nodes)
    chunks = []
    if nodes_with_one_more:
        chunks.append(_chunk(nodes_with_one_more, (per_node + 1) * threads, per_node + 1, mem_mb, gpus))
    chunks.append(_chunk(nodes - nodes_with_one_more, per_node * threads, per_node, mem_mb, gpus))
    return "+".join(chunks)


def _chunk(count: int, ncpus: int, mpiprocs: int, mem_mb: int, ngpus: int) -> str:
    parts = [f"{count}:ncpus={ncpus}"]
    if mpiprocs:
        parts.append(f"mpiprocs={mpiprocs}")
    if mem_mb:
        parts.append(f"mem={mem_mb}mb")
    if ngpus:
        parts.append(f"ngpus={ngpus}")
    return ":".join(parts)


def _gpus_of_select(select: str) -> int:
    return max((int(count) for count in re.findall(r":ngpus=(\d+)", select)), default=0)


def _count(rule: str, resources: Mapping[str, object], name: str, *, minimum: int, default: int) -> int:
    value = resources.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int):
        try:
            value = int(str(value))
        except ValueError:
            raise _bad(rule, name, value, f"is no whole number of at least {minimum}: {_unit(name)}") from None
    if value < minimum:
        raise _bad(rule, name, value, f"must be at least {minimum}: {_unit(name)}")
    return value


def _text(rule: str, resources: Mapping[str, object], name: str) -> str | None:
    value = resources.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise _bad(rule, name, value, "must be a string: put it in quotes")
    if any(ord(character) < 32 for character in value):
        raise _bad(rule, name, value, "has a control character: leave it out")
    return value


def _unit(name: str) -> str:
    return {
        "mem_mb": "give the memory of one node in MiB",
        "disk_mb": "give the disk space of one node in MiB",
        "runtime": "give the run time in minutes, or as text such as '2h'",
        "gpu": "give the number of GPUs on each node",
        "bundle": "give the number of tasks that may share a PBS job",
    }.get(name, "give a number")


def _bad(rule: str, name: str, value: object, why: str) -> WorkflowError:
    return WorkflowError(f"Rule {rule}: the resource {name}={value!r} {why}.")
