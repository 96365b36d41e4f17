"""A PBS that misbehaves while a run goes on, disks that fill, records that come late, and a server that restarts.

``misbehave(folder, environment)`` puts commands first on PATH that stand for those of the PBS that is there, the local
one or a real one. What they do wrong is changed at any moment: ``pbs.change(away=True)``, ``pbs.change()``.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pytest

from snakemake_executor_plugin_pbs_singularity.pbs import find_by_name, find_pbs
from snakemake_executor_plugin_pbs_singularity.pbs.local import provide
from snakemake_executor_plugin_pbs_singularity.pbs.local.address import is_running
from snakemake_executor_plugin_pbs_singularity.pbs.local.settings import change, load

from .harness import changed, pbs_command, qstat, wait_until

FULL = os.environ.get("FAULTS") == "full"
"""Whether the tests take the numbers and times of the goals, which takes half an hour, and not smaller ones."""
AT_ONCE = 8 if os.environ.get("PBS") == "path" else 100
"""Jobs that run at a time, at least: a real PBS may be small."""
COMMANDS = ("qsub", "qstat", "qdel", "qselect")
AGAIN = ("--rerun-incomplete", "--nolock")
_MISBEHAVE = Path(__file__).with_name("misbehave.py")


@dataclass(frozen=True)
class Faults:
    """What the commands do wrong."""

    commands: tuple[str, ...] = COMMANDS
    """Those that do; the others are as they always are."""
    away: bool = False
    """They say that they cannot connect to the server, and do nothing."""
    away_after: int | None = None
    """They do so once so many calls of qsub have not."""
    fails: float = 0.0
    """The share of the calls that do so."""
    hangs: float = 0.0
    """Seconds before they begin."""
    late: float = 0.0
    """Seconds between what they do and what they print."""
    loses: float = 0.0
    """The share of the calls of qsub that submit and do not tell the id."""
    garbles: tuple[str, ...] = ()
    """In which ways what qstat and qselect print is spoilt: "shuffled", "duplicated", "truncated", "not UTF-8"."""
    hides_records: bool = False
    """The jobs that are submitted write their exit records where only ``deliver`` finds them."""
    seed: int = 0
    """Of what is left to chance."""


@dataclass(frozen=True)
class Call:
    """A call of a command."""

    command: str
    arguments: list[str]
    fault: str
    """"away", "lost", "hangs" or ""."""


@dataclass(frozen=True)
class FaultyPbs:
    """Commands that misbehave, and what they were called with."""

    folder: Path
    real: Mapping[str, str]
    """The environment without them."""

    @property
    def environment(self) -> dict[str, str]:
        """Give the environment in which they are first on PATH."""
        path = f"{self.folder}{os.pathsep}{self.real['PATH']}"
        return changed(self.real, {"PATH": path})

    def change(self, **faults: object) -> None:
        """Change what they do wrong from now on; without arguments, nothing."""
        unfinished = self.folder / "faults.part"
        unfinished.write_text(json.dumps(asdict(replace(Faults(), **faults))))  # type: ignore[arg-type]
        unfinished.rename(self.folder / "faults")

    def calls(self, command: str = "", fault: str | None = None) -> list[Call]:
        """Give the calls so far, of a command and with a fault if one is named."""
        path = self.folder / "calls"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        calls = [Call(**json.loads(line)) for line in lines if line.endswith("\n")]
        return [one for one in calls if command in ("", one.command) and fault in (None, one.fault)]

    def submissions(self) -> dict[str, list[str]]:
        """Give the ids of all that PBS has ever got, by the names that qsub was called with."""
        calls = self.calls("qsub")
        names = dict.fromkeys(call.arguments[call.arguments.index("-N") + 1] for call in calls)
        pbs = find_pbs(self.real)
        return {name: find_by_name(pbs, name) for name in names}

    def delete_all(self) -> None:
        """Delete what a test that failed has left."""
        self.change()
        left = [pbs_id for found in self.submissions().values() for pbs_id in found]
        if left:
            pbs_command(self.real, "qdel", *left)

    def check_that_all_is_over(self, folder: Path, expected: Mapping[str, int]) -> None:
        """Check that each task began as often as expected, and was submitted once, and that PBS has nothing left."""
        assert starts(folder) == expected
        ids = self.submissions()
        assert {name: found for name, found in ids.items() if len(found) > 1} == {}
        for pbs_id in (pbs_id for found in ids.values() for pbs_id in found):
            over = lambda pbs_id=pbs_id: qstat(self.real, pbs_id).get("job_state", "F") == "F"  # noqa: E731
            wait_until(over, f"PBS has ended {pbs_id}")


def misbehave(folder: Path, environment: Mapping[str, str]) -> FaultyPbs:
    """Make a new folder with commands that do nothing wrong yet."""
    folder.mkdir()
    pbs = FaultyPbs(folder, environment)
    pbs.change()
    for name in COMMANDS:
        real = shutil.which(name, path=environment["PATH"])
        assert real is not None, name
        words = [sys.executable, "-I", "-S", str(_MISBEHAVE), str(folder), name, real]
        quoted = " ".join(f"'{word}'" for word in words)
        (folder / name).write_text(f'#!/bin/sh\nexec {quoted} "$@"\n')
        (folder / name).chmod(0o755)
    return pbs


def hasten(environment: Mapping[str, str], folder: Path, time_limit: float = 90.0) -> dict[str, str]:
    """Give an environment whose runs of Snakemake wait less than by default, and give a command of PBS less time.

    They wait 0.3 seconds, not 2, before they try again what could not connect; and 3 seconds, not 30, for the record
    of a job that ended well.
    """
    folder.mkdir()
    lines = [
        "from snakemake_executor_plugin_pbs_singularity.pbs import commands",
        "from snakemake_executor_plugin_pbs_singularity.tracking import witness",
        "commands.PAUSE = 0.3",
        f"commands.Pbs.__init__.__defaults__ = (*commands.Pbs.__init__.__defaults__[:-1], {time_limit})",
        "witness.LATEST = 3.0",
    ]
    (folder / "sitecustomize.py").write_text("\n".join(lines) + "\n")
    paths = [str(folder), *filter(None, [environment.get("PYTHONPATH")])]
    return changed(environment, {"PYTHONPATH": os.pathsep.join(paths)})


# The local PBS


def own_pbs(environment: Mapping[str, str], home: Path, **settings: object) -> dict[str, str]:
    """Give an environment with a local PBS of its own; the same environment if the tests run on the PBS on PATH."""
    if os.environ.get("PBS") == "path":
        return dict(environment)
    home.mkdir(mode=0o700)
    own = {**environment, "PBS_SINGULARITY_LOCAL_HOME": str(home)}
    face = load(Path(environment["PBS_SINGULARITY_LOCAL_HOME"])).face
    plain = {"ncpus": 120, "mem_mb": 120 * 1024, "ngpus": 0, "kill_grace": 1, "idle": 20, "face": face}
    change(home, **{**plain, **settings})
    own["PATH"] = f"{provide(own)}{os.pathsep}{environment['PATH']}"
    return own


def local_home(environment: Mapping[str, str]) -> Path:
    """Give the home of the local PBS; the test is skipped if it runs on another."""
    if os.environ.get("PBS") == "path":
        pytest.skip("this needs the server of the local PBS, which can be ended and comes back by itself")
    return Path(environment["PBS_SINGULARITY_LOCAL_HOME"])


def crash_server(home: Path) -> None:
    """End the server of a local PBS as a crash would; the next command starts another, jobs run on."""
    if is_running(str(home)):
        os.kill(int((home / "server.lock").read_text()), signal.SIGKILL)
        wait_until(lambda: not is_running(str(home)), "the server ends")


# Files


def starts(folder: Path) -> dict[str, int]:
    """Give how often each task has begun."""
    return {path.name: len(path.read_text().split()) for path in (folder / "started").glob("*")}


def run_folders(folder: Path) -> list[Path]:
    """Give the folders of the runs in a working directory."""
    return list((folder / ".snakemake" / "pbs-singularity" / "runs").glob("*"))


def hidden_records(folder: Path) -> list[Path]:
    """Give the exit records that were written and are hidden."""
    found = (path for run in run_folders(folder) for path in (run / "hidden").glob("*"))
    return [path for path in found if path.suffix != ".part"]


def deliver(folder: Path) -> None:
    """Let the hidden exit records be seen."""
    for path in hidden_records(folder):
        path.rename(path.parents[1] / "records" / path.name)


@contextlib.contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[Path]:
    """Make a folder a disk of so many MiB; the test is skipped where that cannot be done."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "none", str(folder)]
    answer = subprocess.run(mount, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {answer.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Fill the disk of a folder to the last byte; give the file that does, to be removed."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    return filler


# Workflows


def workflow(count: int, wait: str = "", seconds: float = 0.0) -> str:
    """Give a Snakefile of so many alike tasks, which note down that they begin and wait for a file, or some seconds."""
    waits = f"until test -e {wait}; do sleep 1; done; " if wait else f"sleep {seconds:g}; "
    return f"""
rule all:
    input: expand("out/{{i}}", i=range({count}))

rule one:
    output: "out/{{i}}"
    shell: "mkdir -p started; echo x >>started/{{wildcards.i}}; {waits}echo whole >{{output}}"
"""


def once(count: int) -> dict[str, int]:
    """Give what ``starts`` gives when each of so many tasks has begun once."""
    return dict.fromkeys(map(str, range(count)), 1)


def wholes(folder: Path) -> Counter[str]:
    """Count what is in the outputs of a workflow."""
    return Counter(path.read_text() for path in (folder / "out").glob("*"))
