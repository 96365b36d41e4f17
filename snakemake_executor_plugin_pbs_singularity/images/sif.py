"""The parts of a SIF, which is a header, a table of what is in it, and that: most of all a file system.

See https://github.com/apptainer/sif, pkg/sif/sif.go.
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .errors import ImageError

# The global header: launch line, magic, versions, architecture, id, two times, then six numbers.
SIF_MAGIC = b"SIF_MAGIC\0"
SIF_MAGIC_AT = 32
_NUMBERS = struct.Struct("<6q")  # free and all descriptors, table offset and length, data offset and length
_NUMBERS_AT = 80
_DESCRIPTOR = struct.Struct("<i?IIIqqq")  # type, used, id, group, link, offset, length, length with padding
_DESCRIPTOR_SIZE = 585
_MOST_DESCRIPTORS = 10_000  # 48 in every SIF seen; more than this is damage, not an image
_PARTITION = 0x4004
_ABOUT_PARTITION = struct.Struct("<ii")  # kind of file system, kind of partition
_ABOUT_PARTITION_AT = 201
_SQUASHFS, _PRIMARY = 1, 2

_AT_A_TIME = 1 << 20

COPY_AGAIN = "Copy, download or build it again."


@dataclass(frozen=True)
class Part:
    """Something in a SIF."""

    offset: int
    length: int
    """In bytes."""
    is_root: bool
    """Whether it is the squashfs that becomes the root of the container."""


def cut_in_header(path: Path) -> ImageError:
    """Give the error of an image that ends too early."""
    return ImageError(f"The image {path} is cut off: it ends within its header.", COPY_AGAIN)


def sif_parts(path: Path, head: bytes, file: BinaryIO) -> list[Part]:
    """Give what is in a SIF, at least one part; raises ImageError if its header is cut off or damaged."""
    if len(head) < _NUMBERS_AT + _NUMBERS.size:
        raise cut_in_header(path)
    _, total, table_at, *_ = _NUMBERS.unpack_from(head, _NUMBERS_AT)
    if not 0 < total <= _MOST_DESCRIPTORS or table_at <= 0:
        raise ImageError(f"The header of the image {path} is damaged.", COPY_AGAIN)
    file.seek(table_at)
    table = file.read(total * _DESCRIPTOR_SIZE)
    if len(table) < total * _DESCRIPTOR_SIZE:
        raise cut_in_header(path)
    parts: list[Part] = []
    for position in range(0, len(table), _DESCRIPTOR_SIZE):
        kind, used, _, _, _, offset, length, _ = _DESCRIPTOR.unpack_from(table, position)
        about = _ABOUT_PARTITION.unpack_from(table, position + _ABOUT_PARTITION_AT)
        if used:
            parts.append(Part(offset, length, kind == _PARTITION and about == (_SQUASHFS, _PRIMARY)))
    if not parts:
        raise ImageError(f"The image {path} is a SIF with nothing in it.", COPY_AGAIN)
    return parts


def take_out_file_system(sif: Path, destination: Path) -> Path:
    """Write the squashfs of a SIF to a file of its own, which Singularity 2 runs; gives that file.

    Seen with a SIF of Apptainer 1.4.5 under Singularity 2.6.1, where the SIF itself does not run. Raises ImageError if
    there is none, as in an encrypted SIF, and OSError if it cannot be written.
    """
    with sif.open("rb") as file:
        head = file.read(_NUMBERS_AT + _NUMBERS.size)
        root = next((part for part in sif_parts(sif, head, file) if part.is_root), None)
        if root is None:
            raise ImageError(
                f"The SIF {sif} has no squashfs, or an encrypted one: Singularity 2 cannot run it.",
                "Make a sandbox of it elsewhere with a newer version, and name that by its path.",
            )
        file.seek(root.offset)
        with destination.open("wb") as written:
            _copy(file, written, root.length)
    return destination


def _copy(source: BinaryIO, destination: BinaryIO, length: int) -> None:
    while chunk := source.read(min(length, _AT_A_TIME)):
        destination.write(chunk)
        length -= len(chunk)
