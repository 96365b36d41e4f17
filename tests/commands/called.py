"""Call ``pbs-singularity`` as a user does."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


def call(
    *arguments: str | Path,
    folder: Path,
    environment: Mapping[str, str],
    answer: str = "",
    fails: bool = False,
    command: str = "images",
) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, ``answer`` being what is typed; it must not end in a traceback."""
    done = subprocess.run(
        [Path(sys.executable).with_name("pbs-singularity"), command, *arguments],
        cwd=folder,
        env=dict(environment),
        input=answer,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done
