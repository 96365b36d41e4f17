"""Queues refuse what the real ones refused: their listings, and what `qsub` did with twenty or forty requests each."""

from dataclasses import replace
from itertools import product

import pytest

from snakemake_executor_plugin_pbs_singularity.pbs.misfits import Rules, User, first_destination, is_open, misfits
from snakemake_executor_plugin_pbs_singularity.pbs.request import Chunk, Request
from snakemake_executor_plugin_pbs_singularity.pbs.server import Queue, Server, parse_queues, parse_server

from .printed import observed

PBSUSER = User("pbsuser", ("pbsuser",), ("vm",))
SMALL = [(Chunk(1, 1),), (Chunk(1, 6),), (Chunk(1, 2, mem_mb=50),), (Chunk(1, 3, mem_mb=2000),)]
LARGE = [
    (Chunk(2, 2, mpiprocs=2, mem_mb=600),),
    (Chunk(1, 1, ngpus=2), Chunk(1, 1)),
    (Chunk(3, 1),),
    (Chunk(1, 1, ngpus=1),),
]
WALLTIMES = [None, 60, 1200, 2700, 7200]


def rules_of(kind: str) -> Rules:
    server = parse_server(observed(f"{kind}-qstat-B-f").stdout)
    assert server is not None
    return Rules(parse_queues(observed(f"{kind}-qstat-Q-f").stdout), server, PBSUSER, torque=kind == "torque")


def verdicts(queue: str, rules: Rules, chunks: list[tuple[Chunk, ...]]) -> str:
    requests = [Request(of, walltime=walltime) for of, walltime in product(chunks, WALLTIMES)]
    return "".join("x" if misfits(rules.queues[queue], request, rules) else "." for request in requests)


@pytest.mark.parametrize(
    ("queue", "refused"),
    [
        ("q6w", ".x..x.x..x.x..x.x..x.x..x.x..x.x..x.x..x"),  # 10 to 60 minutes
        ("q6m", "..........xxxxxxxxxxxxxxx..............."),  # 100 to 1000 MB
        ("q6md", "...............xxxxxxxxxx.....xxxxx....."),  # 1000 MB, and 400 for each chunk by default
        ("q6n", "....................xxxxxxxxxxxxxxx....."),  # one chunk
        ("q6c", "xxxxxxxxxx..........xxxxx..........xxxxx"),  # 2 or 3 cores
        ("q6p", "....................xxxxx..............."),  # 3 MPI processes
        ("q6g", ".........................xxxxx.........."),  # one GPU
        ("q6gm", "........................................"),  # at least one GPU, which those without pass
        ("q6d", "x...xx...xx...xx...xx...xx...xx...xx...x"),  # 1 hour, 2 by default
        ("q6dm", "xxxx.xxxx.xxxx.xxxx.xxxx.xxxx.xxxx.xxxx."),  # at least 1 hour, 10 minutes by default
        ("q6mm", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),  # at least 1 hour, at most 10 minutes
        ("q6u", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),  # users: root
        ("q6v", "........................................"),  # users: pbsuser@*,-other
        ("q6k", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),  # users: +,-pbsuser
        ("q6e", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),  # users: nobody
        ("q6a", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),  # groups: root
        ("q6h", "........................................"),  # groups: pbsuser
        ("q6b", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),  # users: root, groups: pbsuser
        ("q6f", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),  # from_route_only
        ("q6r", "............................xx.........."),  # to q6g and q6f, of 30 minutes; those were lost
    ],
)
def test_an_openpbs_refused_the_same(queue: str, refused: str) -> None:
    assert verdicts(queue, rules_of("openpbs"), SMALL + LARGE) == refused


