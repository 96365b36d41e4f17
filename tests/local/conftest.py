"""A local PBS of its own for each test."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from snakemake_executor_plugin_pbs_singularity.pbs.local import provide
from snakemake_executor_plugin_pbs_singularity.pbs.local.address import is_running
from snakemake_executor_plugin_pbs_singularity.pbs.local.asking import ask
from snakemake_executor_plugin_pbs_singularity.pbs.local.machine import host_name
from snakemake_executor_plugin_pbs_singularity.pbs.local.settings import change

PATIENCE = 30


class LocalPbs:
    """A local PBS, and a folder to submit from."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.cwd = folder / "user"
        self.cwd.mkdir()
        self.host = host_name()
        self.bin = provide({"PBS_SINGULARITY_LOCAL_HOME": str(self.home)})
        self.environment = {
            "HOME": str(self.cwd),
            "LANG": "C.UTF-8",
            "LOGNAME": "user",
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "SHELL": "/bin/bash",
        }

    def set(self, **settings: object) -> None:
        """Change settings of the local PBS."""
        change(self.home, **settings)

    def run(self, command: str, *, timeout: float = PATIENCE) -> subprocess.CompletedProcess[str]:
        """Run a shell command with the PBS commands on PATH."""
        return subprocess.run(
            ["bash", "-c", command],
            cwd=self.cwd,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=timeout,
        )

    def out(self, command: str) -> str:
        """Run a shell command that must succeed and give its stdout."""
        done = self.run(command)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def submit(self, script: str, options: str = "", *, number: int | None = None) -> str:
        """Submit a script that a plain /bin/sh runs, and give its id; ``number`` sets the id's number."""
        if number is not None:
            self.number_next(number)
        (self.cwd / "script.sh").write_text(script + "\n")
        job = self.out(f"qsub -S /bin/sh {options} < script.sh").strip()
        (self.cwd / "script.sh").unlink()
        return job

    def number_next(self, number: int) -> None:
        """Let the next job have this number. The server must not run, and starts again by itself."""
        self.stop_server()
        self.out("qstat")  # makes the database
        self.stop_server()
        with contextlib.closing(sqlite3.connect(self.home / "state.sqlite")) as database, database:
            database.execute("DELETE FROM counter")
            database.execute("INSERT INTO counter VALUES (?)", (number - 1,))

    def attribute(self, job: str, name: str) -> str | None:
        """Give one attribute of a job, also of one that is over; None if it has not got it."""
        (answer,) = ask(str(self.home), "qstat", ["-x", "-f", job])
        assert answer["code"] == 0, answer["err"]
        text = answer["out"].replace("\n\t", "")
        for line in text.splitlines():
            key, equals, value = line.strip().partition(" = ")
            if equals and key == name:
                return value
        return None

    def state(self, job: str) -> str | None:
        """Give a job's state letter."""
        return self.attribute(job, "job_state")

    def exit_status(self, job: str) -> str | None:
        """Give a job's exit status."""
        return self.attribute(job, "Exit_status")

    def wait(self, *jobs: str, state: str = "F") -> None:
        """Wait until jobs are in a state."""
        for job in jobs:
            self.wait_until(lambda job=job: self.state(job) == state, f"{job} is never {state}")

    def wait_until(self, condition, problem: str) -> None:
        """Wait until a condition holds."""
        until = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < until, problem
            time.sleep(0.05)

    def server_process(self) -> int | None:
        """Give the server's process id, or None if none runs."""
        if not is_running(str(self.home)):
            return None
        return int((self.home / "server.lock").read_text())

    def stop_server(self) -> None:
        """Kill the server as a crash would; jobs run on."""
        process = self.server_process()
        if process is not None:
            os.kill(process, signal.SIGKILL)
            self.wait_until(lambda: not is_running(str(self.home)), "the server survives")

    def close(self) -> None:
        """End everything."""
        (self.home / "settings.json").write_text("{}")
        if any((self.home / "jobs").iterdir()) or is_running(str(self.home)):
            with contextlib.suppress(OSError):
                list(ask(str(self.home), "stop", []))
            self.wait_until(lambda: not is_running(str(self.home)), "the server does not stop")


@pytest.fixture
def pbs(tmp_path: Path) -> Iterator[LocalPbs]:
    """A local PBS with 64 CPUs, 24 GB of memory and no GPU."""
    local = LocalPbs(tmp_path)
    local.set(ncpus=64, mem_mb=24105, ngpus=0)
    yield local
    local.close()
