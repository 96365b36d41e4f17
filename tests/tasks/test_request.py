"""Snakemake's resources in PBS's words, and refusals that say what to write instead."""

import getopt
from collections.abc import Callable, Mapping

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from snakemake_interface_common.exceptions import WorkflowError

from snakemake_executor_plugin_pbs_singularity.pbs import PbsError
from snakemake_executor_plugin_pbs_singularity.pbs.openpbs import request_arguments, select_of
from snakemake_executor_plugin_pbs_singularity.pbs.request import Request
from snakemake_executor_plugin_pbs_singularity.settings import ExecutorSettings
from snakemake_executor_plugin_pbs_singularity.tasks.request import (
    build_request,
    bundle_size,
    check_extra,
)

QSUB_OPTIONS = "a:A:c:C:e:fhIj:J:k:l:m:M:N:o:p:P:q:r:R:S:u:v:VW:Xz"
"""As `qsub` itself reads them: what it prints as its usage (transcript openpbs/05o)."""


def request(resources: Mapping[str, object] | None = None, threads: int = 1, **settings: str) -> Request:
    return build_request("map_reads", threads, resources or {}, ExecutorSettings(**settings))


def refusal(resources: Mapping[str, object]) -> str:
    with pytest.raises(WorkflowError) as error:
        request(resources)
    return str(error.value)


def outcome(make: Callable[[], tuple[str, ...]]) -> tuple[tuple[str, ...], str | None]:
    """Give the arguments, or why there are none."""
    try:
        return make(), None
    except WorkflowError as error:
        return (), str(error)


# Requests


def test_a_job_that_asks_for_nothing_gets_one_core() -> None:
    assert request_arguments(request()) == ("-l", "select=1:ncpus=1")


@pytest.mark.parametrize(
    ("resources", "threads", "select"),
    [
        ({}, 8, "1:ncpus=8"),
        ({}, 0, "1:ncpus=1"),
        ({"mem_mb": 4000}, 2, "1:ncpus=2:mem=4000mb"),
        ({"gpu": 2}, 4, "1:ncpus=4:ngpus=2"),
        ({"gpu": 0}, 1, "1:ncpus=1"),
        ({"mem_mb": 100, "gpu": 1}, 1, "1:ncpus=1:mem=100mb:ngpus=1"),
        ({"nodes": 3, "mem_mb": 100}, 4, "3:ncpus=4:mem=100mb"),
        ({"tasks": 6}, 2, "1:ncpus=12:mpiprocs=6"),
        ({"tasks": 6, "nodes": 3}, 2, "3:ncpus=4:mpiprocs=2"),
        ({"tasks": 7, "nodes": 3}, 1, "1:ncpus=3:mpiprocs=3+2:ncpus=2:mpiprocs=2"),
        ({"tasks": 3, "nodes": 2, "gpu": 1}, 1, "1:ncpus=2:mpiprocs=2:ngpus=1+1:ncpus=1:mpiprocs=1:ngpus=1"),
        ({"mem_mb": "4000"}, 1, "1:ncpus=1:mem=4000mb"),
        ({"disk_mb": 1000, "mpi": "mpiexec", "tmpdir": "/tmp", "_cores": 1}, 1, "1:ncpus=1"),
        ({"pbs_select": "2:ncpus=4:gpu_model=a100"}, 9, "2:ncpus=4:gpu_model=a100"),
        ({"pbs_select": "", "pbs_queue": ""}, 2, "1:ncpus=2"),
        ({"gpu": 2, "gpu_model": "a100"}, 1, "1:ncpus=1:ngpus=2:gpu_model=a100"),
        ({"gpu_model": "a100"}, 1, "1:ncpus=1:ngpus=1:gpu_model=a100"),
        ({"gpu": 0, "gpu_model": "a100"}, 1, "1:ncpus=1"),
    ],
)
def test_resources_become_chunks(resources: dict[str, object], threads: int, select: str) -> None:
    assert f"select={select}" in request_arguments(request(resources, threads))


@given(nodes=st.integers(1, 50), per_node=st.integers(0, 20), more=st.integers(1, 50), threads=st.integers(1, 8))
def test_all_tasks_find_their_cores_spread_evenly(nodes: int, per_node: int, more: int, threads: int) -> None:
    tasks = max(nodes, per_node * nodes + more)
    chunks = [
        dict([("count", chunk.split(":")[0]), *(part.split("=") for part in chunk.split(":")[1:])])
        for chunk in select_of(request({"nodes": nodes, "tasks": tasks}, threads)).split("+")
    ]
    processes = [int(chunk["mpiprocs"]) for chunk in chunks for _ in range(int(chunk["count"]))]
    assert len(processes) == nodes
    assert sum(processes) == tasks
    assert max(processes) - min(processes) <= 1
    assert all(int(chunk["ncpus"]) == int(chunk["mpiprocs"]) * threads for chunk in chunks)


