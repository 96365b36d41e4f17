"""The shell text that a compute node runs. The only place where text meets a shell's quoting.

A batch has two scripts. The server gets a small one, without secrets, that only starts the other: `sh SCRIPT
INDEX`. That one has a head with all that its tasks share, and below it a line for each bundle, of which it runs the
one that the index names. Nothing but POSIX shell and the container runtime is needed on the node; what the
functions in the lines do stands in `functions.sh`.
"""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby
from pathlib import Path

from ..text import one_line

_FUNCTIONS = Path(__file__).with_name("functions.sh")
_FOR_BUNDLES = "\n# Tasks of a bundle that share a container"
"""Where the functions begin that only several tasks need."""
_VARIABLE = re.compile(r"(?!_pbs_|(?:BASHOPTS|BASH_VERSINFO|EUID|PPID|SHELLOPTS|UID)$)[A-Za-z_][A-Za-z0-9_]*")
"""A variable that the script can export: those of its own begin with `_pbs_`, and bash ends at one of its own."""
_LONGEST_TITLE = 200
"""Characters of a title that the server gets: wildcards can be of any length, its script stays below 4 KiB."""
_POSIX_SHELLS = ("bash", "dash", "ksh", "sh", "zsh")
"""Shells that read what is written here for sh."""


@dataclass(frozen=True)
class Surroundings:
    """What the tasks of a run share."""

    workdir: Path
    records: Path
    """The folder of the exit records."""
    ended: Path
    """The folder where the records are put when they are read."""
    umask: int
    environment: Mapping[str, str]
    """Declared variables and those without which the same command would not be the same. No shell can export a
    variable whose name is not made of letters, digits and underscores: it is left out, as is what begins with
    `_pbs_`, like the script's own, and what bash keeps to itself, such as UID."""
    latency_wait: int
    """Seconds that an input may be late."""
    node_setup: str = ""
    """Shell commands that run before the tasks: where they fail, so do the tasks."""


@dataclass(frozen=True)
class Container:
    """The container that a command runs in."""

    runtime: Path
    image: Path
    options: tuple[str, ...] = ()
    """Options of `exec`, one word each."""
    shell_text: str = ""
    """More options, as a piece of shell: Snakemake's `--apptainer-args` is one by its contract."""
    quiet: bool = False
    launcher: tuple[str, ...] = ()
    """What starts it, as often as MPI's processes are wanted: ``mpiexec -n 8``."""


@dataclass(frozen=True)
class DirectTask:
    """A `shell:` job that needs no Snakemake on the node."""

    token: str
    log: Path | None
    """Of stdout and stderr of the task; None if they stay where the script's own go."""
    shell: str
    command: str
    container: Container | None
    threads: int
    tmpdir: str | None
    """None for the node's own temporary folder."""
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    directories: tuple[str, ...]
    """Outputs declared as directory()."""
    logs: tuple[str, ...]


@dataclass(frozen=True)
class NestedTask:
    """A job that starts Snakemake on the node."""

    token: str
    log: Path | None
    """As of a direct task."""
    python: str
    description: str
    """What Snakemake is told, for `nested.py`."""
    precommand: str = ""
    """Snakemake's `--precommand`: by its contract a piece of shell."""
    runtime: str | None = None
    """The container command that it uses, if it uses one."""


def submitted_script(title: str, script: Path) -> str:
    """Give the script that goes to the server: small, without secrets, it only starts the batch's own.

    A file that was just written can be late on the node's side of a network file system.
    """
    return f"""\
#!/bin/sh
# {one_line(title)[:_LONGEST_TITLE]}
script={shlex.quote(str(script))}
waited=0
until [ -r "$script" ] || [ "$waited" -ge 60 ]; do
    sleep 1
    waited=$((waited + 1))
done
exec /bin/sh "$script" "${{PBS_ARRAY_INDEX:-${{PBS_ARRAYID:-0}}}}"
"""


def batch_script(title: str, bundles: Sequence[Sequence[DirectTask | NestedTask]], surroundings: Surroundings) -> str:
    """Give the script of a batch: called with an index, it runs the tasks of that bundle, one after the other.

    It exits with the status of its only task, or of several with 1 if any of them failed.
    """
    starters = _name_starters(task for bundle in bundles for task in bundle)
    opening = [
        "#!/bin/sh",
        f"# {one_line(title)}",
        f"umask {surroundings.umask:04o}",
    ]
    definitions = [
        '[ -n "$_pbs_bundle" ] || exit 1',
        *_definitions(surroundings, _FUNCTIONS.read_text(encoding="utf-8")),
        *(_define(name, starter, surroundings.workdir) for starter, name in starters.items()),
        *([f"set_up_node {shlex.quote(surroundings.node_setup)}"] if surroundings.node_setup else []),
        'eval "$_pbs_bundle"; exit "$_pbs_failed"',  # in one line: the shell reads on only when it has done that
    ]
    lines_above = len(opening) + 1 + sum(part.count("\n") + 1 for part in definitions)
    find = f'_pbs_bundle=$(sed -n "$(($1 + {lines_above + 1})){{p;q;}}" "$0")'
    lines = (_bundle_line(bundle, starters) for bundle in bundles)
    return "".join(f"{part}\n" for part in chain(opening, [find], definitions, lines))


