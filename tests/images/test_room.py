"""Whether there is room for a pull, before it begins."""

import shutil
from pathlib import Path

import pytest

from snakemake_executor_plugin_pbs_singularity.images import ImageError
from snakemake_executor_plugin_pbs_singularity.images.room import check_room


def test_an_image_that_fits_may_be_pulled(tmp_path: Path) -> None:
    check_room("docker://a", 1000, tmp_path, tmp_path)


def test_an_image_that_does_not_fit_is_refused_with_the_folder_and_what_it_takes(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(ImageError, match=rf"no room to pull docker://a(?s:.*){tmp_path} has (?s:.*)APPTAINER_TMPDIR"):
        check_room("docker://a", free // 2, tmp_path, tmp_path)


def test_unpacking_and_keeping_on_one_disk_needs_room_for_both(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(ImageError, match="no room"):
        check_room("docker://a", int(free / 3.5), tmp_path, tmp_path)
