"""What no real PBS does on request: commands that hang, answer garbage, or cannot connect, as shell scripts."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from snakemake_executor_plugin_pbs_singularity.pbs import (
    ErrorKind,
    Pbs,
    PbsError,
    State,
    Submission,
    Survey,
    commands,
    delete,
    find_by_name,
    find_pbs,
    status,
    subjob_status,
    submit,
)
from snakemake_executor_plugin_pbs_singularity.pbs.request import Chunk, Request

from .printed import wide, wrapped, xml

MakePbs = Callable[..., Pbs]

AWAY = "echo 'Connection refused' >&2; echo '{0}: cannot connect to server vm (errno=15010)' >&2; exit {1}"
QSUB_AWAY = AWAY.format("qsub", 162)
QSTAT_AWAY = AWAY.format("qstat", 255)
ONCE_AWAY = f"[ $(wc -l < qsub.calls) -gt 1 ] || {{ {QSUB_AWAY}; }}; echo 12.vm"
HANGS = "sleep 60"


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "PAUSE", 0.0)


@pytest.fixture
def submission(tmp_path: Path) -> Submission:
    return Submission(tmp_path / "script.sh", "train-4f9a", tmp_path / "out", (), tmp_path)


def calls(pbs: Pbs, command: str) -> list[str]:
    path = pbs.commands / f"{command}.calls"
    return path.read_text().splitlines() if path.exists() else []


# Submitting


def test_a_job_is_submitted_once_the_server_is_back(made_pbs: MakePbs, submission: Submission) -> None:
    pbs = made_pbs(qsub=ONCE_AWAY)
    assert submit(pbs, submission) == "12.vm"
    assert len(calls(pbs, "qsub")) == 2


def test_a_server_that_stays_away_certainly_took_no_job(made_pbs: MakePbs, submission: Submission) -> None:
    pbs = made_pbs(qsub=QSUB_AWAY)
    with pytest.raises(PbsError) as caught:
        submit(pbs, submission)
    assert (caught.value.kind, caught.value.uncertain) == (ErrorKind.UNREACHABLE, False)
    assert len(calls(pbs, "qsub")) == 3


def test_a_job_whose_qsub_hung_is_found_by_its_name(made_pbs: MakePbs, submission: Submission) -> None:
    pbs = replace(made_pbs(qsub=HANGS, qselect="echo 12.vm"), time_limit=0.5)
    assert submit(pbs, submission) == "12.vm"
    assert len(calls(pbs, "qsub")) == 1


def test_a_job_that_appears_late_is_found_at_the_second_look(made_pbs: MakePbs, submission: Submission) -> None:
    late = "[ $(wc -l < qselect.calls) -lt 2 ] || echo 12.vm"
    pbs = replace(made_pbs(qsub=HANGS, qselect=late), time_limit=0.5)
    assert submit(pbs, submission) == "12.vm"


def test_a_job_that_is_not_found_may_have_been_submitted(made_pbs: MakePbs, submission: Submission) -> None:
    pbs = replace(made_pbs(qsub=HANGS, qselect="true"), time_limit=0.5)
    with pytest.raises(PbsError) as caught:
        submit(pbs, submission)
    assert (caught.value.kind, caught.value.uncertain) == (ErrorKind.UNREACHABLE, True)
    assert len(calls(pbs, "qsub")) == 1


def test_a_job_that_cannot_be_looked_for_may_have_been_submitted(made_pbs: MakePbs, submission: Submission) -> None:
    pbs = replace(made_pbs(qsub=HANGS, qselect=HANGS), time_limit=0.5)
    with pytest.raises(PbsError, match="`qsub` gave no answer") as caught:
        submit(pbs, submission)
    assert caught.value.uncertain
    assert "qselect -x -N train-4f9a" in caught.value.remedy


def test_a_job_whose_id_got_lost_on_the_way_is_found_by_its_name(made_pbs: MakePbs, submission: Submission) -> None:
    lost = "echo 'Failed to recv data from background qsub' >&2; exit 255"
    assert submit(made_pbs(qsub=lost, qselect="echo '12[].vm'"), submission) == "12[].vm"


def test_a_qsub_that_says_nothing_may_have_submitted(made_pbs: MakePbs, submission: Submission) -> None:
    with pytest.raises(PbsError, match="gave no job id") as caught:
        submit(made_pbs(qsub="true", qselect="true"), submission)
    assert caught.value.uncertain


@pytest.mark.parametrize("kind", ["openpbs", "torque"])
def test_a_qsub_that_was_killed_may_have_submitted(kind: str, made_pbs: MakePbs, submission: Submission) -> None:
    with pytest.raises(PbsError, match="exit status -9") as caught:
        submit(made_pbs(kind, qsub="kill -KILL $$", qselect="true"), submission)
    assert (caught.value.kind, caught.value.uncertain) == (ErrorKind.OTHER, True)


def test_two_jobs_of_one_name_are_an_error(made_pbs: MakePbs, submission: Submission) -> None:
    with pytest.raises(PbsError, match=r"several jobs of the name train-4f9a: 12\.vm, 13\.vm") as caught:
        submit(made_pbs(qsub="true", qselect="echo 12.vm; echo 13.vm"), submission)
    assert caught.value.uncertain


def test_a_refusal_by_the_site_certainly_took_no_job(made_pbs: MakePbs, submission: Submission) -> None:
    hook = "echo 'qsub: request rejected by filter hook: no project, or its authentication timed out' >&2; exit 32"
    pbs = made_pbs(qsub=hook)
    with pytest.raises(PbsError, match="no project") as caught:
        submit(pbs, submission)
    assert (caught.value.kind, caught.value.uncertain) == (ErrorKind.REFUSED, False)
    assert len(calls(pbs, "qsub")) == 1


def test_what_a_site_prints_around_the_job_id_is_passed_over(made_pbs: MakePbs, submission: Submission) -> None:
    assert submit(made_pbs(qsub="echo Charging to x; echo 12.vm; echo 999; echo Good luck"), submission) == "12.vm"


def test_an_old_qsub_is_not_asked_to_throw_output_away(made_pbs: MakePbs, submission: Submission) -> None:
    usage = "echo \"qsub: invalid option -- 'R'\" >&2; echo 'usage: qsub [-a date_time]' >&2; exit 2"
    pbs = made_pbs(qsub=f"case $* in *'-R '*) {usage};; *) echo 12.vm; esac")
    assert submit(pbs, submission) == "12.vm"
    assert calls(pbs, "qsub")[1] == f"-N train-4f9a -j oe -o {submission.output} {submission.script}"


LONG = "a_rule_of_many_words-0123456789"
SHORT = "jrds-0123456789"
TAKES_15 = f"""
case $* in
    *'{LONG}'*) echo 'qsub: illegal -N value' >&2; echo 'usage: qsub [-a date_time]' >&2; exit 2 ;;
    *) echo 12.vm ;;
