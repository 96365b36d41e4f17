"""Scripts of batches, run for real by the shells that compute nodes have, with no PBS around them."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from snakemake_executor_plugin_pbs_singularity.tasks.script import (
    Container,
    DirectTask,
    NestedTask,
    Surroundings,
    batch_script,
)
from snakemake_executor_plugin_pbs_singularity.tracking.run_folder import write_private
from snakemake_executor_plugin_pbs_singularity.tracking.witness import ExitRecord, parse_record

SHELLS = [name for name in ("dash", "bash", "busybox") if shutil.which(name)]
"""What /bin/sh is on Debian, on Red Hat and on small systems."""
each_shell = pytest.mark.parametrize("sh", SHELLS)
PATH = os.defpath
SET_BY_PBS = {"PATH": PATH, "PBS_JOBID": "7.server"}

many_texts = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
"""For properties whose examples each start a shell."""


def texts(**limits: Any) -> st.SearchStrategy[str]:
    """Text as programs may hold it: anything that has no NUL; bytes that are not UTF-8 as Python reads them."""
    shellish = st.text(st.sampled_from("'\"\\$`\n\r\t !*?[]{}()<>|&;#~-=%aé中\x01\x7f\x88"), **limits)
    return st.one_of(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), **limits),
        shellish,
        st.binary(**limits).filter(lambda bytes_: b"\0" not in bytes_).map(os.fsdecode),
    )


def names() -> st.SearchStrategy[str]:
    """Give names that a file can have."""
    return texts(min_size=1, max_size=40).filter(
        lambda name: "/" not in name and name not in (".", "..") and len(os.fsencode(name)) < 200
    )


@dataclass(frozen=True)
class Ended:
    """What is left when a script has ended that ran one task."""

    status: int
    """The shell's own exit status, negative for a signal."""
    record: ExitRecord | None
    log: str
    printed: str
    """What the script printed elsewhere than in the log."""


@dataclass(frozen=True)
class EndedBundle:
    """What is left when a script has ended that ran several tasks."""

    status: int
    """The shell's own exit status, negative for a signal."""
    records: list[int | None]
    """The exit status in each task's record, None if it has none."""
    logs: list[str]
    printed: str
    """What the script printed elsewhere than in the logs."""


