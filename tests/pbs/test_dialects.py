"""The contract that both dialects fulfil, against what an OpenPBS 23.06.06 and a TORQUE 6.1.3 really print."""

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from snakemake_executor_plugin_pbs_singularity.pbs import (
    Cause,
    ErrorKind,
    JobStatus,
    PbsError,
    State,
    Submission,
    explain_exit,
    hindrance,
    openpbs,
    subjob_id,
    torque,
)
from snakemake_executor_plugin_pbs_singularity.pbs.commands import DIALECTS
from snakemake_executor_plugin_pbs_singularity.pbs.dialect import Answer
from snakemake_executor_plugin_pbs_singularity.pbs.request import Chunk, Request

from .printed import Transcript, torque_transcript, transcript, wide, xml

BOTH = pytest.mark.parametrize("dialect", [openpbs, torque], ids=["openpbs", "torque"])
JOBS = {
    "1.vm": {"job_state": "R", "Resource_List.mem": "2gb"},
    "2[0].vm": {"job_state": "R"},
    "2[1].vm": {"job_state": "Q"},
}
ENDS: dict[Cause | None, dict[ModuleType, dict[str, str]]] = {
    None: {openpbs: {"Exit_status": "3"}, torque: {"exit_status": "3"}},
    Cause.WALLTIME: {openpbs: {"Exit_status": "-29"}, torque: {"exit_status": "-11"}},
    Cause.CPUT: {openpbs: {"Exit_status": "-28"}, torque: {"exit_status": "-12"}},
    Cause.MEMORY: {openpbs: {"Exit_status": "-27"}, torque: {"exit_status": "-10"}},
    Cause.FAULT: {openpbs: {"Exit_status": "-4"}, torque: {"exit_status": "-4"}},
    Cause.SIGNAL: {openpbs: {"Exit_status": "266"}, torque: {"exit_status": "266"}},
    Cause.KILLED: {openpbs: {"Exit_status": "265"}, torque: {"exit_status": "265"}},
    Cause.DELETED: {openpbs: {"Exit_status": "271"}, torque: {"exit_status": "271", "start_count": "1"}},
    Cause.DELETED_WAITING: {openpbs: {}, torque: {}},
}
"""How each of them tells the same ends."""


def printed(dialect: ModuleType, **jobs: dict[str, str]) -> str:
    """Print jobs as the `qstat` does that this dialect asks."""
    named = jobs or JOBS
    if dialect is torque:
        return "".join(xml((job_id, attributes)) for job_id, attributes in named.items())
    array = wide("2[].vm", {"job_state": "B", "array_state_count": "Queued:1 Running:1 Exiting:0 Expired:1"})
    return "".join(wide(job_id, attributes) for job_id, attributes in named.items()) + array


def answer(dialect: Any, command: str, seen: Transcript | None = None, **said: Any) -> Answer:
    if seen is not None:
        return Answer(command, seen.exit_code, seen.stdout, seen.stderr, dialect)
    return Answer(command, said.get("exit_code", 0), said.get("stdout", ""), said.get("stderr", ""), dialect)


def ended(dialect: Any, attributes: dict[str, str]) -> JobStatus:
    """Read what is said of a job that is over."""
    over = {"job_state": "C" if dialect is torque else "F"} | attributes
    told = dialect.read_status(["1.vm"], [], answer(dialect, "qstat", stdout=printed(dialect, **{"1.vm": over})))
    status: JobStatus = told.jobs["1.vm"]
    return status


def test_all_dialects_are_in_this_suite() -> None:
    assert set(DIALECTS.values()) == {openpbs, torque}


@BOTH
def test_each_knows_its_own_version_and_no_other(dialect: Any) -> None:
    said = {openpbs: "pbs_version = 23.06.06\n", torque: torque_transcript("01-", "qstat --version").stdout}
    assert {name: dialect.read_version(text) is not None for name, text in said.items()} == {
        openpbs: dialect is openpbs,
        torque: dialect is torque,
    }
    assert dialect.read_version("SGE 8.1.9") is None


@BOTH
def test_a_request_names_cores_memory_time_and_queue(dialect: Any) -> None:
    request = Request((Chunk(1, 4, mem_mb=2000),), walltime=600, queue="long", account="a", site=(("storage", "x"),))
    words = dialect.request_arguments(request, 2)
    assert words[:1] == ("-l",)
    text = " ".join(words)
    for part in ("2000mb", "walltime=1200", "-q long", "-A a", "-l storage=x"):
        assert part in text


@BOTH
def test_an_array_counts_from_0_and_may_have_a_limit(dialect: Any) -> None:
    submission = Submission(Path("s"), "name", Path("/out"), ("-q", "x"), Path("/"), size=100, max_running=7)
    words = dialect.submit_arguments(submission, "/out")
    assert words[0:2] == ["-q", "x"]
    assert words[-1] == "s"
    assert words[2:4] == ["-t" if dialect is torque else "-J", "0-99%7"]
    assert words[words.index("-N") + 1] == "name"
    assert not {"-V", "-v"} & set(words)


