"""The dialect: names, arguments, and reading what PBS prints, against transcripts and anything else."""

import re
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake_executor_plugin_pbs_singularity.pbs import (
    Cause,
    ErrorKind,
    JobStatus,
    State,
    Submission,
    Usage,
    job_name,
    openpbs,
    subjob_id,
)
from snakemake_executor_plugin_pbs_singularity.pbs.answers import parse_blocks, parse_duration, parse_size
from snakemake_executor_plugin_pbs_singularity.pbs.dialect import Answer
from snakemake_executor_plugin_pbs_singularity.pbs.environment import command_environment
from snakemake_executor_plugin_pbs_singularity.pbs.ids import deletable, parse_job_id
from snakemake_executor_plugin_pbs_singularity.pbs.openpbs import (
    describe_failure,
    is_nothing_to_delete,
    is_unconnected,
    is_usage_complaint,
    status_arguments,
    submit_arguments,
)
from snakemake_executor_plugin_pbs_singularity.pbs.openpbs_answers import parse_jobs, read_status
from snakemake_executor_plugin_pbs_singularity.pbs.submission import NAME_TAIL, output_argument, short_name

from .printed import observed, transcript, wide, wrapped

VALUES = st.text(st.characters(blacklist_categories=["Cs"]), max_size=300)
ENDED = {"job_state": "F", "Exit_status": "7"}
RESERVED = {"job_state", "Exit_status"}
ATTRIBUTES = st.dictionaries(
    st.from_regex(r"[A-Za-z_]{1,12}(\.[a-z_]{1,9})?", fullmatch=True).filter(lambda n: n not in RESERVED), VALUES
)


def answered(command: str, exit_code: int, stdout: str = "", stderr: str = "") -> Answer:
    return Answer(command, exit_code, stdout, stderr, openpbs)


def read(ids: list[str], exit_code: int, stdout: str, stderr: str, *, express: bool = True) -> dict[str, JobStatus]:
    arguments = status_arguments(ids) if express else ["-x", "-f", *ids]
    return dict(read_status(ids, arguments, answered("qstat", exit_code, stdout, stderr)).jobs)


# Names


@given(st.text())
def test_any_text_becomes_a_valid_job_name(text: str) -> None:
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]{0,62}", job_name(text))


@given(st.text(), st.text(string.ascii_letters + string.digits + "_.-", min_size=NAME_TAIL, max_size=NAME_TAIL))
def test_the_end_of_a_name_that_makes_it_unique_is_kept(text: str, token: str) -> None:
    assert job_name(text + token).endswith(token)


@given(st.text())
def test_a_job_name_stays_as_it_is(text: str) -> None:
    assert job_name(job_name(text)) == job_name(text)


def test_a_long_name_loses_its_middle() -> None:
    assert job_name("train_" + "x" * 80 + "-4f9a") == "train_" + "x" * 35 + ".." + "x" * 15 + "-4f9a"


# Where the output goes


def test_a_printable_path_is_given_as_it_is() -> None:
    folder = Path('/home/it\'s a "test" $HOME, a:b')
    assert output_argument(folder / "out", folder) == (f"{folder}/out", folder)


def test_a_path_in_a_folder_that_qsub_refuses_is_given_from_there() -> None:
    folder = Path("/home/é\nx")
    assert output_argument(folder / "logs" / "out", folder) == ("./logs/out", folder)


def test_qsub_is_run_elsewhere_only_if_nothing_else_helps() -> None:
    output = Path("/data/é/out")
    assert output_argument(output, Path("/home/me")) == ("./out", Path("/data/é"))


# Arrays


@pytest.mark.parametrize(
    ("size", "max_running", "arguments"),
    [(1, None, []), (1, 5, []), (2, None, ["-J", "0-1"]), (100, 7, ["-J", "0-99%7"])],
)
def test_more_than_one_subjob_make_an_array(size: int, max_running: int | None, arguments: list[str]) -> None:
    submission = Submission(Path("s"), "name", Path("out"), ("-q", "long"), Path("/"), size, max_running)
    given = submit_arguments(submission, "out")
    assert given == [
        "-q",
        "long",
        *arguments,
        "-N",
        "name",
        "-j",
        "oe",
        "-R",
        "oe",
        "-o",
        "out" if size == 1 else "out-^array_index^",
        "s",
    ]


