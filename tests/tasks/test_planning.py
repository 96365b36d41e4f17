"""Which real Snakemake jobs run by themselves, what they run, and which need Snakemake on the node."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from snakemake.resources import Resources
from snakemake_interface_executor_plugins.settings import DeploymentMethod, SharedFSUsage

from snakemake_executor_plugin_pbs_singularity.tasks.planning import (
    LONGEST_COMMAND,
    NeedsSnakemake,
    ShellCommand,
    jobs_in,
    known_resources,
    plan,
)

from .planned import look_at

pytestmark = pytest.mark.filterwarnings("ignore:PULP_CBC_CMD")

BASH = shutil.which("bash") or ""


def plans(folder: Path, snakefile: str, **settings: Any) -> dict[str, ShellCommand | NeedsSnakemake]:
    """Plan all jobs of a Snakefile, by the names of their rules."""

    def look(executor: Any, jobs: list[Any]) -> dict[str, ShellCommand | NeedsSnakemake]:
        return {job.rule.name: plan(job, executor.workflow) for job in jobs}

    return dict(look_at(folder, snakefile, look, **settings))


def only_plan(folder: Path, rule: str, before: str = "", **settings: Any) -> ShellCommand | NeedsSnakemake:
    """Plan the one job of a Snakefile with one rule, which makes the file a."""
    body = textwrap.indent(textwrap.dedent(rule), "    ")
    (planned,) = plans(folder, f"{before}\nrule a:\n{body}", **settings).values()
    return planned


def reason(planned: ShellCommand | NeedsSnakemake) -> str:
    assert isinstance(planned, NeedsSnakemake), planned
    return planned.reason


# What runs by itself


def what_snakemake_runs(folder: Path, snakefile: str) -> list[str]:
    """Run a workflow with Snakemake's own executor and a bash that keeps the commands which it is given."""
    (folder / "Snakefile").write_text(textwrap.dedent(snakefile))
    (folder / "bin").mkdir()
    for name in ("bash", "dash"):
        recorder = folder / "bin" / name
        recorder.write_text(f'#!/bin/sh\nprintf "%s\\0" "$2" >>"{folder}/commands"\nexec {shutil.which(name)} "$@"\n')
        recorder.chmod(0o755)
    run = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "3", "--quiet", "all", "--nolock"],
        cwd=folder,
        env={**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return (folder / "commands").read_text().split("\0")[:-1]


ORDINARY = """
import os
config["name"] = "it's"
SUFFIX = "txt"
def size(wildcards, input, threads, attempt=1): return f"{len(input)}x{threads}x{attempt}"

rule all:
    input: "w/it's a $HOME.txt", "braces", "lists", "awk", "resources", "dashed", "moduled", "pathy", "lines"

rule wildcard:
    output: "w/{x}." + SUFFIX
    log: "logs/{x}.log"
    params: size=size, fixed="a b", listed=["a b", "c"], number=0.1, nothing=None
    threads: 3
    shell:
        "printf '%s ' {wildcards.x:q} {params.size} {params.fixed:q} {params.listed} {params.number} {params.nothing}"
        " {threads} {rule} {log:q} {config[name]:q} {SUFFIX} >{output:q} 2>{log:q}"

rule braces:
    output: "braces"
    shell: "echo ${{HOME}} '{{}}' | sed 's/{{/x/' >{output}"

rule lists:
    input: expand("in{n}", n=[1, 2]), one="in3", more=["in4", "in5"]
    output: "lists", side="side"
    shell: "cat {input} {input[0]} {input.one} {input.more} >{output[0]}; touch {output.side}"

rule awk:
    output: "awk"
    shell: r'''echo a b | awk '{{print $2 "\\t" $1}}' >{output}'''

rule resources:
    output: "resources"
    params: heap=lambda wildcards, resources: int(resources.mem_mb * 0.8)
    resources: mem_mb=1000, runtime="2h", word="x y"
    shell: "echo {resources.mem_mb} {resources.runtime} {resources.word:q} -Xmx{params.heap}m >{output}"

rule dashed:
    output: "dashed"
    resources: shell_exec="dash"
    shell: "echo {output} >{output}"

rule pathy:
    output: "pathy"
    params: here=os.path.basename("/a/b"), wd=lambda wildcards, output: os.path.dirname(output[0]) or "."
    shell: "echo {params.here} {params.wd} {os.sep} >{output}"

rule lines:
    output: "lines"
    shell:
        '''
        # a comment
        cat >{output} <<'END'
        中文 é
        END
        '''

module other:
    snakefile: "other/Snakefile"
    config: {"name": "of the module"}

use rule * from other as other_*
"""
OF_MODULE = """
SUFFIX = "of the module"
rule moduled:
    output: "moduled"
    shell: "echo {config[name]:q} {SUFFIX} {rule} >{output}"
"""
PREFIXED = """
SETTING = "xtrace"
shell.prefix("set -o {SETTING}; ")
shell.suffix("; echo '{{}}' {SETTING}")
rule a:
    output: "a"
    shell: "echo {output} >{output}"
"""
REPLACED = """
shell.executable("dash")
rule a:
    output: "a"
    shell: "echo {output} >{output}"
"""


@pytest.mark.parametrize("snakefile", [ORDINARY, PREFIXED, REPLACED], ids=["ordinary", "prefixed", "replaced"])
def test_the_command_is_the_one_that_snakemake_itself_would_run(snakefile: str, tmp_path: Path) -> None:
    for folder in (tmp_path / "here", tmp_path / "there"):
        (folder / "other").mkdir(parents=True)
        (folder / "other/Snakefile").write_text(OF_MODULE)
        for number in range(1, 6):
            (folder / f"in{number}").touch()
    planned = plans(tmp_path / "here", snakefile)
    planned.pop("all", None)
    commands = [command.text for command in planned.values() if isinstance(command, ShellCommand)]
    assert len(commands) == len(planned), planned
    assert sorted(commands) == sorted(what_snakemake_runs(tmp_path / "there", snakefile))


def test_the_shell_is_bash_with_its_options_unless_another_is_asked_for(tmp_path: Path) -> None:
    assert only_plan(tmp_path, "output: 'a'\nshell: 'touch a'") == ShellCommand(
        BASH, "set -euo pipefail;  touch a", tmpdir=None
    )
    assert only_plan(tmp_path, "output: 'a'\nresources: shell_exec='dash'\nshell: 'touch a'") == ShellCommand(
        "dash", "touch a", tmpdir=None
    )


def test_without_any_shell_it_is_the_systems(tmp_path: Path) -> None:
    assert only_plan(tmp_path, "output: 'a'\nshell: 'touch a'", "shell.executable(None)") == ShellCommand(
        "/bin/sh", "touch a", tmpdir=None
    )


@pytest.mark.parametrize("flag", ["temp", "protected", "touch", "directory", "ensure", "local"])
def test_flags_that_are_the_main_processs_business_need_nothing_on_the_node(flag: str, tmp_path: Path) -> None:
    assert isinstance(only_plan(tmp_path, f"output: {flag}('a')\nshell: 'touch a'"), ShellCommand)


def test_environments_need_nothing_unless_they_are_asked_for(tmp_path: Path) -> None:
    assert isinstance(only_plan(tmp_path, "output: 'a'\nconda: 'e.yaml'\nshell: 'touch a'"), ShellCommand)
    assert isinstance(only_plan(tmp_path, "output: 'a'\nenvmodules: 'm'\nshell: 'touch a'"), ShellCommand)
    assert isinstance(only_plan(tmp_path, "output: 'a'\ncache: True\nshell: 'touch a'"), ShellCommand)


def test_a_tmpdir_that_is_plain_text_is_known(tmp_path: Path) -> None:
    planned = only_plan(tmp_path, "output: 'a'\nresources: tmpdir='/it is'\nshell: 'du {resources.tmpdir:q}'")
    assert planned == ShellCommand(BASH, "set -euo pipefail;  du '/it is'", tmpdir="/it is")


# What needs Snakemake


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("run: pass", "its rule is not a shell: rule"),
        ("script: 'a.py'", "its rule is not a shell: rule"),
        ("notebook: 'a.ipynb'", "its rule is not a shell: rule"),
        ("wrapper: 'file:w'", "its rule is not a shell: rule"),
        ("template_engine: 'jinja2'", "its rule is not a shell: rule"),
        ("benchmark: 'b'\nshell: 'touch a'", "its rule has a benchmark:"),
        ("shadow: 'minimal'\nshell: 'touch a'", "its rule has a shadow:"),
        ("shell: 'echo {resources.tmpdir}'", "its command names resources.tmpdir, which only the node knows"),
        ("shell: 'echo {resources}'", "its command names resources.tmpdir, which only the node knows"),
        (
            "params: t=lambda wildcards, resources: resources.tmpdir + '/x'\nshell: 'echo {params.t}'",
            "its command names resources.tmpdir, which only the node knows",
        ),
        ("resources: tmpdir=lambda wildcards: '/x'\nshell: 'touch a'", "its tmpdir is evaluated on the node"),
        ("shell: 'echo {no_such_name}'", "its command cannot be written down here (The name 'no_such_name'"),
        ("shell: 'echo {input[7]}'", "its command cannot be written down here"),
        ("shell: 'echo {wildcards.x}'", "its command cannot be written down here"),
        (f"shell: 'echo {'中' * (LONGEST_COMMAND // 3)}'", "its command is too long for one argument"),
    ],
)
def test_what_only_snakemake_can_do_runs_nested(rule: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "a.py").touch()
    (tmp_path / "a.ipynb").write_text(
        '{"cells": [], "metadata": {"language_info": {"name": "python"}}, "nbformat": 4, "nbformat_minor": 5}'
    )
    planned = only_plan(tmp_path, f"output: 'a'\n{rule}")
    assert reason(planned).startswith(says)


