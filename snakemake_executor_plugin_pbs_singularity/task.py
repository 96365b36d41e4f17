"""A Snakemake job becomes a task: one job made ready to run."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from snakemake.io import is_flagged
from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.real import RealExecutor

from .images import Found, ImageError, Missing, Resolved
from .images.options import check_options
from .images.runtime import check_home
from .nested import Description
from .pbs import LimitError, PbsError, Placement
from .pbs.request import Request
from .settings import split_options
from .site import Site, bind_variable, carried_environment
from .tasks.binds import bind_roots, bind_sources, bound_in_place, check_bindable, check_sources
from .tasks.command_line import nested_command_line
from .tasks.identity import job_digest, work_digest
from .tasks.planning import NeedsSnakemake, ShellCommand, jobs_in, known_resources, launcher, plan
from .tasks.request import build_request, bundle_size
from .tasks.script import Container, DirectTask, NestedTask, Surroundings
from .text import one_line
from .tracking.run_folder import RunFolder, new_token

_GPU_OPTIONS = frozenset(["--nv", "--nvccli", "--rocm"])


Resolve = Callable[[str], Resolved]
"""Gives the image of a `container:` value; raises ImageError."""


IF_A_HOOK_CHANGES_IT = "Would PBS take it all the same, as a hook of this site changes requests? Then"
"""Begins what is said once with an UnplacedError: how to leave queues to PBS, in the words of who was asked."""


class UnplacedError(WorkflowError):
    """A request over the limits of queues or nodes, as PBS shows them."""


@dataclass(frozen=True)
class Task:
    """One Snakemake job made ready to run."""

    job: Any
    token: str
    label: str
    rule: str
    request: Request
    bundle: int
    """Tasks like this one that may run one after the other in one PBS job."""
    log: Path
    work: DirectTask | NestedTask
    nested_because: str | None
    missing: tuple[str, ...]
    """URIs of images that have to be pulled first."""
    job_digest: str
    """What stands for the job of the workflow, in any run."""
    work_digest: str
    """What stands for all that the task runs."""

    @property
    def image(self) -> Path | None:
        """Give what its command runs in; None if that runs on the node itself, or by a Snakemake there."""
        return self.work.container.image if isinstance(self.work, DirectTask) and self.work.container else None


def make_surroundings(executor: RealExecutor, site: Site, folder: RunFolder) -> Surroundings:
    """Give what all tasks of a run share."""
    latency_wait = executor.workflow.execution_settings.latency_wait
    return surroundings(site, folder.records, folder.ended, executor.envvars(), latency_wait)


def surroundings(
    site: Site, records: Path, ended: Path, declared: Mapping[str, str], latency_wait: int = 0
) -> Surroundings:
    """Give the same without a run; `declared` are variables that go along, `latency_wait` seconds that inputs have."""
    return Surroundings(
        workdir=site.workdir,
        records=records,
        ended=ended,
        umask=_umask(),
        environment={**carried_environment(os.environ), **_binds(site), **declared},
        latency_wait=latency_wait,
        node_setup=site.nodes.setup or "",
    )


def _binds(site: Site) -> dict[str, str]:
    """Give the user's binds by the name that the nodes know; nothing where there are none, or no runtime is known."""
    if not any("_BIND" in name for name in carried_environment(os.environ)):
        return {}
    try:
        return bind_variable(os.environ, site.node_runtime)
    except ImageError:  # said of the first rule that has a container
        return {}


