"""What the benchmarks run on: a PBS, a container runtime, an image; and what of it goes into the results."""

import contextlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from snakemake_executor_plugin_pbs_singularity.pbs.local import provide
from snakemake_executor_plugin_pbs_singularity.pbs.local.home import HOME_VARIABLE
from tools.apptainer import path_with_apptainer
from tools.cache import ToolError
from tools.images import build_images

ROOT = Path(__file__).resolve().parents[1]
PLUGIN = "snakemake-executor-plugin-pbs-singularity"
_LOCAL_COMMAND = "from snakemake_executor_plugin_pbs_singularity.cli import main; main()"
_PACKAGES = ("snakemake", PLUGIN, "snakemake-executor-plugin-cluster-generic")


@dataclass(frozen=True)
class Site:
    """Where the runs take place."""

    environment: Mapping[str, str]
    commands: Path
    """The folder of ``qsub``."""
    runtime: Path
    """The command that runs containers."""
    image: Path
    pbs: str
    """``local``, or ``path`` for the one that was on PATH."""

    def ask(self, *words: str) -> str:
        """Give what a PBS command prints; empty if it fails. It is not counted."""
        command = [str(self.commands / words[0]), *words[1:]]
        return _said(command, self.environment)

    def active(self) -> set[str]:
        """Give the ids of this user's jobs and arrays that are not over."""
        user = _said(["id", "-un"], self.environment).strip()
        return set(self.ask("qselect", "-u", user).split())

    def delete(self, ids: set[str]) -> None:
        """Delete jobs and arrays, as far as they are not over."""
        left = sorted(ids & self.active())
        for start in range(0, len(left), 50):
            self.ask("qdel", *left[start : start + 50])


@contextlib.contextmanager
def find_site(image: Path | None) -> Iterator[Site]:
    """Give the site: with PBS=path in the environment its PBS, else a local one that ends with the block.

    Without an image, one for tests is built into the cache folder. Raises ToolError if something is missing.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SNAKEMAKE_")}
    environment["PATH"] = path_with_apptainer()
    image = image or build_images(environment["PATH"]).library / "tools/beta.sif"
    with _pbs(environment) as kind:
        qsub, runtime = _which("qsub", environment), _which("apptainer", environment)
        runtime = runtime or _which("singularity", environment)
        if qsub is None or runtime is None:
            missing = "qsub" if qsub is None else "apptainer or singularity"
            raise ToolError(f"There is no {missing} on PATH. Load it first, as your site says.")
        yield Site(environment, qsub.parent, runtime, image, kind)


def describe(site: Site) -> dict[str, object]:
    """Give versions and sizes of the machine and what is measured on it."""
    qstat = re.search(r"pbs_version = (\S+)", _said([str(site.commands / "qstat"), "--version"], site.environment, 2))
    nodes = re.findall(r"resources_available\.ncpus = (\d+)", site.ask("pbsnodes", "-a"))
    return {
        "pbs": {"which": site.pbs, "version": qstat[1] if qstat else None, "ncpus": sum(map(int, nodes))},
        "runtime": _said([str(site.runtime), "--version"], site.environment).strip(),
        "image": site.image.name,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "commit": _said(["git", "-C", str(ROOT), "describe", "--always", "--dirty"], site.environment).strip() or None,
        "kernel": platform.release(),
        "cpus": os.cpu_count(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
    }


@contextlib.contextmanager
def _pbs(environment: dict[str, str]) -> Iterator[str]:
    """Put a PBS on the PATH of an environment, if it is not to be the one that is there; give which it is."""
    if environment.get("PBS") == "path":
        yield "path"
        return
    with tempfile.TemporaryDirectory(prefix="benchmark-pbs-") as home:
        environment[HOME_VARIABLE] = home
        environment["PATH"] = f"{provide(environment)}{os.pathsep}{environment['PATH']}"
        try:
            yield "local"
        finally:
            _said([sys.executable, "-c", _LOCAL_COMMAND, "local", "--stop"], environment)


def _which(name: str, environment: Mapping[str, str]) -> Path | None:
    found = shutil.which(name, path=environment["PATH"])
    return Path(found).absolute() if found else None


def _said(command: list[str], environment: Mapping[str, str], streams: int = 1) -> str:
    """Give what a command prints to stdout, or with 2 to both streams; empty if it cannot be run or fails."""
    try:
        answer = subprocess.run(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if streams == 2 else subprocess.DEVNULL,
            text=True,
            timeout=120,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout if answer.returncode == 0 else ""


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
