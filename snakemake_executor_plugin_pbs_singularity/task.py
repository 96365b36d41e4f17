"""A Snakemake job becomes a task: one job made ready to run."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from snakemake_interface_executor_plugins.executors.real import RealExecutor

from .images import Found, ImageError, Missing, Resolved
from .nested import Description
from .settings import split_options
from .site import Site, carried_environment
from .tasks.binds import bind_roots, bound_in_place, check_bindable, check_sources
from .tasks.command_line import nested_command_line
from .tasks.planning import NeedsSnakemake, ShellCommand, jobs_in, known_resources, plan
from .tasks.request import Request, build_request
from .tasks.script import (
    Container,
    DirectTask,
    NestedTask,
    Surroundings,
    direct_script,
    nested_script,
)
from .text import one_line
from .tracking.run_folder import RunFolder, new_token

_GPU_OPTIONS = frozenset(["--nv", "--nvccli", "--rocm"])


@dataclass(frozen=True)
class Task:
    """One Snakemake job made ready to run."""

    job: Any
    token: str
    label: str
    rule: str
    request: Request
    log: Path
    script: str
    description: str | None
    """What a nested task's Snakemake is told."""
    nested_because: str | None
    missing: tuple[str, ...]
    """URIs of images that have to be pulled first."""


def make_task(job: Any, executor: RealExecutor, site: Site, folder: RunFolder) -> Task:
    """Make the task of a job or of a group of jobs.

    Raises WorkflowError for a request that PBS could not understand and for an image that cannot be had.
    """
    workflow = executor.workflow
    rule = job.groupid if job.is_group() else job.rule.name
    wildcards = "" if job.is_group() else ",".join(f"{name}={value}" for name, value in job.wildcards_dict.items())
    token = new_token()
    label = one_line(f"{'group' if job.is_group() else 'rule'} {rule}{f' ({wildcards})' if wildcards else ''}")
    request = build_request(rule, job.threads, known_resources(job), executor.executor_settings)
    images = resolve_images(jobs_in(job), site)
    surroundings = Surroundings(
        label=label,
        workdir=site.workdir,
        log=folder.log(rule, wildcards, token),
        record=folder.record(token),
        umask=_umask(),
        environment={**carried_environment(os.environ), **executor.envvars()},
    )
    asked = exec_options(job, rule, request, site)
    options = (*asked, *(word for root in _roots(job, asked, site, workflow) for word in ("--bind", str(root))))
    planned = plan(job, workflow)
    description = None
    if isinstance(planned, ShellCommand):
        script = direct_script(_direct_task(job, planned, images, options, site, workflow), surroundings)
    else:
        command_line = nested_command_line(executor, job, site.workdir, in_container=bool(images))
        description = Description(
            arguments=command_line.arguments,
            targets=command_line.targets,
            runtime=str(site.runtime.command) if images else None,
            images={value: str(_file(image)) for value, image in images.items()},
            container_options=list(options),
        ).to_json()
        precommand = workflow.spawned_job_args_factory.precommand(executor_common_settings=executor.common_settings)
        nested = NestedTask(executor.get_python_executable(), folder.description(token), precommand)
        script = nested_script(nested, surroundings)
    return Task(
        job=job,
        token=token,
        label=label,
        rule=rule,
        request=request,
        log=surroundings.log,
        script=script,
        description=description,
        nested_because=planned.reason if isinstance(planned, NeedsSnakemake) else None,
        missing=tuple(image.uri for image in images.values() if isinstance(image, Missing)),
    )


def resolve_images(jobs: Iterable[Any], site: Site) -> dict[str, Resolved]:
    """Give the image of each `container:` value of some jobs.

    Raises ImageError, naming the rule, for a value that means nothing and for an image that is bad.
    """
    images: dict[str, Resolved] = {}
    for job in jobs:
        value = job.container_img_url
        if value and value not in images:
            check_bindable(job.rule.name, site.workdir)
            try:
                images[value] = site.resolve(value)
            except ImageError as error:
                raise ImageError(f"Rule {job.rule.name}: {error.problem}", error.remedy) from error
    return images


def exec_options(job: Any, rule: str, request: Request, site: Site) -> tuple[str, ...]:
    """Give the options of `singularity exec` that the site, the rule and its GPUs ask for.

    Raises WorkflowError for container_args that cannot be split or bind what is not there.
    """
    of_rule = split_options(str(job.resources.get("container_args") or ""), f"Rule {rule}, resource container_args")
    check_sources(rule, of_rule)
    return with_gpu_options(site.container_options, of_rule, gpus=request.gpus)


def with_gpu_options(of_site: Sequence[str], of_rule: Sequence[str], *, gpus: int) -> tuple[str, ...]:
    """Give options of `exec` with those for GPUs: where GPUs are asked for, --nv unless the site or the rule says else.

    What the site says of GPUs, such as --rocm, is for jobs that ask for one; what a rule says is for that rule.
    """
    for_gpus = [option for option in of_site if option in _GPU_OPTIONS]
    others = [option for option in of_site if option not in _GPU_OPTIONS]
    if gpus and not _GPU_OPTIONS.intersection(of_rule):
        others += for_gpus or ["--nv"]
    return (*others, *of_rule)


def _roots(job: Any, asked: Sequence[str], site: Site, workflow: Any) -> list[Path]:
    """Give the folders of its files, and Snakemake's, that a job's containers need beside what `asked` binds."""
    files = [str(file) for one in jobs_in(job) for file in chain(one.input, one.output, one.log)]
    caches = [str(path / "x") for path in workflow.runtime_paths if path.exists()]
    return bind_roots([*files, *caches], site.workdir, bound_in_place(asked))


def _direct_task(
    job: Any,
    command: ShellCommand,
    images: dict[str, Resolved],
    options: tuple[str, ...],
    site: Site,
    workflow: Any,
) -> DirectTask:
    container = None
    if images:
        (image,) = images.values()
        apptainer_args = workflow.deployment_settings.apptainer_args
        container = Container(site.runtime.command, _file(image), options, str(apptainer_args or ""))
    return DirectTask(
        shell=command.shell,
        command=command.text,
        container=container,
        threads=job.threads,
        tmpdir=command.tmpdir,
        inputs=tuple(str(path) for path in job.input),
        outputs=tuple(str(path) for path in job.output),
        directories=tuple(str(path) for path in job.output if path.is_directory),
        logs=tuple(str(path) for path in job.log),
        latency_wait=workflow.execution_settings.latency_wait,
    )


def _file(image: Resolved) -> Path:
    return image.path if isinstance(image, Found) else image.destination


def _umask() -> int:
    """Give this process's umask, which can only be asked for by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
