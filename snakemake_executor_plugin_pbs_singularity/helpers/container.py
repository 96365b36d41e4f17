"""The image of a rule, by its name in the site's library, for whoever executes the rule.

This plugin looks names up itself. Other executors take a name for a path relative to the working directory, so they
need the path of the image. What is given must not depend on who executes: with `--sdm apptainer`, Snakemake runs rules
again whose `container:` has changed.
"""

import argparse
import functools
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.settings import DeploymentMethod, ExecMode

from ..images import Found, ImageError, UriReference, parse_reference, resolve
from ..settings import ExecutorSettings, library_folders

LIBRARY_VARIABLE = "SNAKEMAKE_PBS_SINGULARITY_LIBRARY"
"""What `--pbs-singularity-library` can be set by; also how the processes that Snakemake starts are told."""
_STORE = Path(".snakemake/pbs-singularity/images")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_WITH_TAGS = ("docker", "oras", "library", "shub")
_WARNED: set[str] = set()
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class _Image:
    def __call__(self, name: str) -> Callable[[Any], str]:
        """Give a value for `container:`: the path of the image that `name` means, found when a job is made.

        `name` is one in the site's library (`deep_learning/tensorflow-1.10.0-py3`), a path, or a URI; it may hold
        wildcards. The library is that of `--pbs-singularity-library`, of its variable or its profile key, with any
        executor, else the default one. An image that is not found does not end a dry-run: its name stays a name, with
        a warning; in a run of this plugin it is an error before anything is submitted.

        Raises WorkflowError for a name that can mean no image, and for one with spaces, which Snakemake refuses.
        """
        _check(name)
        arguments = _command_line()
        library = getattr(arguments, "pbs_singularity_library", None)
        if isinstance(library, str):  # MISSING if it was not given
            os.environ[LIBRARY_VARIABLE] = library
            _declare(LIBRARY_VARIABLE)

        def path(wildcards: Any) -> str:
            from snakemake.io import apply_wildcards

            value = str(apply_wildcards(name, wildcards))
            _check(value)
            found = _find(value, os.environ.get(LIBRARY_VARIABLE), Path.cwd())
            if isinstance(found, str):
                return found
            _warn(value, found, arguments)
            return value

        return path

    def uri(self, repository: str, *, tag: str | None = None, digest: str | None = None) -> str:
        """Give the URI of an image whose tag or digest comes from elsewhere, such as the config.

        `image.uri("docker://quay.io/biocontainers/bwa", tag=config["bwa"])` is `docker://quay.io/biocontainers/bwa:…`.
        With a digest (`sha256:…`) the image is the same for ever.

        Raises WorkflowError for a tag that is a number: YAML reads 1.10 as 1.1 unless it is in quotes.
        """
        if not isinstance(repository, str):
            raise WorkflowError(f"image.uri({repository!r}): write the URI as text, such as 'docker://ubuntu'.")
        _check(repository)
        reference = parse_reference(repository)
        if not isinstance(reference, UriReference) or reference.scheme not in _WITH_TAGS:
            known = ", ".join(f"{scheme}://" for scheme in _WITH_TAGS)
            raise WorkflowError(
                f"image.uri({repository!r}): only {known} have tags. Write one such as docker://ubuntu."
            )
        if (tag is None) == (digest is None):
            raise WorkflowError(f"image.uri({repository!r}): give either a tag or a digest.")
        if "@" in repository or ":" in repository.rpartition("/")[2]:
            raise WorkflowError(f"image.uri({repository!r}): it has a tag or a digest already. Remove it.")
        if digest is not None:
            if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
                raise WorkflowError(f"image.uri(digest={digest!r}): a digest is 'sha256:' and 64 digits from 0 to f.")
            return f"{repository}@{digest}"
        if not isinstance(tag, str):
            raise WorkflowError(
                f"image.uri(tag={tag!r}): a tag is text, not {type(tag).__name__}. Put it in quotes where it is "
                "written: YAML reads 1.10 as 1.1."
            )
        if not _TAG.fullmatch(tag):
            raise WorkflowError(f"image.uri(tag={tag!r}): a tag has letters, digits and ._- only, 128 at most.")
        return f"{repository}:{tag}"


image = _Image()
"""`container: image("deep_learning/tensorflow-1.10.0-py3")` or `image.uri("docker://ubuntu", tag=config["tag"])`."""


def _check(name: object) -> None:
    if not isinstance(name, str):
        raise WorkflowError(f"image({name!r}): write the name of the image as text.")
    try:
        parse_reference(name)
    except ImageError as error:
        raise WorkflowError(str(error)) from error
    if " " in name:
        raise WorkflowError(f"The image {name!r} has a space in its name, which Snakemake refuses. Make a link to it.")


@functools.lru_cache(maxsize=4096)
def _find(value: str, library: str | None, workdir: Path) -> str | ImageError:
    """Give what Snakemake is to take for the image, or what keeps it from being found."""
    try:
        if isinstance(parse_reference(value), UriReference):
            return value
        libraries = library_folders(ExecutorSettings(library=library or None))
        found = resolve(value, libraries=libraries, store=workdir / _STORE, workdir=workdir)
    except ImageError as error:
        return error
    except WorkflowError as error:  # the library is not on this machine
        return ImageError(str(error))
    path = str(found.path if isinstance(found, Found) else found.destination)
    if " " in path:
        return ImageError(
            f"The path {path!r} has a space in it, which Snakemake refuses.", "Make a link to its folder."
        )
    return path


def _warn(value: str, error: ImageError, arguments: argparse.Namespace | None) -> None:
    """Say once why a name stays a name, unless the plugin is about to say it better, or a main process has said it."""
    if arguments is None or arguments.mode is not ExecMode.DEFAULT or value in _WARNED:
        return
    if arguments.executor == "pbs-singularity":
        if not arguments.dryrun:
            return
    elif DeploymentMethod.APPTAINER not in arguments.software_deployment_method:
        return  # it takes no notice of containers
    from snakemake.logging import logger

    _WARNED.add(value)
    logger.warning(f"image({value!r}): {error} A job that needs it would fail here.")


def _declare(variable: str) -> None:
    """Do what the Snakefile's `envvars:` does, so that Snakemake on a compute node, of any executor, is told too."""
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        workflow = frame.f_globals.get("workflow")
        if workflow is not None and hasattr(workflow, "register_envvars"):
            workflow.register_envvars(variable)
            return


def in_main_process() -> bool:
    """Tell whether this is the Snakemake that a user started, and none that it started in turn."""
    arguments = _command_line()
    return arguments is not None and arguments.mode is ExecMode.DEFAULT


def _command_line() -> argparse.Namespace | None:
    """Give Snakemake's own command line, profile included; None where Snakemake was not started by one.

    Options of an executor plugin reach only that executor, and in dry-runs nobody (`snakemake/api.py`). To read the
    command line again would be slow, and wrong after `--directory`. So it is taken from the function that has it.
    """
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code.co_name == "args_to_api" and frame.f_globals.get("__name__") == "snakemake.cli":
            arguments = frame.f_locals.get("args")
            return arguments if isinstance(arguments, argparse.Namespace) else None
    return None
