"""What the spine does at moments that whole workflows seldom meet."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from end_to_end import harness
from local.conftest import LocalPbs

WORKFLOW = """
rule all:
    input: expand("{n}", n=range(20))

rule some:
    output: "{n}"
    shell: "sleep 60; touch {output}"
"""
NO_ARRAYS = """
case " $* " in *" -J "*) echo "qsub: Array job is not allowed by queue" >&2; exit 1 ;; esac
sleep 0.5
exec REAL "$@"
"""

SLOW = """
case " $* " in *" -N "*) touch asked; sleep 8 ;; esac
exec REAL "$@"
"""


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalPbs]:
    """A local PBS of its own."""
    pbs = LocalPbs(tmp_path)
    yield pbs
    pbs.close()


def environment_of(local: LocalPbs, front: Path, qsub: str) -> dict[str, str]:
    """Give an environment with a local PBS whose `qsub` does something first."""
    environment = {
        **os.environ,
        "PATH": f"{local.bin}{os.pathsep}{os.environ['PATH']}",
        "PBS_SINGULARITY_LOCAL_HOME": str(local.home),
    }
    return {**environment, "PATH": harness.wrap(front, environment, {"qsub": qsub})}


def test_ctrl_c_submits_no_more_single_jobs_where_a_queue_takes_no_arrays(local: LocalPbs, tmp_path: Path) -> None:
    environment = environment_of(local, tmp_path / "front", NO_ARRAYS)
    folder = harness.write(tmp_path / "flow", {"Snakefile": WORKFLOW})
    with harness.start(folder, harness.pbs_options(), environment) as running:
        running.wait_for_jobs(2)
        assert running.interrupt() != 0
    assert len(local.out("qselect -x").split()) < 10, running.said
    assert local.out("qselect") == ""


def test_ctrl_c_again_does_not_wait_for_qsub_and_the_next_run_finds_its_job(local: LocalPbs, tmp_path: Path) -> None:
    environment = environment_of(local, tmp_path / "front", SLOW)
    folder = harness.write(tmp_path / "flow", {"Snakefile": 'rule:\n    output: "a"\n    shell: "echo x >>{output}"'})
    with harness.start(folder, harness.pbs_options(), environment) as running:
        harness.wait_until((folder / "asked").exists, "qsub is called")
        running.process.send_signal(signal.SIGINT)
        harness.wait_until(lambda: "Waiting for the answer of qsub" in running.said, "it says what it waits for")
        assert running.interrupt() == 1, running.said
    assert "Traceback" not in running.said
    assert "PBS may still have jobs of this run." in running.said
    assert local.out("qselect -x") == ""
    again = harness.run(folder, harness.pbs_options(), environment, fails=False)
    assert "goes on as PBS job" in again.said
    assert len(local.out("qselect -x").split()) == 1
