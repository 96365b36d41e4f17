"""What the tables of the documentation list is what the code has, all of it."""

import ast
import re
import string
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest
from snakemake_interface_common.exceptions import WorkflowError

from benchmarks.cases import Way
from snakemake_executor_plugin_pbs_singularity.helpers import OldScript, pbs_script
from snakemake_executor_plugin_pbs_singularity.images.index import ENDINGS
from snakemake_executor_plugin_pbs_singularity.pbs.explain import explain_exit, explain_waiting
from snakemake_executor_plugin_pbs_singularity.pbs.outcome import Cause, Hindrance, JobStatus, State, Usage
from snakemake_executor_plugin_pbs_singularity.reporting.exit_codes import explain_code
from snakemake_executor_plugin_pbs_singularity.reporting.failure import explain
from snakemake_executor_plugin_pbs_singularity.settings import ExecutorSettings
from snakemake_executor_plugin_pbs_singularity.site import CARRIED_VARIABLES
from snakemake_executor_plugin_pbs_singularity.tasks.request import build_request, check_extra
from snakemake_executor_plugin_pbs_singularity.tracking.witness import Over

from .pages import (
    ERRORS,
    PACKAGE,
    README,
    READMES,
    ROOT,
    code_in,
    is_made_by,
    is_said,
    rows,
    section,
    text_of,
    texts_of_code,
)

FURTHER = ROOT / "docs/further.md"
DOCTOR = ROOT / "docs/doctor.md"
ARCHITECTURE = ROOT / "docs/architecture.md"
HELPERS = ROOT / "docs/helpers.md"