@given(st.text(), st.text(string.ascii_lowercase + string.digits, min_size=10, max_size=14))
def test_a_short_name_is_valid_and_ends_with_what_makes_it_unique(text: str, token: str) -> None:
    short = short_name(job_name(f"{text}-{token}"))
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]{0,14}", short)
    assert short.endswith(token)


def test_the_id_of_a_server_on_a_port_of_its_own_is_one() -> None:
    """As of `pbs_server -p 15999` (pbsd_main.c)."""
    assert parse_job_id("12[].vm:15999\n") == "12[].vm:15999"
    told = read(["12.vm:15999"], 153, "", "qstat: Unknown Job Id 12.vm:15999\n")
    assert told == {"12.vm:15999": JobStatus(State.UNKNOWN)}


def test_a_subjob_is_named_by_its_array_and_index() -> None:
    assert subjob_id("12[].vm", 3) == "12[3].vm"


def test_a_running_array_and_its_subjobs_are_read_from_one_answer() -> None:
    jobs = parse_jobs(observed("qstat-x-f-t-E-w").stdout)
    assert {job_id: (job.state, job.exit_status, job.subjobs_left) for job_id, job in jobs.items()} == {
        "1729[].vm": (State.RUNNING, None, 2),
        "1729[0].vm": (State.FINISHED, 3, None),
        "1729[1].vm": (State.RUNNING, None, None),
        "1729[2].vm": (State.RUNNING, None, None),
        "1729[3].vm": (State.UNKNOWN, None, None),  # deleted before it ran; the exit status is the array's
    }


def test_the_size_of_arrays_that_a_queue_takes_is_read() -> None:
    ((name, attributes),) = parse_blocks(observed("qstat-Q-f-max-array-size").stdout, "Queue")
    assert (name, attributes["max_array_size"]) == ("workq", "5")


def test_the_subjobs_that_are_left_are_counted_while_the_array_is_not_over() -> None:
    counts = {"array_state_count": "Queued:997 Running:0 Exiting:0 Expired:3"}
    jobs = parse_jobs(
        wide("1[].vm", {"job_state": "H"} | counts)
        + wide("2[].vm", ENDED | counts)
        + wide("3[].vm", {"job_state": "B", "array_state_count": "nonsense"})
    )
    assert {job_id: job.subjobs_left for job_id, job in jobs.items()} == {"1[].vm": 997, "2[].vm": None, "3[].vm": None}


# Job ids


def test_the_job_id_is_found_among_what_a_site_prints() -> None:
    assert parse_job_id("Your project has 12 hours left.\n12[].pbs-1.site.edu\nGood luck!\n") == "12[].pbs-1.site.edu"


@pytest.mark.parametrize(("name", "job_id"), [("01a-", "1.vm"), ("03a-", "9[].vm"), ("20a-", "928[].vm")])
def test_job_ids_of_a_real_qsub_are_read(name: str, job_id: str) -> None:
    assert parse_job_id(transcript(name).stdout) == job_id


def test_a_complaint_is_no_job_id() -> None:
    assert parse_job_id("qsub: Unknown queue\n") is None


# Jobs


def test_a_finished_job_is_read() -> None:
    jobs = parse_jobs(transcript("15a-").stdout)
    assert jobs == {
        "1.vm": JobStatus(
            state=State.FINISHED,
            exit_status=0,
            comment="Job run at Mon Nov 23 at 14:14 on (vm:ncpus=1) and finished",
            queue="workq",
            exec_host="vm/0",
            used=Usage(walltime=1, cput=0, mem=0, ncpus=1),
            asked=Usage(ncpus=1),
            run_count=1,
        )
    }