esac"""


def test_a_pbs_pro_12_is_given_a_name_that_it_takes(made_pbs: MakePbs, submission: Submission) -> None:
    pbs = made_pbs(qsub=TAKES_15)
    assert submit(pbs, replace(submission, name=LONG)) == "12.vm"
    assert f"-N {SHORT} " in calls(pbs, "qsub")[1]


def test_a_job_is_found_by_the_name_that_a_pbs_pro_12_has_it_by(made_pbs: MakePbs) -> None:
    pbs = made_pbs(qselect=f"case $* in *'-N {SHORT} '*) echo 12.vm;; esac")
    assert find_by_name(pbs, LONG) == ["12.vm"]
    refusing = made_pbs(
        qselect=f"case $* in *'-N {SHORT} '*) echo 12.vm;;"
        " *) echo 'qselect: Illegal attribute or resource value Job_Name' >&2; exit 166;; esac"
    )
    assert find_by_name(refusing, LONG) == ["12.vm"]


def test_an_option_that_is_refused_is_not_tried_again(made_pbs: MakePbs, submission: Submission) -> None:
    usage = "echo 'qsub: illegal -l value' >&2; echo 'usage: qsub [-a date_time]' >&2; exit 2"
    pbs = made_pbs(qsub=usage)
    with pytest.raises(PbsError, match="illegal -l value"):
        submit(pbs, submission)
    assert len(calls(pbs, "qsub")) == 1


def test_a_folder_that_is_gone_is_no_traceback(made_pbs: MakePbs, submission: Submission) -> None:
    with pytest.raises(PbsError, match=r"cannot be executed in .*gone"):
        submit(made_pbs(qsub="echo 12.vm"), replace(submission, workdir=submission.workdir / "gone"))


# Asking


def test_a_server_that_is_away_fails_no_job(made_pbs: MakePbs) -> None:
    pbs = made_pbs(qstat=QSTAT_AWAY)
    with pytest.raises(PbsError) as caught:
        status(pbs, ["1.vm", "2.vm"])
    assert caught.value.kind is ErrorKind.UNREACHABLE
    assert len(calls(pbs, "qstat")) == 1


def test_a_server_that_hangs_fails_no_job(made_pbs: MakePbs) -> None:
    with pytest.raises(PbsError) as caught:
        status(replace(made_pbs(qstat=HANGS), time_limit=0.5), ["1.vm"])
    assert caught.value.kind is ErrorKind.UNREACHABLE


@pytest.mark.parametrize("garbage", ["true", "echo nonsense", "head -c 3000 /dev/urandom", "echo 'Job Id: 1.vm'"])
def test_garbage_fails_no_job(made_pbs: MakePbs, garbage: str) -> None:
    with pytest.raises(PbsError) as caught:
        status(made_pbs(qstat=garbage), ["1.vm"])
    assert caught.value.kind is ErrorKind.OTHER


def test_one_job_that_cannot_be_read_costs_that_job_only(made_pbs: MakePbs, tmp_path: Path) -> None:
    good, bad = wide("1.vm", {"job_state": "R"}), wide("2.vm", {"job_state": "R", "Exit_status": "\x1b"})
    (tmp_path / "answer").write_text(bad + good)
    assert list(status(made_pbs(qstat=f"cat {tmp_path}/answer"), ["1.vm", "2.vm"])) == ["1.vm"]


def test_a_carriage_return_in_a_value_is_no_newline(made_pbs: MakePbs, tmp_path: Path) -> None:
    attributes = {"comment": "x\r    Exit_status = 0", "job_state": "F", "Exit_status": "3"}
    (tmp_path / "answer").write_bytes(wide("1.vm", attributes).encode())
    assert status(made_pbs(qstat=f"cat {tmp_path}/answer"), ["1.vm"])["1.vm"].exit_status == 3


def test_silence_about_a_job_is_asked_about(made_pbs: MakePbs, tmp_path: Path) -> None:
    (tmp_path / "answer").write_text(wide("1.vm", {"job_state": "R"}))
    pbs = made_pbs(
        qstat=f"case $* in *1.vm*) cat {tmp_path}/answer;; *) echo 'qstat: Unknown Job Id 3.vm' >&2; exit 153; esac"
    )
    told = status(pbs, ["1.vm", "2.vm", "3.vm"])
    assert {job_id: job.state for job_id, job in told.items()} == {
        "1.vm": State.RUNNING,
        "2.vm": State.UNKNOWN,
        "3.vm": State.UNKNOWN,
    }
    assert calls(pbs, "qstat") == ["-x -f -E -w 1.vm 2.vm 3.vm", "-x -f -E -w 2.vm 3.vm"]


def test_a_server_that_goes_away_between_questions_loses_nothing(made_pbs: MakePbs, tmp_path: Path) -> None:
    (tmp_path / "answer").write_text(wide("1.vm", {"job_state": "R"}))
    pbs = made_pbs(qstat=f"case $* in *1.vm*) cat {tmp_path}/answer;; *) {QSTAT_AWAY}; esac")
    assert list(status(pbs, ["1.vm", "2.vm"])) == ["1.vm"]


def test_many_jobs_are_asked_for_a_thousand_at_a_time(made_pbs: MakePbs, tmp_path: Path) -> None:
    ids = [f"{number}.vm" for number in range(2500)]
    (tmp_path / "answer").write_text("".join(wide(job_id, {"job_state": "Q"}) for job_id in ids))
    pbs = made_pbs(qstat=f"cat {tmp_path}/answer")
    assert len(status(pbs, ids)) == 2500
    assert len(calls(pbs, "qstat")) == 3


def test_an_old_qstat_is_asked_in_its_own_way(made_pbs: MakePbs, tmp_path: Path) -> None:
    (tmp_path / "answer").write_text(wide("1.vm", {"job_state": "R"}))
    usage = "echo 'qstat: invalid option -- E' >&2; echo 'usage: ' >&2; exit 2"
    pbs = made_pbs(qstat=f"case $* in *-E*) {usage};; *) cat {tmp_path}/answer; esac")
    assert status(pbs, ["1.vm"])["1.vm"].state is State.RUNNING


def test_a_pbs_pro_12_without_a_history_is_asked_in_its_own_words_step_by_step(
    made_pbs: MakePbs, tmp_path: Path
) -> None:
    """It knows no JSON, no -E and no -w, and prints long values in several lines."""
    (tmp_path / "answer").write_text(wrapped("1.vm", {"comment": "y" * 200, "job_state": "F", "Exit_status": "7"}))
    usage = "echo 'qstat: invalid option -- E' >&2; echo 'usage: ' >&2; exit 2"
    off = "echo 'qstat: PBS is not configured to maintain job history' >&2; exit 0"
    pbs = made_pbs(qstat=f"case $* in *-E*) {usage};; *-x*) {off};; *) cat {tmp_path}/answer; esac")
    told = status(pbs, ["1.vm"])["1.vm"]
    assert (told.state, told.exit_status, told.comment) == (State.FINISHED, 7, "y" * 200)
    assert calls(pbs, "qstat") == ["-x -f -E -w 1.vm", "-x -f 1.vm", "-f 1.vm"]


def test_a_site_without_history_is_asked_without_it(made_pbs: MakePbs, tmp_path: Path) -> None:
    (tmp_path / "answer").write_text(wide("1.vm", {"job_state": "R"}))
    off = "echo 'qstat: PBS is not configured to maintain job history' >&2; exit 0"
    pbs = made_pbs(
        qstat=f"case $* in *-x*) {off};; *) cat {tmp_path}/answer; esac",
        qselect=f"case $* in *-x*) {off};; *) echo 1.vm; esac",
    )
    assert status(pbs, ["1.vm"])["1.vm"].state is State.RUNNING
    assert find_by_name(pbs, "train") == ["1.vm"]


def test_subjobs_are_asked_for_with_their_array_by_one_question(made_pbs: MakePbs, tmp_path: Path) -> None:
    subjobs = "".join(wide(f"1[{index}].vm", {"job_state": "R"}) for index in range(3))
    stranger = wide("2[0].vm", {"job_state": "R"})
    (tmp_path / "answer").write_text(wide("1[].vm", {"job_state": "B"}) + subjobs + stranger)
    pbs = made_pbs(qstat=f"cat {tmp_path}/answer")
    assert list(subjob_status(pbs, "1[].vm")) == ["1[0].vm", "1[1].vm", "1[2].vm"]
    assert calls(pbs, "qstat") == ["-x -f -t -E -w 1[].vm"]


@pytest.mark.parametrize("answer", [QSTAT_AWAY, "true", "echo nonsense", "echo 'Job Id: 1[0].vm'"])
def test_a_question_about_subjobs_that_is_not_answered_fails_none(made_pbs: MakePbs, answer: str) -> None:
    with pytest.raises(PbsError):
        subjob_status(made_pbs(qstat=answer), "1[].vm")


@pytest.mark.parametrize(
    ("server", "queue", "limit"),
    [("10000", "5", 5), ("5", "10000", 5), ("7", "", 7), ("", "7", 7), ("9", "0", 1), ("", "", None)],
)
def test_the_smaller_limit_of_server_and_queue_holds(
    made_pbs: MakePbs, server: str, queue: str, limit: int | None
) -> None:
    def says(kind: str, size: str) -> str:
        size = f"    max_array_size = {size}\n" if size else ""
        return f"printf '{kind}: x\n    default_queue = x\n{size}\n'"

    pbs = made_pbs(qstat=f"case $* in *-B*) {says('Server', server)};; *) {says('Queue', queue)}; esac")
    assert Survey(pbs).max_array_size(Request((Chunk(1, 1),))) == limit
    assert calls(pbs, "qstat") == ["-Q -f", "-B -f"]


def test_what_is_no_job_id_is_not_asked_for(made_pbs: MakePbs) -> None:
    with pytest.raises(PbsError, match="'-f' is no PBS job id"):
        status(made_pbs(), ["-f"])


def test_no_jobs_cost_no_question(made_pbs: MakePbs) -> None:
    assert status(made_pbs(), []) == {}


def test_a_search_that_could_not_connect_has_not_found_out_that_nothing_is_there(made_pbs: MakePbs) -> None:
    """A real qselect without a readable pbs.conf fails with exit code 0."""
    with pytest.raises(PbsError) as caught:
        find_by_name(made_pbs(qselect=AWAY.format("qselect", 0)), "train")
    assert caught.value.kind is ErrorKind.UNREACHABLE


@pytest.mark.parametrize("said", ["75", "'75[]'", "nonsense"])
def test_a_search_whose_answer_cannot_be_read_has_not_found_out_that_nothing_is_there(
    made_pbs: MakePbs, submission: Submission, said: str
) -> None:
    """A TORQUE with `display_job_server_suffix = False` has ids without a server; its job must not be sent again."""
    with pytest.raises(PbsError, match="cannot be read"):
        find_by_name(made_pbs(qselect=f"echo {said}"), "train")
    with pytest.raises(PbsError, match="gave no job id") as caught:
        submit(made_pbs(qsub=f"echo {said}", qselect=f"echo {said}"), submission)
    assert caught.value.uncertain


# TORQUE


SELECT = """
case $* in
    *'-N train-4f9a-7 '*) echo '5[7].vm' ;;
    *-N*) ;;
    *) echo 1.vm; echo '4[0].vm'; echo '4[1].vm'; echo '5[7].vm'; echo '5[8].vm' ;;
