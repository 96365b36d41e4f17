"""Which queue a request goes to, and what is said if none takes it."""

from dataclasses import replace

import pytest

from snakemake_executor_plugin_pbs_singularity.pbs import ErrorKind, PbsError
from snakemake_executor_plugin_pbs_singularity.pbs.misfits import Rules, User
from snakemake_executor_plugin_pbs_singularity.pbs.placement import Placement, choose_queue
from snakemake_executor_plugin_pbs_singularity.pbs.request import Chunk, Request
from snakemake_executor_plugin_pbs_singularity.pbs.server import Queue, Server

SHORT = Queue("short", maxima={"walltime": 3600})
LONG = Queue("long", maxima={"walltime": 172800})
ENDLESS = Queue("endless")
TEN_HOURS = Request((Chunk(1, 1),), walltime=36000)


def rules(*queues: Queue, default: str | None = "short") -> Rules:
    return Rules({queue.name: queue for queue in queues}, Server("s", default), User("joan", ("joan",)))


def refused(request: Request, judged: Rules) -> tuple[str, str]:
    with pytest.raises(PbsError) as caught:
        choose_queue(request, judged)
    assert caught.value.kind is ErrorKind.REFUSED
    return caught.value.problem, caught.value.remedy


def test_the_default_queue_is_left_to_pbs_if_it_takes_the_request() -> None:
    assert choose_queue(replace(TEN_HOURS, walltime=60), rules(SHORT, LONG)) == Placement(None)


def test_a_default_queue_that_is_stopped_keeps_its_jobs() -> None:
    stopped = replace(SHORT, started=False)
    assert choose_queue(replace(TEN_HOURS, walltime=60), rules(stopped, LONG)) == Placement(None)


def test_a_default_queue_that_cannot_be_seen_is_left_to_pbs() -> None:
    assert choose_queue(TEN_HOURS, rules(LONG, default="hidden")) == Placement(None)


def test_else_the_shortest_queue_that_takes_it_is_named_with_the_reason() -> None:
    assert choose_queue(TEN_HOURS, rules(SHORT, ENDLESS, LONG)) == Placement(
        "long", "queue long, as the default queue short takes at most 60 minutes of runtime (600 asked for)"
    )


def test_without_a_default_queue_one_is_chosen() -> None:
    assert choose_queue(TEN_HOURS, rules(LONG, ENDLESS, default=None)) == Placement(
        "long", "queue long, as the server has no default queue"
    )


def test_among_equals_the_priority_counts_and_then_the_name() -> None:
    twin = replace(LONG, name="another")
    assert choose_queue(TEN_HOURS, rules(SHORT, LONG, twin)).queue == "another"
    assert choose_queue(TEN_HOURS, rules(SHORT, replace(LONG, priority=1), twin)).queue == "long"


def test_a_routing_queue_is_the_last_resort() -> None:
    routing = Queue("route", routes=True, destinations=("far@other",), maxima={"walltime": 40000})
    assert choose_queue(TEN_HOURS, rules(SHORT, routing, ENDLESS)).queue == "endless"
    assert choose_queue(TEN_HOURS, rules(SHORT, routing)).queue == "route"


@pytest.mark.parametrize(
    "unfit",
    [
        replace(ENDLESS, started=False),
        replace(ENDLESS, name="R12"),
        replace(ENDLESS, minima={"ngpus": 1}),
        replace(ENDLESS, chunk_defaults={"ngpus": 1}),
        replace(ENDLESS, users=("joan@login.example.org",)),
        replace(ENDLESS, hosts=("*.example.org",)),
    ],
)
def test_a_queue_that_is_hardly_there_for_it_has_to_be_named(unfit: Queue) -> None:
    _, remedy = refused(TEN_HOURS, rules(SHORT, unfit))
    assert remedy.startswith(f"The queue {unfit.name} might take it if you name it")
    assert choose_queue(replace(TEN_HOURS, queue=unfit.name), rules(SHORT, unfit)) == Placement(unfit.name)


def test_a_queue_for_gpus_is_there_for_those_who_ask_for_them() -> None:
    gpus = replace(ENDLESS, minima={"ngpus": 1})
    assert choose_queue(replace(TEN_HOURS, chunks=(Chunk(1, 1, ngpus=1),)), rules(SHORT, gpus)).queue == "endless"


def test_if_none_takes_it_each_limit_and_the_nearest_are_told() -> None:
    closed = Queue("private", users=())
    problem, remedy = refused(replace(TEN_HOURS, walltime=360000), rules(SHORT, LONG, closed))
    assert problem == (
        "No queue is there for this request: short (the default) takes at most 60 minutes of runtime (6000 asked for);"
        " long takes at most 2880 minutes of runtime (6000 asked for); private is not open to user joan."
    )
    assert remedy == "The nearest is long: ask for at most 2880 minutes of runtime."


def test_the_nearest_has_the_fewest_limits_in_the_way() -> None:
    tiny = Queue("tiny", maxima={"walltime": 359999, "ncpus": 1})
    request = replace(TEN_HOURS, walltime=360000, chunks=(Chunk(1, 2),))
    _, remedy = refused(request, rules(SHORT, LONG, tiny))
    assert remedy == "The nearest is long: ask for at most 2880 minutes of runtime."


def test_of_many_queues_the_nearest_are_told() -> None:
    queues = [replace(SHORT, name=f"q{number}") for number in range(9)]
    problem, _ = refused(TEN_HOURS, rules(SHORT, *queues))
    assert problem.count("asked for") == 6
    assert problem.endswith("; 4 more do not either.")


def test_no_queue_at_all_is_told() -> None:
    problem, _ = refused(TEN_HOURS, rules(default=None))
    assert problem == "The server has no default queue, and none that is there for such a request."


@pytest.mark.parametrize(
    ("queue", "others", "problem", "remedy"),
    [
        (
            "short",
            [SHORT, LONG],
            "The queue 'short' takes at most 60 minutes of runtime (600 asked for).",
            "The queue long takes it: name that one.",
        ),
        (
            "private",
            [LONG, Queue("private", users=())],
            "The queue 'private' is not open to user joan.",
            "The default queue, long, takes it: name no queue.",
        ),
        (
            "short",
            [SHORT, Queue("half", maxima={"walltime": 18000})],
            "The queue 'short' takes at most 60 minutes of runtime (600 asked for).",
            "The nearest is half: ask for at most 300 minutes of runtime.",
        ),
        (
            "nosuch",
            [SHORT, LONG, Queue("off", enabled=False), Queue("inner", from_route_only=True)],
            "There is no queue 'nosuch'.",
            "Choose one of: long, short.",
        ),
        ("-Q", [SHORT], "'-Q' cannot be the name of a queue.", "Choose one of: short."),
    ],
)
def test_a_named_queue_that_does_not_take_it_is_refused_with_what_would(
    queue: str, others: list[Queue], problem: str, remedy: str
) -> None:
    default = "long" if any(one.users == () for one in others) else "short"
    assert refused(replace(TEN_HOURS, queue=queue), rules(*others, default=default)) == (problem, remedy)


def test_a_queue_of_another_server_is_taken_as_it_is_named() -> None:
    assert choose_queue(replace(TEN_HOURS, queue="q@other"), rules(SHORT)) == Placement("q@other")
    assert choose_queue(replace(TEN_HOURS, queue="long@s"), rules(SHORT, LONG)) == Placement("long@s")