def test_a_running_array_and_its_subjob_are_read_from_wide_output() -> None:
    jobs = parse_jobs(observed("qstat-x-f-E-w").stdout)
    assert {job_id: (job.state, job.is_array) for job_id, job in jobs.items()} == {
        "47.vm": (State.RUNNING, False),
        "48[].vm": (State.RUNNING, True),
        "48[2].vm": (State.RUNNING, False),
    }


def test_the_exit_status_of_an_array_is_not_that_of_its_last_subjob() -> None:
    (job,) = parse_jobs(wide("12[].vm", ENDED)).values()
    assert (job.exit_status, job.is_array) == (None, True)


@pytest.mark.parametrize(
    ("letter", "state"),
    [
        ("Q", State.QUEUED),
        ("R", State.RUNNING),
        ("E", State.EXITING),
        ("H", State.HELD),
        ("W", State.WAITING),
        ("S", State.SUSPENDED),
        ("U", State.SUSPENDED),
        ("T", State.TRANSIT),
        ("B", State.RUNNING),
        ("X", State.FINISHED),
        ("F", State.FINISHED),
        ("M", State.MOVED),
    ],
)
def test_every_state_letter_is_known(letter: str, state: State) -> None:
    assert parse_jobs(wide("1.vm", {"job_state": letter}))["1.vm"].state is state


ARRAYS_OWN = {"substate": "7", "comment": "Job Array Began at Wed Nov 25 at 03:34"}


@pytest.mark.parametrize("comment", ["Subjob finished", "Subjob failed"])
@pytest.mark.parametrize("status", [{}, {"Exit_status": "1"}, {"Exit_status": "0"}])
@pytest.mark.parametrize("letter", ["X", "F"])
def test_of_a_subjob_that_pbs_has_forgotten_nothing_is_known_but_that_it_is_over(
    letter: str, status: dict[str, str], comment: str
) -> None:
    """Without a history, and on a PBS Pro 14 always: PBS shows attributes of the array (status_subjob, stat_job.c)."""
    shown = wide("1[0].vm", {"job_state": letter, **ARRAYS_OWN, "comment": comment, **status})
    assert parse_jobs(shown)["1[0].vm"] == JobStatus(State.UNKNOWN)


def test_a_subjob_that_ended_in_no_way_that_pbs_tells_was_not_deleted() -> None:
    """A PBS Pro may say nothing at all of it (status_subjob, stat_job.c)."""
    assert parse_jobs(wide("1[0].vm", {"job_state": "X", **ARRAYS_OWN}))["1[0].vm"] == JobStatus(State.UNKNOWN)


@pytest.mark.parametrize("status", [{}, {"Exit_status": "0"}, {"Exit_status": "1"}])
def test_a_subjob_that_pbs_has_forgotten_as_it_was_deleted_was_deleted(status: dict[str, str]) -> None:
    shown = wide("1[0].vm", {"job_state": "X", **ARRAYS_OWN, "comment": "Subjob terminated", **status})
    assert (parse_jobs(shown)["1[0].vm"].cause, parse_jobs(shown)["1[0].vm"].exit_status) == (Cause.DELETED, None)


@pytest.mark.parametrize(
    "attributes",
    [
        {"Exit_status": "0"},
        {"job_state": "?", "Exit_status": "0"},
        {"job_state": "F", "Exit_status": "none"},
    ],
)
def test_a_job_that_makes_no_sense_is_left_out_alone(attributes: dict[str, str]) -> None:
    jobs = parse_jobs(wide("1.vm", attributes) + wide("2.vm", ENDED))
    assert list(jobs) == ["2.vm"]


def test_a_job_that_comes_twice_is_left_out() -> None:
    assert parse_jobs(wide("1.vm", ENDED) + wide("1.vm", {"job_state": "R"})) == {}


@given(ATTRIBUTES, st.randoms())
def test_no_value_changes_what_wide_output_says(attributes: dict[str, str], random) -> None:
    names = [*attributes, *ENDED]
    random.shuffle(names)
    text = wide("1.vm", {name: (attributes | ENDED)[name] for name in names})
    job = parse_jobs(text)["1.vm"]
    assert (job.state, job.exit_status) == (State.FINISHED, 7)


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\n"), max_size=400))
def test_broken_lines_are_put_together(value: str) -> None:
    ((_, attributes),) = parse_blocks(wrapped("1.vm", {"comment": value, **ENDED}))
    assert attributes == {"comment": value, **ENDED}


