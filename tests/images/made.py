"""Images made by hand: as much of each format as its header has, followed by zeros."""

import contextlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path

LAUNCH = b"#!/usr/bin/env run-singularity\n"


def sif(objects: list[tuple[int, int]], total: int = 48) -> bytes:
    """A SIF whose descriptors speak of data objects (offset, length), as long as they say."""
    header = struct.pack("<32s10s3s3s16s8q", LAUNCH, b"SIF_MAGIC\0", b"01\0", b"02\0", bytes(16), 0, 0,
                         total - len(objects), total, 4096, total * 585, 32768, 0)  # fmt: skip
    table = b"".join(
        struct.pack("<i?IIIqqq", 0x4004, True, number, 1, 0, offset, length, length).ljust(585, b"\0")
        for number, (offset, length) in enumerate(objects, start=1)
    ).ljust(total * 585, b"\0")
    contents = header.ljust(4096, b"\0") + table
    return contents.ljust(max([len(contents), *(offset + length for offset, length in objects)]), b"\0")


SIF = sif([(32768, 50_000)])


def squashfs(length: int = 9000) -> bytes:
    """A squashfs superblock of version 4.0 that says it uses `length` bytes, and that many bytes."""
    superblock = struct.pack("<4sIIIIHHHHHHQQ", b"hsqs", 1, 0, 131072, 0, 1, 17, 0, 1, 4, 0, 0, length)
    return superblock.ljust(length, b"\0")


def ext3(blocks: int = 16) -> bytes:
    """An ext3 superblock for blocks of 1 KiB, and that many blocks."""
    superblock = bytearray(1024)
    struct.pack_into("<I", superblock, 4, blocks)
    struct.pack_into("<H", superblock, 56, 0xEF53)
    return bytes(1024) + bytes(superblock).ljust((blocks - 1) * 1024, b"\0")


def sandbox(folder: Path) -> Path:
    """An unpacked image as Apptainer leaves it, less its contents."""
    (folder / ".singularity.d").mkdir(parents=True)
    return folder


def write(path: Path, contents: bytes = SIF) -> Path:
    """A file with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(contents)
    return path


@contextlib.contextmanager
def as_somebody() -> Iterator[None]:
    """Give up root's rights for a while, to whom nothing is closed."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