def make_task(job: Any, executor: RealExecutor, site: Site, folder: RunFolder, resolve: Resolve) -> Task:
    """Make the task of a job or of a group of jobs.

    Raises WorkflowError for a request that PBS could not understand and for an image that cannot be had.
    """
    workflow = executor.workflow
    settings = executor.executor_settings
    rule = job.groupid if job.is_group() else job.rule.name
    wildcards = "" if job.is_group() else ",".join(f"{name}={value}" for name, value in job.wildcards_dict.items())
    token = new_token()
    log = folder.log(rule, wildcards, token)
    resources = known_resources(job)
    request = build_request(rule, job.threads, resources, settings)
    bundle = settings.bundle if job.is_group() else bundle_size(rule, resources, settings)
    images = resolve_images(jobs_in(job), site, resolve)
    asked = exec_options(job, rule, request, site)
    used: list[str | Path] = [*_files(job), *map(_file, images.values()), *bind_sources(asked)]
    queue = place(rule, request, bundle, site).queue
    request = replace(request, queue=queue, site=site_resources(rule, resources, request, site, used))
    options = (*asked, *(word for root in _roots(job, asked, site, workflow) for word in ("--bind", str(root))))
    planned = plan(job, workflow)
    starter = launcher(job, planned)
    work: DirectTask | NestedTask
    if isinstance(planned, ShellCommand):
        container = _container(images, options, site, workflow, starter)
        work = DirectTask(
            token=token,
            log=log,
            shell=planned.shell,
            command=planned.text,
            container=container,
            threads=job.threads,
            tmpdir=planned.tmpdir,
            inputs=tuple(map(str, job.input)),
            outputs=tuple(map(str, job.output)),
            directories=tuple(str(path) for path in job.output if path.is_directory),
            logs=tuple(map(str, job.log)),
        )
    else:
        command_line = nested_command_line(executor, job, site.workdir, in_container=bool(images))
        description = Description(
            arguments=command_line.arguments,
            targets=command_line.targets,
            runtime=str(site.node_runtime.command) if images else None,
            images={value: str(_file(image)) for value, image in images.items()},
            container_options=list(options),
        )
        precommand = workflow.spawned_job_args_factory.precommand(executor_common_settings=executor.common_settings)
        python = executor.get_python_executable()
        work = NestedTask(token, log, python, description.to_json(), precommand, description.runtime)
    return Task(
        job=job,
        token=token,
        label=one_line(f"{'group' if job.is_group() else 'rule'} {rule}{f' ({wildcards})' if wildcards else ''}"),
        rule=rule,
        request=request,
        bundle=bundle,
        log=log,
        work=work,
        nested_because=planned.reason if isinstance(planned, NeedsSnakemake) else None,
        missing=tuple(image.uri for image in images.values() if isinstance(image, Missing)),
        job_digest=job_digest(job),
        work_digest=_work_digest(job, work, images.values(), asked, site, workflow),
    )


def place(rule: str, request: Request, bundle: int, site: Site) -> Placement:
    """Choose the queue for a request, and for so many tasks one after the other.

    Raises WorkflowError, naming the rule, for what this kind of PBS cannot be asked and for a queue that is not there,
    and UnplacedError for what no queue takes or no node can run.
    """
    try:
        site.pbs.dialect.request_arguments(request, bundle)
        return Placement(request.queue) if site.leaves_queues else site.survey.place(request, bundle)
    except LimitError as error:
        hint = f" For bundle={bundle}, the runtime is that of {bundle} tasks." if bundle > 1 else ""
        raise UnplacedError(f"Rule {rule}: {error}{hint}") from error
    except PbsError as error:
        raise WorkflowError(f"Rule {rule}: {error}") from error


def site_resources(
    rule: str, resources: Mapping[str, object], request: Request, site: Site, used: Iterable[str | Path]
) -> tuple[tuple[str, str], ...]:
    """Give the file systems that a job must ask for: those that it uses, its paths, and those that its rule names.

    Raises WorkflowError if its pbs_extra asks for them too.
    """
    more = resources.get("pbs_storage")
    asked = site.storage.of([site.workdir, *(site.workdir / path for path in used)], str(more) if more else None)
    if asked and any(word.startswith(f"{site.storage.resource}=") for word in request.extra):
        raise WorkflowError(
            f"Rule {rule}: pbs_extra has -l {site.storage.resource}, which the plugin makes: use instead the resource "
            "pbs_storage for what it does not see."
        )
    return asked


