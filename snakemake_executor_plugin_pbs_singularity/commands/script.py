"""``pbs-singularity script``: the job script of a workflow's job, to read or to submit by hand."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import click

from ..pbs import PbsError, job_name
from ..task import Task
from ..tasks.script import plain_script
from ..text import one_line
from .planned import Planned, plan_workflow

_HELP = """Print the job script of the workflow's job that makes TARGET, to read it or to submit it by hand with qsub.

    TARGET is a file or a rule, as for snakemake. The script says with #PBS lines what the plugin would ask PBS for, and
    holds the shell text that it would run. It is whole in itself: `qsub` takes it as it is.

    \b
    pbs-singularity script results/sorted.bam
    pbs-singularity script results/sorted.bam | qsub
    pbs-singularity script --all --output scripts all

    Variables that the workflow declares with envvars: are not printed, as they can be secrets: the job takes them from
    its own environment and ends if they are not set. What Snakemake does after a job does not happen: temp(),
    protected(), touch() and ensure() mean nothing, no metadata are kept, and no image is pulled."""


@click.command("script", help=_HELP)
@click.option("-s", "--snakefile", type=click.Path(path_type=Path, exists=True), help="The Snakefile.")
@click.option("-d", "--directory", type=click.Path(path_type=Path), help="The working directory of the workflow.")
@click.option(
    "--configfile",
    multiple=True,
    metavar="FILE",
    type=click.Path(exists=True),
    help="A configuration file of the workflow.",
)
@click.option("--config", multiple=True, metavar="NAME=VALUE", help="A value of its configuration.")
@click.option("--all", "whole", is_flag=True, help="Also of the jobs that make what TARGET needs, done or not.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER", help="Write files to FOLDER."
)
@click.argument("targets", metavar="TARGET...", nargs=-1)
def script(
    snakefile: Path | None,
    directory: Path | None,
    configfile: tuple[str, ...],
    config: tuple[str, ...],
    whole: bool,
    output: Path | None,
    targets: tuple[str, ...],
) -> None:
    """See _HELP."""
    if not targets and not whole:
        raise click.UsageError("Name a file or a rule, or give --all.")
    for value in config:
        if "=" not in value:
            raise click.UsageError(f"--config {value}: write NAME=VALUE.")
    folder = output.absolute() if output is not None else None
    arguments = [
        *(["--snakefile", str(snakefile)] if snakefile is not None else []),
        *(["--directory", str(directory)] if directory is not None else []),
        *(["--configfile", *configfile] if configfile else []),
        *(["--config", *config] if config else []),
        "--forceall" if whole else "--force",
        "--",
        *targets,
    ]
    planned = plan_workflow(arguments, whole=whole)
    if folder is None and len(planned.tasks) > 1:
        raise click.ClickException(f"These are {len(planned.tasks)} jobs: give --output FOLDER for a file of each.")
    try:
        texts = [_text(task, planned) for task in planned.tasks]
    except PbsError as error:
        raise click.ClickException(str(error)) from error
    if folder is None:
        click.echo(texts[0], nl=False)
        return
    for number, (task, text) in enumerate(zip(planned.tasks, texts, strict=True), start=1):
        click.echo(_write(folder, f"{number:02}-{_file_name(task.label)}.pbs", text))


def _text(task: Task, planned: Planned) -> str:
    """Give the script of a task. Raises PbsError for what this PBS cannot be asked for."""
    secrets = set(planned.declared)
    environment = {name: value for name, value in planned.surroundings.environment.items() if name not in secrets}
    opening = [*_directives(task, planned), *_notes(task, planned)]
    opening += [f': "${{{name}:?set it in this script, or with qsub -v {name}}}"' for name in sorted(secrets)]
    work = replace(task.work, log=None)
    return plain_script(opening, work, replace(planned.surroundings, environment=environment))


def _directives(task: Task, planned: Planned) -> Iterator[str]:
    words = planned.site.pbs.dialect.request_arguments(task.request)
    for option in _options([*words, "-N", job_name(task.rule), "-j", "oe", "-S", "/bin/sh"]):
        yield f"#PBS {shlex.join(option)}"


def _options(words: Sequence[str]) -> Iterator[list[str]]:
    """Put each option and its value together."""
    option: list[str] = []
    for word in words:
        if option and re.fullmatch(r"-[A-Za-z]", word):
            yield option
            option = []
        option.append(word)
    if option:
        yield option


def _notes(task: Task, planned: Planned) -> Iterator[str]:
    yield f"# {task.label}"
    if task.nested_because is not None:
        yield f"# It starts Snakemake on the node: {one_line(task.nested_because)}."
    if task.job.is_local:
        yield "# Snakemake itself runs this rule without PBS (localrules)."
    for uri in task.missing:
        yield f"# Its image has to be pulled first: pbs-singularity images pull {shlex.quote(uri)}"
    for file, rule in planned.missing[task.token].items():
        yield f"# Its input is not there yet: {one_line(file)}, which rule {rule} makes."
    if planned.declared:
        yield "# With qsub -v, other users can read the values: where that matters, export them in this file."


def _write(folder: Path, name: str, text: str) -> Path:
    """Write a script that only the user can read. Raises ClickException."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = folder / name
        file.touch(mode=0o600)
        file.chmod(0o600)
        file.write_text(text, encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise click.ClickException(f"{error}: choose another folder for --output.") from error
    return file


def _file_name(label: str) -> str:
    return re.sub(r"[^\w.=-]+", "-", label.removeprefix("rule ")).strip("-")[:100]
