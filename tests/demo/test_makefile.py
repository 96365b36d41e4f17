"""The Makefile on a machine that lacks something: it says what to install."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")


def make(tmp_path, *arguments):
    """Call make for an environment in a folder of its own."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", *arguments]
    return subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def python(tmp_path):
    """Return a function that makes a Python that fails where a piece of code has certain words in it."""

    def write(words):
        path = tmp_path / "python"
        path.write_text(f'#!/bin/sh\ncase "$*" in *"{words}"*) exit 1;; esac\n')
        path.chmod(0o755)
        return path

    return write


def test_make_lists_what_there_is(tmp_path):
    answer = make(tmp_path)
    assert answer.returncode == 0
    assert [line.split()[1] for line in answer.stdout.splitlines()] == [
        "help",
        "demo",
        "test",
        "lint",
        "bench",
        "clean",
    ]


def test_an_old_python_is_named(tmp_path, python):
    answer = make(tmp_path, ".venv/bin/python", f"PYTHON={python('version_info')}")
    assert answer.returncode != 0
    assert "Python 3.11 or later is needed" in answer.stderr


def test_no_python_is_named(tmp_path):
    answer = make(tmp_path, ".venv/bin/python", "PYTHON=no-such-python")
    assert answer.returncode != 0
    assert "Python 3.11 or later is needed" in answer.stderr


def test_a_python_without_ensurepip_is_told_the_package(tmp_path, python):
    answer = make(tmp_path, ".venv/bin/python", f"PYTHON={python('ensurepip')}")
    assert answer.returncode != 0
    assert "apt-get install python3-venv" in answer.stderr
