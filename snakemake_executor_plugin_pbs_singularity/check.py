"""A bad request fails at second zero: all jobs of a run are looked at before the first is submitted."""

from collections.abc import Iterable
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError

from .images import ImageError
from .pbs import ErrorKind, PbsError, check_queue
from .settings import ExecutorSettings
from .site import Site
from .task import exec_options, resolve_images
from .tasks.planning import known_resources
from .tasks.request import build_request


def check_jobs(jobs: Iterable[Any], site: Site, settings: ExecutorSettings) -> None:
    """Check the images, requests and queues of all jobs that will be run.

    What only shows later, such as resources that depend on files not made yet, is checked when a job is
    ready. Raises WorkflowError with every problem found, each once.
    """
    problems: dict[str, None] = {}
    queues: dict[str, str] = {}
    checked: set[tuple[str, str]] = set()
    for job in jobs:
        rule = job.rule.name
        try:
            request = build_request(rule, job.threads, known_resources(job), settings)
            exec_options(job, rule, request, site)
            if (rule, job.container_img_url) not in checked:
                resolve_images([job], site)
                checked.add((rule, job.container_img_url))
            if request.queue is not None:
                queues.setdefault(request.queue, rule)
        except (WorkflowError, ImageError) as error:
            problems[str(error)] = None
    for queue, rule in queues.items():
        try:
            check_queue(site.pbs, queue)
        except PbsError as error:
            if error.kind is not ErrorKind.REFUSED:
                raise WorkflowError(str(error)) from error
            problems[f"Rule {rule}: {error}"] = None
    if problems:
        raise WorkflowError("\n".join(["Nothing was submitted:", *problems]))
