"""The words that the node's Snakemake is given are those that were meant."""

import shlex
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from snakemake.cli import parse_args
from snakemake.resources import Resources
from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.settings import DeploymentMethod
from snakemake_interface_executor_plugins.utils import format_cli_arg, is_quoted, join_cli_args

from snakemake_executor_plugin_pbs_singularity.tasks.command_line import (
    CommandLine,
    Target,
    nested_command_line,
    split_arguments,
)

from .planned import look_at
from .run import names, texts

pytestmark = pytest.mark.filterwarnings("ignore:PULP_CBC_CMD")

NASTY = """it's a "test" $HOME `id` \\n \\ \n;&"""

plain = texts(min_size=1).filter(lambda text: not is_quoted(text))
"""Text that Snakemake does not take for something quoted already."""
paths = names().map(Path).filter(lambda path: "\\" not in str(path))
"""Paths whose quoting nothing else looks like."""


# Splitting what Snakemake joined


@given(plain)
@example(NASTY)
@example("'")
@example("it's")
@example("both \" and '")
def test_text_comes_back(text: str) -> None:
    assert split_arguments(format_cli_arg("--option", text)) == ["--option", text]


@given(st.lists(plain, min_size=1))
def test_a_list_of_texts_comes_back(listed: list[str]) -> None:
    assert split_arguments(format_cli_arg("--option", listed)) == ["--option", *listed]


@given(st.dictionaries(st.from_regex(r"[a-z_]\w*", fullmatch=True), texts(), min_size=1))
def test_pairs_come_back_whatever_their_values(pairs: dict[str, str]) -> None:
    words = split_arguments(format_cli_arg("--config", pairs))
    assert words == ["--config", *(f"{key}={value}" for key, value in pairs.items())]


@given(paths)
@example(Path(NASTY.replace("\\", "")))
@example(Path("'"))
def test_a_path_comes_back(path: Path) -> None:
    assert split_arguments(format_cli_arg("--option", path)) == ["--option", str(path)]


@given(st.lists(st.one_of(plain, paths, st.integers(), st.floats(allow_nan=False)), min_size=1))
def test_joined_options_come_apart_again(values: list[Any]) -> None:
    joined = join_cli_args(["--force", "", *(format_cli_arg("--option", [value]) for value in values)])
    expected = [word for value in values for word in ("--option", str(value))]
    assert split_arguments(joined) == ["--force", *expected]


@given(st.text(min_size=1))
def test_encoded_text_is_one_word(text: str) -> None:
    (_, word) = split_arguments(format_cli_arg("--option", text, base64_encode=True))
    assert word.startswith("base64//")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, ["--option"]),
        (False, []),
        (None, []),
        ([], []),
        (7, ["--option", "7"]),
        (DeploymentMethod.CONDA, ["--option", "conda"]),
    ],
)
def test_what_is_no_text_is_given_as_snakemake_gives_it(value: bool | int | list[str] | Enum, words: list[str]) -> None:
    assert split_arguments(format_cli_arg("--option", value)) == words


@given(texts())
@example(r"'\x'")
@example(r"'\u12' x")
@example("'a\\\n'")
def test_any_text_is_split_or_refused_with_a_remedy(text: str) -> None:
    try:
        words, message = split_arguments(text), None
    except WorkflowError as error:
        words, message = [], str(error)
    assert message is None or "unbalanced quotes, so it cannot be passed on to the jobs. Correct it" in message
    assert message is not None or len("".join(words)) <= len(text)


@given(st.lists(texts().filter(lambda text: "\\" not in text)).map(shlex.join))
def test_what_a_shell_would_read_is_read_as_a_shell_does(text: str) -> None:
    assert split_arguments(text) == shlex.split(text)


def test_a_backslash_that_no_python_string_has_is_a_paths() -> None:
    assert split_arguments(format_cli_arg("--option", Path(r"a\b c"))) == ["--option", r"a\b c"]


def test_the_limits_are_known() -> None:
    """Snakemake leaves text alone that looks quoted, and quotes paths and text so that some look alike."""
    assert split_arguments(format_cli_arg("--option", "'a b'")) == ["--option", "a b"]
    assert split_arguments(format_cli_arg("--option", "'a' b")) == ["--option", "a", "b"]
    assert split_arguments(format_cli_arg("--option", Path(r"a\new"))) == ["--option", "a\new"]
    with pytest.raises(WorkflowError, match="unbalanced quotes"):
        split_arguments(format_cli_arg("--option", "'a'b'"))


