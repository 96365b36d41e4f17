"""What the spine does at moments that whole workflows seldom meet."""

import os
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


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalPbs]:
    """A local PBS of its own."""
    pbs = LocalPbs(tmp_path)
    yield pbs
    pbs.close()


def test_ctrl_c_submits_no_more_single_jobs_where_a_queue_takes_no_arrays(local: LocalPbs, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "PATH": f"{local.bin}{os.pathsep}{os.environ['PATH']}",
        "PBS_SINGULARITY_LOCAL_HOME": str(local.home),
    }
    environment["PATH"] = harness.wrap(tmp_path / "front", environment, {"qsub": NO_ARRAYS})
    folder = harness.write(tmp_path / "flow", {"Snakefile": WORKFLOW})
    with harness.start(folder, harness.pbs_options(), environment) as running:
        running.wait_for_jobs(2)
        assert running.interrupt() != 0
    assert len(local.out("qselect -x").split()) < 10, running.said
    assert local.out("qselect") == ""
