"""The options of the plugin, as Snakemake's own command line reads them."""

import shlex
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snakemake.cli import get_argument_parser
from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

from snakemake_executor_plugin_pbs_singularity import settings as module
from snakemake_executor_plugin_pbs_singularity.settings import (
    ExecutorSettings,
    container_options,
    library_folders,
    split_options,
)

every_option = pytest.mark.parametrize("option", fields(ExecutorSettings), ids=lambda option: option.name)


def read(arguments: list[str]) -> ExecutorSettings:
    """Read a command line as Snakemake does."""
    args = get_argument_parser().parse_args(arguments)
    settings = ExecutorPluginRegistry().get_plugin("pbs-singularity").get_settings(args)
    assert isinstance(settings, ExecutorSettings)
    return settings


# The command line


@every_option
def test_every_option_says_what_it_is_and_what_it_takes(option: Field[Any]) -> None:
    help_text = option.metadata["help"]
    assert help_text[0].isupper() or help_text.startswith("PBS")
    assert help_text.endswith(".")
    assert len(help_text) > 40
    takes_nothing = option.type is bool
    assert takes_nothing or option.metadata.get("metavar") or option.metadata.get("choices")
    assert takes_nothing or option.type in (option.metadata["type"], option.metadata["type"] | None)


@every_option
def test_every_option_is_read_from_the_command_line_and_the_environment(
    option: Field[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    takes = option.metadata.get("type")
    value = {None: True, int: 7, float: 7.5, str: "openpbs" if option.name == "pbs" else "/a b"}[takes]
    words = [str(value)] if takes else []
    assert getattr(read([f"--pbs-singularity-{option.name.replace('_', '-')}", *words]), option.name) == value
    if option.metadata.get("env_var"):
        monkeypatch.setenv(f"SNAKEMAKE_PBS_SINGULARITY_{option.name.upper()}", str(value))
        assert getattr(read([]), option.name) == value


def test_every_option_that_takes_a_value_can_be_set_in_the_environment() -> None:
    assert all(option.metadata.get("env_var") for option in fields(ExecutorSettings) if option.type is not bool)


def test_without_options_everything_has_its_default() -> None:
    assert read([]) == ExecutorSettings()


def test_the_help_of_snakemake_names_every_option() -> None:
    text = get_argument_parser().format_help()
    for option in fields(ExecutorSettings):
        assert f"--pbs-singularity-{option.name.replace('_', '-')}" in text


@pytest.mark.parametrize("name", ["max-array-size", "max-running", "bundle"])
@pytest.mark.parametrize("number", [0, -1])
def test_what_is_counted_must_be_at_least_one(name: str, number: int) -> None:
    with pytest.raises(WorkflowError, match=rf"--pbs-singularity-{name}: {number} must be at least 1\."):
        read([f"--pbs-singularity-{name}={number}"])


def test_one_of_everything_is_enough() -> None:
    settings = ExecutorSettings(max_array_size=1, max_running=1, bundle=1)
    assert (settings.max_array_size, settings.max_running, settings.bundle) == (1, 1, 1)


def test_without_being_asked_arrays_are_as_large_as_pbs_takes_them_and_bundles_have_one_task() -> None:
    settings = ExecutorSettings()
    assert (settings.max_array_size, settings.max_running, settings.bundle) == (None, None, 1)


# The library


def test_library_folders_are_searched_in_the_order_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b", "a", "home/c"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    given_folders = ExecutorSettings(library=f"{tmp_path}/b:a::~/c:")
    assert library_folders(given_folders) == (tmp_path / "b", tmp_path / "a", tmp_path / "home/c")


def test_the_default_library_may_be_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DEFAULT_LIBRARY", tmp_path / "absent")
    assert library_folders(ExecutorSettings()) == ()
    monkeypatch.setattr(module, "DEFAULT_LIBRARY", tmp_path)
    assert library_folders(ExecutorSettings()) == (tmp_path,)


def test_no_library_can_be_asked_for() -> None:
    assert library_folders(ExecutorSettings(library="")) == ()


@pytest.mark.parametrize("name", ["absent", "file"])
def test_a_library_that_is_no_folder_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorkflowError) as error:
        library_folders(ExecutorSettings(library=f"{tmp_path}:{tmp_path / name}"))
    assert str(error.value) == (
        f"--pbs-singularity-library: the folder {str(tmp_path / name)!r} does not exist or is not a folder. "
        "Give the folder that holds your site's images, or leave the option out."
    )


# Options of the container


def test_binds_and_arguments_are_words(tmp_path: Path) -> None:
    settings = ExecutorSettings(bind=f"{tmp_path},{tmp_path}:/data:ro,", container_args="--cleanenv --env 'A=b c' --nv")
    assert container_options(settings) == (
        *("--bind", str(tmp_path), "--bind", f"{tmp_path}:/data:ro"),
        *("--cleanenv", "--env", "A=b c", "--nv"),
    )


def test_without_options_a_container_gets_none() -> None:
    assert container_options(ExecutorSettings()) == ()
    assert container_options(ExecutorSettings(bind="", container_args="")) == ()


def test_a_bind_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkflowError, match=r"--pbs-singularity-bind: '.*/absent' does not exist here.*correct"):
        container_options(ExecutorSettings(bind=f"{tmp_path},{tmp_path}/absent:/data"))


def test_unbalanced_quotes_are_refused_by_the_name_of_their_option() -> None:
    with pytest.raises(WorkflowError, match=r"--pbs-singularity-container-args: cannot split .* Balance its quotes"):
        container_options(ExecutorSettings(container_args="--env 'A=b"))


@given(st.lists(st.text()))
def test_quoted_words_come_back(words: list[str]) -> None:
    assert split_options(shlex.join(words), "here") == words


@pytest.mark.parametrize("text", ["$HOME `id` $(id) *", "a;b|c&d >e", "~/x"])
def test_nothing_is_expanded_or_run(text: str) -> None:
    assert split_options(text, "here") == text.split(" ")
