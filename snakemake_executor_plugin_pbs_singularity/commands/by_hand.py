"""What the commands that are used by hand have in common: what is asked of PBS, and a container made ready to run.

They find PBS, the image library and the settings as a run in the same folder does.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import click
from snakemake_interface_common.exceptions import WorkflowError

from ..images import Found, ImageError, Pulls
from ..images.options import check_options
from ..images.runtime import check_home
from ..pbs import PbsError
from ..pbs.request import Request
from ..settings import ExecutorSettings, split_options
from ..site import Site, containers_may_run_here, find_site
from ..task import IF_A_HOOK_CHANGES_IT, UnplacedError, place, site_resources, surroundings, with_gpu_options
from ..tasks.binds import bind_sources, check_bindable, check_sources
from ..tasks.request import build_request
from ..tasks.script import Container, DirectTask, batch_script
from ..text import one_line
from ..tracking.run_folder import STATE, new_token, write_private
from .amounts import mebibytes, minutes
from .ending import Ending
from .place import find_settings, library_option, make_default_store, sources_here, store_option
from .wording import in_options

_STEP = 0.1
"""Seconds in which the end of a command, or a signal for it, is noticed."""
_PLAIN = re.compile(r"[A-Za-z0-9_./@%+=:,-]+")
"""A path that no shell takes apart."""
_LEAVE_QUEUES = f"{IF_A_HOOK_CHANGES_IT} set SNAKEMAKE_PBS_SINGULARITY_LEAVE_QUEUES=true."
_OPTIONS = (
    click.option("--threads", metavar="N", type=click.IntRange(min=1), default=1, help="Cores.  [default: 1]"),
    click.option("--mem", "mem_mb", metavar="MB", type=mebibytes, help="Memory on each node: MiB, or as 4gb."),
    click.option(
        "--runtime", metavar="MINUTES", type=minutes, help="How long it may run: minutes, or as 2h or 01:30:00."
    ),
    click.option("--gpu", metavar="N", type=click.IntRange(min=0), help="GPUs, on each node."),
    click.option("--gpu-model", metavar="NAME", help="Which GPUs, as the site calls them."),
    click.option("--nodes", metavar="N", type=click.IntRange(min=1), help="Nodes."),
    click.option(
        "--tasks", metavar="N", type=click.IntRange(min=1), help="Processes of MPI, each with --threads cores."
    ),
    click.option("--queue", metavar="QUEUE", help="The queue."),
    click.option("--account", metavar="ACCOUNT", help="Who is charged (qsub -A)."),
    click.option("--project", metavar="PROJECT", help="The PBS project (qsub -P)."),
    click.option("--extra", metavar="OPTIONS", help="More options of qsub, such as --extra='-m e -p 5'."),
    click.option("--bind", "binds", metavar="PATH", multiple=True, help="What the container sees besides this folder."),
    click.option("--name", metavar="NAME", help="How PBS calls the job."),
    library_option,
    store_option,
    click.option("--here", is_flag=True, help="Within a PBS job: run it in this job, submit none."),
)


def job_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what a job by hand asks for: the fields of ``Asked``."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True)
class Asked:
    """What a job by hand asks for."""

    threads: int
    mem_mb: int | None
    """MiB on each node."""
    runtime: int | None
    """Minutes."""
    gpu: int | None
    """GPUs on each node."""
    gpu_model: str | None
    nodes: int | None
    tasks: int | None
    queue: str | None
    account: str | None
    project: str | None
    extra: str | None
    binds: tuple[str, ...]
    name: str | None
    library: str | None
    store: str | None
    here: bool

    def settings(self) -> ExecutorSettings:
        """Give the settings of a run here, with what is asked for in their place. Raises ClickException."""
        names = ("queue", "account", "project", "library", "store")
        return find_settings({name: getattr(self, name) for name in names})


@dataclass(frozen=True)
class Ready:
    """A container that is ready to run, and what to ask PBS for."""

    site: Site
    request: Request
    container: Container
    threads: int

    def script(self, title: str, token: str, command: str, records: Path) -> str:
        """Give the script that runs a command in the container, as a batch's: ``sh SCRIPT 0``."""
        task = DirectTask(  # noqa: S604 - the name of one
            token=token,
            log=None,
            shell="sh",
            command=command,
            container=self.container,
            threads=self.threads,
            tmpdir=None,
            inputs=(),
            outputs=(),
            directories=(),
            logs=(),
        )
        return batch_script(title, [[task]], surroundings(self.site, records, records, {}))


