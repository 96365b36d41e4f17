"""The shell text that a compute node runs. The only place where text meets a shell's quoting.

Nothing here but POSIX shell and the container runtime is needed on the node. A script ends by writing its
exit record under a temporary name and renaming it: whoever finds a record finds a whole one.
"""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ..text import one_line

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "GOTO_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
"""Set to the rule's threads, as `snakemake/shell.py` does."""

TMPDIR_VARIABLES = ("TMPDIR", "TMP", "TEMPDIR", "TEMP")
"""Set to `resources.tmpdir`, as `snakemake/shell.py` does."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_FINISH = """\
finish() {
    printf 'exit_status=%s\\nstarted=%s\\nended=%s\\nhost=%s\\npbs_jobid=%s\\n' \\
        "$1" "$started" "$(date +%s)" "$(uname -n)" "$PBS_JOBID" >"$record.part" &&
        mv -f "$record.part" "$record"
    exit "$1"
}"""

_AWAIT = """\
await() {
    waited=0
    until [ -e "$1" ]; do
        if [ "$waited" -ge "$latency_wait" ]; then
            printf 'The input file %s is not there after %s seconds. Raise --latency-wait if it is only late.\n' \
                "$1" "$waited" >&2
            finish 1
        fi
        sleep 1
        ls -a "${1%/*}" >/dev/null 2>&1
        waited=$((waited + 1))
    done
}"""

_REFUSE_PROTECTED = """\
refuse_protected() {
    if [ -e "$1" ] && [ ! -w "$1" ] && [ ! -L "$1" ]; then
        printf 'The output %s is write-protected. Remove it, or its write protection, to make it again.\n' "$1" >&2
        finish 1
    fi
}"""

_REMOVE = """\
remove() {
    if [ -d "$1" ] && [ ! -L "$1" ]; then
        rmdir "$1" 2>/dev/null ||
            printf 'Kept the non-empty folder %s, which is not declared as directory().\n' "$1" >&2
    elif [ "$1" != /dev/null ]; then
        rm -f "$1" || finish 1
    fi
}"""

_FIND_TMPDIR = """\
for tmpdir in "$TMPDIR" "$TEMP" "$TMP" /tmp /var/tmp /usr/tmp "$PWD"; do
    [ -d "$tmpdir" ] && [ -w "$tmpdir" ] && break
done"""


@dataclass(frozen=True)
class Surroundings:
    """What every task's script needs to know, whatever it runs."""

    label: str
    workdir: Path
    log: Path
    """Of stdout and stderr of the task."""
    record: Path
    """The exit record."""
    umask: int
    environment: Mapping[str, str]
    """Declared variables and those without which the same command would not be the same. No shell can export a
    variable whose name is not made of letters, digits and underscores: it is left out."""


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


@dataclass(frozen=True)
class DirectTask:
    """A `shell:` job that needs no Snakemake on the node."""

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
    latency_wait: int
    """Seconds."""


@dataclass(frozen=True)
class NestedTask:
    """A job that starts Snakemake on the node."""

    python: str
    description: Path
    precommand: str = ""
    """Snakemake's `--precommand`: by its contract a piece of shell."""


def submitted_script(label: str, task_script: Path) -> str:
    """Give the script that goes to the server: small, without secrets, it only starts the task's own.

    A file that was just written can be late on the node's side of a network file system.
    """
    return f"""\
#!/bin/sh
# {one_line(label)}
task={shlex.quote(str(task_script))}
waited=0
until [ -r "$task" ] || [ "$waited" -ge 60 ]; do
    sleep 1
    waited=$((waited + 1))
done
exec /bin/sh "$task"
"""