class Resources(dict[str, object]):
    """Resources of a rule that says nothing; notes down which are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    def get(self, name: str, default: object = None) -> object:
        self.asked.add(name)
        return default


def known_resources() -> set[str]:
    resources = Resources()
    build_request("rule", 1, resources, ExecutorSettings())
    sources = [(PACKAGE / name).read_text() for name in ("task.py", "tasks/planning.py")]
    others = re.findall(r"resources\.get\(\"(\w+)\"", "".join(sources))
    return resources.asked | {*others, "bundle"}


def option_rows() -> dict[str, list[str]]:
    return {row[0].strip("`"): row[1:] for row in rows(section(FURTHER, "## Options"))}


def test_every_option_is_listed_once() -> None:
    listed = [row[0] for row in rows(section(FURTHER, "## Options"))]
    names = [f"`--pbs-singularity-{field.name.replace('_', '-')}`" for field in fields(ExecutorSettings)]
    assert sorted(listed) == sorted(names)


def test_the_defaults_of_options_are_told() -> None:
    told = option_rows()
    for field in fields(ExecutorSettings):
        if field.default not in (None, False):
            assert str(field.default) in told[f"--pbs-singularity-{field.name.replace('_', '-')}"][1], field.name


def test_the_resources_beside_options_are_those_of_rules() -> None:
    beside = {resource for cells in option_rows().values() for resource in code_in(cells[0])}
    assert beside <= known_resources()


@pytest.mark.parametrize("page", READMES, ids=lambda page: page.name)
def test_the_readme_names_only_resources_that_rules_have(page: Path) -> None:
    asked = [row[0] for row in rows(page.read_text()) if not row[0].startswith('`"')]
    named = {re.split(r"[=:]", code)[0] for cell in asked for code in code_in(cell)} - {"threads"}
    assert len(named) > 10
    assert named <= known_resources()


def test_every_resource_is_told_of() -> None:
    told = {re.split(r"[=:]", code)[0] for page in (README, FURTHER) for code in code_in(page.read_text())}
    assert known_resources() - {"shell_exec", "tmpdir"} <= told  # those are Snakemake's own


def test_what_pbs_extra_may_hold_is_told() -> None:
    with pytest.raises(WorkflowError) as refused:
        check_extra("rule", "-Q")
    known = str(refused.value).partition("it may hold: ")[2].rstrip(".").split()
    told = re.search(r"`pbs_extra` may hold `([^`]+)`", FURTHER.read_text())
    assert told is not None
    assert sorted(told[1].split()) == sorted(known)


def test_what_becomes_of_the_options_of_old_scripts_is_told(tmp_path: Path) -> None:
    told = [row[0].split("`")[1].split() for row in rows(section(HELPERS, '## `pbs_script("old_job.pbs")`'))]
    read = {f"-{letter}": _read(f"#PBS -{letter}", tmp_path) for letter in string.ascii_letters}
    known = {option: script for option, script in read.items() if script is not None}
    lost = {option for option, script in known.items() if any("is left out" in note for note in script.notes)}
    kept = {option for option, script in known.items() if "pbs_extra" in script}
    assert sorted(lost) in map(sorted, told)
    assert sorted(kept) in map(sorted, told)


def _read(line: str, folder: Path) -> OldScript | None:
    """Give what a script with such an option asks for, with or without a value; None if it cannot be read."""
    for text in (line, f"{line} 1"):
        (folder / "old.pbs").write_text(f"#!/bin/sh\n{text}\ntrue\n")
        try:
            return pbs_script(folder / "old.pbs")
        except WorkflowError:
            continue
    return None


def test_the_variables_that_go_with_a_job_are_told() -> None:
    told = section(FURTHER, "## What a job gets to see")
    assert [name for name in CARRIED_VARIABLES if "_BIND" not in name and f"`{name}`" not in told] == []


def test_the_endings_of_images_are_told_in_their_order() -> None:
    assert ", ".join(f"`{ending}`" for ending in ENDINGS) in FURTHER.read_text()


def test_the_doctors_lines_are_those_that_can_be_wrong() -> None:
    told = {name for row in rows(section(DOCTOR, "## When a line is not ok")) for name in row[0].split(", ")}
    assert told == _names_of_findings()


def _names_of_findings() -> set[str]:
    """Give the names of the findings that can be a warning or a problem, from the code that makes them."""
    names = set()
    for file in (PACKAGE / "commands/doctor").glob("*.py"):
        for function in ast.walk(ast.parse(file.read_text())):
            if isinstance(function, ast.FunctionDef):
                names |= _named_in(function)
    folders = {"node: …"} & names
    return names - folders | ({"node: library", "node: store"} if folders else set())


def _named_in(function: ast.FunctionDef) -> set[str]:
    variables = {
        target.id: text_of(node.value)
        for node in ast.walk(function)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    firsts = [call.args[0] for call in calls if call.func.id in ("warning", "problem")]  # type: ignore[attr-defined]
    return {variables[first.id] if isinstance(first, ast.Name) else text_of(first) for first in firsts}


def verdicts() -> list[str]:
    """Give what the code says of jobs that wait and of jobs that have failed, in every way that it knows."""
    asked, more = Usage(walltime=3600, cput=60, mem=500, ncpus=2), Usage(walltime=3660, cput=61, mem=501, ncpus=3)
    ended = [
        JobStatus(State.FINISHED, 1, cause, reason="something", deleted_by=by, used=used, asked=asked)
        for cause in Cause
        for by in ("ada@login", None)
        for used in (asked, more)
    ]
    ended += [JobStatus(State.UNKNOWN), JobStatus(State.OVER_ELSEWHERE)]
    waiting = [
        JobStatus(State.HELD),
        JobStatus(State.SUSPENDED),
        JobStatus(State.MOVED),
        *(JobStatus(State.QUEUED, waits_for=what, queue="long") for what in Hindrance),
    ]
    said = [explain_exit(status) for status in ended] + [explain_waiting(status, "1.server") for status in waiting]
    return [verdict.problem for verdict in said if verdict is not None]


def codes() -> list[str]:
    """Give what is said of exit codes, where it is more than their number."""
    image = Path(__file__)  # any file that is there
    said = [explain_code(code, None, where) for code in range(1, 256) for where in (None, image)]
    plain = re.compile(r"Exit code \d+(?:\.|: it was ended by signal \d+ \(\w+\)\.)")
    return [verdict.problem for verdict in said if verdict is not None and not plain.fullmatch(verdict.problem)]


def other_failures() -> list[str]:
    """Give what is said of failures that the last lines of a log, or their absence, explain."""
    logs = [
        "MemoryError",
        "The commands of --pbs-singularity-node-setup failed with exit status 1 on the node n1.",
        "The container command singularity is not on the node n1",
        "/.singularity.d/actions/exec: 9: exec: bash: not found",
    ]
    said = [explain_code(127, None, Path(__file__), [line]) for line in logs]
    over = Over(None, JobStatus(State.FINISHED, 0))
    killed = Over(None, JobStatus(State.FINISHED, 1, Cause.WALLTIME))
    return [verdict.problem for verdict in (*said, explain(over, 30), explain(killed, 30, tasks=2)) if verdict]


def messages(heading: str) -> list[str]:
    return [row[0] for row in rows(section(ERRORS, heading))]


def test_all_that_is_said_of_jobs_is_explained() -> None:
    told = [*messages("## While a job waits"), *messages("## When a job has failed")]
    patterns = [pattern for pattern in told if pattern != "Exit code 1, 2, …"]
    said = [*verdicts(), *codes(), *other_failures()]
    assert [one for one in said if not any(is_said(pattern, [one]) for pattern in patterns)] == []


@pytest.mark.parametrize("heading", ["## Before anything is submitted", "## While a job waits"])
def test_what_is_explained_can_be_said(heading: str) -> None:
    said = [*texts_of_code(), *verdicts()]
    assert [message for message in messages(heading) if not is_said(message, said)] == []


def test_failures_that_are_explained_can_be_said() -> None:
    said = [*verdicts(), *codes(), *other_failures()]
    told = [message for message in messages("## When a job has failed") if message != "Exit code 1, 2, …"]
    assert [message for message in told if not is_said(message, said)] == []


@pytest.mark.parametrize("page", READMES, ids=lambda page: page.name)
def test_the_message_that_the_readme_shows_is_as_it_is_now(page: Path) -> None:
    killed = JobStatus(State.FINISHED, 1, Cause.WALLTIME, used=Usage(walltime=3660), asked=Usage(walltime=3600))
    assert f"message: {explain_exit(killed)}\n" in page.read_text()


def test_the_doctors_table_is_shown_as_it_is_now() -> None:
    shown = re.findall(r"```text\n(.*?)```", DOCTOR.read_text(), re.DOTALL)[0].splitlines()
    made_of_data = ("jobs go to", "queue ", "container runtime", "node: runtime")
    said = [line.split("   ")[-1].strip() for line in shown[1:] if not line.startswith((*made_of_data, "WARNING"))]
    assert len(said) > 20
    texts = [text for text in texts_of_code() if len(text.replace("…", "")) > 8]
    assert [one for one in said if not any(is_made_by(text, one) for text in texts)] == []


def test_the_ways_of_the_benchmark_are_told_by_their_names() -> None:
    told = [row[0] for row in rows(section(ROOT / "docs/performance.md", "## What is measured"))]
    assert [way.words for way in Way if way.words not in told] == []


def test_the_house_has_the_files_that_are_there() -> None:
    house = section(ARCHITECTURE, "## The house")
    named = {Path(name).name for name in re.findall(r"[\w/]+\.(?:py|sh)\b", house)}
    files = [file.relative_to(PACKAGE) for file in PACKAGE.rglob("*") if file.suffix in (".py", ".sh")]
    assert named <= {file.name for file in files}
    inner = ("pbs/local", "commands", "helpers")
    shown = {file.name for file in files if not str(file.parent).startswith(inner)}
    assert shown - named == set()


def test_every_dependency_has_a_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["bench"]]
    names = {re.split(r"[><=]", text)[0] for text in needed}
    told = code_in(section(ARCHITECTURE, "## Dependencies"))
    assert {name for name in names if not name.startswith("snakemake-interface")} <= told
    listed = {code for row in rows(section(ARCHITECTURE, "## Dependencies")) for code in code_in(row[0])}
    assert listed <= names