class Node:
    """A folder as a compute node sees it: a working directory, and places for logs and exit records."""

    def __init__(self, root: Path, workdir: str = "work") -> None:
        self.root = root
        self.workdir = root / workdir
        self.workdir.mkdir(parents=True, exist_ok=True)
        self.records = root / "records"
        self.records.mkdir(exist_ok=True)
        (root / "ended").mkdir(exist_ok=True)
        self.surroundings = Surroundings(
            workdir=self.workdir,
            records=self.records,
            ended=root / "ended",
            umask=0o022,
            environment={"PATH": PATH},
            latency_wait=0,
        )

    def direct(self, command: str = "true", token: str = "a", **fields: Any) -> DirectTask:
        """Make a task that runs a command with bash."""
        task = DirectTask(
            token=token,
            log=self.root / "logs" / f"{token}.log",
            shell=shutil.which("bash") or "",
            command=command,
            container=None,
            threads=1,
            tmpdir=None,
            inputs=(),
            outputs=(),
            directories=(),
            logs=(),
        )
        return replace(task, **fields)

    def nested(self, python: Path, precommand: str = "", description: str = "{}", token: str = "a") -> NestedTask:
        """Make a task that starts Snakemake."""
        return NestedTask(token, self.root / "logs" / f"{token}.log", str(python), description, precommand)

    def several(self, *commands: str, **fields: Any) -> list[DirectTask]:
        """Make tasks with the tokens 0, 1, 2, ..."""
        return [self.direct(command, str(number), **fields) for number, command in enumerate(commands)]

    def write(self, bundles: Sequence[Sequence[DirectTask | NestedTask]], **surroundings: Any) -> Path:
        """Write the script of a batch."""
        script = self.root / "script.sh"
        write_private(script, batch_script("tasks", bundles, replace(self.surroundings, **surroundings)))
        return script

    def run(
        self,
        task: DirectTask | NestedTask,
        sh: str = SHELLS[0],
        *,
        user: int | None = None,
        set_by_pbs: Mapping[str, str] | None = None,
        title: str = "rule a",
        **surroundings: Any,
    ) -> Ended:
        """Run the script of a batch of one task, with a shell named sh."""
        text = batch_script(title, [[task]], replace(self.surroundings, **surroundings))
        status, printed = self.run_text(text, sh, user=user, set_by_pbs=set_by_pbs)
        return Ended(status, self.record(task), self.log(task), printed)

    def run_bundle(
        self,
        tasks: Sequence[DirectTask | NestedTask],
        sh: str = SHELLS[0],
        *,
        user: int | None = None,
        set_by_pbs: Mapping[str, str] | None = None,
        **surroundings: Any,
    ) -> EndedBundle:
        """Run the script of a batch of one bundle."""
        text = batch_script("tasks", [tasks], replace(self.surroundings, **surroundings))
        status, printed = self.run_text(text, sh, user=user, set_by_pbs=set_by_pbs)
        return EndedBundle(status, self.exit_statuses(tasks), [self.log(task) for task in tasks], printed)

    def run_text(
        self,
        text: str,
        sh: str = SHELLS[0],
        index: object = 0,
        *,
        user: int | None = None,
        set_by_pbs: Mapping[str, str] | None = None,
    ) -> tuple[int, str]:
        """Run a script as PBS does, started elsewhere with hardly any environment; give its status and what it says."""
        script = self.root / "script.sh"
        write_private(script, text)
        if user is not None:
            os.chown(script, user, user)
        run = subprocess.run(
            [*shell_command(sh, script), str(index)],
            env={**SET_BY_PBS, **(set_by_pbs or {})},
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            user=user,
            check=False,
        )
        return run.returncode, (run.stdout + run.stderr).decode(errors="replace")

    def record(self, task: DirectTask | NestedTask) -> ExitRecord | None:
        """Read the exit record of a task, if it has one."""
        path = self.records / task.token
        return parse_record(path.read_text()) if path.exists() else None

    def exit_statuses(self, tasks: Iterable[DirectTask | NestedTask]) -> list[int | None]:
        """Read the exit statuses in the records of tasks, None for a task without a record."""
        return [record and record.exit_status for record in map(self.record, tasks)]

    def log(self, task: DirectTask | NestedTask) -> str:
        """Read the log of a task; empty if it has none."""
        return task.log.read_text(errors="replace") if task.log.exists() else ""


def shell_command(sh: str, script: Path) -> list[str]:
    """Give the words that run a script as if that shell were /bin/sh."""
    options = {"bash": ["--posix"], "busybox": ["sh"]}.get(sh, [])
    return [shutil.which(sh) or sh, *options, str(script)]


def own(path: Path, user: int | None) -> None:
    """Give a file to a user; None leaves it."""
    if user is not None:
        os.chown(path, user, user)


def recorder(path: Path) -> Path:
    """Make a program that keeps its arguments, each ended by NUL, in ``arguments`` of its working directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('#!/bin/sh\nprintf "%s\\0" "$@" >arguments\n')
    path.chmod(0o755)
    return path


def recorded(folder: Path) -> list[str]:
    """Read what a recorder kept."""
    return [os.fsdecode(word) for word in (folder / "arguments").read_bytes().split(b"\0")[:-1]]


def starter(path: Path) -> Path:
    """Make a container runtime that only runs the command, with this machine for a container; it notes its starts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        '#!/bin/sh\nuntil [ "${1%.sif}" != "$1" ]; do shift; done\necho "$1 $2 $3" >>"$0.starts"\nshift\nexec "$@"\n'
    )
    path.chmod(0o755)
    return path


def starts(runtime: Path) -> list[str]:
    """Give image, shell and option of each start of such a runtime."""
    noted = runtime.with_name(f"{runtime.name}.starts")
    return noted.read_text().splitlines() if noted.exists() else []


def container(runtime: Path, **fields: Any) -> Container:
    """Give a container of a runtime that may be a recorder."""
    return Container(**{"runtime": runtime, "image": Path("/images/a.sif"), **fields})


Maker = Callable[..., Node]