@pytest.mark.parametrize(
    ("queue", "refused"),
    [
        ("small", "..xxx..xxx..xxxxxxxx"),
        ("q6w", ".x..x.x..x.x..x.x..x"),  # 10 to 60 minutes
        ("q6m", "..........xxxxxxxxxx"),  # 100 to 1000 MB
        ("q6n", "...................."),  # one node
        ("q6p", ".....xxxxx.........."),  # procct 4
        ("q6c", "...................."),  # ncpus 2, which nobody asks for
        ("q6d", "....x....x....x....x"),  # 1 hour; the default of 2 is not looked at
        ("q6dm", ".xxx..xxx..xxx..xxx."),  # at least 1 hour; the default of 10 minutes is not looked at
        ("q6v", "...................."),
        ("q6h", "...................."),
        ("q6o", "...................."),  # users: root, or groups: pbsuser
        ("q6f", "xxxxxxxxxxxxxxxxxxxx"),
        ("q6r", "...xx...xx...xx...xx"),  # to small and q6f
        ("disabled", "xxxxxxxxxxxxxxxxxxxx"),
        ("stopped", "...................."),
        ("q6i", "xxxxxxxxxxxxxxxxxxxx"),  # interactive jobs only
        ("q6u", "xxxxxxxxxxxxxxxxxxxx"),
        ("q6g", "xxxxxxxxxxxxxxxxxxxx"),
        ("q6a", "xxxxxxxxxxxxxxxxxxxx"),  # users: root, and groups: pbsuser
    ],
)
def test_a_torque_refused_the_same(queue: str, refused: str) -> None:
    assert verdicts(queue, rules_of("torque"), SMALL) == refused


def of(queue: Queue, server: Server | None = None, *others: Queue, torque: bool = False) -> Rules:
    return Rules({one.name: one for one in (queue, *others)}, server or Server("s"), PBSUSER, torque)


ONE = Request((Chunk(1, 1),), walltime=6000)


@pytest.mark.parametrize(
    ("queue", "request_", "problem", "remedy"),
    [
        (
            Queue("q", maxima={"walltime": 3600}),
            ONE,
            "takes at most 60 minutes of runtime (100 asked for)",
            "at most 60 minutes of runtime",
        ),
        (
            Queue("q", maxima={"walltime": 90}),
            ONE,
            "takes at most 1 minute of runtime (100 asked for)",
            "at most 1 minute of runtime",
        ),
        (
            Queue("q", minima={"walltime": 7230}),
            ONE,
            "takes at least 121 minutes of runtime (100 asked for)",
            "at least 121 minutes of runtime",
        ),
        (
            Queue("q", maxima={"mem": 1000}),
            Request((Chunk(2, 1, mem_mb=600),)),
            "takes at most 1000 MiB of memory in all (1200 asked for)",
            "at most 1000 MiB of memory in all",
        ),
        (
            Queue("q", defaults={"walltime": 7200}, maxima={"walltime": 3600}),
            Request((Chunk(1, 1),)),
            "takes at most 60 minutes of runtime (120 by default)",
            "at most 60 minutes of runtime",
        ),
        (
            Queue("q", maxima={"ngpus": 0}),
            Request((Chunk(1, 1, ngpus=1),)),
            "takes at most 0 GPUs (1 asked for)",
            "",
        ),
        (Queue("q", enabled=False), ONE, "takes no jobs now (it is not enabled)", ""),
        (Queue("q", users=("joan",)), ONE, "is not open to user pbsuser", ""),
        (Queue("q", routes=True), ONE, "leads to no other queue", ""),
    ],
)
def test_a_reason_is_told_with_what_the_queue_would_take(
    queue: Queue, request_: Request, problem: str, remedy: str
) -> None:
    (reason,) = misfits(queue, request_, of(queue))
    assert (str(reason), reason.remedy) == (problem, remedy)


@pytest.mark.parametrize(
    "queue",
    [
        "    resources_max.mem = 1000000kb\n",
        "    resources_max.mem = 1000000kb\n    resources_default.mem = 1000000kb\n",
        "    resources_max.mem = 1000000kb\n    default_chunk.mem = 1000000kb\n",
        "    resources_min.mem = 1000000kb\n",
        "    resources_max.mem = 1000000kb\n    resources_min.mem = 1000000kb\n",
    ],
)
@pytest.mark.parametrize("select", ["1:ncpus=1:mem=1000000kb", "1:ncpus=1:mem=1024000000b", "1:ncpus=1"])
def test_a_size_that_is_no_whole_mib_is_within_a_limit_of_that_size(queue: str, select: str) -> None:
    queues = parse_queues(f"Queue: q\n{queue}\n")
    assert misfits(queues["q"], Request((Chunk(1, 1),), select=select), of(queues["q"])) == ()