def test_runtime_is_minutes_and_walltime_seconds() -> None:
    assert request_arguments(request({"runtime": 90}))[2:] == ("-l", "walltime=5400")


def test_every_resource_has_its_option() -> None:
    resources = {
        "runtime": 1,
        "pbs_place": "scatter",
        "pbs_queue": "long",
        "pbs_account": "lab",
        "pbs_project": "genomes",
        "pbs_extra": "-m ae -W depend=afterok:12.server",
    }
    assert request_arguments(request(resources)) == (
        *("-l", "select=1:ncpus=1", "-l", "walltime=60", "-l", "place=scatter"),
        *("-q", "long", "-A", "lab", "-P", "genomes", "-m", "ae", "-W", "depend=afterok:12.server"),
    )


def test_a_rule_goes_before_the_options_of_the_run() -> None:
    options = {"queue": "short", "account": "all", "project": "all"}
    assert request({}, 1, **options).queue == "short"
    of_rule = request({"pbs_queue": "long", "pbs_account": "lab", "pbs_project": "genomes"}, 1, **options)
    assert (of_rule.queue, of_rule.account, of_rule.project) == ("long", "lab", "genomes")


@pytest.mark.parametrize(
    ("resources", "gpus"),
    [
        ({}, 0),
        ({"gpu": 2}, 2),
        ({"pbs_select": "1:ncpus=1+2:ncpus=4:ngpus=3"}, 3),
        ({"pbs_select": "1:ncpus=1"}, 0),
        ({"pbs_select": "1:ncpus=1:accelerators=1", "gpu": 1}, 1),
    ],
)
def test_gpus_are_known_however_they_are_asked_for(resources: dict[str, object], gpus: int) -> None:
    assert request(resources).gpus == gpus


def test_equal_resources_make_equal_requests() -> None:
    resources = {"mem_mb": 100, "runtime": 5, "pbs_extra": "-p 3"}
    assert hash(request(resources)) == hash(request(dict(reversed(resources.items()))))


# Arrays and bundles


@pytest.mark.parametrize(
    ("extra", "allowed"),
    [
        ("", True),
        ("-r y", True),
        ("-ry", True),
        ("-h", True),
        ("-W depend=afterok:1.server", True),
        ("-r n", False),
        ("-rn", False),
        ("-m n -r n -p 3", False),
        ("-m n -r y", True),
    ],
)
def test_what_must_not_be_run_again_may_be_no_array(extra: str, allowed: bool) -> None:
    """PBS refuses `qsub -J` with `-r n` (qsub(1B))."""
    assert request({"pbs_extra": extra}).allows_arrays is allowed


def test_tasks_one_after_the_other_have_the_time_of_all_and_nothing_else_more() -> None:
    asked = request({"runtime": 2, "mem_mb": 100}, 4)
    alone, five = request_arguments(asked), request_arguments(asked, 5)
    assert alone == ("-l", "select=1:ncpus=4:mem=100mb", "-l", "walltime=120")
    assert five == ("-l", "select=1:ncpus=4:mem=100mb", "-l", "walltime=600")


def test_tasks_that_ask_for_no_time_ask_for_none_together() -> None:
    assert request_arguments(request(), 5) == request_arguments(request())


def test_a_rule_has_the_bundles_of_the_run_unless_it_says_else() -> None:
    settings = ExecutorSettings(bundle=10)
    assert bundle_size("map_reads", {}, settings) == 10
    assert bundle_size("map_reads", {"bundle": 3}, settings) == 3
    assert bundle_size("map_reads", {"bundle": 1}, settings) == 1
    assert bundle_size("map_reads", {"bundle": "4"}, settings) == 4
    assert bundle_size("map_reads", {}, ExecutorSettings()) == 1


@pytest.mark.parametrize(
    ("value", "says"),
    [(0, "must be at least 1"), (-2, "must be at least 1"), ("many", "is no whole number"), (True, "is no")],
)
def test_a_bundle_that_cannot_be_is_refused_with_rule_value_and_remedy(value: object, says: str) -> None:
    with pytest.raises(WorkflowError) as error:
        bundle_size("map_reads", {"bundle": value}, ExecutorSettings())
    assert str(error.value).startswith(f"Rule map_reads: the resource bundle={value!r} {says}")
    assert str(error.value).endswith(": give the number of tasks that may share a PBS job.")