def test_a_command_may_hold_bytes_that_are_not_utf_8(tmp_path: Path) -> None:
    planned = only_plan(tmp_path, "output: 'a'\nparams: 'caf\\udce9'\nshell: 'echo {params}'")
    assert isinstance(planned, ShellCommand), planned
    assert planned.text.endswith("echo caf\udce9")


def test_an_output_that_is_updated_is_not_removed_first(tmp_path: Path) -> None:
    assert reason(only_plan(tmp_path, "output: update('a')\nshell: 'touch a'")) == "a is a update() file"


def test_a_default_tmpdir_is_an_expression_of_the_nodes(tmp_path: Path) -> None:
    resource = {"default_resources": Resources.parse(["tmpdir='/scratch'"], allow_expressions=True)}
    planned = only_plan(tmp_path, "output: 'a'\nshell: 'touch a'", resource=resource)
    assert reason(planned) == "its tmpdir is evaluated on the node"


def test_a_precommand_needs_snakemake(tmp_path: Path) -> None:
    planned = only_plan(tmp_path, "output: 'a'\nshell: 'touch a'", remote={"precommand": "module load x"})
    assert reason(planned) == "a --precommand is given"


@pytest.mark.parametrize(
    ("rule", "group", "setting", "value", "says"),
    [
        ("conda: 'e'", "deployment_settings", "deployment_method", {DeploymentMethod.CONDA}, "has a conda environment"),
        ("envmodules: 'm'", "deployment_settings", "deployment_method", {DeploymentMethod.ENV_MODULES}, "has envmod"),
        ("cache: True", "workflow_settings", "cache", [], "its rule has a cache:"),
        ("threads: 1", "storage_settings", "shared_fs_usage", {SharedFSUsage.SOURCES}, "files are not all shared"),
    ],
)
def test_what_is_asked_for_on_the_command_line_counts(
    rule: str, group: str, setting: str, value: object, says: str, tmp_path: Path
) -> None:
    def look(executor: Any, jobs: list[Any]) -> ShellCommand | NeedsSnakemake:
        # Later than on a command line: Snakemake would look for conda before it makes the executor.
        setattr(getattr(executor.workflow, group), setting, value)
        return plan(jobs[0], executor.workflow)

    snakefile = f"rule a:\n    output: 'a'\n    {rule}\n    shell: 'touch a'\n"
    assert says in reason(look_at(tmp_path, snakefile, look))