def resolve_images(jobs: Iterable[Any], site: Site, resolve: Resolve) -> dict[str, Resolved]:
    """Give the image of each `container:` value of some jobs.

    Raises ImageError, naming the rule, for a value that means nothing and for an image that is bad.
    """
    images: dict[str, Resolved] = {}
    for job in jobs:
        value = job.container_img_url
        if value and value not in images:
            check_bindable(job.rule.name, site.workdir)
            try:
                images[value] = resolve(value)
                check_home(site.node_runtime, site.workdir)
            except ImageError as error:
                raise ImageError(f"Rule {job.rule.name}: {error.problem}", error.remedy) from error
    return images


def exec_options(job: Any, rule: str, request: Request, site: Site) -> tuple[str, ...]:
    """Give the options of `singularity exec` that the site, the rule and its GPUs ask for.

    Raises WorkflowError for container_args that cannot be split or bind what is not there, and ImageError for an
    option that the container runtime of the nodes does not have, if the job has a container.
    """
    of_rule = split_options(str(job.resources.get("container_args") or ""), f"Rule {rule}, resource container_args")
    check_sources(rule, of_rule)
    options = with_gpu_options(site.container_options, of_rule, gpus=request.gpus)
    if any(one.container_img_url for one in jobs_in(job)):
        _check_options(job, rule, options[: len(options) - len(of_rule)], of_rule, site)
    return options


def _check_options(job: Any, rule: str, of_site: Sequence[str], of_rule: Sequence[str], site: Site) -> None:
    """Raise ImageError for an option that the nodes' runtime does not have, wherever it was written."""
    runtime = site.node_runtime
    check_options(of_site, runtime, f"Rule {rule}, --pbs-singularity-container-args")
    check_options(of_rule, runtime, f"Rule {rule}, resource container_args")
    text = str(jobs_in(job)[0].dag.workflow.deployment_settings.apptainer_args or "")
    where = f"Rule {rule}, --apptainer-args"
    check_options(split_options(text, where), runtime, where, shell_text=True)


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
    files = _files(job)
    caches = [str(path / "x") for path in workflow.runtime_paths if path.exists()]
    return bind_roots([*files, *caches], site.workdir, bound_in_place(asked))


def _files(job: Any) -> list[str]:
    return [str(file) for one in jobs_in(job) for file in chain(one.input, one.output, one.log)]


def has_its_output(job: Any) -> bool:
    """Tell whether all is there that a job must leave where it ends: Snakemake looks for that after a success."""
    made_otherwise = ("touch", "pipe", "service", "nodelocal", *(["temp"] if job.is_group() else []))
    return all(
        file.is_storage or any(is_flagged(file, flag) for flag in made_otherwise) or os.path.lexists(file)
        for one in jobs_in(job)
        for file in one.output
    )


def _container(
    images: Mapping[str, Resolved], options: tuple[str, ...], site: Site, workflow: Any, starter: tuple[str, ...]
) -> Container | None:
    if not images:
        return None
    (image,) = images.values()
    apptainer_args = workflow.deployment_settings.apptainer_args
    return Container(site.node_runtime.command, _file(image), options, str(apptainer_args or ""), launcher=starter)


def _work_digest(
    job: Any, work: DirectTask | NestedTask, images: Iterable[Resolved], asked: Sequence[str], site: Site, workflow: Any
) -> str:
    """Give what stands for a task's work. Pulled images never change, and may not be there yet: their names count."""
    files = [_file(image) for image in images]
    pulled = [str(file) for file in files if file.is_relative_to(site.store)]
    apptainer_args = str(workflow.deployment_settings.apptainer_args or "")
    others = [file for file in files if not file.is_relative_to(site.store)]
    return work_digest(job, work, others, [*pulled, *asked, apptainer_args])


def _file(image: Resolved) -> Path:
    return image.path if isinstance(image, Found) else image.destination


def _umask() -> int:
    """Give this process's umask, which can only be asked for by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
