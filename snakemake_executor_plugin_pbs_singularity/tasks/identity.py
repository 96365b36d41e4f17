"""Which job of a workflow a task is, and whether it is still the same: digests that outlive a run of Snakemake."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from snakemake.sourcecache import infer_source_file

from ..pbs.request import Request
from .planning import jobs_in
from .script import DirectTask, NestedTask


def job_digest(job: Any) -> str:
    """Give what stands for a job, or a group, of the workflow: its rules and wildcards."""
    return _digest(sorted((one.rule.name, sorted(one.wildcards_dict.items())) for one in jobs_in(job)))


def work_digest(job: Any, work: DirectTask | NestedTask, images: Iterable[Path], container: Sequence[str]) -> str:
    """Give what stands for all that a task runs: command, images and inputs as they are now.

    `container` says what else matters of its container, such as options. Which folders it sees besides depends on what
    there is on the day, and does not, nor does in which folder this run of Snakemake keeps its copies of files of the
    workflow (`workflow.source_path`). Of a nested task counts what Snakemake itself calls a job's code and parameters:
    its command line says also how this run was started.
    """
    if isinstance(work, DirectTask):
        what: object = replace(work, token="", log=Path(), container=None)
    else:
        what = [(one.rule.name, _code(one.rule), _texts(one.params), _texts(one.output)) for one in jobs_in(job)]
    inputs = [str(path) for one in jobs_in(job) for path in one.input]
    scripts = chain.from_iterable(_scripts(one.rule) for one in jobs_in(job))
    copies = str(jobs_in(job)[0].dag.workflow.sourcecache.runtime_cache_path)
    files = [_as_it_is(path) for path in chain(inputs, map(str, images), scripts)]
    return _digest([what, tuple(container), files], of_this_run=copies)


def request_digest(request: Request) -> str:
    """Give what stands for all that a task asks PBS for."""
    return _digest(request)


def _scripts(rule: Any) -> list[str]:
    """Give the script or notebook of a rule, which is looked for beside the rule's own file."""
    names = [name for name in (rule.script, rule.notebook) if isinstance(name, str)]
    return [str(infer_source_file(name, rule.basedir).get_path_or_uri(secret_free=True)) for name in names]


def _code(rule: Any) -> str:
    return str(rule.shellcmd if rule.shellcmd is not None else rule.run_func_src)


def _texts(values: Any) -> list[str]:
    return [str(value) for value in values]


def _as_it_is(path: str) -> tuple[str, int, int]:
    """Give a file with its size in bytes and when it was last changed, in nanoseconds; zeros if it is not there."""
    try:
        facts = os.stat(path)  # noqa: PTH116 - many of them
    except OSError:
        return (path, 0, 0)
    return (path, facts.st_size, facts.st_mtime_ns)


def _digest(value: object, of_this_run: str | None = None) -> str:
    text = repr(value) if of_this_run is None else repr(value).replace(of_this_run, "")
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]
