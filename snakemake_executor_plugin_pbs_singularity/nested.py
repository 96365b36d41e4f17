"""Snakemake on the compute node, for a nested task: `python -P -m …nested`, told on stdin what to do.

The description says what a command line cannot: target jobs whatever their wildcards hold, and the image
file of each `container:` value, so that the node needs neither network nor library search. Four functions
of Snakemake are replaced to use it, in this process and nowhere else: the parser of `--target-jobs`, the
`Image` of a container value, `shellcmd`, which quotes paths with `repr`, and `spawn_job`, with which a group
starts a Snakemake for each of its jobs that have to run in a process of their own.

With -P, since a file of the working directory is no module of Python's, even if it is called `copy.py`.
"""

import json
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from .tasks.command_line import Target, nested_command_line
from .tasks.script import Container, container_command, container_command_with_tmpdir


@dataclass(frozen=True)
class Description:
    """All that a nested task needs to know."""

    arguments: list[str]
    """Of `python -m snakemake`."""
    targets: list[Target]
    runtime: str | None = None
    """The container command; None if no job of the task has a container."""
    images: dict[str, str] = field(default_factory=dict)
    """The image file of each `container:` value."""
    container_options: list[str] = field(default_factory=list)
    """Of `exec`, one word each."""

    def to_json(self) -> str:
        """Give the text that `from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Description":
        """Read what `to_json` wrote."""
        values = json.loads(text)
        values["targets"] = [Target(**target) for target in values["targets"]]
        return cls(**values)


def main() -> None:
    """Run Snakemake as the description on stdin says; exits with Snakemake's exit status."""
    description = Description.from_json(sys.stdin.read())
    import snakemake.cli
    from snakemake.target_jobs import TargetSpec

    targets = [TargetSpec(target.rule, target.wildcards) for target in description.targets]
    snakemake.cli.parse_target_jobs_cli_args = lambda _: targets
    if description.runtime is not None:
        _use_image_files(description, description.runtime)
    _spawn_the_same(description)
    snakemake.cli.main(description.arguments)


def _spawn_the_same(description: Description) -> None:
    """Let Snakemake start this module where it starts another Snakemake, which would not know of the images."""
    from snakemake.exceptions import SpawnedJobError
    from snakemake.executors import local

    def spawn_job(self: Any, job: Any) -> None:
        command_line = nested_command_line(self, job, Path.cwd(), in_container=description.runtime is not None)
        arguments = [*command_line.arguments, "--quiet", "progress", "rules", "host"]
        spawned = replace(description, arguments=arguments, targets=command_line.targets)
        words = [sys.executable, "-P", "-m", f"{__package__}.nested"]
        if subprocess.run(words, input=spawned.to_json(), text=True, check=False).returncode != 0:
            raise SpawnedJobError

    local.Executor.spawn_job = spawn_job


def _use_image_files(description: Description, runtime: str) -> None:
    """Let Snakemake run containers from the files that the description names, with all words quoted."""
    from snakemake.deployment import singularity

    class Image(singularity.Image):
        def pull(self, dryrun: bool = False) -> None:
            """Do nothing: the image is there, or the job would not have been submitted."""

        @property
        def path(self) -> str:
            return description.images[self.url]

    def shellcmd(
        img_path: Any,
        cmd: str,
        bind: Any = None,
        args: str = "",
        quiet: bool = False,
        envvars: Mapping[str, str] | None = None,
        shell_executable: str | None = None,
        container_workdir: Any = None,
        is_python_script: bool = False,
    ) -> str:
        options = list(description.container_options)
        if is_python_script:
            mounts = zip(
                singularity.get_snakemake_searchpaths(),
                singularity.get_snakemake_searchpath_mountpoints(),
                strict=True,
            )
            for source, destination in mounts:
                if not set(str(source)) & set(":,"):  # which --bind takes for separators; the script runs without it
                    options += ["--bind", f"{source}:{destination}"]
        if container_workdir:
            options += ["--pwd", str(Path(container_workdir).absolute())]
        for folder in bind or ():
            if folder.exists() and str(folder.absolute()) not in options:
                options += ["--bind", str(folder.absolute())]
        container = Container(Path(runtime), Path(img_path), tuple(options), args, quiet)
        shell = shell_executable or "sh"
        if not envvars:
            return container_command_with_tmpdir(container, Path.cwd(), shell, cmd)
        variables = [f"SINGULARITYENV_{name}={shlex.quote(value)}" for name, value in envvars.items()]
        return " ".join([*variables, container_command(container, Path.cwd(), shell, cmd)])

    singularity.Image = Image
    singularity.shellcmd = shellcmd


if __name__ == "__main__":
    main()
