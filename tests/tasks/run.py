"""Task scripts, run for real by the shells that compute nodes have, with no PBS around them."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
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
    direct_script,
    nested_script,
)
from snakemake_executor_plugin_pbs_singularity.tracking.run_folder import write_private
from snakemake_executor_plugin_pbs_singularity.tracking.witness import ExitRecord, parse_record

SHELLS = [name for name in ("dash", "bash", "busybox") if shutil.which(name)]
"""What /bin/sh is on Debian, on Red Hat and on small systems."""
each_shell = pytest.mark.parametrize("sh", SHELLS)
PATH = os.defpath

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
    """What is left when a script has ended."""

    status: int
    """The shell's own exit status, negative for a signal."""
    record: ExitRecord | None
    log: str
    printed: str
    """What the script printed elsewhere than in the log."""


class Node:
    """A folder as a compute node sees it: a working directory, and places for the log and the exit record."""

    def __init__(self, root: Path, workdir: str = "work") -> None:
        self.root = root
        self.workdir = root / workdir
        self.workdir.mkdir(parents=True, exist_ok=True)
        (root / "records").mkdir(exist_ok=True)
        self.surroundings = Surroundings(
            label="rule a",
            workdir=self.workdir,
            log=root / "logs" / "a.log",
            record=root / "records" / "a",
            umask=0o022,
            environment={"PATH": PATH},
        )

    def direct(self, command: str = "true", **fields: Any) -> DirectTask:
        """Make a task that runs a command with bash."""
        task = DirectTask(
            shell=shutil.which("bash") or "",
            command=command,
            container=None,
            threads=1,
            tmpdir=None,
            inputs=(),
            outputs=(),
            directories=(),
            logs=(),
            latency_wait=0,
        )
        return replace(task, **fields)

    def run(
        self,
        task: DirectTask | NestedTask,
        sh: str = SHELLS[0],
        *,
        user: int | None = None,
        set_by_pbs: Mapping[str, str] | None = None,
        **surroundings: Any,
    ) -> Ended:
        """Run a task's script, with a shell named sh."""
        around = replace(self.surroundings, **surroundings)
        text = direct_script(task, around) if isinstance(task, DirectTask) else nested_script(task, around)
        return self.run_text(text, sh, around, user, set_by_pbs)

    def run_text(
        self,
        text: str,
        sh: str = SHELLS[0],
        around: Surroundings | None = None,
        user: int | None = None,
        set_by_pbs: Mapping[str, str] | None = None,
    ) -> Ended:
        """Run a script as PBS does: started elsewhere, with hardly any environment."""
        around = around or self.surroundings
        script = self.root / "script.sh"
        write_private(script, text)
        if user is not None:
            os.chown(script, user, user)
        run = subprocess.run(
            shell_command(sh, script),
            env={"PATH": PATH, "PBS_JOBID": "7.server", **(set_by_pbs or {})},
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=30,
            user=user,
            check=False,
        )
        record = parse_record(around.record.read_text()) if around.record.exists() else None
        log = around.log.read_text(errors="replace") if around.log.exists() else ""
        return Ended(run.returncode, record, log, (run.stdout + run.stderr).decode(errors="replace"))


def shell_command(sh: str, script: Path) -> list[str]:
    """Give the words that run a script as if that shell were /bin/sh."""
    options = {"bash": ["--posix"], "busybox": ["sh"]}.get(sh, [])
    return [shutil.which(sh) or sh, *options, str(script)]


def recorder(path: Path) -> Path:
    """Make a program that keeps its arguments, each ended by NUL, in ``arguments`` of its working directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('#!/bin/sh\nprintf "%s\\0" "$@" >arguments\n')
    path.chmod(0o755)
    return path


def recorded(folder: Path) -> list[str]:
    """Read what a recorder kept."""
    return [os.fsdecode(word) for word in (folder / "arguments").read_bytes().split(b"\0")[:-1]]


def container(runtime: Path, **fields: Any) -> Container:
    """Give a container of a runtime that may be a recorder."""
    return Container(runtime=runtime, image=Path("/images/a.sif"), **fields)


Maker = Callable[..., Node]
