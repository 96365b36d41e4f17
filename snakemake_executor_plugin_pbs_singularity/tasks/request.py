"""What a job asks PBS for, from its Snakemake resources."""

import re
from collections.abc import Mapping

from snakemake_interface_common.exceptions import WorkflowError

from ..pbs.request import Chunk, Request
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
    "-t": "nothing; the plugin makes arrays itself",
    "-v": "the Snakefile's envvars: (arguments of qsub can be read by other users)",
    "-z": "nothing; the plugin reads the job id",
}
_FREE_EXTRA_OPTIONS = {"-a", "-c", "-l", "-m", "-M", "-p", "-r", "-u", "-W"}
_FREE_EXTRA_FLAGS = {"-h"}
_OWN_RESOURCES = {
    "mem": "mem_mb",
    "ncpus": "threads",
    "ngpus": "gpu",
    "nodes": "nodes and tasks, or pbs_nodes",
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
_MODEL = re.compile(r"[A-Za-z0-9][\w-]*", re.ASCII)


def build_request(rule: str, threads: int, resources: Mapping[str, object], settings: ExecutorSettings) -> Request:
    """Translate Snakemake's resources into PBS's.

    `mem_mb` and `disk_mb` are MiB per node, `runtime` is minutes, `gpu` counts GPUs per node. With `tasks`,
    each of them gets `threads` cores, spread evenly over `nodes` (1 without it). `gpu_model` asks for one GPU if
    `gpu` does not say how many. `disk_mb` has no counterpart that all PBS sites share: it is checked and left to
    `pbs_select` or `pbs_extra`.

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
    pbs_nodes = _text(rule, resources, "pbs_nodes")
    gpu_model = _text(rule, resources, "gpu_model")
    if gpu_model is not None and not _MODEL.fullmatch(gpu_model):
        raise _bad(rule, "gpu_model", gpu_model, "must be one word of letters, digits, - and _: as the site calls it")
    if gpu_model is not None and resources.get("gpu") is None:
        gpus = 1
    return Request(
        chunks=_chunks(nodes, tasks, max(threads, 1), mem_mb, gpus),
        select=pbs_select,
        nodes=pbs_nodes,
        gpu_model=gpu_model if gpus else None,
        gpu_model_resource=settings.gpu_model_resource,
        walltime=runtime * 60 or None,
        place=_text(rule, resources, "pbs_place"),
        queue=_text(rule, resources, "pbs_queue") or settings.queue,
        account=_text(rule, resources, "pbs_account") or settings.account,
        project=_text(rule, resources, "pbs_project") or settings.project,
        extra=check_extra(rule, _text(rule, resources, "pbs_extra") or ""),
    )


def bundle_size(rule: str, resources: Mapping[str, object], settings: ExecutorSettings) -> int:
    """Give how many tasks of a rule may run one after the other in one PBS job; raises WorkflowError as above."""
    return _count(rule, resources, "bundle", minimum=1, default=settings.bundle)


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


def _chunks(nodes: int, tasks: int, threads: int, mem_mb: int, gpus: int) -> tuple[Chunk, ...]:
    if not tasks:
        return (Chunk(nodes, threads, 0, mem_mb, gpus),)
    per_node, nodes_with_one_more = divmod(tasks, nodes)
    shares = [(nodes_with_one_more, per_node + 1), (nodes - nodes_with_one_more, per_node)]
    return tuple(Chunk(count, share * threads, share, mem_mb, gpus) for count, share in shares if count)


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
