"""Where a run takes place: its PBS, its container runtime, its image folders, found once at the start."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from threading import Event

from snakemake_interface_common.exceptions import WorkflowError

from .images import Found, ImageError, Resolved, Runtime, check_runnable, find_runtime, resolve
from .images.asking import pull_and_note
from .images.lock import check_name
from .images.locked import Lock, find_lock
from .images.lockfile import LOCK_NAME
from .images.nodes import NOTHING_SAID, Nodes, check_missing, check_nodes, node_runtime, of_store
from .images.runtime import bind_variables
from .pbs import Pbs, PbsError, Survey, find_pbs
from .settings import ExecutorSettings, container_options, library_folders
from .tasks.storage import NO_STORAGE, Storage, parse_storage

CARRIED_VARIABLES = (
    "PATH",
    "LD_LIBRARY_PATH",
    "LANG",
    "LANGUAGE",
    "TZ",
    "PYTHONPATH",
    "XDG_CACHE_HOME",
    "SNAKEMAKE_OUTPUT_CACHE",
    "APPTAINER_BIND",
    "APPTAINER_BINDPATH",
    "SINGULARITY_BIND",
    "SINGULARITY_BINDPATH",
)
"""The variables, with those that begin with `LC_`, that go with a task: without them the same command would
not find the same programs, caches and folders. Everything else stays here unless `envvars:` declares it."""


@dataclass(frozen=True)
class Site:
    """What a run needs to know of its surroundings."""

    find_pbs: Callable[[], Pbs]
    environment: Mapping[str, str]
    libraries: tuple[Path, ...]
    store: Path
    container_options: tuple[str, ...]
    workdir: Path
    lock: Lock | None = None
    """What the images were when they were locked; None where nobody did."""
    storage: Storage = NO_STORAGE
    """File systems that jobs have to ask for."""
    nodes: Nodes = NOTHING_SAID
    """What is said of the compute nodes' container runtime."""
    leaves_queues: bool = False
    """Queues and limits are PBS's to judge."""
    nodes_may_come: bool = False
    """What no node can run now may run later, as the user lets such jobs wait."""

    @cached_property
    def pbs(self) -> Pbs:
        """The PBS; it is looked for when it is needed first. Raises PbsError."""
        return self.find_pbs()

    @property
    def pbs_in_words(self) -> str:
        """Give the PBS with what is known of its version."""
        return self.pbs.title

    @cached_property
    def survey(self) -> Survey:
        """What PBS says of its queues and nodes; it is asked when that is needed first."""
        return Survey(self.pbs, nodes_may_come=self.nodes_may_come)

    @cached_property
    def runtime(self) -> Runtime:
        """The container command of this machine, which pulls; looked for when it is needed. Raises ImageError."""
        return find_runtime(self.environment)

    @property
    def runtime_if_any(self) -> Runtime | None:
        """The container command of this machine, None where there is none, as on many login nodes."""
        try:
            return self.runtime
        except ImageError:
            return None

    @cached_property
    def node_runtime(self) -> Runtime:
        """The container command of the compute nodes, which runs the rules. Raises ImageError if nothing is known."""
        return node_runtime(self.nodes, self.environment, lambda: self.runtime)

    def resolve(self, container: str) -> Resolved:
        """Find the image of a `container:` value; raises ImageError."""
        check_name(container)
        found = resolve(
            container,
            libraries=self.libraries,
            store=self.store,
            workdir=self.workdir,
            runtime=self.runtime_of_store,
        )
        if self.lock is not None:
            found = self.lock.resolve(container, found, self.store, self.runtime_of_store, self.environment)
        if isinstance(found, Found):
            check_runnable(self.node_runtime, found.path, found.kind)
        else:
            check_missing(found.uri, lambda: self.runtime)
        return found

    @property
    def runtime_of_store(self) -> Runtime:
        """The runtime that decides what pulled images are. Raises ImageError if the nodes' is not known."""
        return of_store(self.runtime_if_any, self.node_runtime)

    def pull(self, uri: str, report: Callable[[str], None], stop: Event) -> None:
        """Pull a missing image into the store; raises ImageError, also soon after `stop` is set."""
        image = pull_and_note(uri, self.store, self.runtime, report, self.environment, stop, self.node_runtime)
        if self.lock is not None:
            self.lock.check_pulled(uri, image, self.environment)


def find_site(
    settings: ExecutorSettings,
    state: Path,
    environment: Mapping[str, str],
    sources: Path,
    *,
    needs_pbs: bool = True,
) -> Site:
    """Find all that a run needs, or raise WorkflowError with what is missing and what to do about it.

    `sources` is the folder of the Snakefile, `state` one of ours in the working directory. A compute node may have no
    commands of PBS: what submits nothing does not need it.
    """
    try:
        nodes = Nodes(settings.container_command, settings.container_version, settings.node_setup)
        check_nodes(nodes)
        site = Site(
            find_pbs=partial(pbs_of, settings.pbs, environment),
            environment=environment,
            libraries=library_folders(settings),
            store=Path(settings.store).expanduser().absolute() if settings.store else state / "images",
            container_options=container_options(settings),
            workdir=Path.cwd(),
            lock=find_lock(sources.absolute() / LOCK_NAME, frozen=settings.frozen),
            storage=parse_storage(settings.storage, settings.storage_resource),
            nodes=nodes,
            leaves_queues=settings.leave_queues,
            nodes_may_come=settings.never_run_minutes == 0,
        )
        if needs_pbs:
            _ = site.pbs
        return site
    except (PbsError, ImageError) as error:
        raise WorkflowError(str(error)) from error


def bind_variable(environment: Mapping[str, str], runtime: Runtime) -> dict[str, str]:
    """Give the user's binds by the name that the nodes' runtime reads; nothing if it reads one that is set."""
    read = bind_variables(runtime)
    if any(environment.get(name) for name in read):
        return {}
    others = (value for name in CARRIED_VARIABLES if "_BIND" in name and (value := environment.get(name)))
    value = next(others, None)
    return {} if value is None else {read[0]: value}


def containers_may_run_here(settings: ExecutorSettings, environment: Mapping[str, str]) -> bool:
    """Tell whether this is no login node: a PBS job, or a machine of which the user says so."""
    return settings.login_containers or settings.pbs == "local" or "PBS_JOBID" in environment


def carried_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Give the part of the user's environment that goes with every task."""
    return {name: value for name, value in environment.items() if name in CARRIED_VARIABLES or name.startswith("LC_")}


def pbs_of(kind: str, environment: Mapping[str, str]) -> Pbs:
    """Give the PBS that the setting `pbs` means in an environment. Raises PbsError."""
    if kind != "local":
        return find_pbs(environment, kind)
    from .pbs.local import provide

    commands = provide(environment)
    return find_pbs({**environment, "PATH": f"{commands}{os.pathsep}{environment.get('PATH', os.defpath)}"})
