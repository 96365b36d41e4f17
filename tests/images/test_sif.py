"""The file system within a SIF."""

from pathlib import Path

import pytest

from snakemake_executor_plugin_pbs_singularity.images import ImageError, ImageKind, check_image
from snakemake_executor_plugin_pbs_singularity.images.sif import take_out_file_system
from tools.images import TestImages

from . import made


def test_what_is_taken_out_is_squashfs_and_all_of_it(images: TestImages, tmp_path: Path) -> None:
    sif = images.library / "tools/beta.sif"
    taken = take_out_file_system(sif, tmp_path / "beta.simg")
    assert check_image(taken) is ImageKind.SQUASHFS
    assert taken.read_bytes() in sif.read_bytes()


def test_a_sif_without_squashfs_is_refused(tmp_path: Path) -> None:
    sif = tmp_path / "a.sif"
    made.write(sif)
    with pytest.raises(ImageError, match="has no squashfs"):
        take_out_file_system(sif, tmp_path / "a.simg")
