"""The scripts run on the container's Python 3.6, and on a login node's without extra packages."""

import ast
import subprocess
import sys

import pytest

from .helpers import SCRIPTS, load_script

ALL = sorted(SCRIPTS.glob("*.py"))
ON_THE_LOGIN_NODE = ["fetch", "summarise"]
PROGRAMS = [path for path in ALL if path.stem not in ("network", "plotstyle")]


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_a_script_keeps_to_the_grammar_of_python_3_6(path):
    ast.parse(path.read_text(), feature_version=(3, 6))


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_a_script_prints_ascii_only_because_the_container_may_have_no_locale(path):
    assert path.read_text().isascii()


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name)
def test_a_program_has_a_command_line(path):
    functions = {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}
    assert {"parse_arguments", "main"} <= functions


@pytest.mark.parametrize("name", ON_THE_LOGIN_NODE)
def test_a_program_of_the_login_node_needs_the_standard_library_only(name):
    tree = ast.parse((SCRIPTS / f"{name}.py").read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {module.split(".")[0] for module in imported} <= sys.stdlib_module_names


@pytest.mark.parametrize("name", ["fetch", "prepare", "summarise"])
def test_a_program_without_arguments_says_which_it_needs(name):
    command = [sys.executable, str(SCRIPTS / f"{name}.py")]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert "the following arguments are required" in answer.stderr


def test_the_train_options_begin_as_in_the_tutorial(monkeypatch):
    pytest.importorskip("numpy")
    monkeypatch.syspath_prepend(str(SCRIPTS))
    train = load_script("train")
    arguments = ["--data", "d", "--learning-rate", "0.01", "--seed", "1", "--model", "m", "--history", "h"]
    options = train.parse_arguments(arguments)
    assert (options.epochs, options.batch_size, options.decay) == (10, 64, 0.95)
    assert (options.momentum, options.l2) == (0.9, 5e-4)


def test_the_confusion_matrix_has_the_written_digits_in_its_rows(monkeypatch):
    np = pytest.importorskip("numpy")
    monkeypatch.syspath_prepend(str(SCRIPTS))
    evaluate = load_script("evaluate")
    labels = np.array([7, 7, 3])
    probabilities = np.zeros((3, 10))
    probabilities[[0, 1, 2], [7, 1, 8]] = [0.9, 0.6, 0.8]
    result = evaluate.evaluate(labels, probabilities)
    assert (result["images"], result["test_error"]) == (3, 66.6667)
    assert result["confusion"][7][1] == 1
    assert result["confusion"][7][7] == 1
    assert result["confusion"][3][8] == 1
    assert [mistake["image"] for mistake in result["wrong"]] == [2, 1]
