"""A bad request fails at second zero: all jobs of a run are looked at before the first is submitted."""

from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Thread
from typing import Any

from snakemake.exceptions import InputFunctionException
from snakemake_interface_common.exceptions import WorkflowError

from .images import ImageError, UriReference, parse_reference
from .images.lock import lock_key, unfixed_words
from .images.locked import moved_tags
from .settings import ExecutorSettings
from .site import Site
from .task import IF_A_HOOK_CHANGES_IT, UnplacedError, exec_options, place, resolve_images
from .tasks.planning import check_launcher, known_resources
from .tasks.request import build_request, bundle_size

_LEAVE_QUEUES = f"{IF_A_HOOK_CHANGES_IT} leave it to PBS with --pbs-singularity-leave-queues."


def check_jobs(
    jobs: Iterable[Any], site: Site, settings: ExecutorSettings, say: Callable[[str], None] = lambda _: None
) -> None:
    """Check the images, requests and queues of all jobs that will be run; say once why a queue is chosen for them.

    What only shows later, such as resources that depend on files not made yet, is checked when a job is
    ready; and where PBS cannot be asked now, it is PBS that says no. Raises WorkflowError with every problem found,
    each once.
    """
    problems: dict[str, None] = {}
    is_unplaced = False
    chosen: dict[str, dict[str, None]] = {}
    checked: set[tuple[str, str]] = set()
    for job in jobs:
        rule = job.rule.name
        try:
            if not _threads_are_known(job):
                continue
            resources = known_resources(job)
            request = build_request(rule, job.threads, resources, settings)
            bundle = bundle_size(rule, resources, settings)
            exec_options(job, rule, request, site)
            check_launcher(job)
            if (rule, job.container_img_url) not in checked:
                checked.add((rule, job.container_img_url))
                resolve_images([job], site, site.resolve)
            placement = place(rule, request, bundle, site)
            if placement.why:
                chosen.setdefault(placement.why, {})[rule] = None
        except (WorkflowError, ImageError) as error:
            problems[str(error)] = None
            is_unplaced |= isinstance(error, UnplacedError)
    if problems:
        hints = [_LEAVE_QUEUES] if is_unplaced else []
        raise WorkflowError("\n".join(["Nothing was submitted:", *problems, *hints]))
    for why, rules in chosen.items():
        say(f"Rule {', '.join(rules)}: {why}.")


def _threads_are_known(job: Any) -> bool:
    """Tell whether Snakemake can say a job's threads, which may depend on input that is not made yet.

    Of resources it says so; of threads it says that they are no number.
    """
    try:
        _ = job.resources
    except InputFunctionException:
        raise
    except WorkflowError:
        if job.rule.resources["_cores"].is_evaluable() and not all(Path(file).exists() for file in job.input):
            return False
        raise
    return True


def check_local_jobs(jobs: Iterable[Any], in_containers: bool, may_run_here: bool) -> None:
    """Check that no local job has a container that would not be used, or that may not run here.

    `in_containers` says whether Snakemake itself runs local jobs in their containers. Raises WorkflowError.
    """
    rules = sorted({job.rule.name for job in jobs if job.container_img_url and not job.is_norun})
    if not rules or (in_containers and may_run_here):
        return
    which = f"Rule {rules[0]} is" if len(rules) == 1 else f"The rules {', '.join(rules)} are"
    if may_run_here:
        raise WorkflowError(
            f"Nothing was submitted: {which} local with a container, which Snakemake runs only with "
            "--software-deployment-method apptainer. Add that, or take it out of localrules."
        )
    raise WorkflowError(
        f"Nothing was submitted: {which} local with a container, but containers may not run on a login node. Take it "
        "out of localrules; or give it container: None if it needs none; or, where the site lets you, add "
        "--pbs-singularity-login-containers and --software-deployment-method apptainer."
    )


def point_out_moving_tags(jobs: Iterable[Any], site: Site, warn: Callable[[str], None]) -> None:
    """Warn, once each, of images that are not locked and whose tag moves: `latest`, and those that have moved.

    Registries are asked meanwhile, by a thread: no run waits for them.
    """
    values = {job.container_img_url for job in jobs if job.container_img_url}
    unlocked = sorted(value for value in values if site.lock is None or lock_key(value) not in site.lock.images)
    references = [parse_reference(value) for value in unlocked]
    for reference in references:
        words = unfixed_words(reference) if isinstance(reference, UriReference) else None
        if words is not None:
            warn(words)

    def ask() -> None:
        for words in moved_tags(unlocked, site.store, site.runtime_of_store, site.environment):
            warn(words)

    if any(isinstance(reference, UriReference) for reference in references):
        Thread(target=ask, name="moved tags", daemon=True).start()
