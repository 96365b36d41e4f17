"""What TORQUE alone has: its XML, its arrays, its requests."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake_executor_plugin_pbs_singularity.pbs import (
    Cause,
    Hindrance,
    JobStatus,
    PbsError,
    State,
    Submission,
    Usage,
    explain_exit,
    hindrance,
    torque,
)
from snakemake_executor_plugin_pbs_singularity.pbs.dialect import Answer
from snakemake_executor_plugin_pbs_singularity.pbs.request import Chunk, Request
from snakemake_executor_plugin_pbs_singularity.pbs.torque_answers import parse_jobs, read_status, read_subjobs

from .printed import torque_transcript, torque_transcripts, xml

ENDED = {"job_state": "C", "exit_status": "7"}
VALUES = st.text(st.characters(blacklist_categories=["Cs"]), max_size=300)
NAMES = st.from_regex(r"[A-Za-z_]{1,12}", fullmatch=True)
ATTRIBUTES = st.dictionaries(NAMES.filter(lambda name: name not in {*ENDED, "Job_Id"}), VALUES)


def said(stdout: str = "", stderr: str = "", exit_code: int = 0) -> Answer:
    return Answer("qstat", exit_code, stdout, stderr, torque)


def array(*subjobs: dict[str, str], first: int = 0) -> str:
    return xml(*((f"1[{index}].vm", attributes) for index, attributes in enumerate(subjobs, first)))


def array_status(*subjobs: dict[str, str]) -> JobStatus:
    told = read_status(["1[].vm"], [], said(array(*subjobs))).jobs
    assert set(told) == {"1[].vm"}
    return told["1[].vm"]


# Jobs


def test_a_finished_job_is_read() -> None:
    seen = torque_transcript("05-", "qstat -x 1.torque")
    assert parse_jobs(seen.stdout) == {
        "1.torque": JobStatus(
            state=State.FINISHED,
            exit_status=0,
            queue="default",
            exec_host="torque/0",
            used=Usage(walltime=5, cput=0, mem=7),
            run_count=1,
        )
    }


@pytest.mark.parametrize(("name", "state"), [("03-", State.QUEUED), ("04-", State.RUNNING)])
def test_a_job_that_is_not_over_is_read(name: str, state: State) -> None:
    (job,) = parse_jobs(torque_transcript(name, "qstat -x").stdout).values()
    assert (job.state, job.exit_status, job.cause) == (state, None, None)


def test_each_id_is_answered_in_a_document_of_its_own() -> None:
    text = xml(("1.vm", ENDED)) + xml(("2.vm", {"job_state": "R"}))
    assert list(parse_jobs(text)) == ["1.vm", "2.vm"]


def test_what_comes_later_is_newer() -> None:
    assert parse_jobs(xml(("1.vm", {"job_state": "R"})) + xml(("1.vm", ENDED)))["1.vm"].exit_status == 7


@given(ATTRIBUTES, st.randoms())
def test_no_value_changes_what_is_said_of_a_job(attributes: dict[str, str], random: Any) -> None:
    names = [*attributes, *ENDED]
    random.shuffle(names)
    job = parse_jobs(xml(("1.vm", {name: (attributes | ENDED)[name] for name in names})))["1.vm"]
    assert (job.state, job.exit_status) == (State.FINISHED, 7)


@given(st.integers(min_value=0))
def test_output_that_is_cut_off_loses_documents_but_tells_nothing_wrong(length: int) -> None:
    whole = xml(("1.vm", ENDED)) + xml(("2.vm", ENDED), ("3.vm", {"job_state": "R"}))
    assert parse_jobs(whole[: length % (len(whole) + 1)]).items() <= parse_jobs(whole).items()


@given(st.binary())
def test_garbage_is_no_job(garbage: bytes) -> None:
    assert parse_jobs(garbage.decode(errors="replace")) == {}


def test_entities_are_not_expanded() -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'
    assert parse_jobs(bomb + xml(("1.vm", ENDED)).replace("7", "&b;")) == {}
    assert parse_jobs(xml(("1.vm", ENDED)).replace("7", "&b;")) == {}


@pytest.mark.parametrize("attributes", [{"exit_status": "0"}, {"job_state": "?"}, {**ENDED, "exit_status": "none"}])
def test_a_job_that_makes_no_sense_is_left_out_alone(attributes: dict[str, str]) -> None:
    assert list(parse_jobs(xml(("1.vm", attributes), ("2.vm", ENDED)))) == ["2.vm"]


def test_a_job_that_a_dependency_deleted_did_not_run() -> None:
    """Job 11 of transcript 12-deps."""
    comment = "Job deleted as result of dependency on job 10.torque"
    job = parse_jobs(xml(("11.vm", {**ENDED, "exit_status": "271", "comment": comment})))["11.vm"]
    assert job.cause is Cause.DELETED_WAITING
    assert f"PBS says: {comment}." in str(explain_exit(job))


@pytest.mark.parametrize(
    ("over", "cause"),
    [
        ({"resources_used.walltime": "00:01:05", "Resource_List.walltime": "00:01:00"}, Cause.WALLTIME),
        ({"resources_used.cput": "00:01:05", "Resource_List.cput": "00:01:00"}, Cause.CPUT),
        ({"resources_used.walltime": "00:00:05", "Resource_List.walltime": "00:01:00"}, Cause.MEMORY),
        ({}, Cause.MEMORY),
    ],
)
def test_a_torque_2_5_has_one_number_for_all_limits(over: dict[str, str], cause: Cause) -> None:
    """JOB_EXEC_OVERLIMIT of its pbs_job.h; later ones have three."""
    attributes = {"job_state": "C", "exit_status": "-10", "start_count": "1", **over}
    assert parse_jobs(xml(("1.vm", attributes)))["1.vm"].cause is cause


def test_the_xml_of_a_torque_5_is_read_though_it_escapes_nothing() -> None:
    """It makes `<` a control character and leaves `&` as it is (MXMLSetVal of u_MXML.c, 5.1.1)."""
    answer = xml(("1.vm", {**ENDED, "Variable_List": "A=x VALUE x"})).replace("VALUE", "&& \x0e & &amp; &x; &#7;")
    assert parse_jobs(answer)["1.vm"].exit_status == 7


def test_a_walltime_is_told_with_what_it_was() -> None:
    attributes = {
        **{"job_state": "C", "exit_status": "-11", "start_count": "1", "comment": "Job started on Mon Nov 23 at 15:54"},
        **{"resources_used.walltime": "00:00:46", "Resource_List.walltime": "00:00:10"},
    }
    text = str(explain_exit(parse_jobs(xml(("230.vm", attributes)))["230.vm"]))
    assert text.startswith("Killed by PBS: it ran 46 s, more than its walltime of 10 s.")
    assert "Job started" not in text


def test_a_hint_of_the_server_is_worth_more_than_when_the_job_began() -> None:
    hint = "Unable to copy files back - please see the mother superior's \n\tlog for exact details."
    attributes = {**ENDED, "comment": "Job started on Mon", "sched_hint": hint}
    job = parse_jobs(xml(("16.vm", attributes)))["16.vm"]
    assert job.comment == "Unable to copy files back - please see the mother superior's log for exact details."


def test_a_stopped_queue_is_told_and_a_full_one_is_not() -> None:
    comments = ["Not Running: Queue not started.", "Not Running: Not enough of the right type of nodes are available"]
    jobs = [parse_jobs(xml(("1.vm", {"job_state": "Q", "comment": comment})))["1.vm"] for comment in comments]
    assert [hindrance(job) for job in jobs] == [Hindrance.QUEUE_STOPPED, None]


def test_more_unknown_ids_than_qstat_has_connections_for_do_not_make_a_known_one_unknown() -> None:
    """The real one leaves connections open, says so, and names the last unknown id again instead."""
    stderr = "qstat: Unknown Job Id Error 9.vm\n" * 3 + "Too many open connections.\n"
    assert list(read_status(["9.vm", "1.vm"], [], said(stderr=stderr, exit_code=153)).jobs) == ["9.vm"]


@pytest.mark.parametrize(
    "line",
    [
        "qstat: Unknown Job Id 9.vm",
        "qstat: Unknown Job Id Error 9.vm",
        "qstat: Unknown Job Id Error MSG=cannot locate job 9.vm",
    ],
)
def test_an_unknown_job_is_unknown_in_the_words_of_every_torque(line: str) -> None:
    """A TORQUE 2.5 leaves out the `Error` (pbs_error_db.h)."""
    told = read_status(["9.vm"], [], said(stderr=f"{line}\n", exit_code=153)).jobs
    assert told == {"9.vm": JobStatus(State.UNKNOWN)}


# Arrays


RUNS, WAITS, OVER = {"job_state": "R"}, {"job_state": "Q"}, ENDED
HELD = {"job_state": "H", "Hold_Types": "u"}
LIMITED = {"job_state": "H", "Hold_Types": "l"}


@pytest.mark.parametrize(
    ("subjobs", "state", "left"),
    [
        ([WAITS, WAITS], State.QUEUED, 2),
        ([RUNS, WAITS], State.RUNNING, 2),
        ([RUNS, LIMITED, LIMITED], State.RUNNING, 3),
        ([LIMITED, LIMITED], State.QUEUED, 2),
        ([OVER, LIMITED], State.RUNNING, 1),
        ([HELD, HELD], State.HELD, 2),
        ([HELD, {"job_state": "H", "Hold_Types": "ul"}], State.HELD, 2),
        ([OVER, HELD], State.HELD, 1),
        ([OVER, WAITS], State.RUNNING, 1),
        ([OVER, {"job_state": "E"}], State.RUNNING, 1),
        ([OVER, OVER], State.FINISHED, None),
    ],
)
def test_an_array_is_as_its_subjobs_are(subjobs: list[dict[str, str]], state: State, left: int | None) -> None:
    status = array_status(*subjobs)
    assert (status.state, status.subjobs_left, status.is_array, status.exit_status) == (state, left, True, None)


def test_a_subjob_that_waits_for_its_arrays_limit_is_held_by_nobody() -> None:
    """As seen on 6.1.3 with `-t 0-4%2`."""
    assert [job.state for job in parse_jobs(array(RUNS, LIMITED)).values()] == [State.RUNNING, State.QUEUED]
    assert hindrance(parse_jobs(array(LIMITED))["1[0].vm"]) is None


def test_subjobs_that_are_forgotten_are_unknown_while_their_array_is_there() -> None:
    told = read_subjobs("1[].vm", said(array(OVER, RUNS, first=2)))
    assert {job_id: job.state for job_id, job in told.items()} == {
        "1[0].vm": State.UNKNOWN,
        "1[1].vm": State.UNKNOWN,
        "1[2].vm": State.FINISHED,
        "1[3].vm": State.RUNNING,
    }


@given(st.sets(st.integers(0, 20), min_size=1))
def test_of_subjobs_that_may_not_have_been_made_yet_nothing_is_said(listed: set[int]) -> None:
    """TORQUE makes 300 that wait at first, the next when those begin."""
    text = "".join(array(WAITS, first=index) for index in listed)
    told = read_subjobs("1[].vm", said(text))
    assert set(told) == {f"1[{index}].vm" for index in range(max(listed) + 1)}
    assert {job_id for job_id, job in told.items() if job.state is not State.UNKNOWN} == {
        f"1[{index}].vm" for index in listed
    }


def test_an_array_that_is_unknown_is_unknown() -> None:
    stderr = torque_transcript("16-array-parent", "qstat -t '9999[].torque'").stderr
    told = read_status(["9999[].torque"], [], said(stderr=stderr, exit_code=153)).jobs
    assert told == {"9999[].torque": JobStatus(State.UNKNOWN)}
    assert read_subjobs("9999[].torque", said(stderr=stderr, exit_code=153)) == {}


def test_all_subjobs_are_asked_for_whenever_an_array_may_be() -> None:
    """Without `-t` every job of the server is listed (transcript 16-array-parent-without-t)."""
    assert torque.status_arguments(["1[].vm", "2.vm"]) == ["-x", "-t", "1[].vm", "2.vm"]


# Requests


def nodes(*chunks: Chunk, **request: Any) -> str:
    return " ".join(torque.request_arguments(Request(chunks, **request)))


@pytest.mark.parametrize(
    ("chunks", "words"),
    [
        ([Chunk(1, 4)], "-l nodes=1:ppn=4"),
        ([Chunk(1, 4, mem_mb=500)], "-l nodes=1:ppn=4 -l mem=500mb"),
        ([Chunk(3, 4, mpiprocs=2, mem_mb=500)], "-l nodes=3:ppn=4 -l mem=1500mb"),
        ([Chunk(1, 3, 3, 100), Chunk(2, 2, 2, 100)], "-l nodes=1:ppn=3+2:ppn=2 -l mem=300mb"),
        ([Chunk(1, 1, ngpus=2)], "-l nodes=1:ppn=1:gpus=2"),
    ],
)
def test_chunks_are_nodes_and_memory_is_that_of_the_whole_job(chunks: list[Chunk], words: str) -> None:
    assert nodes(*chunks) == words


def test_a_gpu_model_is_a_feature_of_nodes() -> None:
    assert nodes(Chunk(1, 1, ngpus=1), gpu_model="v100") == "-l nodes=1:ppn=1:gpus=1:v100"


def test_nodes_in_torques_own_words_are_given_as_they_are_with_memory_for_each() -> None:
    assert nodes(Chunk(1, 4), nodes="2:fast:ppn=8") == "-l nodes=2:fast:ppn=8"
    assert nodes(Chunk(1, 4, mem_mb=500), nodes="2:fast:ppn=8+node7") == "-l nodes=2:fast:ppn=8+node7 -l mem=1500mb"


@pytest.mark.parametrize(("place", "flags"), [("excl", " -n"), ("scatter:excl", " -n"), ("scatter", ""), (None, "")])
def test_nodes_without_other_jobs_are_asked_for(place: str | None, flags: str) -> None:
    assert nodes(Chunk(1, 1), place=place) == f"-l nodes=1:ppn=1{flags}"


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"select": "1:ncpus=4"}, "pbs_nodes"),
        ({"project": "p"}, "group_list"),
        ({"place": "pack"}, "excl"),
        ({"place": "group=rack"}, "pbs_nodes"),
    ],
)
def test_what_would_be_taken_and_mean_nothing_is_refused(request_: dict[str, str], words: str) -> None:
    with pytest.raises(PbsError) as caught:
        nodes(Chunk(1, 1), **request_)
    assert words in caught.value.remedy


@pytest.mark.parametrize(("path", "words"), [("/a/b-1.log", "/a/b-1.log"), ("/a/$HOME/q'", "/a/\\$HOME/q\\'")])
def test_a_path_is_no_shell_to_the_node(path: str, words: str) -> None:
    """It expands it with wordexp (seen on 6.1.3)."""
    submission = Submission(Path("s"), "name", Path(path), (), Path("/"))
    assert words in torque.submit_arguments(submission, path)


# Failures


def test_a_node_that_does_not_answer_is_told_as_that() -> None:
    seen = next(one for one in torque_transcripts("19-") if "rc=224" in one.stdout)
    answer = Answer("qdel", 224, "", seen.stderr, torque)
    assert "administrators" in torque.describe_failure(answer)[2]


def test_root_is_told_to_be_a_user() -> None:
    seen = torque_transcripts("08-")[-1]
    assert "refuses root" in torque.describe_failure(Answer("qsub", seen.exit_code, "", seen.stderr, torque))[2]


@pytest.mark.parametrize("words", ["Time out", "End of File", "Error reading data from socket"])
def test_a_submission_that_may_have_arrived_is_no_refusal(words: str) -> None:
    assert not torque.is_refusal(Answer("qsub", 237, "", f"qsub: submit error ({words})\n", torque))
