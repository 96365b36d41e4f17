"""Messages of rules, said in the options of the commands that are used by hand."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snakemake_interface_common.exceptions import WorkflowError

from snakemake_executor_plugin_pbs_singularity.commands.wording import in_options
from snakemake_executor_plugin_pbs_singularity.pbs import openpbs, torque
from snakemake_executor_plugin_pbs_singularity.pbs.explain import explain_exit, explain_waiting, raise_memory
from snakemake_executor_plugin_pbs_singularity.pbs.outcome import Cause, Hindrance, JobStatus, State, Usage
from snakemake_executor_plugin_pbs_singularity.settings import ExecutorSettings
from snakemake_executor_plugin_pbs_singularity.tasks.request import _OWN_EXTRA_OPTIONS, build_request

_OF_RULES = re.compile(r"(?i)the rule|the resource \w+=|\bpbs_\w+|mem_mb|gpu_model\b|resources:|Snakefile|\{")


def said_of_request(extra: str = "", **resources: object) -> str:
    """Give the refusal of a request that cannot be."""
    with pytest.raises(WorkflowError) as refused:
        build_request("exec", 1, {**resources, "pbs_extra": extra}, ExecutorSettings())
    return in_options(str(refused.value).removeprefix("Rule exec: "))


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ("-q short", "--extra='-q short' has -q: use instead --queue."),
        ("-l walltime=60", "--extra='-l walltime=60' has -l walltime: use instead --runtime."),
        ("-l nodes=2", "--extra='-l nodes=2' has -l nodes: use instead --nodes and --tasks."),
        ("-l place=free", "--extra='-l place=free' has -l place: leave it out."),
    ],
)
def test_an_option_of_qsub_that_has_one_here_is_named(extra: str, said: str) -> None:
    assert said_of_request(extra) == said


@pytest.mark.parametrize("letter", sorted(_OWN_EXTRA_OPTIONS))
def test_no_refusal_of_an_option_of_qsub_speaks_of_rules(letter: str) -> None:
    assert not _OF_RULES.search(said_of_request(f"{letter} x"))


def test_numbers_that_do_not_fit_are_told_by_their_options() -> None:
    assert said_of_request(tasks=1, nodes=2) == "--tasks=1 is less than --nodes=2: give every node at least one task."


@pytest.mark.parametrize("remedy", [*openpbs.REFUSALS.values(), *torque.REFUSALS.values()])
def test_no_remedy_of_a_refusal_of_pbs_speaks_of_rules(remedy: str) -> None:
    assert not _OF_RULES.search(in_options(remedy))


@pytest.mark.parametrize("cause", Cause)
@pytest.mark.parametrize("asked", [Usage(), Usage(walltime=60, mem=300, ncpus=2, cput=60)])
def test_no_explanation_of_an_end_speaks_of_rules(cause: Cause, asked: Usage) -> None:
    status = JobStatus(State.FINISHED, exit_status=1, cause=cause, reason="it", asked=asked)
    assert not _OF_RULES.search(in_options(str(explain_exit(status))))


@pytest.mark.parametrize("why", Hindrance)
def test_no_explanation_of_waiting_speaks_of_rules(why: Hindrance) -> None:
    assert not _OF_RULES.search(in_options(str(explain_waiting(JobStatus(State.QUEUED, waits_for=why), "1.vm"))))


def test_more_time_and_memory_are_asked_for_with_options() -> None:
    over = JobStatus(State.FINISHED, cause=Cause.WALLTIME, asked=Usage(walltime=60))
    why = explain_exit(over)
    assert why is not None
    assert in_options(why.remedy) == "Raise --runtime (now 1 minute), for example `--runtime=2`."
    assert in_options(raise_memory(JobStatus(State.FINISHED, asked=Usage(mem=300)))) == (
        "Raise --mem (it asked for 300 MiB), for example `--mem=600`."
    )


@pytest.mark.parametrize(
    "text",
    [
        "The queue 'short' takes at most 10 minutes of runtime (100 asked for). The nearest is long.",
        "This can never run: no node has 2 nodes, tasks, threads and a gpu.",
        "--pbs-singularity-library: the folder '/x' does not exist.",
        "PBS says: qsub: illegal -N value",
    ],
)
def test_words_of_english_stay(text: str) -> None:
    assert in_options(text) == text


_WORDS = ["the", "rule", "rule's", "resource", "mem_mb", "runtime", "or", ",", "use instead", "pbs_select", "--mem"]


@given(st.lists(st.sampled_from(_WORDS), max_size=8))
def test_what_is_said_in_options_stays_as_it_is(words: list[str]) -> None:
    said = in_options(" ".join(words))
    assert in_options(said) == said
    assert "mem_mb" not in said
