"""The container runtime of the compute nodes, which may be another one than this machine's, or need ``module load``."""

import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import ImageError
from .runtime import COMMANDS, Product, Runtime, ask_version, check_pullable, parse_said_version

_OPTION = "--pbs-singularity-"


@dataclass(frozen=True)
class Nodes:
    """What the settings say of the compute nodes."""

    command: str | None = None
    """A name, or an absolute path."""
    version: str | None = None
    setup: str | None = None
    """Shell commands that run before the tasks of a PBS job."""


NOTHING_SAID = Nodes()


def check_nodes(nodes: Nodes) -> None:
    """Raise ImageError for a command or a version that cannot be one, and for setup that no shell can read."""
    if nodes.command is not None:
        command = Path(nodes.command).expanduser()
        if not command.is_absolute() and (len(command.parts) != 1 or nodes.command != nodes.command.strip()):
            raise ImageError(
                f"{_OPTION}container-command: {nodes.command!r} is neither a name nor an absolute path.",
                "Write one such as singularity or /opt/singularity/bin/singularity.",
            )
    if nodes.version is not None and parse_said_version(nodes.version) is None:
        raise ImageError(
            f"{_OPTION}container-version: {nodes.version!r} is no version.",
            "Write what the command of the nodes answers to --version, such as 'apptainer 1.4.5', 'singularity 3.8.7'"
            " or '2.6.1'.",
        )
    if nodes.setup is not None:
        read = subprocess.run(
            ["/bin/sh", "-n", "-c", nodes.setup],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        if read.returncode != 0:
            raise ImageError(
                f"{_OPTION}node-setup: no shell can read {nodes.setup!r} ({read.stderr.strip()}).",
                "Write commands for /bin/sh, such as 'module load singularity'.",
            )


def node_runtime(nodes: Nodes, environment: Mapping[str, str], find_here: Callable[[], Runtime]) -> Runtime:
    """Give the container runtime of the compute nodes.

    Where nothing is said, it is that of this machine, which ``find_here`` gives. A command that is not here, or that
    the setup of the nodes may replace, has no known version unless one is given, and nothing is refused then.

    Raises ImageError if nothing is said and this machine has none.
    """
    said = parse_said_version(nodes.version) if nodes.version is not None else None
    if nodes.command is None and said is None and not nodes.setup:
        try:
            return find_here()
        except ImageError as error:
            raise ImageError(error.problem, f"{error.remedy} {_HOW_TO_SAY}") from error
    command = Path(nodes.command).expanduser() if nodes.command is not None else _name(said, environment)
    if said is not None:
        return Runtime(command, *said)
    here = shutil.which(str(command), path=environment.get("PATH"))
    if here is None or nodes.setup:
        product = Product.APPTAINER if command.name == COMMANDS[0] else Product.SINGULARITY
        return Runtime(command, product, ())
    asked = ask_version(Path(here), environment)
    return Runtime(command, asked.product, asked.version)


_HOW_TO_SAY = (
    f"If only the compute nodes have one, say what it is: {_OPTION}container-version='singularity 3.8.7', and with"
    f" {_OPTION}node-setup what loads it; `pbs-singularity doctor` finds out."
)


def _name(said: tuple[Product, tuple[int, ...]] | None, environment: Mapping[str, str]) -> Path:
    """Give the name of a command that is to be looked up on the nodes."""
    if said is not None:
        return Path("apptainer" if said[0] is Product.APPTAINER else "singularity")
    for name in COMMANDS:
        if shutil.which(name, path=environment.get("PATH")) is not None:
            return Path(name)
    raise ImageError(
        "It is not known which container command the compute nodes have: this machine has none.", _HOW_TO_SAY
    )


def of_store(here: Runtime | None, nodes: Runtime) -> Runtime:
    """Give the runtime that decides what pulled images are: that of the nodes, or Singularity 2, which pulls no SIF."""
    return here if here is not None and here.is_version_2 else nodes


def check_missing(uri: str, find_here: Callable[[], Runtime]) -> None:
    """Raise ImageError if an image that has to be pulled cannot be: this machine has no runtime, or one too old."""
    try:
        runtime = find_here()
    except ImageError as error:
        raise ImageError(
            f"{uri} has to be pulled, but this cannot be done here. {error.problem}",
            f"{error.remedy} Or pull it elsewhere, and name its file by its path.",
        ) from error
    check_pullable(runtime, uri.partition("://")[0])
