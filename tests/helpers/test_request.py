"""PBS's notation for `resources:`."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snakemake_interface_common.exceptions import WorkflowError

from snakemake_executor_plugin_pbs_singularity import grow
from snakemake_executor_plugin_pbs_singularity.helpers import pbs
from snakemake_executor_plugin_pbs_singularity.pbs.openpbs import request_arguments
from snakemake_executor_plugin_pbs_singularity.settings import ExecutorSettings
from snakemake_executor_plugin_pbs_singularity.tasks.request import build_request


def asked(resources, threads=1):
    """Give the arguments of qsub that resources come to."""
    return " ".join(request_arguments(build_request("rule", threads, resources, ExecutorSettings())))


def test_pbs_is_asked_for_what_was_written():
    resources = pbs(queue="gpu", ngpus=1, walltime="02:00:00", mem="8gb", account="lab", project="p1", place="pack")
    assert asked(resources, threads=4) == (
        "-l select=1:ncpus=4:mem=8192mb:ngpus=1 -l walltime=7200 -l place=pack -q gpu -A lab -P p1"
    )


def test_what_other_executors_know_has_snakemakes_names():
    assert pbs(mem="8gb", walltime="90:00", ngpus=2, nodes=2, mpiprocs=4) == {
        "mem_mb": 8192,
        "runtime": 90,
        "gpu": 2,
        "nodes": 2,
        "tasks": 8,
    }


def test_what_is_none_is_left_to_the_defaults():
    assert pbs(queue=None, mem=None) == {}


def test_select_is_the_whole_request():
    resources = pbs(select="1:ncpus=8:ngpus=1:gpu_model=a100+2:ncpus=4", walltime="10")
    assert asked(resources) == "-l select=1:ncpus=8:ngpus=1:gpu_model=a100+2:ncpus=4 -l walltime=60"
    assert resources.threads == 8


def test_memory_and_walltime_may_rise():
    resources = pbs(mem=grow("4gb"), walltime=grow("01:00:00", most="02:00:00"))
    assert resources["mem_mb"](None, attempt=2) == 8192
    assert resources["runtime"](None, attempt=3) == 120


@given(st.integers(1, 10**6), st.sampled_from(["kb", "mb", "gb", "tb", "MB", "g", "kw"]))
def test_a_job_never_gets_less_memory_than_was_asked_for(number, unit):
    kibibytes = number * {"k": 1, "m": 1024, "g": 1024**2, "t": 1024**3}[unit[0].lower()] * (8 if "w" in unit else 1)
    if kibibytes >= 1024:
        assert kibibytes <= pbs(mem=f"{number}{unit}")["mem_mb"] * 1024 < kibibytes + 1024


@given(st.integers(0, 999), st.integers(0, 59), st.integers(0, 59))
def test_a_job_never_gets_less_time_than_was_asked_for(hours, minutes, seconds):
    whole = hours * 3600 + minutes * 60 + seconds
    if whole:
        assert whole <= pbs(walltime=f"{hours:02}:{minutes:02}:{seconds:02}")["runtime"] * 60 < whole + 60


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"walltime": "2h"}, "'02:00:00'"),
        ({"walltime": 7200}, "in quotes"),
        ({"walltime": "00:00:00"}, "no time"),
        ({"mem": "8000"}, "bytes"),
        ({"mem": 8000}, "unit"),
        ({"mem": "1.5gb"}, "whole number"),
        ({"mem": grow(4000)}, r"grow\('8gb'\)"),
        ({"walltime": lambda wildcards: 5}, "runtime=FUNCTION"),
        ({"ngpus": -1}, "at least 0"),
        ({"nodes": True}, "at least 1"),
        ({"queue": "two words"}, "without spaces"),
        ({"queue": ""}, "without spaces"),
        ({"extra": "-m\nabe"}, "one line"),
        ({"ncpus": 8}, "threads: 8"),
        ({"mem_mb": 800}, 'mem="800mb"'),
        ({"waltime": "1:00:00"}, "Did you mean walltime"),
        ({"select": "1:ncpus=4", "mem": "8gb"}, "belongs into it"),
        ({"select": "1:ncpus=four"}, "ncpus"),
        ({"select": "1:ncpus"}, "no chunk"),
        ({"select": "1:ncpus=4++2"}, "no chunk"),
        ({"select": "0:ncpus=4"}, "at least 1"),
    ],
)
def test_a_request_that_cannot_be_meant_is_refused(arguments, words):
    with pytest.raises(WorkflowError, match=words):
        pbs(**arguments)


@pytest.mark.parametrize("first", ["", "import snakemake_executor_plugin_pbs_singularity.pbs.client; "])
def test_the_helper_can_be_called_whether_or_not_the_subpackage_of_its_name_is_loaded(first):
    program = (
        f"{first}from snakemake_executor_plugin_pbs_singularity import pbs, image, grow, pbs_script; "
        "import snakemake_executor_plugin_pbs_singularity.pbs.client as client; "
        "from snakemake_executor_plugin_pbs_singularity.pbs import submit; "
        "from snakemake_executor_plugin_pbs_singularity import pbs as again; "
        "print(pbs(mem='1gb'), again(mem='2gb'), client.submit is submit)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert said.stdout == "{'mem_mb': 1024} {'mem_mb': 2048} True\n", said.stderr
