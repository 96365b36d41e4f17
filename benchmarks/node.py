"""What a task costs on a node beyond its container: CPU time of its script and of a bare ``singularity exec``.

The plugin writes the script as ever, but its ``qsub`` submits nothing. Then script and bare command are run here,
one after the other, many times, and the CPU time of all their processes is compared. What a container leaves in the
background, such as the process that mounts its image, counts for neither.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from . import workflow
from .cases import Case, Kind, Way
from .commands import install
from .running import RunError
from .site import Site
from .spread import Spread, quartiles

WAYS = (Way.PLUGIN, Way.BUNDLES, Way.NESTED)
_STATE = Path(".snakemake/pbs-singularity")
_KEPT = Path("kept")
_TIME_LIMIT = 120.0
"""Seconds for Snakemake to write the scripts, and for one run of one."""

_QSUB = f"""\
#!/bin/sh
[ -e {_KEPT} ] || cp -a {_STATE} {_KEPT}
echo "qsub: only the scripts are wanted" >&2
exit 1
"""


def cpu_beyond_container(site: Site, way: Way, pairs: int, folder: Path) -> Spread:
    """Give the CPU milliseconds of a container task beyond a bare ``singularity exec``, by the quartiles of ``pairs``.

    For bundles it is that of one of their tasks: of the bundle beyond one ``singularity exec``, by their number.
    Works in a new folder. Raises RunError if a script cannot be had or fails.
    """
    tasks = workflow.BUNDLE if way is Way.BUNDLES else 1
    script = _script(site, Case(way, Kind.CONTAINER, 2 * tasks), folder)
    ended = script.parent.parent / "ended"
    bare = [str(site.runtime), "exec", str(site.image), "sh", "-c", f"echo > {workflow.OUTPUTS}/bare"]
    differences = []
    for _ in range(pairs + 1):
        for path in ended.iterdir():  # the tasks of a bundle that are not to be run again
            path.unlink()
        its_cpu = _cpu_seconds(["sh", str(script), "0"], folder, site.environment)
        bare_cpu = _cpu_seconds(bare, folder, site.environment)
        differences.append((its_cpu - bare_cpu) * 1000 / tasks)
    return quartiles(differences[1:])  # the first has to read everything from the disk


def _script(site: Site, case: Case, folder: Path) -> Path:
    """Let the plugin write the script of a batch, submit nothing, and give the script with all that it needs."""
    (folder / workflow.OUTPUTS).mkdir(parents=True)
    counting = install(folder / "bin", site.commands)
    (counting.folder / "qsub").write_text(_QSUB)
    for name, text in workflow.files(case, site.runtime, site.image, site.environment["PATH"]).items():
        (folder / name).write_text(text)
    answer = subprocess.run(
        workflow.command(case),
        cwd=folder,
        env={**site.environment, "PATH": f"{counting.folder}{os.pathsep}{site.environment['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_TIME_LIMIT,
        check=False,
    )
    scripts = [path.relative_to(folder / _KEPT) for path in (folder / _KEPT).glob("runs/*/scripts/*.sh")]
    if not scripts:
        raise RunError(f"the plugin wrote no script: {(answer.stdout + answer.stderr)[-2000:]}")
    shutil.copytree(folder / _KEPT, folder / _STATE, dirs_exist_ok=True)
    return folder / _STATE / scripts[0]


def _cpu_seconds(command: list[str], folder: Path, environment: Mapping[str, str]) -> float:
    """Run a command to its end and give the CPU seconds of all its processes. Raises RunError if it fails."""
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            command, cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        words = (folder / "said").read_text(errors="replace")[-2000:]
        raise RunError(f"`{' '.join(command)}` failed with exit status {process.returncode}: {words}")
    return usage.ru_utime + usage.ru_stime
