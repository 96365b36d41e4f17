"""A job goes to a queue that takes it, and what none takes is refused before anything is submitted."""

import os
from pathlib import Path

import pytest

from . import harness
from .faults import own_pbs
from .harness import Run, qstat, write

pytestmark = pytest.mark.skipif(
    "PBS" in os.environ, reason="the queues are those that the local PBS is told to have, in the words of OpenPBS"
)

WORKFLOW = """
rule a:
    output: "a"
    resources: {resources}
    shell: "touch {{output}}"
"""
QUEUES = {
    "workq": {"max_walltime": 600},
    "day": {"max_walltime": 86400},
    "week": {"max_walltime": 7 * 86400},
}


@pytest.fixture(scope="module")
def site(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment with a PBS of three queues, of which the shortest is the default."""
    return own_pbs(environment, tmp_path_factory.mktemp("queues") / "pbs", queues=QUEUES, ncpus=4)


def made(folder: Path, site: dict[str, str], resources: str, *options: str, fails: bool = False) -> Run:
    folder = write(folder, {"Snakefile": WORKFLOW.format(resources=resources)})
    return harness.run(folder, [*harness.pbs_options(), *options], site, fails=fails)


@pytest.mark.parametrize(("minutes", "queue"), [(5, "workq"), (60, "day"), (2000, "week")])
def test_a_job_goes_to_the_default_queue_else_to_the_shortest_that_takes_it(
    minutes: int, queue: str, site: dict[str, str], tmp_path: Path
) -> None:
    run = made(tmp_path, site, f"runtime={minutes}")
    assert qstat(site, run.job("a").pbs_id)["queue"] == queue


def test_why_another_queue_than_the_default_is_chosen_is_said(site: dict[str, str], tmp_path: Path) -> None:
    run = made(tmp_path, site, "runtime=60")
    assert (
        "Rule a: queue day, as the default queue workq takes at most 10 minutes of runtime (60 asked for)." in run.said
    )


def test_what_no_queue_takes_is_refused_with_the_nearest(site: dict[str, str], tmp_path: Path) -> None:
    run = made(tmp_path, site, "runtime=20000", fails=True)
    assert "Rule a: No queue is there for this request" in run.said
    assert "The nearest is week: ask for" in run.said
    assert run.said.count("--pbs-singularity-leave-queues") == 1
    assert not run.submitted


def test_a_queue_that_does_not_take_a_job_is_refused_with_one_that_does(site: dict[str, str], tmp_path: Path) -> None:
    run = made(tmp_path, site, "runtime=60, pbs_queue='workq'", fails=True)
    assert "The queue 'workq' takes at most 10 minutes of runtime" in run.said
    assert "The queue day takes it: name that one." in run.said


def test_a_queue_that_is_not_there_is_refused_with_those_that_are(site: dict[str, str], tmp_path: Path) -> None:
    run = made(tmp_path, site, "pbs_queue='wrokq'", fails=True)
    assert "There is no queue 'wrokq'. Choose one of: day, week, workq." in run.said
    assert "--pbs-singularity-leave-queues" not in run.said


def test_queues_that_a_hook_changes_can_be_left_to_pbs(site: dict[str, str], tmp_path: Path) -> None:
    run = made(tmp_path, site, "runtime=60", "--pbs-singularity-leave-queues", fails=True)
    assert "PBS says: qsub: Job violates queue and/or server resource limits" in run.said


def test_what_this_kind_of_pbs_cannot_be_asked_is_refused(site: dict[str, str], tmp_path: Path) -> None:
    run = made(tmp_path, site, "pbs_nodes='1:ppn=2'", fails=True)
    assert "Rule a: pbs_nodes='1:ppn=2' is for TORQUE." in run.said


def test_a_bundle_needs_the_runtime_of_all_its_tasks(site: dict[str, str], tmp_path: Path) -> None:
    run = made(tmp_path, site, "runtime=3000, bundle=4", fails=True)
    assert "For bundle=4, the runtime is that of 4 tasks." in run.said