@given(st.text(st.sampled_from("ab ,\n\t="), max_size=400))
def test_newlines_in_old_output_never_change_the_exit_status(value: str) -> None:
    text = wrapped("1.vm", {"Variable_List": value, **ENDED})
    assert {job.exit_status for job in parse_jobs(text).values()} <= {7}


def test_a_value_that_looks_like_an_exit_status_costs_that_job_only() -> None:
    text = wrapped("1.vm", {"Variable_List": "A=\n    Exit_status = 0", **ENDED}) + wide("2.vm", ENDED)
    assert list(parse_jobs(text)) == ["2.vm"]


@given(st.integers(min_value=0))
def test_output_that_is_cut_off_loses_jobs_but_tells_nothing_wrong(length: int) -> None:
    whole = wide("1.vm", {**ENDED, "comment": "x"}) + wrapped("2.vm", {"comment": "y" * 200, **ENDED})
    told = parse_jobs(whole[: length % (len(whole) + 1)])
    assert told.items() <= parse_jobs(whole).items()


@given(st.binary())
def test_garbage_is_no_job(garbage: bytes) -> None:
    assert parse_jobs(garbage.decode(errors="replace")) == {}


def test_bytes_that_are_no_text_do_no_harm() -> None:
    text = wide("1.vm", ENDED).encode() + b"Job Id: 2.vm\n    job_state = R\n    comment = caf\xe9\n\n"
    jobs = parse_jobs(text.decode(errors="replace"))
    assert [job.state for job in jobs.values()] == [State.FINISHED, State.RUNNING]


# Answers


def test_an_unknown_job_among_known_ones_is_named() -> None:
    seen = transcript("04d2-")
    told = read(["999999.vm"], 153, "", seen.stderr, express=False)
    assert told == {"999999.vm": JobStatus(State.UNKNOWN)}


def test_without_express_only_the_ids_named_are_unknown() -> None:
    seen = transcript("04e-")
    told = read(["999997.vm", "999998.vm", "5.vm"], 153, "", seen.stderr, express=False)
    assert sorted(told) == ["999997.vm", "999998.vm"]


def test_with_express_one_name_stands_for_all_that_were_asked_for() -> None:
    told = read(["1.vm", "2.vm"], 153, "", "qstat: Unknown Job Id 2.vm\n")
    assert told == {"1.vm": JobStatus(State.UNKNOWN), "2.vm": JobStatus(State.UNKNOWN)}


def test_silence_about_a_job_says_nothing() -> None:
    assert list(read(["1.vm", "2.vm"], 0, wide("1.vm", ENDED), "")) == ["1.vm"]


@pytest.mark.parametrize("name", ["12b-", "12c-", "12c2-", "13a-", "13b-", "13c-", "13d-", "14a-"])
def test_a_server_that_is_away_says_nothing_about_any_job(name: str) -> None:
    seen = transcript(name)
    assert read(["1.vm", "2.vm", "3.vm"], seen.exit_code, seen.stdout, seen.stderr) == {}


@given(st.integers(), st.text(), st.text())
def test_no_answer_makes_a_job_unknown_but_the_words_for_it(exit_code: int, stdout: str, stderr: str) -> None:
    told = read(["1.vm"], exit_code, stdout, stderr)
    assert told == {} or "Unknown Job Id 1.vm" in stderr


# Numbers


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("00:00:05", 5), ("100:01:00", 360060), ("01:30", 90), ("7", 7), ("7.9", 7), ("", None), ("1:2:3:4", None)],
)
def test_durations_are_read(text: str, seconds: int | None) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "mebibytes"),
    [("50mb", 50), ("6248kb", 7), ("0kb", 0), ("9tb", 9 * 1024**2), ("1", 1), ("1gw", 8192), ("lots", None)],
)
def test_sizes_are_read(text: str, mebibytes: int | None) -> None:
    assert parse_size(text) == mebibytes


