"""The command of this site that runs containers, and in what one version of it differs from another.

Facts are from the transcripts of Apptainer 1.4.5 and Singularity 2.6.1. What they differ in is decided
here and nowhere else.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from .check import ImageKind
from .errors import ImageError


class Product(Enum):
    """Whose runtime it is; they share their origin and most of their options."""

    APPTAINER = "Apptainer"
    SINGULARITY_CE = "SingularityCE"
    """Sylabs' continuation, SingularityPRO included."""
    SINGULARITY = "Singularity"
    """Everything before the two parted, up to 3.8."""


@dataclass(frozen=True)
class Runtime:
    """A container runtime that was found and asked for its version, or that the compute nodes are said to have."""

    command: Path
    """As found on PATH, absolute: links such as ``singularity`` to ``apptainer`` stay as they are. Of the compute
    nodes it may be a name, which is looked up on their PATH."""
    product: Product
    version: tuple[int, ...]
    """Empty if it is not known: then it counts as new, and nothing is refused."""

    def __str__(self) -> str:
        return f"{self.name} ({self.command})"

    @property
    def name(self) -> str:
        """Give product and version, such as ``Apptainer 1.4.5``."""
        return f"{self.product.value} {'.'.join(map(str, self.version))}".strip()

    @property
    def is_version_2(self) -> bool:
        """Tell whether this is Singularity 2.x, which has no SIF and an older command line."""
        return self.product is Product.SINGULARITY and bool(self.version) and self.version < (3,)

    def is_newer_than(self, version: tuple[int, ...]) -> bool:
        """Tell whether this is a later minor version than the one given, such as (1, 4)."""
        return self.version[: len(version)] > version


COMMANDS = ("apptainer", "singularity")
"""What is looked for on PATH, in this order."""

_PRODUCTS = {
    "apptainer": Product.APPTAINER,
    "singularity-ce": Product.SINGULARITY_CE,
    "singularity-pro": Product.SINGULARITY_CE,
    "singularity": Product.SINGULARITY,
    None: Product.SINGULARITY,  # 2.x prints no name: "2.6.1-dist" (transcript singularity-2.6.1/01)
}
_NUMBERS = r"(\d+)\.(\d+)(?:\.(\d+))?(?![\d.])\S*"
_VERSION = re.compile(rf"(?:(apptainer|singularity(?:-ce|-pro)?) version )?{_NUMBERS}")
_SAID_VERSION = re.compile(
    rf"(?:(apptainer|singularity(?:-?ce|-?pro)?)(?:[ /-]| version )v?)?{_NUMBERS}", re.IGNORECASE
)


def find_runtime(environment: Mapping[str, str], time_limit: float = 30) -> Runtime:
    """Find ``apptainer``, else ``singularity``, on the PATH of an environment and ask it for its version.

    Raises ImageError if there is none, or if the one that is there fails, does not answer in time or answers
    something that is no version.
    """
    return ask_version(_find_command(environment), environment, time_limit)