@BOTH
def test_one_question_tells_of_jobs_subjobs_and_arrays(dialect: Any) -> None:
    ids = ["1.vm", "2[].vm", "2[1].vm"]
    arguments = dialect.status_arguments(ids)
    assert arguments[-3:] == ids
    told = dialect.read_status(ids, arguments, answer(dialect, "qstat", stdout=printed(dialect)))
    assert {job_id: (job.state, job.is_array) for job_id, job in told.jobs.items()} == {
        "1.vm": (State.RUNNING, False),
        "2[].vm": (State.RUNNING, True),
        "2[1].vm": (State.QUEUED, False),
    }
    assert told.jobs["2[].vm"].subjobs_left == 2
    assert told.jobs["1.vm"].asked.mem == 2048


@BOTH
def test_the_subjobs_of_an_array_are_told_and_no_others(dialect: Any) -> None:
    told = dialect.read_subjobs("2[].vm", answer(dialect, "qstat", stdout=printed(dialect)))
    assert {job_id: job.state for job_id, job in told.items()} == {"2[0].vm": State.RUNNING, "2[1].vm": State.QUEUED}


@BOTH
@pytest.mark.parametrize("cause", list(ENDS))
def test_the_same_end_is_told_alike(dialect: Any, cause: Cause | None) -> None:
    status = ended(dialect, ENDS[cause][dialect])
    assert (status.state, status.cause) == (State.FINISHED, cause)
    assert status.ended_by_pbs == (cause is not None)
    verdict = explain_exit(status)
    assert (verdict is None) == (cause is None)


@BOTH
def test_only_limits_and_faults_cut_a_bundle_short(dialect: Any) -> None:
    cut = [cause for cause, attributes in ENDS.items() if ended(dialect, attributes[dialect]).was_cut_short]
    assert cut == [Cause.WALLTIME, Cause.CPUT, Cause.MEMORY, Cause.FAULT]


@BOTH
def test_a_held_job_is_held_and_one_that_waits_for_another_is_not(dialect: Any) -> None:
    other = {"Hold_Types": "s", "depend": "afterok:5.vm", "substate": "22"}
    jobs = {"1.vm": {"job_state": "H", "Hold_Types": "u", "substate": "20"}, "2.vm": {"job_state": "H"} | other}
    told = dialect.read_status(jobs, [], answer(dialect, "qstat", stdout=printed(dialect, **jobs))).jobs
    assert [told[job_id].state for job_id in jobs] == [State.HELD, State.WAITING]
    assert hindrance(told["2.vm"]) is None


@BOTH
def test_unknown_jobs_are_unknown_and_silence_says_nothing(dialect: Any) -> None:
    if dialect is torque:
        seen = torque_transcript("11-", "qstat -x 99998.torque 99999.torque")
        names = ["99998.torque", "99999.torque", "5.torque"]
    else:
        seen = transcript("04e-")
        names = ["999997.vm", "999998.vm", "5.vm"]
    told = dialect.read_status(names, [], answer(dialect, "qstat", seen)).jobs
    assert told == dict.fromkeys(names[:2], JobStatus(State.UNKNOWN))


AWAY = {
    openpbs: [transcript(name) for name in ("12b-", "12d-", "13a-", "13d-")],
    torque: [
        *(torque_transcript("17-server-down", command) for command in ("qstat -x", "echo true | qsub", "qdel")),
        torque_transcript("17-server-down", "nosuchhost"),
        *(torque_transcript("18-", command) for command in ("qstat -f", "echo true | qsub")),
    ],
}


@BOTH
def test_a_server_that_is_away_says_nothing_of_any_job_and_is_unreachable(dialect: Any) -> None:
    for seen in AWAY[dialect]:
        said = answer(dialect, "qstat", seen)
        assert dialect.is_unconnected(said)
        assert dialect.read_status(["1.vm"], [], said).jobs == {}
        kind, _, remedy = dialect.describe_failure(said)
        assert (kind, bool(remedy)) == (ErrorKind.UNREACHABLE, True)


REFUSED = {
    openpbs: [transcript(name) for name in ("05a-", "05b-", "05e-", "06a-", "06d-")],
    torque: [
        torque_transcript("08-", command)
        for command in (
            *("qsub -q nosuch", "qsub -q disabled", "qsub -q small", "nodes=4", "nosuchres", "walltime=abc", "mem=abc"),
            *("bad name", "-P proj", "group_list", "block=true", "nosuchprop"),
        )
    ]
    + [torque_transcript("09-arrays-misc", "0-9:2")],
}