@given(st.text())
def test_numbers_that_are_none_are_none(text: str) -> None:
    for number in (parse_duration(text), parse_size(text)):
        assert number is None or number >= 0


# Failures


@pytest.mark.parametrize("name", ["05a-", "05b-", "05e-", "05f-", "05g-", "05i-", "05k-", "06a-", "06c-", "06d-"])
def test_a_refusal_is_told_in_the_words_of_pbs_with_a_remedy(name: str) -> None:
    seen = transcript(name)
    kind, problem, remedy = describe_failure(answered("qsub", seen.exit_code, "", seen.stderr))
    assert kind is ErrorKind.REFUSED
    assert seen.stderr.splitlines()[0].strip() in problem
    assert remedy


@pytest.mark.parametrize(
    "name", ["qsub-array-over-queue-limit", "qsub-array-over-max-queued", "qsub-array-routed-nowhere"]
)
def test_an_array_that_is_refused_is_told_in_the_words_of_pbs_with_a_remedy(name: str) -> None:
    seen = observed(name)
    kind, problem, remedy = describe_failure(answered("qsub", seen.exit_code, "", seen.stderr))
    assert (kind, seen.stderr.strip() in problem) == (ErrorKind.REFUSED, True)
    assert "fewer" in remedy


def test_the_usage_of_a_command_is_not_repeated() -> None:
    seen = transcript("05i-")
    assert "date_time" not in describe_failure(answered("qsub", seen.exit_code, "", seen.stderr))[1]


@pytest.mark.parametrize("name", ["12b-", "12d-", "12e-", "12f-", "13a-", "13c-", "13d-"])
def test_a_server_that_is_away_is_unreachable(name: str) -> None:
    seen = transcript(name)
    command = seen.command.split()[-1] if name.startswith("12") else "qstat"
    assert is_unconnected(answered("qstat", seen.exit_code, seen.stdout, seen.stderr))
    assert describe_failure(answered(command, seen.exit_code, "", seen.stderr))[0] is ErrorKind.UNREACHABLE


def test_the_stall_for_lack_of_ports_is_no_failure() -> None:
    seen = transcript("17b-")
    assert not is_unconnected(answered("qstat", seen.exit_code, seen.stdout, seen.stderr))


def test_subjobs_are_not_deleted_beside_their_array() -> None:
    ids = ["1.vm", "2[0].vm", "2[].vm", "2[11].vm", "3[0].vm", "1.vm"]
    assert deletable(ids) == ["1.vm", "2[].vm", "3[0].vm"]


@pytest.mark.parametrize("name", ["04p-", "04q-"])
def test_what_is_gone_needs_no_deleting(name: str) -> None:
    assert all(map(is_nothing_to_delete, transcript(name).stderr.splitlines()))


def test_somebody_elses_job_cannot_be_deleted() -> None:
    seen = transcript("08l-")
    assert not is_nothing_to_delete(seen.stderr)
    assert describe_failure(answered("qdel", 159, "", seen.stderr))[0] is ErrorKind.REFUSED


@pytest.mark.parametrize("name", ["04n-", "05o-"])
def test_an_option_that_is_not_known_is_noticed(name: str) -> None:
    seen = transcript(name)
    assert is_usage_complaint(answered("qstat", seen.exit_code, "", seen.stderr))


# Environment


def test_secrets_do_not_reach_the_commands_of_pbs() -> None:
    environment = {"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "x", "PBS_SERVER": "vm", "LC_ALL": "de_DE"}
    assert command_environment(environment) == {"PATH": "/bin", "PBS_SERVER": "vm", "LC_ALL": "C"}


def test_the_variables_of_a_job_that_snakemake_runs_in_do_not_reach_the_commands_of_pbs() -> None:
    outer = {"PBS_NODEFILE": "/x", "PBS_O_WORKDIR": "/y", "PBS_ARRAY_INDEX": "3", "PBS_ENVIRONMENT": "PBS_BATCH"}
    assert command_environment(outer) == {"LC_ALL": "C"}
