"""The command line of the Snakemake that runs a nested task on the compute node, as a list of words.

Snakemake builds it as one string and quotes with Python's `repr` and `shlex.quote` alike. A shell takes the
first for something else as soon as a path holds quotes, newlines or `$`, so no shell ever sees it: what
names files is put together here, the rest is split, and it travels as a list.
"""

import ast
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.real import RealExecutor
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface
from snakemake_interface_executor_plugins.settings import SharedFSUsage

_ESCAPE = r"\\(?:[\\'nrt]|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})"
_PYTHON_STRING = re.compile(rf"""('(?:[^'\\\r\n]|{_ESCAPE})*'|"(?:[^"\\\r\n]|{_ESCAPE})*")(?=\s|$)""")
"""As `repr` writes it."""
_SHELL_WORD = re.compile(r"""(?:'[^']*'|"(?:[^"\\]|\\.)*"|\\.|[^\s'"\\])+""", re.DOTALL)


@dataclass(frozen=True)
class Target:
    """One job by its rule and wildcards."""

    rule: str
    wildcards: dict[str, str]


@dataclass(frozen=True)
class CommandLine:
    """Arguments of `python -m snakemake`, and the target jobs that they cannot express.

    `--target-jobs` splits wildcards at commas whatever they hold (`snakemake/target_jobs.py`), so the targets
    are kept beside the arguments.
    """

    arguments: list[str]
    targets: list[Target]


def nested_command_line(
    executor: RealExecutor, job: JobExecutorInterface, workdir: Path, in_container: bool
) -> CommandLine:
    """Give the command line that runs one job, or one group, in `workdir` on the node.

    It says what `RealExecutor.format_job_exec` would put into a shell command. The working directory is named
    because a `workdir:` of the Snakefile, being relative, must not be applied a second time. The cores are those
    that PBS was asked for: by default, a job of more threads than the node has would get fewer, unlike a direct one.
    """
    workflow = executor.workflow
    temporary = [str(file) for file in workflow.dag.get_unneeded_temp_files(job)]
    waits = SharedFSUsage.INPUT_OUTPUT in workflow.storage_settings.shared_fs_usage
    awaited = [str(file) for file in job.get_wait_for_files()] if waits else []
    deployment = workflow.deployment_settings
    methods = {method.item_to_choice() for method in deployment.deployment_method}
    if in_container:
        methods.add("apptainer")
    general = workflow.spawned_job_args_factory.general_args(executor_common_settings=executor.common_settings)
    arguments = [
        *_option("--snakefile", [str(executor.get_snakefile())]),
        *_option("--target-jobs", ["kept:"]),
        *_option("--allowed-rules", job.rules),
        *_option("--local-groupid", [str(job.jobid)] if job.is_group() else []),
        *_option("--cores", [str(max(job.threads, 1))]),
        *_option("--attempt", [str(job.attempt)]),
        *([] if job.is_group() else ["--force-use-threads"]),
        # Names that look like options: what is not told to be unneeded stays for the main process to remove.
        *_option("--unneeded-temp-files", [file for file in temporary if not file.startswith("-")]),
        *_option("--wait-for-files", [f"./{file}" if file.startswith("-") else file for file in awaited]),
        *split_arguments(general),
        *_option("--configfiles", map(str, workflow.overwrite_configfiles)),
        *_option("--apptainer-prefix", _words(deployment.apptainer_prefix)),
        *_option("--conda-prefix", _words(deployment.conda_prefix)),
        *_option("--shadow-prefix", _words(workflow.execution_settings.shadow_prefix)),
        *_option("--mode", [executor.get_exec_mode().item_to_choice()]),
        *_option("--directory", [str(workdir)]),
        *_option("--software-deployment-method", sorted(methods)),
    ]
    targets = [Target(spec.rulename, dict(spec.wildcards_dict)) for spec in job.get_target_spec()]
    return CommandLine(arguments, targets)


def split_arguments(text: str) -> list[str]:
    r"""Split a string made by Snakemake's `format_cli_arg` into the words that were meant.

    Its limits are Snakemake's: text that begins and ends with quotes is given unquoted, and a path with `\n` in
    it is quoted as text with a newline would be. So `nested_command_line` names again what is a path.

    Raises WorkflowError for a string that holds unbalanced quotes.
    """
    words: list[str] = []
    position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
        elif (match := _PYTHON_STRING.match(text, position)) and (word := _read_repr(match[1])) is not None:
            words.append(word)
            position = match.end()
        elif match := _SHELL_WORD.match(text, position):
            words += shlex.split(match[0])
            position = match.end()
        else:
            raise WorkflowError(
                f"The option of Snakemake that begins with {text[position : position + 60]!r} has unbalanced quotes, "
                "so it cannot be passed on to the jobs. Correct it on the command line or in the profile."
            )
    return words


def _read_repr(text: str) -> str | None:
    """Read a string that `repr` wrote; None if it would not have written it so."""
    try:
        value = str(ast.literal_eval(text))
    except (SyntaxError, ValueError):
        return None
    return value if repr(value) == text else None


def _words(path: Path | None) -> list[str]:
    return [] if path is None else [str(path)]


def _option(name: str, values: Iterable[str]) -> list[str]:
    values = list(values)
    return [name, *values] if values else []
