"""Where a subcommand of ``pbs-singularity images`` looks for images: where a run in the same folder would."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from operator import itemgetter
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import click

from ..images import Found, ImageError, Resolved, Runtime, check_runnable, find_runtime, resolve
from ..images.asking import pull_and_note
from ..images.locked import Lock, find_lock
from ..images.lockfile import LOCK_NAME
from ..images.nodes import NOTHING_SAID, Nodes, check_nodes, node_runtime, of_store

if TYPE_CHECKING:
    from ..settings import ExecutorSettings

_PREFIX = "pbs-singularity-"
_FLAGS = {**dict.fromkeys(("true", "yes", "on", "1"), True), **dict.fromkeys(("false", "no", "off", "0"), False)}
_PROFILE_FILE = re.compile(r"(?:profile|config)(?:\.v(\d+)\+)?\.yaml")


@dataclass(frozen=True)
class Place:
    """The image folders, the working directory and the environment of a subcommand."""

    libraries: tuple[Path, ...]
    store: Path
    workdir: Path
    environment: Mapping[str, str]
    nodes: Nodes = NOTHING_SAID
    """What is said of the compute nodes' container runtime."""

    @cached_property
    def runtime(self) -> Runtime:
        """The container command of this machine, which pulls. Raises ImageError."""
        return find_runtime(self.environment)

    @property
    def runtime_if_any(self) -> Runtime | None:
        """The container command, None where there is none, as on many login nodes."""
        try:
            return self.runtime
        except ImageError:
            return None

    @property
    def node_runtime_if_any(self) -> Runtime | None:
        """The container command of the compute nodes, None where nothing is known of it."""
        try:
            return node_runtime(self.nodes, self.environment, lambda: self.runtime)
        except ImageError:
            return None

    @cached_property
    def runtime_of_store(self) -> Runtime | None:
        """The runtime that decides what pulled images are, None where none is known."""
        nodes = self.node_runtime_if_any
        return of_store(self.runtime_if_any, nodes) if nodes is not None else None

    def resolve(self, value: str) -> Resolved:
        """Find the image of a ``container:`` value; raises ImageError."""
        return resolve(
            value,
            libraries=self.libraries,
            store=self.store,
            workdir=self.workdir,
            runtime=self.runtime_of_store if "://" in value else None,
        )

    def resolve_for_run(self, value: str, lock: Lock | None) -> Resolved:
        """Find the image that a run would use: the locked one where a lock has it; raises ImageError."""
        image = self.resolve(value)
        if lock is not None:
            image = lock.resolve(value, image, self.store, self.runtime_of_store, self.environment)
        nodes = self.node_runtime_if_any
        if isinstance(image, Found) and nodes is not None:
            check_runnable(nodes, image.path, image.kind)
        return image

    def pull(self, uri: str, report: Callable[[str], None], stop: Event) -> Path:
        """Give the image of a URI in the store, pulled if it is not there; raises ImageError, also once stopped.

        The default store is made, as a run would have made it; another one has to be there, or its parent.
        """
        make_default_store(self.store, self.workdir)
        return pull_and_note(uri, self.store, self.runtime, report, self.environment, stop, self.node_runtime_if_any)


def make_default_store(store: Path, workdir: Path) -> None:
    """Make the store if it is the default one; another one has to be there, or its parent. Raises ImageError."""
    if not store.is_relative_to(workdir / ".snakemake"):
        return
    try:
        store.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImageError(
            f"The image store {store} cannot be made: {error.strerror}.", "Name another folder with --store."
        ) from error


def library_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--library`` to a subcommand."""
    return click.option("--library", metavar="FOLDER[:FOLDER...]", help="The image folders of the site.")(command)


def store_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--store`` to a subcommand."""
    return click.option("--store", metavar="FOLDER", help="The folder that images are pulled into.")(command)


