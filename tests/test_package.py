"""What Snakemake looks for, and what it costs others that it is there."""

import subprocess
import sys

import pytest
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

import snakemake_executor_plugin_pbs_singularity as package


@pytest.mark.parametrize("module", ["", ".pbs", ".pbs.local", ".text"])
def test_nothing_of_snakemake_is_imported_with(module: str) -> None:
    code = (
        f"import sys, {package.__name__}{module}\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0].startswith('snakemake')"
        f" and not name.startswith({package.__name__!r})))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout == "[]\n"


def test_snakemake_finds_the_executor_by_its_name() -> None:
    plugin = ExecutorPluginRegistry().get_plugin("pbs-singularity")
    assert plugin.executor is package.Executor
    assert plugin.common_settings is package.common_settings
    assert plugin.settings_cls is package.ExecutorSettings


@pytest.mark.parametrize("name", package.__all__)
def test_every_name_that_is_offered_is_there(name: str) -> None:
    assert getattr(package, name) is not None


def test_a_name_that_is_not_there_is_missed_as_in_any_module() -> None:
    with pytest.raises(AttributeError, match=r"module 'snakemake_.*' has no attribute 'absent'"):
        package.absent  # noqa: B018


def test_jobs_run_elsewhere_but_share_their_files() -> None:
    settings = package.common_settings
    assert settings.non_local_exec
    assert not settings.implies_no_shared_fs


def test_no_variable_is_told_in_arguments_that_others_can_read() -> None:
    assert not package.common_settings.pass_envvar_declarations_to_cmd
