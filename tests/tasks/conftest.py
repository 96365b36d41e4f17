"""A node for every test, and for every example of a property."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from .run import Maker, Node

NOBODY = 65534


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """A node with nothing on it."""
    return Node(tmp_path)


@pytest.fixture
def new_node(tmp_path: Path) -> Maker:
    """Make a node with nothing on it, whose working directory has the name given."""
    numbers = count()
    return lambda workdir="work": Node(tmp_path / str(next(numbers)), workdir)


@pytest.fixture
def node_outside_tmp() -> Iterator[Node]:
    """A node that is not below a folder which containers have anyway."""
    folder = next(path for path in (Path("/dev/shm"), Path("/run"), Path.home()) if os.access(path, os.W_OK))
    with tempfile.TemporaryDirectory(dir=folder) as root:
        yield Node(Path(root))


@pytest.fixture
def user_node() -> Iterator[tuple[Node, int | None]]:
    """A node whose files belong to an ordinary user, and that user: to root nothing is write-protected."""
    root = Path(tempfile.mkdtemp())
    node = Node(root)
    (root / "logs").mkdir()
    user = NOBODY if os.geteuid() == 0 else None
    if user is not None:
        for path in (root, *root.rglob("*")):
            os.chown(path, user, user)
    yield node, user
    shutil.rmtree(root)
