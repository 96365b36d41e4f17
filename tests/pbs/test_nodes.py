"""What nodes have, and what none of them can ever give."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake_executor_plugin_pbs_singularity.pbs.amounts import parse_amount
from snakemake_executor_plugin_pbs_singularity.pbs.demand import Part, parse_nodes, parse_select
from snakemake_executor_plugin_pbs_singularity.pbs.nodes import Node, impossible, parse_nodes_listing
from snakemake_executor_plugin_pbs_singularity.pbs.request import Chunk, Request
from snakemake_executor_plugin_pbs_singularity.pbs.server import Server, parse_queues, parse_server

from .printed import observed

VNODES = """\
fat[0]
     state = free
     resources_available.host = fat
     resources_available.mem = 100gb
     resources_available.ncpus = 16
     resources_available.gpu_model = A100
     resources_available.ngpus = 1

fat[1]
     state = offline,down
     resources_available.host = fat
     resources_available.mem = 100gb
     resources_available.ncpus = 16
     resources_available.gpu_model = V100
     resources_available.ngpus = 1

"""
TORQUE = """\
n1
     state = down,offline
     np = 16
     properties = fat,ib
     ntype = cluster
     gpus = 2

n2
     state = free
     np = 8
     status = rectime=1,uname=Linux n2 5.1 #1, SMP,totmem=9gb,physmem=8388608kb,ncpus=8,jobs=

