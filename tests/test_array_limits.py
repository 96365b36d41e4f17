"""How large arrays may be, and how seldom PBS is asked for it."""

import pytest

from snakemake_executor_plugin_pbs_singularity.array_limits import LARGEST, ArrayLimits
from snakemake_executor_plugin_pbs_singularity.contact import Contact
from snakemake_executor_plugin_pbs_singularity.pbs import ErrorKind, PbsError, Survey
from snakemake_executor_plugin_pbs_singularity.pbs.request import Chunk, Request


class Server(Survey):
    """Says what it is told to."""

    def __init__(self) -> None:
        self.allows: dict[str | None, int | PbsError | None] = {}
        self.asked: list[str | None] = []
        self.asked_again = 0
        self.said: list[str] = []

    def max_array_size(self, request: Request) -> int | None:
        self.asked.append(request.queue)
        answer = self.allows.get(request.queue)
        if isinstance(answer, PbsError):
            raise answer
        return answer

    def ask_again(self) -> None:
        self.asked_again += 1

    def limits(self, wanted: int | None = None) -> ArrayLimits:
        return ArrayLimits(self, wanted, Contact(self.said.append, self.said.append))


@pytest.fixture
def server() -> Server:
    return Server()


def request(queue: str | None = None, *extra: str) -> Request:
    return Request((Chunk(1, 1),), queue=queue, extra=extra)


@pytest.mark.parametrize(
    ("wanted", "allowed", "most"),
    [
        (None, None, LARGEST),
        (None, 100, 100),
        (None, 50_000, 50_000),
        (7, None, 7),
        (7, 100, 7),
        (7, 3, 3),
        (20_000, None, LARGEST),
        (None, 1, 1),
    ],
)
def test_the_smallest_of_all_limits_counts(wanted: int | None, allowed: int | None, most: int, server: Server) -> None:
    server.allows[None] = allowed
    assert server.limits(wanted).most(request()) == most


def test_each_queue_has_its_own_limit(server: Server) -> None:
    server.allows = {None: 10, "long": 5}
    limits = server.limits()
    assert [limits.most(request(queue)) for queue in (None, "long", "long", None)] == [10, 5, 5, 10]


def test_where_single_jobs_are_wanted_pbs_is_not_asked(server: Server) -> None:
    assert server.limits(1).most(request()) == 1
    assert server.asked == []


def test_jobs_that_must_not_be_run_again_are_single_ones(server: Server) -> None:
    limits = server.limits()
    assert limits.most(request(None, "-r", "n")) == 1
    assert server.asked == []
    assert limits.most(request()) == LARGEST


def test_a_queue_that_refused_an_array_gets_none_any_more_and_the_others_do(server: Server) -> None:
    limits = server.limits()
    assert limits.most(request("long")) == LARGEST
    limits.allow_none("long")
    assert [limits.most(request(queue)) for queue in ("long", None)] == [1, LARGEST]


def test_a_pbs_that_does_not_say_is_asked_again_and_keeps_nobody_from_trying(server: Server) -> None:
    limits = server.limits(20)
    server.allows[None] = PbsError(ErrorKind.UNREACHABLE, "It is away.")
    assert limits.most(request()) == 20
    assert server.asked_again == 1
    server.allows[None] = 5
    assert limits.most(request()) == 5