def test_a_whole_mib_above_a_limit_that_is_none_is_refused() -> None:
    queues = parse_queues("Queue: q\n    resources_max.mem = 1000000kb\n\n")
    (reason,) = misfits(queues["q"], Request((Chunk(1, 1, mem_mb=977),)), of(queues["q"]))
    assert str(reason) == "takes at most 976 MiB of memory (977 asked for)"


def test_a_chunk_may_ask_for_no_core() -> None:
    queue = Queue("q", maxima={"ncpus": 0})
    assert misfits(queue, Request((Chunk(1, 1),), select="1:ncpus=0:ngpus=1"), of(queue)) == ()


def test_all_reasons_are_told() -> None:
    queue = Queue("q", enabled=False, maxima={"walltime": 60, "ncpus": 1})
    assert len(misfits(queue, Request((Chunk(1, 2),), walltime=61), of(queue))) == 3


def test_a_bundle_asks_for_the_runtime_of_all_its_tasks() -> None:
    queue = Queue("q", maxima={"walltime": 20000})
    assert misfits(queue, ONE, of(queue), tasks=3) == ()
    assert "(400 asked for)" in str(misfits(queue, ONE, of(queue), tasks=4)[0])


def test_the_queues_maximum_takes_the_place_of_the_servers() -> None:
    server = Server("s", maxima={"walltime": 60})
    assert misfits(Queue("q"), ONE, of(Queue("q"), server))
    assert misfits(Queue("q", maxima={"walltime": 6000}), ONE, of(Queue("q"), server)) == ()
    assert misfits(Queue("q", maxima={"walltime": "unlimited"}), ONE, of(Queue("q"), server)) == ()


@pytest.mark.parametrize(
    ("select", "refused"),
    [
        ("2:ncpus=4:mem=1gb", True),
        ("1:ncpus=4+1:ncpus=4", True),
        ("ncpus=7", False),
        ("1:ncpus=4:site_thing=x", False),
        ("2:ncpus=4:mem=lots", False),
        ('2:ncpus=4:host="a+b"', False),
        ("2:ncpus=4+", False),
    ],
)
def test_a_select_counts_as_far_as_it_can_be_read(select: str, refused: bool) -> None:
    queue = Queue("q", maxima={"ncpus": 7})
    assert bool(misfits(queue, Request((Chunk(1, 1),), select=select), of(queue))) is refused


@pytest.mark.parametrize(("nodes", "refused"), [("2:ppn=4", True), ("1:ppn=4:fat+host7:ppn=4", True), ("7", False)])
def test_the_nodes_of_torque_count_as_cores(nodes: str, refused: bool) -> None:
    queue = Queue("q", maxima={"procct": 7})
    assert bool(misfits(queue, Request((Chunk(1, 1),), nodes=nodes), of(queue, torque=True))) is refused


def test_a_queue_of_another_server_may_take_anything() -> None:
    queue = Queue("r", routes=True, destinations=("small", "large@other"))
    small = Queue("small", maxima={"walltime": 60}, from_route_only=True)
    assert misfits(queue, ONE, of(queue, None, small)) == ()
    (reason,) = misfits(replace(queue, destinations=("small",)), ONE, of(queue, None, small))
    assert str(reason) == "leads to small, which takes at most 1 minute of runtime (100 asked for)"


def test_a_job_waits_in_a_routing_queue_for_a_destination_that_is_not_enabled() -> None:
    """Both kinds of PBS try that one again (should_retry_route in svr_movejob.c)."""
    queue = Queue("r", routes=True, destinations=("a", "b"))
    a, b = Queue("a", enabled=False), Queue("b", maxima={"walltime": 60})
    assert misfits(queue, ONE, of(queue, None, a, b)) == ()
    assert misfits(queue, ONE, of(queue, None, replace(a, maxima={"walltime": 60}), b))
    assert misfits(replace(queue, enabled=False), ONE, of(queue, None, a, b))


