"""What the settings of a queue let in, and what qstat shows of them."""

import grp
import os

import pytest

from snakemake_executor_plugin_pbs_singularity.pbs.local.machine import current_user

from .conftest import LocalPbs

LIMITED = {
    "resources_max": {"mem": "2gb", "ncpus": "4"},
    "resources_min": {"walltime": "00:01:00"},
    "resources_default": {"walltime": "00:05:00"},
    "priority": 7,
}


@pytest.fixture
def limited(pbs: LocalPbs) -> LocalPbs:
    pbs.set(queues={"limited": LIMITED})
    return pbs


def test_a_queue_shows_its_settings(limited: LocalPbs) -> None:
    shown = limited.out("qstat -Qf limited")

    for line in ("resources_max.mem = 2gb", "resources_min.walltime = 00:01:00", "Priority = 7"):
        assert f"    {line}\n" in shown


@pytest.mark.parametrize(
    "asked", ["select=1:ncpus=5", "select=1:ncpus=1:mem=3gb", "select=2:ncpus=1:mem=1100mb", "walltime=30"]
)
def test_what_is_beyond_a_limit_is_refused(limited: LocalPbs, asked: str) -> None:
    done = limited.run(f"echo true | qsub -l {asked}")

    assert (done.returncode, done.stderr) == (188, "qsub: Job violates queue and/or server resource limits\n")


def test_what_is_within_the_limits_gets_the_queues_walltime(limited: LocalPbs) -> None:
    job = limited.out("echo true | qsub -l select=1:ncpus=4:mem=2gb").strip()

    assert limited.attribute(job, "Resource_List.walltime") == "00:05:00"


def test_torque_names_the_limit(limited: LocalPbs) -> None:
    limited.set(face="torque")

    done = limited.run("echo true | qsub -l mem=3gb")

    assert done.returncode == 190
    assert "MSG=cannot satisfy queue max mem requirement" in done.stderr


@pytest.mark.parametrize(("face", "code"), [("openpbs", 159), ("torque", 176)])
def test_a_queue_of_others_is_closed(pbs: LocalPbs, face: str, code: int) -> None:
    pbs.set(face=face, queues={"theirs": {"acl_users": ["nobody-here@*"]}})

    assert pbs.run("echo true | qsub").returncode == code
    assert "acl_users = nobody-here@*" in pbs.out("qstat -Qf theirs")


def test_a_queue_that_names_the_user_or_the_group_is_open(pbs: LocalPbs) -> None:
    group = grp.getgrgid(os.getgid()).gr_name
    pbs.set(queues={"ours": {"acl_users": [f"+{current_user().name}@*"], "acl_groups": [group]}})

    assert pbs.run("echo true | qsub").returncode == 0
