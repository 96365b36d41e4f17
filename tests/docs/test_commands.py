"""Every command that the documentation shows is run, as far as it can be here; with PBS=torque on a TORQUE."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import click
import pytest

from snakemake_executor_plugin_pbs_singularity.cli import main
from snakemake_executor_plugin_pbs_singularity.pbs.local.settings import change
from snakemake_executor_plugin_pbs_singularity.settings import ExecutorSettings

from .pages import MNIST, PAGES, READMES, ROOT, anchors, code_in, rows

RUN_AS_A_WHOLE = {
    "make test": "these tests",
    "make demo": "tests/demo",
    "make bench": "tests/benchmarks",
    "make bench PBS=path": "tests/benchmarks, for which PBS=path counts too",
    'make bench ARGS="--sizes 100,1000 --repeats 5"': "tests/benchmarks, with smaller numbers",
}
"""Commands that cannot be run from within a test, and what runs them."""

NEED_A_TERMINAL = {
    "pbs-singularity shell --mem 500 deep_learning/tensorflow-1.10.0-py3": "tests/commands/test_shell.py",
}
"""Commands that are of no use without one, and what runs their like."""


def commands_in(page: Path) -> list[str]:
    """Give the commands of a page: what stands behind `$ ` in its console blocks, less comments."""
    blocks = re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL)
    joined = [re.sub(r"\\\n\s*", "", block) for block in blocks]
    lines = [line[2:] for block in joined for line in block.splitlines() if line.startswith("$ ")]
    return [re.sub(r"\s+#.*", "", line) for line in lines]


def example_in(page: Path) -> str:
    """Give the Snakefile that a page shows."""
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)[0]


def run(command: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def environment(container_environment: dict[str, str], library: Path, tmp_path: Path) -> dict[str, str]:
    """A site like the one that the documentation speaks of: its library has the image of the examples."""
    image = tmp_path / "library/deep_learning/tensorflow-1.10.0-py3.simg"
    image.parent.mkdir(parents=True)
    shutil.copy(library / "deep_learning/alpha.simg", image)
    home = tmp_path / "local"
    home.mkdir(mode=0o700)
    change(home, face="torque" if os.environ.get("PBS") == "torque" else "openpbs")
    return {
        **container_environment,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{container_environment['PATH']}",
        "SNAKEMAKE_PBS_SINGULARITY_LIBRARY": str(tmp_path / "library"),
        "SNAKEMAKE_PBS_SINGULARITY_PBS": "local",
        "PBS_SINGULARITY_LOCAL_HOME": str(home),
    }


def plugin_commands(page: Path) -> list[str]:
    elsewhere = {*RUN_AS_A_WHOLE, *NEED_A_TERMINAL}
    return [command for command in commands_in(page) if command not in elsewhere and not command.startswith("pip ")]


@pytest.mark.parametrize("page", READMES, ids=lambda page: page.name)
def test_the_example_runs_as_the_page_says(page: Path, environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text(example_in(page))
    commands = plugin_commands(page)
    assert commands
    for command in commands:
        answer = run(command, tmp_path, environment)
        assert answer.returncode == 0, answer.stdout + answer.stderr
    assert (tmp_path / "versions.txt").read_text().startswith("Python 3")


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_the_commands_of_a_page_work(page: Path, environment: dict[str, str], tmp_path: Path) -> None:
    if page.name == "by-hand.md":
        (tmp_path / "Snakefile").write_text(example_in(page))
    for command in plugin_commands(page):
        answer = run(command, tmp_path, environment)
        assert answer.returncode == 0, answer.stdout + answer.stderr


def test_the_commands_of_the_mnist_workflow_can_be_planned(environment: dict[str, str], tmp_path: Path) -> None:
    copy = tmp_path / "checkout"
    shutil.copytree(ROOT / "workflows", copy / "workflows", ignore=shutil.ignore_patterns(".snakemake", "results"))
    folder = copy
    for command in commands_in(MNIST / "README.md"):
        if command.startswith("cd "):
            folder = copy / command.removeprefix("cd ")
            continue
        assert command.startswith("snakemake"), command
        where = copy if "workflows/" in command else folder
        answer = run(f"{command} --dry-run", where, {**environment, "HOME": str(tmp_path)})
        assert answer.returncode == 0, f"{command}\n{answer.stdout}{answer.stderr}"


def test_the_plugin_installs_as_the_page_says(tmp_path: Path) -> None:
    assert "pip install ." in commands_in(ROOT / "README.md")
    words = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path), "."]
    answer = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert answer.returncode == 0, answer.stderr
    assert (tmp_path / "snakemake_executor_plugin_pbs_singularity/executor.py").exists()


@pytest.mark.parametrize("folder", [ROOT, MNIST], ids=["the project", "the MNIST workflow"])
def test_both_languages_show_the_same_commands(folder: Path) -> None:
    assert commands_in(folder / "README.md") == commands_in(folder / "README.zh-CN.md")
    assert commands_in(folder / "README.md")


def test_both_languages_show_the_same_example() -> None:
    assert example_in(ROOT / "README.md") == example_in(ROOT / "README.zh-CN.md")


def test_both_languages_name_the_same_things() -> None:
    for page in (ROOT / "README.md", ROOT / "docs/errors.md"):
        english, chinese = page.read_text(), page.with_suffix(".zh-CN.md").read_text()
        assert code_in(english) == code_in(chinese), page


def test_both_languages_explain_the_same_messages() -> None:
    english, chinese = (rows((ROOT / "docs" / name).read_text()) for name in ("errors.md", "errors.zh-CN.md"))
    assert [row[0] for row in english] == [row[0] for row in chinese]


def test_make_has_the_targets_that_are_shown() -> None:
    for command in RUN_AS_A_WHOLE:
        answer = subprocess.run(
            [*shlex.split(command), "--dry-run"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^):]+)\)", page.read_text())
    assert [link for link in links if not _leads_somewhere(link, page)] == []


def _leads_somewhere(link: str, page: Path) -> bool:
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    return target.exists() and (not anchor or anchor in anchors(target))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_options_in_sentences_exist(page: Path) -> None:
    text = page.read_text()
    commands = [shlex.split(code) for code in code_in(text) if code.startswith("pbs-singularity ")]
    assert [words for words in commands if not _exists(words)] == []
    options = {name.rstrip("-") for name in re.findall(r"--pbs-singularity-([a-z-]+)", text)}
    keys = set(re.findall(r"(?<![-/])pbs-singularity-([a-z-]+)(?=:)", text))
    assert (options | keys) - {field.name.replace("_", "-") for field in fields(ExecutorSettings)} == set()


def _exists(words: list[str]) -> bool:
    """Tell whether a command line names a command of pbs-singularity, and options that it has."""
    command: click.Command = main
    for word in words[1:]:
        context = click.Context(command)
        if word.startswith("-"):
            if not any(word.partition("=")[0] in parameter.opts for parameter in command.get_params(context)):
                return False
        elif isinstance(command, click.Group):
            found = command.get_command(context, word)
            if found is None:
                return False
            command = found
    return command is not main
