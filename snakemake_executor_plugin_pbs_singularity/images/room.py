"""Whether there is room for a pull, found out before it and not at its end (transcripts apptainer/80 to 87)."""

import shutil
from pathlib import Path

from .errors import ImageError

UNPACKED = 3
"""How many times larger an image is unpacked than its packed layers are, roughly: 2 to 3 was seen."""


def check_room(shown: str, size: int, store: Path, tmpdir: Path) -> None:
    """Raise ImageError if an image whose layers have ``size`` bytes will not fit where it is unpacked and kept."""
    needed: dict[int, int] = {}
    for folder, bytes_needed in ((store, size), (tmpdir, UNPACKED * size)):
        device = folder.stat().st_dev
        needed[device] = needed.get(device, 0) + bytes_needed
    for folder in (store, tmpdir):
        free, wanted = shutil.disk_usage(folder).free, needed[folder.stat().st_dev]
        if free < wanted:
            raise ImageError(
                f"There is no room to pull {shown}: unpacked and packed again it takes about"
                f" {wanted / 1e6:,.0f} MB, and {folder} has {free / 1e6:,.0f} MB left.",
                "Make room there, choose another store with --pbs-singularity-store, or another folder for unpacking"
                " with APPTAINER_TMPDIR.",
            )