@BOTH
def test_a_refusal_is_certain_and_told_in_the_words_of_pbs_with_a_remedy(dialect: Any) -> None:
    for seen in REFUSED[dialect]:
        said = answer(dialect, "qsub", seen)
        assert not dialect.is_unconnected(said)
        assert dialect.is_refusal(said), seen
        kind, problem, remedy = dialect.describe_failure(said)
        assert kind is ErrorKind.REFUSED, seen
        assert seen.stderr.strip().splitlines()[0].strip().rstrip(".") in problem
        assert remedy
        assert "date_time" not in problem


NAMED = {
    openpbs: [
        (187, "qsub: Unknown resource Resource_List.munge"),
        (32, "qsub: Your project's authentication has timed out, see the protocol"),
        (170, "qsub: Unknown queue MSG=cannot connect to protocol"),
        (206, "qsub: Invalid dependency, Unknown Job Id 12.vm"),
        (1, "qsub: script file:: /data/protocol/munged/12.sh"),
    ],
    torque: [
        (189, "qsub: submit error (Unknown resource type  Resource_List.socket)"),
        (1, "qsub: script file '/data/socket protocol/premature.sh' cannot be loaded - No such file or directory"),
        (208, "qsub: submit error (Invalid Job Dependency MSG=Unknown Job Id 12.vm)"),
        (99, "qsub: the protocol of your socket is too old"),
    ],
}


@BOTH
def test_words_of_a_refusal_that_are_not_pbss_own_make_no_server_unreachable(dialect: Any) -> None:
    for exit_code, stderr in NAMED[dialect]:
        assert dialect.describe_failure(answer(dialect, "qsub", exit_code=exit_code, stderr=stderr))[0] is (
            ErrorKind.REFUSED
        ), stderr


LOST = {
    openpbs: [
        *(
            "Batch protocol error",
            "End of File",
            "Failed to recv data from background qsub",
            "Connection reset by peer",
        ),
        *("pbs_iff: error returned: 15010", "munge_encode failed", "Bad DIS based Request Protocol", "Broken pipe"),
        *("Connection timed out", "authentication failed", "Server connection table full", "No free connections"),
        "Request not allowed: Server shutting down",
        "Failed to save job/resv, refer server logs for details",
    ],
    torque: [
        *("submit error (Time out)", "submit error (Batch protocol error)", "submit error (Premature End of File)"),
        *("submit error (Error reading data from socket)", "submit error (Socket close detected)"),
        "submit error (Pbs Server is currently too busy to service this request. Please retry this request.)",
        *("submit error (Request not allowed: Server shutting down)", "submit error (No free connections)"),
        "submit error (Bad DIS based Request Protocol)",
        "submit error (Unable to get connection to socket)",
        "submit error (trqauthd unable to authenticate. User or PID of calling process not found or does not match)",
    ],
}


@BOTH
def test_a_connection_that_broke_and_a_server_that_cannot_now_are_no_refusal(dialect: Any) -> None:
    for words in LOST[dialect]:
        said = answer(dialect, "qsub", exit_code=237, stderr=f"qsub: {words}")
        assert not dialect.is_refusal(said)
        assert dialect.describe_failure(said)[0] is ErrorKind.UNREACHABLE, words


@BOTH
def test_what_is_gone_needs_no_deleting_but_somebody_elses_job_is_an_error(dialect: Any) -> None:
    lines = (
        torque_transcript("11-", "qdel 1.torque").stderr + torque_transcript("08-", "qdel 99999").stderr
        if dialect is torque
        else transcript("04p-").stderr + transcript("04q-").stderr
    ).splitlines()
    assert all(map(dialect.is_nothing_to_delete, lines))
    refusal = "qdel: Unauthorized Request  4.vm"
    assert not dialect.is_nothing_to_delete(refusal)
    assert dialect.describe_failure(answer(dialect, "qdel", exit_code=159, stderr=refusal))[0] is ErrorKind.REFUSED


@BOTH
def test_a_queue_that_is_not_there_is_known_by_its_exit_code(dialect: Any) -> None:
    assert dialect.is_unknown_queue(answer(dialect, "qstat", exit_code=172 if dialect is torque else 170))
    assert not dialect.is_unknown_queue(answer(dialect, "qstat", exit_code=0))


@BOTH
def test_what_pbs_cannot_be_asked_for_is_refused_with_a_remedy(dialect: Any) -> None:
    request = Request((Chunk(1, 1),), project="p", place="pack")
    if dialect is openpbs:
        assert "-P" in dialect.request_arguments(request)
        return
    with pytest.raises(PbsError) as caught:
        dialect.request_arguments(request)
    assert caught.value.kind is ErrorKind.REFUSED
    assert caught.value.remedy


@BOTH
def test_ids_are_written_alike(dialect: Any) -> None:
    told = dialect.read_subjobs("2[].vm", answer(dialect, "qstat", stdout=printed(dialect)))
    assert set(told) == {subjob_id("2[].vm", 0), subjob_id("2[].vm", 1)}