def test_a_job_goes_to_a_destination_that_is_enabled_if_there_is_one() -> None:
    queue = Queue("r", routes=True, destinations=("a", "b"))
    a, b = Queue("a", enabled=False), Queue("b")
    assert first_destination(queue, ONE, of(queue, None, a, b)) == b
    assert first_destination(queue, ONE, of(queue, None, a, replace(b, enabled=False))) == a


def test_queues_that_route_in_a_circle_are_no_trap() -> None:
    there = Queue("there", routes=True, destinations=("back",))
    back = Queue("back", routes=True, destinations=("there",))
    assert misfits(there, ONE, of(there, None, back)) == ()


def test_a_job_goes_to_the_first_destination_that_takes_it() -> None:
    queue = Queue("r", routes=True, destinations=("small", "long", "longer"))
    small, long, longer = Queue("small", maxima={"walltime": 60}), Queue("long"), Queue("longer")
    assert first_destination(queue, ONE, of(queue, None, small, long, longer)) == long
    assert first_destination(queue, ONE, of(queue, None, small)) is None


@pytest.mark.parametrize(
    ("queue", "extra", "verdict"),
    [
        (Queue("q"), (), True),
        (Queue("q", users=("pbsuser@login1.example.org", "-")), (), None),
        (Queue("q", users=("joan", "-pbsuser@*", "+")), (), False),
        (Queue("q", users=("joan", "+")), (), True),
        (Queue("q", users=("joan",)), ("-u", "joan"), None),
        (Queue("q", groups=("lab",)), ("-W", "group_list=lab"), None),
        (Queue("q", groups=("lab", "pbsuser")), (), True),
        (Queue("q", groups=("lab",)), (), False),
        (Queue("q", hosts=("vm",)), (), True),
        (Queue("q", hosts=("*.example.org",)), (), None),
        (Queue("q", hosts=("*.example.org",), users=("joan",)), (), False),
    ],
)
def test_an_access_list_is_read_as_the_server_does_where_that_is_possible(
    queue: Queue, extra: tuple[str, ...], verdict: bool | None
) -> None:
    assert is_open(queue, replace(ONE, extra=extra), of(queue)) is verdict


def test_torque_looks_at_the_first_group_alone_unless_it_is_told_otherwise() -> None:
    queue = Queue("q", groups=("lab",))
    rules = replace(of(queue, torque=True), user=User("pbsuser", ("pbsuser", "lab")))
    assert is_open(queue, ONE, rules) is False
    assert is_open(queue, ONE, replace(rules, server=Server("s", all_groups=True))) is True


def test_a_routing_queue_of_torque_keeps_no_group_out_and_takes_any_type_of_job() -> None:
    """It checks these for execution queues only (svr_chkque in its svr_jobfunc.c)."""
    queue = Queue("r", routes=True, destinations=("a",), groups=("lab",), takes_batch=False)
    a = Queue("a")
    assert misfits(queue, ONE, of(queue, None, a, torque=True)) == ()
    closed = replace(queue, users=("joan",))
    assert misfits(closed, ONE, of(closed, None, a, torque=True))
    either = replace(closed, either_acl=True)
    assert misfits(either, ONE, of(either, None, a, torque=True)) == ()
    assert misfits(queue, ONE, of(queue, None, a))


def test_groups_that_are_not_known_keep_nobody_out() -> None:
    queue = Queue("q", groups=("lab",))
    assert is_open(queue, ONE, replace(of(queue), user=User("1000"))) is None


@pytest.mark.parametrize(
    ("groups", "torque", "verdict"),
    [
        (("staff", ""), False, None),
        (("", "lab"), False, True),
        (("", "lab"), True, None),
        (("staff", ""), True, False),
    ],
)
def test_a_group_whose_name_is_not_known_here_keeps_nobody_out(
    groups: tuple[str, ...], torque: bool, verdict: bool | None
) -> None:
    queue = Queue("q", groups=("lab",))
    rules = replace(of(queue, torque=torque), user=User("pbsuser", groups))
    assert is_open(queue, ONE, rules) is verdict
