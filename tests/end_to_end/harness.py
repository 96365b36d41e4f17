"""Runs the real ``snakemake`` command and tells what it said and what it submitted."""

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

TIME_LIMIT = 240.0
"""Seconds that one run may take, so that a workflow that hangs fails its test."""

_SUBMITTED = re.compile(r"^(?:rule|group) (?P<label>.*) is PBS job (?P<id>\S+), log (?P<log>.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Submitted:
    """A job that Snakemake said it submitted."""

    label: str
    """The rule, with wildcards in parentheses."""
    pbs_id: str
    log: Path


@dataclass(frozen=True)
class Run:
    """A run of Snakemake that is over."""

    folder: Path
    exit_code: int
    said: str
    """What it printed, stdout and stderr."""

    @property
    def submitted(self) -> list[Submitted]:
        return submitted_in(self.said)

    def job(self, label: str) -> Submitted:
        """Give the only job of a label."""
        (job,) = [job for job in self.submitted if job.label == label]
        return job

    def errors_of(self, output: str) -> list[str]:
        """Give what was said of each failure to make an output."""
        errors = re.findall(r"^Error in rule .*?:\n.*?(?=^\[|\Z)", self.said, re.MULTILINE | re.DOTALL)
        return [error for error in errors if f"\n    output: {output}\n" in error]

    def error_of(self, output: str) -> str:
        """Give what was said of the only failure to make an output."""
        (error,) = self.errors_of(output)
        return error

    def batches(self, *rules: str) -> set[str]:
        """Give the ids of the arrays and of the jobs that are no array's which the jobs of some rules were in."""
        return {array_of(job.pbs_id) for job in self.submitted if job.label.split(" (")[0] in rules}

    def text(self, name: str) -> str:
        """Give what is in a file of the working directory, without its last newline."""
        return (self.folder / name).read_text().removesuffix("\n")

    def values(self, name: str) -> dict[str, str]:
        """Give the NAME=VALUE lines of a file of the working directory."""
        return dict(line.split("=", 1) for line in self.text(name).splitlines() if "=" in line)


class Snakemake(Protocol):
    """Runs Snakemake in a folder; the environment is that of the tests, changed by ``variables``."""

    def __call__(
        self, folder: Path, *options: str, fails: bool = False, variables: Mapping[str, str | None] | None = None
    ) -> Run: ...


def array_of(pbs_id: str) -> str:
    """Give the id of the array that a subjob is of; any other id as it is."""
    return re.sub(r"\[\d+\]", "[]", pbs_id)


def submitted_in(said: str) -> list[Submitted]:
    return [Submitted(match["label"], match["id"], Path(match["log"])) for match in _SUBMITTED.finditer(said)]


def command(*options: str) -> list[str]:
    """Give the command line of the ``snakemake`` that is installed beside this Python."""
    return [str(Path(sys.executable).with_name("snakemake")), *options]


def pbs_options() -> list[str]:
    """Give the options of runs that submit jobs and look at them often."""
    return ["--executor=pbs-singularity", "--jobs=20", "--latency-wait=5", "--seconds-between-status-checks=1"]


def run(folder: Path, options: list[str], environment: Mapping[str, str], *, fails: bool) -> Run:
    """Run Snakemake to its end; that it fails is an error unless it is expected, and the other way round."""
    with start(folder, options, environment) as running:
        exit_code = running.process.wait(TIME_LIMIT)
    said = running.said
    assert (exit_code != 0) == fails, f"exit code {exit_code}:\n{said}"
    return Run(folder, exit_code, said)


@dataclass(frozen=True)
class Running:
    """A run of Snakemake that goes on."""

    process: subprocess.Popen[bytes]
    output: Path

    @property
    def said(self) -> str:
        """What it has printed so far."""
        return self.output.read_text(errors="replace")

    def wait_for_jobs(self, count: int) -> dict[str, Submitted]:
        """Wait until so many jobs are submitted and give them by their labels."""

        def are_submitted() -> bool:
            assert self.process.poll() is None, self.said
            return len(submitted_in(self.said)) >= count

        wait_until(are_submitted, f"{count} jobs are submitted")
        return {job.label: job for job in submitted_in(self.said)}

    def interrupt(self) -> int:
        """Do what Ctrl-C does and wait for the end; give the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)


@contextlib.contextmanager
def start(folder: Path, options: list[str], environment: Mapping[str, str]) -> Iterator[Running]:
    """Start Snakemake; it is interrupted if it is still there at the end of the block."""
    with tempfile.NamedTemporaryFile(dir=folder.parent, prefix="said-", delete=False) as file:
        process = subprocess.Popen(
            command(*options),
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    running = Running(process, Path(file.name))
    try:
        yield running
    finally:
        if process.poll() is None:
            try:
                running.interrupt()
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def said_by_command(log: Path) -> str:
    """Give what a task's log has of its command, not of the container runtime, which may say how it runs an image."""
    return "".join(line for line in log.read_text().splitlines(keepends=True) if not line.startswith("INFO:"))


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Wait for something that happens in another process."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {seconds:g} seconds"
        time.sleep(0.1)


def changed(environment: Mapping[str, str], variables: Mapping[str, str | None] | None) -> dict[str, str]:
    """Give an environment with some variables set, or removed where the value is None."""
    merged = {**environment, **(variables or {})}
    return {name: value for name, value in merged.items() if value is not None}


def is_torque(environment: Mapping[str, str]) -> bool:
    """Tell whether the PBS of an environment is a TORQUE."""
    return pbs_command(environment, "qstat", "--version").stdout.startswith("Version:")


def default_queue(environment: Mapping[str, str]) -> str:
    """Give the queue that jobs go to that name none."""
    told = pbs_command(environment, "qstat", "-B", "-f").stdout
    return next(line.split(" = ")[1] for line in told.splitlines() if line.strip().startswith("default_queue = "))


def qstat(environment: Mapping[str, str], pbs_id: str) -> dict[str, str]:
    """Give the attributes of a job or an array, finished or not, as ``qstat -x -f`` of OpenPBS tells them.

    None for an unknown one.
    """
    if is_torque(environment):
        return _torque_qstat(environment, pbs_id)
    answer = pbs_command(environment, "qstat", "-x", "-f", pbs_id)
    return _attributes(answer.stdout)


def _attributes(text: str) -> dict[str, str]:
    lines = text.replace("\n\t", "").splitlines()
    return dict(line.strip().split(" = ", 1) for line in lines if " = " in line)


def _torque_qstat(environment: Mapping[str, str], pbs_id: str) -> dict[str, str]:
    """Give what a TORQUE tells, in OpenPBS's words where it has others: of an array, of its subjobs together."""
    blocks = pbs_command(environment, "qstat", "-f", "-t", pbs_id).stdout.split("\n\n")
    jobs = [told for block in blocks if (told := _attributes(block))]
    if not jobs:
        return {}
    told = jobs[0]
    states = [job["job_state"] for job in jobs]
    for theirs, ours in (("exit_status", "Exit_status"), ("start_count", "run_count")):
        if theirs in told:
            told[ours] = told[theirs]
    told["job_state"] = "F" if set(states) == {"C"} else states[0]
    if "[]" in pbs_id:
        kinds = {"Queued": "QHWT", "Running": "RS", "Exiting": "E", "Expired": "C"}
        counts = {name: sum(state in letters for state in states) for name, letters in kinds.items()}
        told["array_state_count"] = " ".join(f"{name}:{count}" for name, count in counts.items())
    return told


def pbs_command(environment: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )


def wrap(folder: Path, environment: Mapping[str, str], scripts: Mapping[str, str]) -> str:
    """Put scripts in the place of commands: give a PATH that leads to them first. In them, REAL is the command."""
    folder.mkdir()
    for name, text in scripts.items():
        real = shutil.which(name, path=environment["PATH"])
        assert real is not None, name
        (folder / name).write_text(f"#!/bin/sh\n{text.replace('REAL', shlex.quote(real))}\n")
        (folder / name).chmod(0o755)
    return f"{folder}{os.pathsep}{environment['PATH']}"


@dataclass(frozen=True)
class Calls:
    """Notes down each call of some commands."""

    path: str
    """A PATH on which the commands that note it down come first."""
    log: Path

    def of(self, command: str) -> list[str]:
        """Give the arguments of each call so far."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line.removeprefix(f"{command} ") for line in lines if line.startswith(f"{command} ")]


def count_calls(folder: Path, environment: Mapping[str, str], *commands: str) -> Calls:
    """Have the calls of some commands noted down in a new folder."""
    log = folder / "calls"
    scripts = {name: f'echo "{name} $*" >>{shlex.quote(str(log))}\nexec REAL "$@"' for name in commands}
    return Calls(wrap(folder, environment, scripts), log)


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """Write the files of a workflow, by their names, into a folder; give the folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder
