"""What a PBS is asked about its queues and nodes, and how often: the local one, and made ones that fail."""

import grp
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from snakemake_executor_plugin_pbs_singularity.pbs import ErrorKind, Pbs, PbsError, find_pbs
from snakemake_executor_plugin_pbs_singularity.pbs.local import provide
from snakemake_executor_plugin_pbs_singularity.pbs.local.settings import change
from snakemake_executor_plugin_pbs_singularity.pbs.request import Chunk, Request
from snakemake_executor_plugin_pbs_singularity.pbs.survey import Survey, this_user

MakePbs = Callable[..., Pbs]
ONE = Request((Chunk(1, 1),), walltime=600)
QUEUES = "printf 'Queue: q\\n    enabled = True\\n\\n'"
SERVER = "printf 'Server: s\\n    default_queue = q\\n    max_array_size = 7\\n\\n'"
NODE = "printf 'n1\\n     resources_available.ncpus = 1\\n\\n'"
NINE = replace(ONE, chunks=(Chunk(1, 9),))
AWAY = "echo 'qstat: cannot connect to server s (errno=15010)' >&2; exit 255"


@pytest.fixture
def local(tmp_path: Path) -> Survey:
    """A local PBS of 4 cores with a short queue, the default, and a long one."""
    environment = {**os.environ, "PBS_SINGULARITY_LOCAL_HOME": str(tmp_path)}
    environment["PATH"] = f"{provide(environment)}{os.pathsep}{environment['PATH']}"
    queues = {
        "short": {"max_walltime": 3600, "max_array_size": 5},
        "long": {"max_walltime": 86400},
        "off": {"enabled": False},
        "slow": {"started": False},
    }
    change(tmp_path, queues=queues, ncpus=4, mem_mb=4000, ngpus=1)
    return Survey(find_pbs(environment))


def calls(pbs: Pbs, command: str) -> list[str]:
    path = pbs.commands / f"{command}.calls"
    return path.read_text().splitlines() if path.exists() else []


def test_a_real_server_tells_its_queues_and_nodes(local: Survey) -> None:
    assert local.queues
    assert local.queues["short"].maxima == {"walltime": 3600}
    assert (local.queues["off"].enabled, local.queues["slow"].started) == (False, False)
    assert local.server
    assert (local.server.default_queue, local.server.keeps_history) == ("short", True)
    assert local.nodes
    assert (local.nodes[0].ncpus, local.nodes[0].mem, local.nodes[0].ngpus) == (4, 4000, 1)
    assert local.problems == {}


def test_a_request_is_placed_on_a_real_server(local: Survey) -> None:
    assert local.place(ONE).queue is None
    assert local.place(replace(ONE, walltime=7200)).queue == "long"
    assert local.place(ONE, tasks=7).queue == "long"
    with pytest.raises(PbsError, match=r"The nearest is long: ask for at most 1440 minutes of runtime\."):
        local.place(replace(ONE, walltime=90000, queue="short"))


@pytest.mark.parametrize(
    ("chunk", "never"),
    [
        (Chunk(1, 5), r"no node has 5 cores \(at most 4 cores\)"),
        (Chunk(1, 1, mem_mb=4001), "no node has 1 core and 4001 MiB of memory"),
        (Chunk(1, 1, ngpus=2), r"no node has 1 core and 2 GPUs \(at most 1 GPU\)"),
        (Chunk(2, 1), "2 nodes are asked for, and PBS has 1"),
    ],
)
def test_what_no_node_of_a_real_server_has_is_refused(local: Survey, chunk: Chunk, never: str) -> None:
    with pytest.raises(PbsError, match=f"This can never run: {never}") as caught:
        local.place(Request((chunk,)))
    assert caught.value.kind is ErrorKind.REFUSED


def test_arrays_are_as_large_as_the_queue_or_the_server_allows(local: Survey) -> None:
    assert local.max_array_size(ONE) == 5
    assert local.max_array_size(replace(ONE, queue="long")) == 10_000


def test_arrays_of_a_routing_queue_are_as_large_as_the_queue_that_they_end_up_in(made_pbs: MakePbs) -> None:
    queues = (
        "printf 'Queue: q\\n    queue_type = Route\\n    route_destinations = a,b\\n\\n"
        "Queue: a\\n    resources_max.walltime = 00:01:00\\n    max_array_size = 3\\n\\n"
        "Queue: b\\n    max_array_size = 4\\n\\n'"
    )
    survey = Survey(made_pbs(qstat=f"case $* in *-B*) {SERVER};; *) {queues}; esac"))
    assert survey.max_array_size(ONE) == 4
    assert survey.max_array_size(replace(ONE, walltime=60)) == 3


def test_a_queue_of_torque_that_disallows_arrays_is_given_none(made_pbs: MakePbs) -> None:
    queues = "printf 'Queue: q\\n    disallowed_types = job_array,interactive\\n    max_array_size = 9\\n\\n'"
    survey = Survey(made_pbs("torque", qstat=f"case $* in *-B*) {SERVER};; *) {queues}; esac"))
    assert survey.max_array_size(ONE) == 1