def test_bundles_are_no_part_of_a_request() -> None:
    assert request({"bundle": 5}) == request()


# Refusals


@pytest.mark.parametrize(
    ("resources", "remedy"),
    [
        ({"mem_mb": 0}, "must be at least 1: give the memory of one node in MiB"),
        ({"mem_mb": -5}, "must be at least 1"),
        ({"mem_mb": "4GB"}, "is no whole number of at least 1: give the memory of one node in MiB"),
        ({"mem_mb": True}, "is no whole number"),
        ({"disk_mb": 0}, "give the disk space of one node in MiB"),
        ({"runtime": 0}, "give the run time in minutes, or as text such as '2h'"),
        ({"gpu": -1}, "must be at least 0: give the number of GPUs on each node"),
        ({"gpu": "a100"}, "give the number of GPUs on each node"),
        ({"nodes": 0}, "must be at least 1: give a number"),
        ({"tasks": 0}, "must be at least 1: give a number"),
        ({"tasks": 2, "nodes": 3}, "is less than nodes=3: give every node at least one task"),
        ({"gpu_model": "a100:ncpus=9"}, "must be one word"),
        ({"pbs_queue": 5}, "must be a string: put it in quotes"),
        ({"pbs_account": "a\nb"}, "has a control character: leave it out"),
        ({"pbs_select": "1:ncpus=1\n#PBS -N x"}, "has a control character: leave it out"),
    ],
)
def test_a_bad_value_is_refused_with_rule_resource_value_and_remedy(resources: dict[str, object], remedy: str) -> None:
    name, value = next(iter(resources.items()))
    message = refusal(resources)
    assert message.startswith(f"Rule map_reads: the resource {name}={value!r} ")
    assert remedy in message


def test_a_gpu_model_may_be_named_in_the_sites_own_words() -> None:
    asked = request({"gpu_model": "a100", "gpu": 1, "pbs_select": "1:gpu_type=a100"})
    assert "select=1:gpu_type=a100" in request_arguments(asked)


def test_a_site_may_call_the_model_of_its_gpus_otherwise() -> None:
    asked = request({"gpu_model": "a100", "gpu": 1}, gpu_model_resource="gpu_type")
    assert "select=1:ncpus=1:ngpus=1:gpu_type=a100" in request_arguments(asked)


def test_a_request_in_the_words_of_torque_alone_is_refused_by_openpbs() -> None:
    with pytest.raises(PbsError, match=r"pbs_nodes='1:ppn=4' is for TORQUE\. Write it for OpenPBS as pbs_select"):
        request_arguments(request({"pbs_nodes": "1:ppn=4"}))


def test_a_rule_may_have_the_words_of_both() -> None:
    asked = request({"pbs_nodes": "1:ppn=4", "pbs_select": "1:ncpus=4"})
    assert request_arguments(asked) == ("-l", "select=1:ncpus=4")


@pytest.mark.parametrize(
    ("resources", "place"),
    [
        ({}, ()),
        ({"nodes": 2}, ("-l", "place=scatter")),
        ({"nodes": 2, "pbs_place": "free"}, ("-l", "place=free")),
        ({"pbs_place": "excl"}, ("-l", "place=excl")),
        ({"nodes": 2, "pbs_select": "2:ncpus=1"}, ()),
    ],
)
def test_several_nodes_are_different_ones_unless_the_rule_says_else(
    resources: dict[str, object], place: tuple[str, ...]
) -> None:
    assert request_arguments(request(resources))[2:] == place


@given(value=st.one_of(st.integers(), st.text(), st.booleans(), st.floats(), st.none()), data=st.data())
def test_any_value_is_translated_or_refused_by_name(value: object, data: st.DataObject) -> None:
    names = ["mem_mb", "runtime", "gpu", "nodes", "tasks", "pbs_select", "pbs_queue", "pbs_extra", "gpu_model"]
    name = data.draw(st.sampled_from(names))
    arguments, message = outcome(lambda: request_arguments(request({name: value})))
    if message is None:
        assert not any("\n" in word or "\0" in word for word in arguments)
    else:
        beginnings = (f"Rule map_reads: the resource {name}={value!r} ", "Rule map_reads, resource pbs_extra: ")
        assert message.startswith(beginnings)