def _definitions(surroundings: Surroundings, functions: str) -> list[str]:
    """Give what stands above all tasks: variables, and the functions that their lines use."""
    return [
        "_pbs_nl='\n'",
        "_pbs_node_path=$PATH",
        f"_pbs_workdir={shlex.quote(str(surroundings.workdir))}",
        f"_pbs_records={shlex.quote(str(surroundings.records))}",
        f"_pbs_ended_tasks={shlex.quote(str(surroundings.ended))}",
        f"_pbs_latency_wait={surroundings.latency_wait}",
        *(
            f"export {name}={shlex.quote(value)}"
            for name, value in surroundings.environment.items()
            if _VARIABLE.fullmatch(name)
        ),
        functions,
    ]


def plain_script(opening: Iterable[str], task: DirectTask | NestedTask, surroundings: Surroundings) -> str:
    """Give a script that runs one task by itself, from its file or from stdin, below some lines of its own.

    There is no exit record: its exit status is the task's.
    """
    starters = _name_starters([task])
    functions = _FUNCTIONS.read_text(encoding="utf-8").partition(_FOR_BUNDLES)[0]
    run = _whole(task, starters)
    parts = [
        "#!/bin/sh",
        *opening,
        f"umask {surroundings.umask:04o}",
        *_definitions(surroundings, functions),
        'finish() { exit "$1"; } # there is no record to write',
        f"_pbs_bundle='task {task.token}' # all that is left to do if setting up the node ends the shell",
        *(_define(name, starter, surroundings.workdir) for starter, name in starters.items()),
        *([f"set_up_node {shlex.quote(surroundings.node_setup)}"] if surroundings.node_setup else []),
        run,
    ]
    return "".join(f"{part}\n" for part in parts)


def probe_script(functions: str, calls: Iterable[Sequence[str]]) -> str:
    """Give a script that calls shell functions, each with its words, whatever those hold.

    Those of the batches' scripts are there, too.
    """
    parts = ["#!/bin/sh\n", _FUNCTIONS.read_text(encoding="utf-8"), functions]
    return "".join([*parts, *(f"{shlex.join(call)}\n" for call in calls)])


def container_command(container: Container, workdir: Path, shell: str, command: str) -> str:
    """Give the shell text that runs a command in a container as Snakemake's own integration does.

    Home is the working directory, the shell is looked up by name in the image
    (`snakemake/deployment/singularity.py`); unlike there, every word is quoted.
    """
    tail = shlex.join([str(container.image), Path(shell).name, "-c", command])
    return f"{_exec(container, workdir)} {tail}"


def container_command_with_tmpdir(container: Container, workdir: Path, shell: str, command: str) -> str:
    """Give the shell text that runs a command in a container that has the folder $TMPDIR.

    A container has the folders for temporary files that every system has, and the working directory. $TMPDIR is
    bound unless it is there anyway, or holds what `--bind` would take for a separator. Snakemake lets that shell itself
    read the text: where it is csh or fish, sh does.
    """
    with_tmpdir = replace(container, shell_text=f'{container.shell_text} "$@"'.strip())
    bind = (
        "case ${TMPDIR-} in /tmp | /tmp/* | /var/tmp | /var/tmp/* | *[:,]*) set -- ;; "
        '/*) set -- --bind "$TMPDIR" ;; *) set -- ;; esac'
    )
    text = f"{bind}; {container_command(with_tmpdir, workdir, shell, command)}"
    return text if Path(shell).name in _POSIX_SHELLS else shlex.join(["/bin/sh", "-c", text])


def _exec(container: Container, workdir: Path) -> str:
    """Give the container command up to the image."""
    words = [*container.launcher, str(container.runtime), *(["--quiet", "--silent"] if container.quiet else [])]
    # Without --pwd, a container that does not see the working directory runs elsewhere, in every version.
    words += ["exec", "--home", str(workdir), "--pwd", str(workdir), *container.options]
    return f"{shlex.join(words)} {container.shell_text}".rstrip()


_Starter = Container | tuple[str, str]
"""What starts a task's command: its container, or Python with the precommand before it."""


def _name_starters(tasks: Iterable[DirectTask | NestedTask]) -> dict[_Starter, str]:
    """Name the shell functions that start what the tasks run, each once: their words are many."""
    names: dict[_Starter, str] = {}
    for task in tasks:
        if isinstance(task, NestedTask):
            names.setdefault((task.python, task.precommand), f"snakemake_{len(names)}")
        elif task.container is not None:
            names.setdefault(task.container, f"container_{len(names)}")
    return names


