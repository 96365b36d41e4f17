"""A TORQUE under whole workflows: the local PBS with its face. Some tests of other files, and some of its own.

With ``PBS=torque`` in the environment all end-to-end tests run on it.
"""

from pathlib import Path

import pytest

from snakemake_executor_plugin_pbs_singularity.pbs.local.settings import change

from .conftest import runner, with_pbs
from .harness import Snakemake, qstat, write
from .test_adoption import test_jobs_that_wait_or_run_are_taken_over  # noqa: F401
from .test_array_ends import (  # noqa: F401
    failing,
    failing_run,
    test_a_job_of_an_array_that_fails_says_so_with_its_own_log,
    test_a_job_of_an_array_that_is_over_its_walltime_says_so,
    test_a_job_of_an_array_that_somebody_deleted_says_so,
    test_a_job_of_an_array_that_somebody_deleted_whole_says_so,
    test_the_other_jobs_of_its_array_succeed,
)
from .test_bundles import (  # noqa: F401
    bundled,
    calls,
    test_a_job_of_a_bundle_that_fails_says_so_with_its_own_log,
    test_each_job_of_a_bundle_makes_what_it_should,
)
from .test_interrupt import interrupted, test_ctrl_c_deletes_a_job  # noqa: F401
from .test_outages import pbs, site, test_an_outage_in_the_middle_of_submitting_delays_the_rest  # noqa: F401

ASKING = """
rule all:
    input: expand("asked/{n}", n=range(2)), "single"

rule asked:
    output: "asked/{n}"
    threads: 2
    resources: mem_mb=100, runtime=5
    shell: "echo $PBS_NUM_PPN ${{PBS_ARRAYID:-}} >{output}"

use rule asked as single with:
    output: "single"
    threads: 1
"""


@pytest.fixture(scope="module")
def environment(
    container_environment: dict[str, str], library: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """An environment whose PBS is a TORQUE, whatever the other tests run on."""
    return with_pbs(container_environment, library, tmp_path_factory.mktemp("torque"), face="torque")


@pytest.fixture(scope="module")
def snakemake(environment: dict[str, str]) -> Snakemake:
    """Runs Snakemake so that it submits to this TORQUE."""
    return runner(environment)


def test_a_request_reaches_torque_in_its_own_words(
    tmp_path: Path, snakemake: Snakemake, environment: dict[str, str]
) -> None:
    run = snakemake(write(tmp_path / "flow", {"Snakefile": ASKING}))
    assert [run.text(f"asked/{n}").split()[0] for n in range(2)] == ["2", "2"]
    assert {run.text(f"asked/{n}").split()[1] for n in range(2)} == {"0", "1"}
    single = qstat(environment, run.job("single").pbs_id)
    assert single["Resource_List.nodes"] == "1:ppn=1"
    assert single["Resource_List.walltime"] == "00:05:00"


def test_a_job_that_torque_has_forgotten_at_its_end_has_ended_well(
    tmp_path: Path, snakemake: Snakemake, environment: dict[str, str]
) -> None:
    """Its record tells; TORQUE knows a job for as long as keep_completed says."""
    home = Path(environment["PBS_SINGULARITY_LOCAL_HOME"])
    change(home, keep_completed=0)
    try:
        run = snakemake(write(tmp_path / "flow", {"Snakefile": ASKING}))
    finally:
        change(home, keep_completed=None)
    assert len(run.submitted) == 3


def test_what_torque_refuses_fails_with_its_words_at_once(tmp_path: Path, snakemake: Snakemake) -> None:
    snakefile = ASKING.replace("threads: 1", "threads: 1\n    resources: pbs_queue='nowhere'")
    run = snakemake(write(tmp_path / "flow", {"Snakefile": snakefile}), "single", fails=True)
    assert "nowhere" in run.said
    assert "Traceback" not in run.said
    assert run.submitted == []