# pbs_extra


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("", ()),
        ("-m abe -M me@lab.org", ("-m", "abe", "-M", "me@lab.org")),
        ("-mabe", ("-m", "abe")),
        ("-h -r n", ("-h", "-r", "n")),
        ("-W 'depend=afterok:1.server:2.server,umask=22'", ("-W", "depend=afterok:1.server:2.server,umask=22")),
        ("-Wgroup_list=lab", ("-W", "group_list=lab")),
        ("-l cput=01:00:00 -lfile=2gb", ("-l", "cput=01:00:00", "-l", "file=2gb")),
        ("-a 0800 -c s -p 10 -u me", ("-a", "0800", "-c", "s", "-p", "10", "-u", "me")),
        ("-l software='a b'", ("-l", "software=a b")),
    ],
)
def test_what_the_plugin_leaves_alone_goes_through(text: str, arguments: tuple[str, ...]) -> None:
    assert check_extra("map_reads", text) == arguments


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("-o /tmp/x", "has -o: use instead the rule's log:"),
        ("-o/tmp/x", "has -o: use instead"),
        ("-m n -N name", "has -N: use instead nothing; the plugin names the jobs"),
        ("-J 1-3", "has -J: use instead nothing; the plugin makes arrays itself"),
        ("-q long", "has -q: use instead the resource pbs_queue"),
        ("-A x", "use instead the resource pbs_account"),
        ("-P x", "use instead the resource pbs_project"),
        ("-V", "use instead the Snakefile's envvars:"),
        ("-v A=b", "use instead the Snakefile's envvars:"),
        ("-I", "has -I"),
        ("-k doe", "has -k"),
        ("-R oe", "has -R"),
        ("-lselect=2:ncpus=1", "has -l select: use instead pbs_select"),
        ("-l nodes=2:ppn=3", "has -l nodes: use instead nodes and tasks, or pbs_nodes"),
        ("-l file=1gb,walltime=60", "has -l walltime: use instead runtime"),
        ("-l ' select=9'", "has -l select: use instead pbs_select"),
        ("-l WallTime=90", "has -l walltime: use instead runtime"),
        ("-l mem=5gb", "use instead mem_mb"),
        ("-l ncpus=4", "use instead threads"),
        ("-l place=excl", "use instead pbs_place"),
        ("-l ngpus=1", "use instead gpu"),
        ("-W block=true", "has -W block, "),
        ("-Wblock=true", "has -W block, "),
        ("-W umask=22,sandbox=PRIVATE", "has -W sandbox, "),
        ("-W 'SANDBOX = PRIVATE'", "has -W sandbox, "),
        ("-W Output_Path=/tmp/x", "has -W output_path, "),
        ("-W Job_Name=x", "has -W job_name, "),
        ("-W Join_Path=oe", "has -W join_path, "),
        ("-m", "ends with -m: give its value"),
        ("-C '#P'", "has '-C', which is none of the options it may hold: -M -W -a"),
        ("script.sh", "has 'script.sh', which is none of the options"),
        ("-- rm", "has '--', which is none of the options"),
        ("-hI", "has '-hI', which is none of the options"),
        ("--version", "has '--version', which is none of the options"),
        ("''", "has '', which is none of the options"),
    ],
)
def test_what_the_plugin_sets_itself_is_refused(text: str, says: str) -> None:
    message = refusal({"pbs_extra": text})
    assert message.startswith(f"Rule map_reads: the resource pbs_extra={text!r} ")
    assert says in message


def test_unbalanced_quotes_are_refused() -> None:
    message = refusal({"pbs_extra": "-M 'me"})
    assert "Rule map_reads, resource pbs_extra" in message
    assert "Balance its quotes" in message


own_words = ["-o", "-N", "-J", "-V", "--", "-", "-hI", "-lselect=2", "block", "select=2", "'-l select=2'", "'", '"']
free_words = ["-a", "-c", "-h", "-l", "-m", "-M", "-p", "-r", "-u", "-W", "-lx=1", "x=y", "'a b'"]
words = st.one_of(st.sampled_from(own_words + free_words), st.text("-aClWoNhI= ,'\"\\", max_size=6))


@given(st.lists(words, max_size=5).map(" ".join))
@example("-l -N x")
@example("-m -h -o x")
def test_what_goes_through_is_read_by_qsub_as_options_that_are_free(text: str) -> None:
    arguments, message = outcome(lambda: check_extra("map_reads", text))
    assert message is None or "map_reads" in message
    options, rest = getopt.getopt(list(arguments), QSUB_OPTIONS)
    assert rest == []
    assert {option for option, _ in options} <= {"-a", "-c", "-h", "-l", "-m", "-M", "-p", "-r", "-u", "-W"}
    assert not any(option == "-l" and value.strip().startswith("select") for option, value in options)
    assert not any(option == "-W" and value.strip().startswith("block") for option, value in options)
