"""What the tests of the MNIST workflow share."""

import gzip
import struct
import sys

import pytest


@pytest.fixture(autouse=True)
def _no_byte_code_beside_the_scripts(monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")


def images_idx(count, side=2):
    """The bytes of an IDX file of images: image n is all n."""
    header = struct.pack(">4I", 2051, count, side, side)
    return header + b"".join(bytes([number] * side * side) for number in range(count))


def labels_idx(count):
    """The bytes of an IDX file of labels: 0, 1, 2, …"""
    return struct.pack(">2I", 2049, count) + bytes(number % 10 for number in range(count))


@pytest.fixture
def make_idx():
    """Return the functions that make files of images and of labels."""
    return images_idx, labels_idx


@pytest.fixture
def write_gz(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(gzip.compress(content))
        return str(path)

    return write
