"""The settings of the commands are those of a run in the same folder, whatever says them."""

import os
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from snakemake import api, cli
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

from snakemake_executor_plugin_pbs_singularity.commands.place import find_settings
from snakemake_executor_plugin_pbs_singularity.settings import ExecutorSettings

SETTINGS = "pbs-singularity-queue: {queue}\npbs-singularity-leave-queues: true\n"
VARIABLE = "SNAKEMAKE_PBS_SINGULARITY_"
Write = Callable[[str, str], None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Start in a folder with a Snakefile and without settings; gives what writes a profile in it."""
    for name in list(os.environ):
        if name.startswith("SNAKEMAKE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "of-user"))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "of-site"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    Path("Snakefile").touch()

    def write_profile(file: str, queue: str) -> None:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(SETTINGS.format(queue=queue))

    return write_profile


def of_a_run() -> ExecutorSettings:
    """Give the settings of a run here, as Snakemake's own command line reads them."""
    assert api.SnakemakeApi  # cli and api import each other
    _, arguments = cli.parse_args(["--executor", "pbs-singularity"])
    settings: ExecutorSettings = ExecutorPluginRegistry().get_plugin("pbs-singularity").get_settings(arguments)
    return settings


@pytest.mark.parametrize(
    ("files", "general"),
    [
        ([], None),
        (["here/profiles/default/config.yaml"], None),
        (["here/profiles/default/profile.yaml"], None),
        (["here/profiles/default/config.yaml", "here/profiles/default/config.v9+.yaml"], None),
        (["here/profiles/default/config.yaml", "here/profiles/default/config.v999+.yaml"], None),
        (["here/profiles/default/config.yaml", "here/profiles/default/profile.yaml"], None),
        (["here/workflow/profiles/default/config.yaml"], None),
        (["of-user/snakemake/cluster/config.yaml"], "cluster"),
        (["of-site/snakemake/cluster/config.yaml"], "cluster"),
        (["of-user/snakemake/cluster/config.yaml", "of-site/snakemake/cluster/config.yaml"], "cluster"),
        (["here/cluster/config.yaml", "of-site/snakemake/cluster/config.yaml"], "cluster"),
        (["here/mine.yaml"], "mine.yaml"),
        (["of-site/snakemake/cluster/config.yaml", "here/profiles/default/config.yaml"], "cluster"),
        (["here/profiles/default/config.yaml"], "none"),
    ],
    ids=str,
)
def test_profiles_count_as_for_snakemake(
    files: list[str], general: str | None, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, file in enumerate(files):
        write(file, f"queue{number}")
    if general is not None:
        monkeypatch.setenv("SNAKEMAKE_PROFILE", general)
    assert find_settings({}) == of_a_run()


@pytest.mark.parametrize("snakefile", ["Snakefile", "workflow/Snakefile", "workflow/snakefile"])
def test_the_profile_beside_the_snakefile_counts(snakefile: str, write: Write) -> None:
    Path("Snakefile").unlink()
    write("here/workflow/profiles/default/config.yaml", "beside")
    Path(snakefile).touch()
    assert find_settings({}) == of_a_run()


@pytest.mark.parametrize("text", ["true", "True", "yes", "on", "1", "false", "no", "off", "0"])
def test_a_variable_says_yes_or_no_as_for_snakemake(text: str, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{VARIABLE}LEAVE_QUEUES", text)
    assert find_settings({}) == of_a_run()


def test_a_variable_that_says_neither_yes_nor_no_is_refused(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{VARIABLE}LEAVE_QUEUES", "maybe")
    with pytest.raises(click.ClickException, match="leave-queues: 'maybe' is neither true nor false"):
        find_settings({})


def test_what_is_given_comes_first_then_the_variable_then_the_profile(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("here/profiles/default/config.yaml", "of-profile")
    assert find_settings({}).queue == "of-profile"
    monkeypatch.setenv(f"{VARIABLE}QUEUE", "of-variable")
    assert find_settings({}).queue == of_a_run().queue == "of-variable"
    assert find_settings({"queue": "given"}).queue == "given"


def test_without_anything_the_settings_are_the_defaults(write: Write) -> None:
    assert find_settings({}) == ExecutorSettings()
