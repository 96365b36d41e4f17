"""The settings file and the home folder."""

import os
from pathlib import Path

import pytest

from snakemake_executor_plugin_pbs_singularity.pbs.local import provide
from snakemake_executor_plugin_pbs_singularity.pbs.local.home import (
    HOME_VARIABLE,
    HomeError,
    home_folder,
    prepare_home,
)
from snakemake_executor_plugin_pbs_singularity.pbs.local.settings import (
    FILE_NAME,
    Queue,
    Settings,
    SettingsError,
    change,
    load,
)


def test_without_a_file_all_settings_are_the_defaults(tmp_path: Path) -> None:
    assert load(tmp_path) == Settings()


def test_a_change_leaves_the_others_alone(tmp_path: Path) -> None:
    change(tmp_path, ncpus=8)
    change(tmp_path, queues={"gpu": {"max_walltime": 60}})

    assert load(tmp_path) == Settings(ncpus=8, queues={"gpu": Queue(max_walltime=60)})


def test_none_takes_a_setting_back(tmp_path: Path) -> None:
    change(tmp_path, ncpus=8)
    change(tmp_path, ncpus=None)

    assert load(tmp_path) == Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("nosuch", 1),
        ("ncpus", -1),
        ("ncpus", 1.5),
        ("ncpus", True),
        ("server", "down"),
        ("idle", "long"),
        ("enforce_mem", 1),
        ("lost", "12"),
        ("queues", {}),
        ("queues", {"a": {"color": "red"}}),
        ("queues", {"a": {"enabled": 1}}),
    ],
)
def test_nonsense_is_refused_by_name_and_nothing_is_written(tmp_path: Path, name: str, value: object) -> None:
    with pytest.raises(SettingsError, match=name.removesuffix("s")):
        change(tmp_path, **{name: value})

    assert not (tmp_path / FILE_NAME).exists()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("{")

    with pytest.raises(SettingsError, match=r"settings\.json is not JSON"):
        load(tmp_path)


def test_the_home_is_named_by_a_variable_or_is_the_users_own_under_var_tmp() -> None:
    assert home_folder({HOME_VARIABLE: "/somewhere"}) == Path("/somewhere")
    assert home_folder({}) == Path(f"/var/tmp/pbs-singularity-local-{os.getuid()}")


def test_the_home_is_made_for_its_user_alone(tmp_path: Path) -> None:
    home = prepare_home({HOME_VARIABLE: str(tmp_path / "a" / "home")})

    assert home.stat().st_mode & 0o777 == 0o700


def test_a_home_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    with pytest.raises(HomeError, match="chmod 700"):
        prepare_home({HOME_VARIABLE: str(tmp_path)})


def test_a_home_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")

    with pytest.raises(HomeError, match="is not a folder"):
        prepare_home({HOME_VARIABLE: str(tmp_path / "link")})


def test_a_home_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setattr(os, "getuid", lambda: 12345)

    with pytest.raises(HomeError, match="belongs to user"):
        prepare_home({HOME_VARIABLE: str(tmp_path)})


def test_providing_the_commands_starts_nothing_and_can_be_repeated(tmp_path: Path) -> None:
    environment = {HOME_VARIABLE: str(tmp_path / "home")}

    folder = provide(environment)

    assert provide(environment) == folder
    assert {path.name for path in folder.iterdir()} == {
        "qsub", "qstat", "qdel", "qhold", "qrls", "qselect", "pbsnodes",
    }  # fmt: skip
    assert not (tmp_path / "home" / "socket").exists()