esac
"""


def test_an_array_of_torque_is_found_by_a_subjob_that_is_still_there(made_pbs: MakePbs) -> None:
    """Its qselect knows no names of arrays, and its server forgets subjobs one by one."""
    pbs = made_pbs("torque", qselect=SELECT)
    assert find_by_name(pbs, "train-4f9a") == ["5[].vm"]
    named = [call.split()[1] for call in calls(pbs, "qselect") if "-N" in call]
    assert named == ["train-4f9a", "train-4f9a-0", "train-4f9a-7"]


def test_a_job_of_torque_is_found_by_its_name_at_once(made_pbs: MakePbs) -> None:
    pbs = made_pbs("torque", qselect="echo 12.vm")
    assert find_by_name(pbs, "train") == ["12.vm"]
    assert len(calls(pbs, "qselect")) == 1


def test_an_array_of_torque_whose_id_got_lost_is_found(made_pbs: MakePbs, submission: Submission) -> None:
    lost = "echo 'qsub: submit error (Time out)' >&2; exit 237"
    assert submit(made_pbs("torque", qsub=lost, qselect=SELECT), submission) == "5[].vm"


def test_jobs_and_arrays_of_torque_are_asked_for_by_one_question(made_pbs: MakePbs, tmp_path: Path) -> None:
    answer = xml(("1.vm", {"job_state": "R"})) + xml(("2[0].vm", {"job_state": "C"}), ("2[1].vm", {"job_state": "Q"}))
    (tmp_path / "answer").write_text(answer)
    unknown = "echo 'qstat: Unknown Job Id Error 9.vm' >&2; exit 153"
    pbs = made_pbs("torque", qstat=f"cat {tmp_path}/answer; {unknown}")
    told = status(pbs, ["1.vm", "2[].vm", "9.vm"])
    assert {job_id: (job.state, job.subjobs_left) for job_id, job in told.items()} == {
        "1.vm": (State.RUNNING, None),
        "2[].vm": (State.RUNNING, 1),
        "9.vm": (State.UNKNOWN, None),
    }
    assert calls(pbs, "qstat") == ["-x -t 1.vm 2[].vm 9.vm"]


def test_an_array_that_torque_does_not_know_is_told_alone(made_pbs: MakePbs) -> None:
    pbs = made_pbs("torque", qstat="echo 'qstat: Unknown Job Id Error 9[].vm' >&2; exit 153")
    assert {job_id: job.state for job_id, job in subjob_status(pbs, "9[].vm").items()} == {"9[].vm": State.UNKNOWN}


def test_unknown_jobs_among_those_to_delete_do_no_harm_on_torque(made_pbs: MakePbs) -> None:
    said = (
        "qdel: nonexistent job id: 9.vm\n"
        "qdel: Request invalid for state of job MSG=invalid state for job - COMPLETE 1.vm"
    )
    delete(made_pbs("torque", qdel=f"echo '{said}' >&2; exit 153"), ["1.vm", "9.vm"])


def test_a_job_on_a_node_that_does_not_answer_cannot_be_deleted_and_it_is_said_why(made_pbs: MakePbs) -> None:
    pbs = made_pbs("torque", qdel="echo 'qdel: Server could not connect to MOM 1.vm' >&2; exit 224")
    with pytest.raises(PbsError, match="A node does not answer"):
        delete(pbs, ["1.vm"])


# Deleting


def test_jobs_are_deleted_fifty_at_a_time(made_pbs: MakePbs) -> None:
    pbs = made_pbs(qdel="true")
    delete(pbs, [f"{number}.vm" for number in range(120)])
    assert [len(call.split()) for call in calls(pbs, "qdel")] == [50, 50, 20]


def test_one_job_that_cannot_be_deleted_keeps_none_of_the_others(made_pbs: MakePbs) -> None:
    pbs = made_pbs(qdel="case $* in '0.vm '*) echo 'qdel: Unauthorized Request  0.vm' >&2; exit 159; esac")
    with pytest.raises(PbsError, match=r"Unauthorized Request  0\.vm") as caught:
        delete(pbs, [f"{number}.vm" for number in range(60)])
    assert caught.value.kind is ErrorKind.REFUSED
    assert len(calls(pbs, "qdel")) == 2


# Finding


def test_commands_that_are_missing_are_named() -> None:
    with pytest.raises(PbsError, match="qsub and qstat and qdel and qselect cannot be found") as caught:
        find_pbs({"PATH": "/nonexistent"})
    assert caught.value.kind is ErrorKind.ABSENT
    assert "--pbs-singularity-pbs local" in caught.value.remedy


def test_a_torque_is_taken_with_its_version(made_pbs: MakePbs) -> None:
    folder = made_pbs(qstat="echo 'Version: 6.1.3.h5'; echo 'Commit: '").commands
    assert find_pbs({"PATH": f"{folder}:/usr/bin:/bin"}).title == "TORQUE 6.1.3.h5"


@pytest.mark.parametrize("kind", ["openpbs", "torque"])
def test_a_kind_that_is_named_is_believed_unasked(made_pbs: MakePbs, kind: str) -> None:
    pbs = made_pbs(qstat="echo 'SGE 8.1.9'")
    assert find_pbs({"PATH": f"{pbs.commands}:/usr/bin:/bin"}, kind).dialect.__name__.endswith(kind)  # type: ignore[attr-defined]
    assert calls(pbs, "qstat") == []


def test_another_batch_system_is_refused_in_its_own_words(made_pbs: MakePbs) -> None:
    folder = made_pbs(qstat="echo 'SGE 8.1.9'").commands
    with pytest.raises(PbsError, match=r"not an OpenPBS, a PBS Pro or a TORQUE .*SGE 8\.1\.9"):
        find_pbs({"PATH": f"{folder}:/usr/bin:/bin"})


def test_a_pbs_pro_is_taken_with_its_version(made_pbs: MakePbs) -> None:
    folder = made_pbs(qstat="echo 'pbs_version = PBSPro_13.1.0.160576'").commands
    assert find_pbs({"PATH": f"{folder}:/usr/bin:/bin"}).version == "PBSPro_13.1.0.160576"