def direct_script(task: DirectTask, surroundings: Surroundings) -> str:
    """Give the script of a direct task: what Snakemake does before and around a shell command, then the command.

    Order and meaning follow `Job.prepare` (`snakemake/jobs.py`) and `snakemake/shell.py`.
    """
    folders = sorted({folder for path in (*task.outputs, *task.logs) if (folder := str(Path(path).parent)) != "."})
    lines = [
        *_opening(surroundings),
        f"latency_wait={task.latency_wait}",
        _AWAIT,
        _REFUSE_PROTECTED,
        _REMOVE,
        *(f"refuse_protected {_path(path)}" for path in task.outputs),
        *(f"remove {_path(path)}" for path in (*task.outputs, *task.logs) if path not in task.directories),
        *(f"rm -rf {_path(path)} || finish 1" for path in task.directories),
        *(f"mkdir -p {_path(folder)} || finish 1" for folder in folders),
        *(f"await {_path(path)}" for path in task.inputs),
        *(f"export {name}={task.threads}" for name in THREAD_VARIABLES),
        _FIND_TMPDIR if task.tmpdir is None else f"tmpdir={shlex.quote(task.tmpdir)}",
        'mkdir -p -- "$tmpdir" || finish 1',
        *(f'export {name}="$tmpdir"' for name in TMPDIR_VARIABLES),
        _command(task, surroundings.workdir),
        "finish $?",
    ]
    return "\n".join(lines) + "\n"


def nested_script(task: NestedTask, surroundings: Surroundings) -> str:
    """Give the script of a nested task: Snakemake on the node, told by a file what to do."""
    module = "snakemake_executor_plugin_pbs_singularity.nested"
    command = shlex.join([task.python, "-P", "-m", module, str(task.description)])
    lines = [
        *_opening(surroundings),
        f"{task.precommand} &&" if task.precommand else "",
        command,
        "finish $?",
    ]
    return "\n".join(line for line in lines if line) + "\n"


def container_command(container: Container, workdir: Path, shell: str, command: str) -> str:
    """Give the shell text that runs a command in a container as Snakemake's own integration does.

    Home is the working directory, the shell is looked up by name in the image
    (`snakemake/deployment/singularity.py`); unlike there, every word is quoted.
    """
    words = [str(container.runtime), *(["--quiet", "--silent"] if container.quiet else [])]
    words += ["exec", "--home", str(workdir), *container.options]
    tail = [str(container.image), Path(shell).name, "-c", command]
    return " ".join(part for part in (shlex.join(words), container.shell_text, shlex.join(tail)) if part)


def container_command_with_tmpdir(container: Container, workdir: Path, shell: str, command: str) -> str:
    """Give the shell text that runs a command in a container that has the folder $TMPDIR.

    A container has the folders for temporary files that every system has, and the working directory. $TMPDIR is
    bound unless it is there anyway, or holds what `--bind` would take for a separator.
    """
    with_tmpdir = replace(container, shell_text=f'{container.shell_text} "$@"'.strip())
    return f"""\
case ${{TMPDIR-}} in
    "" | /tmp | /tmp/* | /var/tmp | /var/tmp/* | [!/]* | *[:,]*) set -- ;;
    *) set -- --bind "$TMPDIR" ;;
esac
{container_command(with_tmpdir, workdir, shell, command)}"""


def _opening(surroundings: Surroundings) -> list[str]:
    return [
        "#!/bin/sh",
        f"# {one_line(surroundings.label)}",
        f"umask {surroundings.umask:04o}",
        f"record={shlex.quote(str(surroundings.record))}",
        f"mkdir -p {shlex.quote(str(surroundings.log.parent))}",
        f"exec >{shlex.quote(str(surroundings.log))} 2>&1",
        "started=$(date +%s)",
        _FINISH,
        *(
            f"export {name}={shlex.quote(value)}"
            for name, value in surroundings.environment.items()
            if _VARIABLE.fullmatch(name)
        ),
        f"cd {shlex.quote(str(surroundings.workdir))} || finish 1",
        'export PBS_O_WORKDIR="$PWD"',  # qsub may have been started elsewhere
    ]


def _command(task: DirectTask, workdir: Path) -> str:
    """Give the command, in its container if it has one."""
    if task.container is None:
        return shlex.join([task.shell, "-c", task.command])
    return container_command_with_tmpdir(task.container, workdir, task.shell, task.command)


def _path(path: str) -> str:
    return shlex.quote(f"./{path}" if path.startswith("-") else path)