def ask_version(command: Path, environment: Mapping[str, str], time_limit: float = 30) -> Runtime:
    """Ask a command of this machine for its version. Raises ImageError as find_runtime does."""
    question = [str(command), "--version"]
    remedy = f"Try `{command} --version` by hand; `module load` another version if the site has one."
    try:
        answer = subprocess.run(
            question,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=time_limit,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ImageError(f"`{command} --version` gave no answer in {time_limit:g} seconds.", remedy) from error
    except OSError as error:
        raise ImageError(f"{command} cannot be executed: {error.strerror}.", remedy) from error
    if answer.returncode != 0:
        said = (answer.stderr.strip() or answer.stdout.strip()).splitlines()[-1:]
        raise ImageError(f"`{command} --version` failed with exit status {answer.returncode}: {''.join(said)}", remedy)
    parsed = parse_version(answer.stdout)
    if parsed is None:
        raise ImageError(f"`{command} --version` answered {answer.stdout[:200]!r}, which is no version.", remedy)
    product, version = parsed
    return Runtime(command, product, version)


def parse_version(text: str) -> tuple[Product, tuple[int, ...]] | None:
    """Read the answer to ``--version``; None if it is none.

    Known are ``apptainer version 1.4.5``, ``singularity-ce version 4.1.0-jammy``, ``singularity version
    3.8.7-1.el7`` and ``2.6.1-dist``. Lines before it, such as warnings, are passed over.
    """
    for line in text.splitlines():
        match = _VERSION.fullmatch(line.strip())
        if match is not None:
            name, *numbers = match.groups()
            return _PRODUCTS[name], tuple(int(number) for number in numbers if number is not None)
    return None


def parse_said_version(text: str) -> tuple[Product, tuple[int, ...]] | None:
    """Read a version as people write it; None if it is none.

    Known are ``apptainer 1.4.5``, ``singularity/3.8.7``, ``singularity-ce 4.1``, ``2.6.1`` and what ``--version``
    answers. Without a name, 1.x is Apptainer.
    """
    match = _SAID_VERSION.fullmatch(text.strip())
    if match is None:
        return None
    name, *found = match.groups()
    version = tuple(int(number) for number in found if number is not None)
    if name is None:
        name = "apptainer" if version < (2,) else "singularity"
    name = re.sub(r"y(ce|pro)$", r"y-\1", name.lower())
    product = _PRODUCTS[name]
    if product is Product.SINGULARITY and version >= (3, 9):
        product = Product.SINGULARITY_CE
    return product, version


def _find_command(environment: Mapping[str, str]) -> Path:
    path = environment.get("PATH", os.defpath)
    for name in COMMANDS:
        found = shutil.which(name, path=path)
        if found is not None:
            return Path(found).absolute()
    raise ImageError(
        "Neither apptainer nor singularity is on PATH.",
        "Load its module before starting, for example `module load apptainer`, or ask the site where it is.",
    )


def environment_prefix(runtime: Runtime) -> str:
    """Give what a variable's name has to begin with for the variable to be set within the container.

    Apptainer takes the old prefix too, with a line of complaint (transcript apptainer/23); Singularity
    ignores the new one without a word.
    """
    return "APPTAINERENV_" if runtime.product is Product.APPTAINER else "SINGULARITYENV_"


def setting_prefix(runtime: Runtime) -> str:
    """Give what the names of the runtime's own variables begin with, as in ``APPTAINER_TMPDIR``."""
    return "APPTAINER_" if runtime.product is Product.APPTAINER else "SINGULARITY_"


def image_ending(runtime: Runtime | None) -> str:
    """Give the ending of the images that a runtime runs; unknown is as good as new."""
    return ".simg" if runtime is not None and runtime.is_version_2 else ".sif"


def bind_variables(runtime: Runtime) -> tuple[str, ...]:
    """Give the variables that a runtime reads binds from, the first found counts.

    Singularity 2.x ignores ``SINGULARITY_BIND`` without a word (transcript singularity-2.6.1/07).
    """
    if runtime.is_version_2:
        return ("SINGULARITY_BINDPATH",)
    old = ("SINGULARITY_BIND", "SINGULARITY_BINDPATH")
    return ("APPTAINER_BIND", "APPTAINER_BINDPATH", *old) if runtime.product is Product.APPTAINER else old


def pull_arguments(runtime: Runtime, destination: Path, uri: str) -> list[str]:
    """Give the command that pulls an image to a file that does not exist yet.

    Singularity 2.x takes no path for ``pull`` (``pull is only supported for shub URIs``, transcript
    singularity-2.6.1/24), but its ``build`` does the same and takes one (22).
    """
    action = "build" if runtime.is_version_2 else "pull"
    return [str(runtime.command), action, str(destination), uri]


def login_words(runtime: Runtime, registry: str) -> str:
    """Say how to log in to a registry with this runtime."""
    if runtime.is_version_2:
        return "set SINGULARITY_DOCKER_USERNAME and SINGULARITY_DOCKER_PASSWORD"
    since = (1, 2) if runtime.product is Product.APPTAINER else (4,)
    group = "registry" if runtime.version >= since else "remote"
    return f"`{runtime.command} {group} login docker://{registry}`"


def check_pullable(runtime: Runtime, scheme: str) -> None:
    """Raise ImageError if the runtime does not know how to pull from this kind of URI."""
    if runtime.is_version_2 and scheme not in ("docker", "shub"):
        raise ImageError(
            f"{runtime} cannot pull {scheme}:// images.",
            "Make a sandbox of it elsewhere with a newer version, and name that by its path.",
        )


def check_home(runtime: Runtime, folder: Path) -> None:
    """Raise ImageError for a folder that cannot be the home of a container, as the working directory of rules is.

    Singularity 2.x refuses one that is not the caller's own (transcript singularity-2.6.1/10).
    """
    if runtime.is_version_2 and folder.stat().st_uid != os.getuid():
        raise ImageError(
            f"{runtime} refuses the working directory {folder}: it belongs to another user.",
            "Work in a folder that you have made yourself, or name one with --directory.",
        )


def check_runnable(runtime: Runtime, path: Path, kind: ImageKind) -> None:
    """Raise ImageError if the runtime cannot run this kind of image.

    Singularity 2.x says ``Unknown image format/type`` to a SIF (transcript singularity-2.6.1/05); Apptainer
    runs what 2.x built (30).
    """
    if runtime.is_version_2 and kind is ImageKind.SIF:
        raise ImageError(
            f"{runtime} cannot run {path}: it is a SIF, which came with version 3.",
            "Use a newer version if the site has one, or convert the image with one elsewhere:"
            " `apptainer build --sandbox FOLDER IMAGE.sif`. If the compute nodes have another version than this"
            " machine, say so with --pbs-singularity-container-version.",
        )
