"""Look at an image before anything depends on it, reading only its headers.

A container runtime given a bad image says ``image format not recognized`` or ``bad superblock`` inside a
job that has waited hours in a queue (transcripts apptainer/91 to 98). The headers already tell. What they
cannot tell is whether bytes in the middle were flipped (apptainer/97): only a checksum finds that.
"""

import os
import stat
import struct
from enum import Enum
from pathlib import Path
from typing import BinaryIO

from .errors import ImageError
from .sif import COPY_AGAIN, SIF_MAGIC, SIF_MAGIC_AT, cut_in_header, sif_parts


class ImageKind(Enum):
    """The formats that Singularity and Apptainer run."""

    SIF = "SIF"
    """What Singularity 3 and later and Apptainer build."""
    SQUASHFS = "squashfs"
    """What Singularity 2.4 to 2.6 build, usually ``.simg``; also plain squashfs."""
    EXT3 = "ext3"
    """What Singularity before 2.4 built, usually ``.img``; ext2 and ext4 look alike."""
    SANDBOX = "sandbox"
    """An unpacked image: a folder."""


_LAUNCH = b"#!/usr/bin/env run-singularity\n"
"""The line that makes an image a command; before a SIF, and in old images before the file system."""

_HEAD_SIZE = 4096

_SQUASHFS_MAGIC = b"hsqs"
_SQUASHFS_BYTES_USED = struct.Struct("<Q")
_SQUASHFS_BYTES_USED_AT = 40

_EXT_SUPERBLOCK_AT = 1024
_EXT_MAGIC = b"\x53\xef"
_EXT_MAGIC_AT = 56
_EXT_BLOCKS_AT = 4
_EXT_LOG_BLOCK_SIZE_AT = 24


def check_image(path: Path) -> ImageKind:
    """Give the kind of an image, or raise ImageError with what is wrong with it.

    Found are: missing, a dangling link, unreadable, neither file nor folder, a folder that is no root
    file system, empty, cut off, and contents that are no image, such as a web page or a Git LFS pointer.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            next(path.iterdir(), None)  # raises if it is closed to us
            return _check_folder(path)
        if not stat.S_ISREG(mode):
            raise ImageError(f"The image {path} is neither a file nor a folder.", "Name an image file.")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            return _check_file(path, file, size)
    except FileNotFoundError as error:
        if path.is_symlink():
            raise ImageError(
                f"The image {path} is a link to {path.readlink()}, which is missing.", "Correct the link."
            ) from error
        raise ImageError(f"The image {path} does not exist.", "Check the spelling of its path.") from error
    except PermissionError as error:
        raise ImageError(
            f"The image {path} cannot be read: permission denied.",
            "Ask its owner for read permission on the file and on the folders above it.",
        ) from error
    except OSError as error:
        raise ImageError(f"The image {path} cannot be read: {error.strerror}.") from error


def looks_like_root(folder: Path) -> bool:
    """Tell whether a folder is an unpacked image.

    Those that Singularity or Apptainer made have ``.singularity.d``. Others are known by what a root file
    system has and a project folder or a conda environment has not. Links count unfollowed: theirs lead
    into the image.
    """
    if os.path.lexists(folder / ".singularity.d"):
        return True
    return os.path.lexists(folder / "etc") and any(
        os.path.lexists(folder / name) for name in ("usr", "bin/sh", "bin/busybox")
    )


def _check_folder(path: Path) -> ImageKind:
    if not looks_like_root(path):
        raise ImageError(
            f"{path} is a folder, but not an unpacked image: it has neither .singularity.d nor etc and usr.",
            "Name an image file, or the folder that holds the root file system.",
        )
    return ImageKind.SANDBOX


def _check_file(path: Path, file: BinaryIO, size: int) -> ImageKind:
    if size == 0:
        raise ImageError(f"The image {path} is empty.", COPY_AGAIN)
    head = file.read(_HEAD_SIZE)
    recognised = _recognise(path, head, file)
    if recognised is None:
        raise ImageError(f"{path} is not an image: {_describe(head)}.", _remedy_for(head))
    kind, needed = recognised
    if size < needed:
        raise ImageError(
            f"The image {path} is cut off: it has {size:,} of the {needed:,} bytes that its header names.",
            COPY_AGAIN,
        )
    return kind


def _recognise(path: Path, head: bytes, file: BinaryIO) -> tuple[ImageKind, int] | None:
    """Give the kind of image and how long its file has to be at least, or None if it is no image."""
    if head[SIF_MAGIC_AT:].startswith(SIF_MAGIC):
        parts = sif_parts(path, head, file)
        return ImageKind.SIF, max(part.offset + part.length for part in parts)
    offset = len(_LAUNCH) if head.startswith(_LAUNCH) else 0
    if offset and len(head) < _EXT_SUPERBLOCK_AT:
        raise cut_in_header(path)
    body = head[offset:]
    if body.startswith(_SQUASHFS_MAGIC):
        end = _SQUASHFS_BYTES_USED_AT + _SQUASHFS_BYTES_USED.size
        if len(body) < end:
            raise cut_in_header(path)
        (used,) = _SQUASHFS_BYTES_USED.unpack_from(body, _SQUASHFS_BYTES_USED_AT)
        return ImageKind.SQUASHFS, offset + used
    superblock = body[_EXT_SUPERBLOCK_AT:]
    if superblock[_EXT_MAGIC_AT:].startswith(_EXT_MAGIC):
        (blocks,) = struct.unpack_from("<I", superblock, _EXT_BLOCKS_AT)
        (log_size,) = struct.unpack_from("<I", superblock, _EXT_LOG_BLOCK_SIZE_AT)
        return ImageKind.EXT3, offset + blocks * (1024 << min(log_size, 16))
    return None


_LFS_POINTER = b"version https://git-lfs.github.com/spec/"


def _describe(head: bytes) -> str:
    """Say what a file that is no image seems to be."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html", b"<?xml")):
        return "it seems to be a web page, perhaps an error or log-in page that was saved under this name"
    if head.startswith(_LFS_POINTER):
        return "it is a Git LFS pointer, which stands for the image and does not contain it"
    if head.startswith(b"\x1f\x8b") or head[257:].startswith(b"ustar"):
        return "it seems to be a tar archive, perhaps of `docker save`"
    if not head.strip(b"\0"):
        return "it begins with zeros only, as a file does whose copying was interrupted"
    text = head[:512].decode("utf-8", errors="ignore")
    if len(text.encode()) >= min(len(head), 512) - 3 and all(c.isprintable() or c.isspace() for c in text):
        return f"it seems to be text beginning with {text.strip().partition(chr(10))[0][:60]!r}"
    return "its beginning is that of no image format"


def _remedy_for(head: bytes) -> str:
    if head.startswith(_LFS_POINTER):
        return "Fetch the image itself with `git lfs pull`."
    if head.startswith(b"\x1f\x8b") or head[257:].startswith(b"ustar"):
        return "Build an image from it: `apptainer build image.sif docker-archive:FILE`."
    return "Name a SIF, squashfs or ext3 image, or an unpacked image."