# The whole command line


WORKFLOW = """
rule a:
    input: "-late"
    output: temp("a.{x}"), temp("-a.{x}"), temp("a.{x}.unneeded")
    threads: 3
    shell: "touch {output}"
"""


def command_line(folder: Path, snakefile: str = WORKFLOW, in_container: bool = False, **groups: Any) -> CommandLine:
    (folder / "-late").touch()
    groups.setdefault("dag", {"targets": {"a.1,y=2"}})

    def look(executor: Any, jobs: list[Any]) -> CommandLine:
        return nested_command_line(executor, jobs[0], folder, in_container)

    result = look_at(folder, snakefile, look, **groups)
    assert isinstance(result, CommandLine)
    return result


def read(arguments: list[str]) -> Any:
    """Read arguments as the node's Snakemake does."""
    _, args = parse_args(arguments)
    return args


def test_targets_are_kept_whatever_their_wildcards_hold(tmp_path: Path) -> None:
    assert command_line(tmp_path).targets == [Target("a", {"x": "1,y=2"})]


def test_the_node_is_told_what_files_to_expect_even_if_they_look_like_options(tmp_path: Path) -> None:
    args = read(command_line(tmp_path).arguments)
    assert set(args.wait_for_files) == {"./-late"}
    assert set(args.unneeded_temp_files) == {"a.1,y=2.unneeded"}


@pytest.mark.parametrize("name", [NASTY.replace("$", ""), r"a\new", "ordinary"])
def test_paths_of_any_name_reach_the_node(name: str, tmp_path: Path) -> None:
    """But for `$`, which Snakemake expands in the prefixes, whoever gave them."""
    folder = tmp_path / name
    folder.mkdir()
    config = folder / "config.yaml"
    config.write_text("{}")
    arguments = command_line(
        folder,
        config={"configfiles": [config, config]},
        deployment={"apptainer_prefix": folder / "images", "conda_prefix": folder / "conda"},
        execution={"shadow_prefix": folder / "shadow"},
    ).arguments
    args = read(arguments)
    assert (Path(args.snakefile), Path(args.directory)) == (folder / "Snakefile", folder)
    assert args.configfile == [config, config]
    assert Path(args.apptainer_prefix) == folder / "images"
    assert Path(args.conda_prefix) == folder / "conda"
    assert Path(args.shadow_prefix) == folder / "shadow"


def test_config_values_and_container_arguments_reach_the_node(tmp_path: Path) -> None:
    given = [f"name={NASTY}", "number=1", "empty="]
    args = read(
        command_line(
            tmp_path,
            config={"config": {"name": NASTY}, "config_args": given},
            deployment={"apptainer_args": "--bind '/a b'"},
            workflow={"wrapper_prefix": "file:it's/"},
            resource={"default_resources": Resources.parse(["mem_mb=7"], allow_expressions=True)},
        ).arguments
    )
    assert args.config == given
    assert args.apptainer_args == "--bind '/a b'"
    assert args.wrapper_prefix == "file:it's/"
    assert args.default_resources["mem_mb"].value == 7


def test_the_jobs_own_terms_reach_the_node(tmp_path: Path) -> None:
    args = read(command_line(tmp_path).arguments)
    assert args.cores == 3
    assert args.allowed_rules == ["a"]
    assert args.attempt == 1
    assert args.force_use_threads


def test_containers_are_used_on_the_node_without_being_asked_for_here(tmp_path: Path) -> None:
    without = read(command_line(tmp_path).arguments)
    within = read(command_line(tmp_path, in_container=True).arguments)
    assert DeploymentMethod.APPTAINER not in without.software_deployment_method
    assert DeploymentMethod.APPTAINER in within.software_deployment_method


def test_a_group_is_one_command_line_with_all_its_jobs(tmp_path: Path) -> None:
    grouped = WORKFLOW.replace("threads: 3", "group: 'g'") + WORKFLOW.replace("rule a", "rule b").replace(
        "a.{x}", "b.{x}"
    ).replace("threads: 3", "group: 'g'").replace('"-late"', '"a.{x}"')
    made = command_line(tmp_path, grouped, dag={"targets": {"b.1"}})
    args = read(made.arguments)
    assert sorted(made.targets, key=lambda target: target.rule) == [Target("a", {"x": "1"}), Target("b", {"x": "1"})]
    assert sorted(args.allowed_rules) == ["a", "b"]
    assert args.local_groupid
    assert not args.force_use_threads
