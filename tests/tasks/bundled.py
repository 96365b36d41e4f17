"""Bundles of each kind: of plain tasks, of tasks that share a container, of nested tasks."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from snakemake_executor_plugin_pbs_singularity.tasks.script import DirectTask, NestedTask

from .run import Node, container, starter

MakeDirect = Callable[..., list[DirectTask]]
Make = Callable[[Node, Sequence[str]], Sequence[DirectTask | NestedTask]]


def plain(node: Node, commands: Sequence[str], **fields: Any) -> list[DirectTask]:
    """Make tasks without a container."""
    return node.several(*commands, **fields)


def boxed(node: Node, commands: Sequence[str], **fields: Any) -> list[DirectTask]:
    """Make tasks that share a container."""
    return node.several(*commands, container=container(starter(runtime(node))), **fields)


def nested(node: Node, commands: Sequence[str]) -> list[NestedTask]:
    """Make nested tasks, where what takes Snakemake's place does what the description says."""
    python = node.root / "python"
    python.write_text('#!/bin/sh\nexec bash -c "$(cat)"\n')
    python.chmod(0o755)
    return [node.nested(python, description=command, token=str(number)) for number, command in enumerate(commands)]


def runtime(node: Node) -> Path:
    """Give the place of the container runtime."""
    return node.root / "bin" / "apptainer"


each_kind = pytest.mark.parametrize("make", [plain, boxed, nested])
each_direct_kind = pytest.mark.parametrize("make", [plain, boxed])