def make_ready(what: str, asked: Asked, image: str, ending: Ending, mpi: str | None = None) -> Ready | None:
    """Find PBS, the image and all that a job needs, and pull the image if it is missing; None if a signal came.

    ``what`` stands in the place of a rule's name in messages. Raises ClickException with what is wrong, and what to do.
    """
    try:
        settings = asked.settings()
        site = find_site(settings, STATE.absolute(), os.environ, sources_here(), needs_pbs=not asked.here)
        if asked.here and not containers_may_run_here(settings, os.environ):
            raise click.ClickException(
                "--here: this is no PBS job (PBS_JOBID is not set), and containers may not run on a login node. Leave "
                "it out; or, where the site lets you, set SNAKEMAKE_PBS_SINGULARITY_LOGIN_CONTAINERS=true."
            )
        resources = {
            "mem_mb": asked.mem_mb,
            "runtime": asked.runtime,
            "gpu": asked.gpu,
            "gpu_model": asked.gpu_model,
            "nodes": asked.nodes,
            "tasks": asked.tasks,
            "pbs_extra": asked.extra,
        }
        request = build_request(what, asked.threads, resources, settings)
        binds = [word for bind in asked.binds for word in ("--bind", bind)]
        check_bindable(what, site.workdir)
        check_home(site.node_runtime, site.workdir)
        check_sources(what, binds, way_out="")
        options = with_gpu_options(site.container_options, binds, gpus=request.gpus)
        check_options(site.container_options, site.node_runtime, "--pbs-singularity-container-args")
        path = _image(image, site, ending)
        if path is None:
            return None
        used: list[str | Path] = [path, *bind_sources(options)]
        request = replace(request, site=site_resources(what, resources, request, site, used))
        if not asked.here:
            placement = place(what, request, 1, site)
            request = replace(request, queue=placement.queue)
            if placement.why:
                say(f"It goes to {placement.why}.")
        launcher = tuple(split_options(mpi or "", "--mpi"))
        if launcher and asked.tasks:
            launcher = (*launcher, "-n", str(asked.tasks))
        container = Container(site.node_runtime.command, path, options, launcher=launcher)
    except (WorkflowError, ImageError, PbsError) as error:
        said = in_options(re.sub(rf"^Rule {what}[:,] ", "", str(error)))
        raise click.ClickException(f"{said} {_LEAVE_QUEUES}" if isinstance(error, UnplacedError) else said) from error
    return Ready(site, request, container, asked.threads)


def _image(value: str, site: Site, ending: Ending) -> Path | None:
    """Give the image of a ``container:`` value, pulled if it is missing; None if a signal came. Raises ImageError."""
    found = site.resolve(value)
    if isinstance(found, Found):
        return found.path

    def pull(uri: str, stop: Event) -> None:
        make_default_store(site.store, site.workdir)
        site.pull(uri, say, stop)

    pulls = Pulls(pull)
    try:
        pulls.start([found.uri])
        while not pulls.are_done([found.uri]) and ending.signal is None:
            ending.sleep(0.1)
    finally:
        pulls.stop()
    if ending.signal is not None:
        return None
    error = pulls.error_of([found.uri])
    if error is not None:
        raise error
    return found.destination


def private_folder(workdir: Path) -> Path:
    """Make a folder that the nodes see and nobody else can read: in the working directory, else in the home.

    TORQUE copies nothing to a path with spaces, and runs no script there (6.1.3).
    """
    here = os.access(workdir, os.W_OK | os.X_OK) and _PLAIN.fullmatch(str(workdir))
    place = workdir if here else Path.home()
    try:
        return Path(tempfile.mkdtemp(prefix=".pbs-singularity-", dir=place))
    except OSError as error:
        raise click.ClickException(f"{error}: nothing can be written to {place}. Start in another folder.") from error


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Let a file that cannot be written, as the disk is full, end the command with words and exit status 1."""
    try:
        yield
    except OSError as error:
        raise click.ClickException(
            f"Nothing was started: what it needs cannot be written to {folder}: {error.strerror}. Make room there, or "
            "start in another folder."
        ) from error


def say(text: str) -> None:
    """Say something on stderr, if anybody listens."""
    try:
        click.echo(f"pbs-singularity: {text}", err=True)
    except OSError:  # the terminal is gone
        return


def run_here(ready: Ready, command: str, ending: Ending) -> int:
    """Run a command in the container on this machine, its streams being ours, and give its exit code.

    Ctrl-C is the command's own, which the terminal gives it; other signals are passed on to it.
    """
    folder = private_folder(ready.site.workdir)
    interrupts = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        script = folder / "task.sh"
        with writing(folder):
            write_private(script, ready.script(one_line(command), new_token(), command, folder))
        takes_interrupts = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        process = subprocess.Popen(["/bin/sh", script, "0"], preexec_fn=takes_interrupts)  # its own time limit
        is_told = False
        while process.poll() is None:
            if ending.signal is not None and not is_told:
                for one in _children(process.pid) or [process.pid]:  # sh itself would end and leave its container
                    with suppress(ProcessLookupError):
                        os.kill(one, ending.signal)
                is_told = True
            with suppress(subprocess.TimeoutExpired):
                process.wait(_STEP)
        return 128 - process.returncode if process.returncode < 0 else process.returncode
    finally:
        signal.signal(signal.SIGINT, interrupts)
        shutil.rmtree(folder, ignore_errors=True)


def _children(process: int) -> list[int]:
    """Give the processes that one has started, by the fourth word of ``/proc/PID/stat`` (proc(5))."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == process:
                found.append(int(folder.name))
    return found
