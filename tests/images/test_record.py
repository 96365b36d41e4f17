import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from snakemake_executor_plugin_pbs_singularity.images.lockfile import LockedImage
from snakemake_executor_plugin_pbs_singularity.images.record import read_record, record_path, write_record

RECORD = LockedImage("docker://a", None, "0" * 64, 1, datetime(2026, 1, 1, tzinfo=UTC), "Singularity 2.6.1")


def test_a_record_is_read_back(tmp_path: Path) -> None:
    write_record(tmp_path / "a.sif", RECORD, 0o640)
    assert read_record(tmp_path / "a.sif") == RECORD
    assert stat.S_IMODE(record_path(tmp_path / "a.sif").stat().st_mode) == 0o640


def test_a_record_is_hidden_and_alone(tmp_path: Path) -> None:
    write_record(tmp_path / "a.sif", RECORD, 0o600)
    assert [path.name for path in tmp_path.iterdir()] == [".a.sif.toml"]


@pytest.mark.parametrize("contents", [None, b"", b"version = 1\n", b"version = 9\n", b"\xff"])
def test_a_record_that_is_missing_or_damaged_is_none(tmp_path: Path, contents: bytes | None) -> None:
    if contents is not None:
        record_path(tmp_path / "a.sif").write_bytes(contents)
    assert read_record(tmp_path / "a.sif") is None