def test_hundreds_of_requests_cost_three_commands(made_pbs: MakePbs) -> None:
    pbs = made_pbs(qstat=f"case $* in *-B*) {SERVER};; *) {QUEUES}; esac", pbsnodes="exit 1")
    survey = Survey(pbs)
    for walltime in range(1, 300):
        assert survey.place(replace(ONE, walltime=walltime)).queue is None
        assert survey.max_array_size(replace(ONE, walltime=walltime)) == 7
    assert calls(pbs, "qstat") == ["-Q -f", "-B -f"]
    assert calls(pbs, "pbsnodes") == ["-a"]


def test_what_was_refused_is_refused_again_without_asking(made_pbs: MakePbs) -> None:
    pbs = made_pbs(qstat=f"case $* in *-B*) {SERVER};; *) {QUEUES}; esac", pbsnodes="exit 1")
    survey = Survey(pbs)
    for _ in range(2):
        with pytest.raises(PbsError, match="There is no queue 'x'"):
            survey.place(replace(ONE, queue="x"))
    assert len(calls(pbs, "qstat")) == 2


def test_a_server_that_does_not_answer_refuses_nothing_and_is_asked_again_if_that_is_wanted(
    made_pbs: MakePbs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snakemake_executor_plugin_pbs_singularity.pbs.commands.PAUSE", 0)
    pbs = made_pbs(qstat=f"[ -e up ] || {{ {AWAY}; }}; case $* in *-B*) {SERVER};; *) {QUEUES}; esac", pbsnodes=AWAY)
    survey = Survey(pbs)
    assert survey.place(replace(ONE, queue="x")).queue == "x"
    assert survey.nodes is None
    with pytest.raises(PbsError, match="cannot connect"):
        survey.max_array_size(ONE)
    assert {problem.kind for problem in survey.problems.values()} == {ErrorKind.UNREACHABLE}
    (pbs.commands / "up").touch()
    survey.ask_again()
    assert survey.max_array_size(ONE) == 7
    with pytest.raises(PbsError, match="There is no queue 'x'"):
        survey.place(replace(ONE, queue="x"))


def test_a_group_without_a_name_is_one_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def getgrgid(group: int) -> grp.struct_group:
        raise KeyError(group)

    monkeypatch.setattr(grp, "getgrgid", getgrgid)
    assert this_user().groups == ("",)


def test_half_an_answer_refuses_nothing(made_pbs: MakePbs, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a server that goes away while it lists queues or nodes: those that are missing may be there."""
    monkeypatch.setattr("snakemake_executor_plugin_pbs_singularity.pbs.commands.PAUSE", 0)
    lost = "echo 'End of File' >&2; exit 1"
    pbs = made_pbs(qstat=f"case $* in *-B*) {SERVER};; *) {QUEUES}; {lost}; esac", pbsnodes=f"{NODE}; {lost}")
    survey = Survey(pbs)
    assert survey.place(replace(NINE, queue="x")).queue == "x"
    assert set(survey.problems) == {"qstat -Q -f", "pbsnodes -a"}


def test_what_may_go_to_another_server_need_not_fit_the_nodes_of_this_one(made_pbs: MakePbs) -> None:
    queues = (
        "printf 'Queue: q\\n    queue_type = Route\\n    route_destinations = inner\\n\\n"
        "Queue: inner\\n    queue_type = Route\\n    route_destinations = here,big@far\\n\\n"
        "Queue: here\\n    enabled = True\\n\\n'"
    )
    survey = Survey(made_pbs(qstat=f"case $* in *-B*) {SERVER};; *) {queues}; esac", pbsnodes=NODE))
    assert survey.place(NINE).queue is None
    assert survey.place(replace(NINE, queue="q")).queue == "q"
    with pytest.raises(PbsError, match="no node has 9 cores"):
        survey.place(replace(NINE, queue="here"))


def test_a_queue_of_another_server_is_not_judged_by_these_nodes_if_no_queue_can_be_read(made_pbs: MakePbs) -> None:
    survey = Survey(made_pbs(qstat="exit 1", pbsnodes=NODE))
    assert survey.place(replace(NINE, queue="big@far")).queue == "big@far"


def test_an_answer_that_cannot_be_read_refuses_nothing(made_pbs: MakePbs) -> None:
    survey = Survey(made_pbs(qstat="echo nonsense", pbsnodes="echo nonsense"))
    assert survey.place(ONE).queue is None
    assert set(survey.problems) == {"qstat -Q -f", "qstat -B -f", "pbsnodes -a"}


def test_a_queue_of_another_server_is_only_looked_up(made_pbs: MakePbs) -> None:
    unknown = "echo 'qstat: Unknown queue x' >&2; exit 170"
    pbs = made_pbs(qstat=f"case $* in *x@far*) {unknown};; *-B*) {SERVER};; *) {QUEUES}; esac")
    survey = Survey(pbs)
    assert survey.place(replace(ONE, queue="y@far")).queue == "y@far"
    with pytest.raises(PbsError, match="There is no queue 'x@far'"):
        survey.place(replace(ONE, queue="x@far"))