def test_groups_run_nested_and_their_members_are_known(tmp_path: Path) -> None:
    snakefile = """
    rule all:
        input: "b"
        group: "g"
    rule a:
        output: "a"
        group: "g"
        shell: "touch a"
    rule b:
        input: "a"
        output: "b"
        group: "g"
        shell: "touch b"
    """

    def look(executor: Any, jobs: list[Any]) -> tuple[ShellCommand | NeedsSnakemake, list[str]]:
        (group,) = jobs
        return plan(group, executor.workflow), sorted(job.rule.name for job in jobs_in(group))

    planned, members = look_at(tmp_path, snakefile, look)
    assert reason(planned) == "it is a group of jobs"
    assert members == ["a", "all", "b"]


@pytest.mark.parametrize("flag", ["pipe", "service"])
def test_both_ends_of_a_pipe_or_a_service_are_a_group(flag: str, tmp_path: Path) -> None:
    snakefile = f"""
    rule b:
        input: "a"
        output: "b"
        shell: "cat a >b"
    rule a:
        output: {flag}("a")
        shell: "echo >a"
    """

    def look(executor: Any, jobs: list[Any]) -> list[str]:
        (group,) = jobs
        producer = next(job for job in jobs_in(group) if job.rule.name == "a")
        return [reason(plan(job, executor.workflow)) for job in (group, producer)]

    assert look_at(tmp_path, snakefile, look) == ["it is a group of jobs", f"a is a {flag}() file"]


def test_resources_that_cannot_be_known_yet_are_left_out(tmp_path: Path) -> None:
    def look(executor: Any, jobs: list[Any]) -> dict[str, object]:
        return known_resources(jobs[0])

    snakefile = "rule a:\n    output: 'a'\n    resources: mem_mb=100, pbs_queue='long'\n    shell: 'touch a'\n"
    known = look_at(tmp_path, snakefile, look)
    assert {name: known.get(name) for name in ("mem_mb", "pbs_queue", "tmpdir")} == {
        "mem_mb": 100,
        "pbs_queue": "long",
        "tmpdir": None,
    }
    assert json.dumps(known, default=repr)