"""


def select(text: str, place: str | None = None) -> Request:
    return Request((Chunk(1, 1),), select=text, place=place)


def host(name: str, ncpus: int | None = 8, mem: int | None = 16000, ngpus: int | None = None, **others: str) -> Node:
    return Node(name, name, ncpus, mem, ngpus, others=others)


def test_a_node_of_openpbs_is_read() -> None:
    (node,) = parse_nodes_listing(observed("openpbs-pbsnodes-a").stdout)
    assert (node.host, node.ncpus, node.mem, node.ngpus) == ("vm", 8, 24105, 2)
    assert node.others["arch"] == "linux"


def test_a_node_of_torque_is_read() -> None:
    (node,) = parse_nodes_listing(observed("torque-pbsnodes-a").stdout)
    assert (node.host, node.ncpus, node.mem, node.ngpus) == ("vm", 8, 24105, None)


def test_what_a_torque_says_of_nodes_that_are_away_is_read() -> None:
    away, there = parse_nodes_listing(TORQUE)
    assert away == Node("n1", "n1", 16, None, 2)
    assert (there.ncpus, there.mem, there.ngpus) == (8, 8192, None)


@given(st.text())
def test_any_text_makes_nodes_or_none(text: str) -> None:
    for node in parse_nodes_listing(text):
        assert node.name
        assert node.host


@given(st.text())
def test_any_text_is_read_without_an_error(text: str) -> None:
    for read in (parse_queues, parse_server, parse_select, parse_nodes):
        read(text)  # type: ignore[operator]
    assert isinstance(parse_amount("arch", text), str)


@given(
    st.lists(
        st.builds(
            Part,
            st.integers(1, 99),
            st.integers(1, 99),
            st.integers(1, 9999),
            st.integers(1, 9),
            st.integers(1, 9),
            st.sampled_from(["A100", "v100_32"]),
        ),
        min_size=1,
    )
)
def test_a_select_that_is_written_is_read(parts: list[Part]) -> None:
    text = "+".join(
        f"{part.count}:ncpus={part.ncpus}:mem={part.mem}mb:ngpus={part.ngpus}:mpiprocs={part.mpiprocs}"
        f":gpu_model={part.gpu_model}"
        for part in parts
    )
    assert parse_select(text) == tuple(parts)


@given(st.lists(st.tuples(st.integers(1, 99), st.integers(1, 99), st.integers(0, 9)), min_size=1))
def test_nodes_that_are_written_are_read(parts: list[tuple[int, int, int]]) -> None:
    text = "+".join(f"{count}:ppn={ppn}:fat:gpus={gpus}" for count, ppn, gpus in parts)
    assert parse_nodes(text) == tuple(Part(count, ppn, ngpus=gpus) for count, ppn, gpus in parts)


@pytest.mark.parametrize(
    ("request_", "never"),
    [
        (select("1:ncpus=9"), "no node has 9 cores (at most 8 cores)"),
        (select("1:ncpus=8"), None),
        (select("1:ncpus=1:mem=900gb"), "no node has 1 core and 921600 MiB of memory (at most 24105 MiB of memory)"),
        (select("1:ngpus=3"), "no node has 1 core and 3 GPUs (at most 2 GPUs)"),
        (select("1:ngpus=2"), None),
        (
            select("3:ncpus=4"),
            "4 cores on each of 3 such chunks at a time is asked for, and the nodes have room for 2",
        ),
        (select("2:ncpus=4"), None),
        (select("2:ncpus=1", "scatter"), "2 nodes are asked for, and PBS has 1"),
        (select("2:ncpus=5", "pack"), "no node has 10 cores (at most 8 cores)"),
        (select("2:ncpus=4", "pack:excl"), None),
    ],
)
def test_what_an_openpbs_said_can_never_run_is_told_before(request_: Request, never: str | None) -> None:
    """All of them were submitted to the OpenPBS whose node this is; `2:ngpus=2` waits for ever without these words."""
    assert impossible(request_, parse_nodes_listing(observed("openpbs-pbsnodes-a").stdout)) == never


@pytest.mark.parametrize(
    ("nodes", "request_", "never"),
    [
        ([], select("1:ncpus=999"), None),
        ([host("a"), host("b", ncpus=None)], select("1:ncpus=999"), None),
        ([host("a"), host("b", mem=None)], select("1:mem=999gb"), None),
        ([host("a")], select("1:ngpus=1"), None),
        ([host("a"), host("b", ngpus=1)], select("1:ngpus=2"), "no node has 1 core and 2 GPUs (at most 1 GPU)"),
        ([host("a")], select("1:thing=7:ncpus=1"), None),
        ([host("a")], select("what is this"), None),
        ([host("a")], Request((Chunk(1, 1, ngpus=1),), gpu_model="A100"), None),
        (
            [host("a", ncpus=4, mem=32000), host("b")],
            select("1:ncpus=8:mem=20000mb"),
            "no node has 8 cores and 20000 MiB of memory at once",
        ),
        (
            [host("a"), host("b", ncpus=4)],
            Request((Chunk(2, 8),)),
            "8 cores on each of 2 nodes is asked for, and the nodes have room for 1",
        ),
    ],
)
def test_only_what_is_known_is_judged(nodes: list[Node], request_: Request, never: str | None) -> None:
    assert impossible(request_, nodes) == never


@pytest.mark.parametrize(
    ("model", "ngpus", "never"),
    [
        ("A100", 1, None),
        ("H100", 1, "no node has the GPU model 'H100'"),
        ("A100", 4, "no node with the GPU model 'A100' has 1 core and 4 GPUs (at most 2 GPUs)"),
    ],
)
def test_gpus_of_a_model_are_counted_where_nodes_tell_theirs(model: str, ngpus: int, never: str | None) -> None:
    nodes = [host("a", ngpus=2, gpu_model="A100"), host("b", ngpus=4, gpu_model="V100"), host("c")]
    assert impossible(Request((Chunk(1, 1, ngpus=ngpus),), gpu_model=model), nodes) == never


def test_all_the_memory_of_a_node_can_be_asked_for_to_the_kib() -> None:
    nodes = parse_nodes_listing(observed("openpbs-pbsnodes-a").stdout)
    assert impossible(select("1:ncpus=1:mem=24684096kb"), nodes) is None
    assert impossible(Request((Chunk(1, 1, mem_mb=24105),)), nodes) is None
    assert impossible(Request((Chunk(1, 1, mem_mb=24106),)), nodes) is not None


def test_chunks_on_vnodes_of_their_own_may_share_a_host() -> None:
    nodes = parse_nodes_listing(VNODES)
    assert impossible(select("2:ncpus=16", "vscatter"), nodes) is None
    assert impossible(select("2:ncpus=16", "scatter:excl"), nodes) == "2 nodes are asked for, and PBS has 1"


def test_a_chunk_without_cores_needs_none_of_a_node() -> None:
    assert impossible(select("1:ncpus=0"), [host("a", ncpus=0)]) is None


def test_the_vnodes_of_a_host_are_one_and_those_that_are_down_count() -> None:
    nodes = parse_nodes_listing(VNODES)
    assert impossible(select("1:ncpus=32:mem=200gb:ngpus=2"), nodes) is None
    assert impossible(select("1:ncpus=33"), nodes) == "no node has 33 cores (at most 32 cores)"
    assert impossible(select("1:ngpus=1:gpu_model=H100"), nodes) is None


def test_torque_puts_each_chunk_on_a_node_of_its_own_and_memory_is_not_judged() -> None:
    nodes = parse_nodes_listing(TORQUE)
    assert impossible(Request((Chunk(3, 1),)), nodes, torque=True) == "3 nodes are asked for, and PBS has 2"
    assert impossible(Request((Chunk(1, 17),)), nodes, torque=True) == "no node has 17 cores (at most 16 cores)"
    assert impossible(Request((Chunk(1, 1, mem_mb=999999),)), nodes, torque=True) is None
    lenient = Server("s", available={"nodect": 999})
    assert impossible(Request((Chunk(3, 1),)), nodes, torque=True, server=lenient) is None