def _define(name: str, starter: _Starter, workdir: Path) -> str:
    """Give the definition of such a function."""
    if isinstance(starter, Container):
        command = f'{_exec(starter, workdir)} ${{_pbs_bound_tmpdir:+--bind "$_pbs_bound_tmpdir"}}'
        runtime = f"has_runtime {shlex.quote(str(starter.runtime))} || return"
        return f'{name}() {{\n{runtime}\n{command} {shlex.quote(str(starter.image))} "$@"\n}}'
    python, precommand = starter
    nested = shlex.join([python, "-P", "-m", "snakemake_executor_plugin_pbs_singularity.nested"])
    before = f"{precommand} &&\n" if precommand else ""
    return f'{name}() {{\n{before}printf %s "$1" | {nested}\n}}'


def _bundle_line(bundle: Sequence[DirectTask | NestedTask], starters: Mapping[_Starter, str]) -> str:
    """Give the line that runs the tasks of a bundle."""
    if len(bundle) == 1:
        return f"has_ended {bundle[0].token} && exit; {_whole(bundle[0], starters)}"
    parts = []
    for shared, group in groupby(bundle, _shared):
        tasks = list(group)
        if shared is None or len(tasks) == 1:
            parts += [f"has_ended {task.token} || ( {_whole(task, starters)} ) || _pbs_failed=1" for task in tasks]
        else:
            parts += [_added(task) for task in tasks if isinstance(task, DirectTask)]
            tmpdir = [] if shared.tmpdir is None else [_word(shared.tmpdir)]
            shell = _word(shared.shell)
            parts.append(" ".join(["run_together", starters[shared.container], shell, str(shared.threads), *tmpdir]))
    return "; ".join(parts)


@dataclass(frozen=True)
class _Shared:
    """What tasks must have in common to run in one container, one after the other."""

    container: Container
    shell: str
    threads: int
    tmpdir: str | None


def _shared(task: DirectTask | NestedTask) -> _Shared | None:
    """Give what a task would share; None if it needs a container of its own, or none."""
    if isinstance(task, NestedTask) or task.container is None or Path(task.shell).name not in _POSIX_SHELLS:
        return None
    if task.container.launcher:
        return None
    return _Shared(task.container, Path(task.shell).name, task.threads, task.tmpdir)


def _whole(task: DirectTask | NestedTask, starters: Mapping[_Starter, str]) -> str:
    """Give the text that runs a task by itself, from its opening to its exit record."""
    if isinstance(task, NestedTask):
        command = f"{starters[task.python, task.precommand]} {_word(task.description)}"
        runtime = f"has_runtime {_word(task.runtime)} || finish $?; " if task.runtime is not None else ""
        return f"{_opening(task)}; {runtime}{command}; finish $?"
    if task.container is None:
        command = f"{_word(task.shell)} -c {_word(task.command)}"
    else:
        command = f"{starters[task.container]} {_word(Path(task.shell).name)} -c {_word(task.command)}"
    return f"{_prepared(task)}; {command}; finish $?"


def _added(task: DirectTask) -> str:
    """Give the text that prepares a task and adds its command to those that share a container."""
    command = shlex.join([Path(task.shell).name, "-c", task.command])
    # In braces, so that what the shell itself says of the command, such as Killed, is in the same log
    commands = f"{{ {command}; }} >>{shlex.quote(str(task.log))} 2>&1 </dev/null; echo {task.token} $?"
    added = f"add {task.token} {_word(str(task.log))} {_word(commands)}"
    return f"has_ended {task.token} || {{ ( {_prepared(task)} ) && {added}; }} || _pbs_failed=1"


def _prepared(task: DirectTask) -> str:
    """Give the text that does what Snakemake does before a shell command.

    Order and meaning follow `Job.prepare` (`snakemake/jobs.py`) and `snakemake/shell.py`.
    """
    written = (*task.outputs, *task.logs)
    calls = [
        ("refuse_protected", task.outputs),
        ("remove", [path for path in written if path not in task.directories]),
        ("remove_folders", task.directories),
        ("make_folders", sorted({folder for path in written if (folder := str(Path(path).parent)) != "."})),
        ("await", task.inputs),
    ]
    words = [" ".join([name, *map(_path, paths)]) for name, paths in calls if paths]
    tmpdir = "use_tmpdir" if task.tmpdir is None else f"use_tmpdir {_word(task.tmpdir)}"
    return "; ".join([_opening(task), *words, f"use_threads {task.threads}", tmpdir])


def _opening(task: DirectTask | NestedTask) -> str:
    return " ".join(["task", task.token, *([_word(str(task.log))] if task.log is not None else [])])


def _path(path: str) -> str:
    return _word(f"./{path}" if path.startswith("-") else path)


def _word(text: str) -> str:
    """Quote a word so that it stays in one line of the script, whatever it holds."""
    return '"$_pbs_nl"'.join(shlex.quote(part) for part in text.split("\n"))