def snakefile_option(words: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a decorator that adds ``--snakefile [FILE]``: None if not given, empty if given without a file."""
    return click.option("--snakefile", metavar="[FILE]", is_flag=False, flag_value="", help=words)


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--json`` to a subcommand."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(command)


def find_place(
    library: str | None, store: str | None, workdir: Path | None = None, sources: Path | None = None
) -> Place:
    """Find the image folders as a run would: options, then environment variables, then profiles, then defaults.

    ``workdir`` is that of the workflow, the present folder if None; ``sources`` as for find_settings. Raises
    ClickException for a library that does not exist.
    """
    from snakemake_interface_common.exceptions import WorkflowError

    from ..settings import library_folders

    workdir = workdir or Path.cwd()
    settings = find_settings({"library": library, "store": store}, sources)
    try:
        libraries = library_folders(settings)
    except WorkflowError as error:
        raise click.ClickException(str(error)) from error
    chosen = Path(settings.store).expanduser() if settings.store else Path(".snakemake/pbs-singularity/images")
    base = Path.cwd() if store else workdir
    nodes = Nodes(settings.container_command, settings.container_version, settings.node_setup)
    with in_words():
        check_nodes(nodes)
    return Place(libraries, base / chosen, workdir, os.environ, nodes)


def sources_here() -> Path:
    """Give the folder of the Snakefile that ``snakemake`` would take here, or could."""
    tried = (Path(), Path("workflow"))
    return next((one for one in tried if (one / "Snakefile").exists() or (one / "snakefile").exists()), Path())


def find_settings(given: Mapping[str, str | None], sources: Path | None = None) -> ExecutorSettings:
    """Give the settings that a run here would have: those given, then environment variables, profiles, defaults.

    ``given`` is by the names of the fields; None and empty text count as not given. ``sources`` is where the Snakefile
    is; without, it is that of this folder. Raises ClickException for a value that is none.
    """
    from dataclasses import fields

    from snakemake_interface_common.exceptions import WorkflowError

    from ..settings import ExecutorSettings

    profile = _profile_settings(os.environ, sources if sources is not None else sources_here())
    values: dict[str, Any] = {}
    for field in fields(ExecutorSettings):
        variable = os.environ.get(f"SNAKEMAKE_PBS_SINGULARITY_{field.name.upper()}")
        key = _PREFIX + field.name.replace("_", "-")
        text = given.get(field.name) or variable or profile.get(key) or profile.get(key.replace("-", "_"))
        if not text:
            continue
        kind = field.metadata.get("type")
        if kind is None:
            if text.lower() not in _FLAGS:
                raise click.ClickException(f"--{key}: {text!r} is neither true nor false. Correct it.")
            values[field.name] = _FLAGS[text.lower()]
            continue
        try:
            values[field.name] = kind(text)
        except ValueError as error:
            raise click.ClickException(f"--{key}: {text!r} is no number. Correct it.") from error
    try:
        return ExecutorSettings(**values)
    except WorkflowError as error:
        raise click.ClickException(str(error)) from error


@dataclass(frozen=True)
class Wanted:
    """What a workflow wants, and where it would find it."""

    containers: Mapping[str, tuple[str, ...]]
    """The ``container:`` values of its jobs, each with the rules that have it."""
    place: Place
    lock: Lock | None
    """The ``images.lock`` beside its Snakefile, None if there is none."""


def find_wanted(snakefile: str, library: str | None, store: str | None) -> Wanted:
    """Read a workflow, as ``snakefile_option`` names it. ClickException if that or its lock cannot be read."""
    from .workflow import read_workflow

    workflow = read_workflow(Path(snakefile) if snakefile else None, library=library)
    with in_words():
        lock = find_lock(workflow.sources.absolute() / LOCK_NAME, frozen=False)
    return Wanted(workflow.containers, find_place(library, store, workflow.workdir, workflow.sources), lock)


@contextlib.contextmanager
def in_words() -> Iterator[None]:
    """Let an ImageError end the command with its words and exit status 1."""
    try:
        yield
    except ImageError as error:
        raise click.ClickException(str(error)) from error


def _profile_settings(environment: Mapping[str, str], sources: Path) -> dict[str, str]:
    """Give this plugin's settings in the profiles that ``snakemake`` would read here without being told.

    Those are SNAKEMAKE_PROFILE and ``profiles/default``, here or else beside the Snakefile. Snakemake's own command
    line finds them too, but takes a second to import.
    """
    settings: dict[str, str] = {}
    own = (_profile_file(folder) for folder in ("profiles/default", str(sources / "profiles/default")))
    general = environment.get("SNAKEMAKE_PROFILE")
    for file in (_profile_file(general) if general else None, next(filter(None, own), None)):
        if file is None:
            continue
        from snakemake.profiles import ConfigFileParserException, ProfileConfigFileParser

        try:
            with file.open() as stream:
                parsed = ProfileConfigFileParser().parse(stream)
        except (OSError, UnicodeDecodeError, ConfigFileParserException) as error:
            raise click.ClickException(f"The profile {file} cannot be read: {error}") from error
        settings.update({key: value for key, value in parsed.items() if isinstance(value, str)})
    return settings


def _profile_file(name: str) -> Path | None:
    """Give the file of a profile that is named by its path, or by its name among the user's or the site's."""
    from platformdirs import site_config_path, user_config_path

    for profile in (Path(name), user_config_path("snakemake") / name, site_config_path("snakemake") / name):
        if profile.is_file():
            return profile
        if profile.is_dir():
            return profile_in(profile)
    return None


def profile_in(folder: Path) -> Path | None:
    """Give the file of a profile: ``config.yaml``, ``profile.yaml``, or for a version such as ``config.v9+.yaml``."""
    if not folder.is_dir():
        return None
    found = ((_PROFILE_FILE.fullmatch(file.name), file) for file in folder.iterdir())
    files = [(int(match[1] or 0), file) for match, file in found if match is not None]
    known = int(version("snakemake").partition(".")[0])
    return max((pair for pair in files if pair[0] <= known), key=itemgetter(0), default=(0, None))[1]
