"""How jobs ended, in words for a person who has never seen PBS."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake_executor_plugin_pbs_singularity.pbs import (
    Cause,
    JobStatus,
    State,
    Usage,
    explain_exit,
    explain_waiting,
)
from snakemake_executor_plugin_pbs_singularity.pbs.explain import duration
from snakemake_executor_plugin_pbs_singularity.pbs.openpbs_answers import FAILED, WAITS_FOR_ANOTHER, parse_jobs

from .printed import observed, transcript, wide


def told(state: str, **attributes: object) -> JobStatus:
    """Read what an OpenPBS says of a job."""
    given = {name: str(value) for name, value in attributes.items() if value is not None}
    (status,) = parse_jobs(wide("1.vm", {"job_state": state} | given)).values()
    return status


def ended(exit_status: int | None, used: Usage | None = None, asked: Usage | None = None) -> JobStatus:
    return replace(told("F", Exit_status=exit_status), used=used or Usage(), asked=asked or Usage())


def problem(status: JobStatus) -> str:
    verdict = explain_exit(status)
    assert verdict is not None
    return verdict.problem


def remedy(status: JobStatus) -> str:
    verdict = explain_exit(status)
    assert verdict is not None
    return verdict.remedy


def seen(name: str) -> JobStatus:
    """Read what a transcript shows of a job's attributes."""
    lines = [line for line in transcript(name).stdout.splitlines(keepends=True) if line.startswith("    ")]
    (status,) = parse_jobs(f"Job Id: 1.vm\n{''.join(lines)}\n").values()
    return status


# Ends


@pytest.mark.parametrize("exit_status", [0, 1, 137, 255])
def test_a_job_that_ended_by_itself_needs_no_words_about_pbs(exit_status: int) -> None:
    assert explain_exit(ended(exit_status)) is None


@pytest.mark.parametrize("state", [s for s in State if not JobStatus(s).is_over and s is not State.MOVED])
def test_a_job_that_is_not_over_needs_no_words(state: State) -> None:
    assert explain_exit(JobStatus(state)) is None


def test_a_held_job_is_not_failed() -> None:
    assert explain_exit(JobStatus(State.HELD)) is None


def test_of_an_array_nothing_is_said_as_its_subjobs_say_it() -> None:
    assert explain_exit(JobStatus(State.FINISHED, is_array=True)) is None


def test_too_much_time_is_told_in_seconds_and_what_to_write_in_minutes() -> None:
    status = ended(-29, Usage(walltime=61), Usage(walltime=60))
    assert problem(status) == "Killed by PBS: it ran 61 s, more than its walltime of 60 s."
    assert remedy(status) == "Raise the rule's runtime (now 1 minute), for example `resources: runtime=2`."


def test_a_real_walltime_kill_is_explained() -> None:
    assert problem(seen("09b-")) == "Killed by PBS: it ran 11 s, more than its walltime."


def test_too_much_memory_is_told_with_what_it_asked_for() -> None:
    status = seen("10-enforce-mem-mem-b-")
    assert problem(status) == "Killed by PBS: it used 313 MiB of memory, more than the 50 MiB it asked for."
    assert remedy(status) == ("Raise the rule's mem_mb (it asked for 50 MiB), for example `resources: mem_mb=400`.")


def test_too_much_processor_time_is_told() -> None:
    status = ended(-28, Usage(cput=125), Usage(cput=60))
    assert "used 2 min 5 s of processor time, more than its limit of 60 s" in problem(status)
    assert '`resources: pbs_extra="-l cput=120"`' in remedy(status)


@pytest.mark.parametrize(
    ("exit_status", "usage", "words"),
    [
        (-29, Usage(walltime=60), "it ran too long, more than its walltime of 60 s."),
        (-27, Usage(mem=60), "it used too much memory, more than the 60 MiB it asked for."),
        (-28, Usage(cput=60), "it used too much processor time, more than its limit of 60 s (cput)."),
    ],
)
def test_what_was_used_is_not_told_if_pbs_did_not_see_it_above_the_limit(
    exit_status: int, usage: Usage, words: str
) -> None:
    """It looks from time to time."""
    assert problem(ended(exit_status, usage, usage)) == f"Killed by PBS: {words}"


def test_too_much_virtual_memory_is_not_told_in_numbers_of_memory() -> None:
    status = ended(-26, Usage(mem=10), Usage(mem=50))
    assert problem(status) == "Killed by PBS: it used more virtual memory (vmem) than it may."
    assert "pbs_select" in remedy(status)


@pytest.mark.parametrize("exit_status", [-24, -25])
def test_too_many_busy_cores_are_told(exit_status: int) -> None:
    status = ended(exit_status, asked=Usage(ncpus=2))
    assert "more processor cores busy than the 2 it asked for" in problem(status)
    assert "threads" in remedy(status)


@pytest.mark.parametrize("name", ["08c-", "08d-", "08e-"])
def test_a_running_job_that_was_deleted_was_deleted_whatever_it_made_of_it(name: str) -> None:
    assert problem(seen(name)).startswith("It was deleted while it ran, by hand (qdel) or by the site.")


def test_a_deleted_subjob_was_deleted_though_its_shell_was_quicker() -> None:
    """Subjob 46[0] of transcript 08n."""
    status = told("F", Exit_status=143, substate=91, run_count=1)
    assert problem(status).startswith("It was deleted while it ran")


def test_who_deleted_a_job_is_told_if_pbs_tells_it() -> None:
    comment = "Job run at Wed Nov 25 at 09:01 on (vm:ncpus=1) and terminated by root@vm"
    status = told("F", Exit_status=271, substate=91, run_count=1, comment=comment)
    assert problem(status) == "It was deleted while it ran, by root@vm (qdel)."


def test_who_deleted_a_job_that_had_not_begun_is_not_known() -> None:
    """OpenPBS 23.06.06 adds only `and terminated`, whoever did it."""
    comment = "Can Never Run: Insufficient amount of resource: ncpus (R: 1000 A: 8 T: 8) and terminated"
    text = problem(told("F", substate=91, comment=comment))
    assert text == f"It was deleted before it ran, by hand (qdel) or by the site. PBS says: {comment}."


def test_a_job_deleted_in_its_first_seconds_did_not_end_well_though_its_exit_status_is_0() -> None:
    (status,) = parse_jobs(observed("qdel-at-substate-41").stdout).values()
    assert status.exit_status == 0
    assert not status.succeeded
    assert problem(status).startswith("It was deleted while it ran")
    assert "by root@vm (qdel)" in problem(status)


def test_a_subjob_that_was_deleted_before_it_ran_has_the_exit_status_of_its_array_and_did_not_run() -> None:
    """Subjob 46[4] of transcript 08n."""
    attributes = {"job_state": "F", "Exit_status": "1", "substate": "91", "comment": "Subjob finished"}
    (status,) = parse_jobs(wide("46[4].vm", attributes)).values()
    assert status.exit_status is None
    assert problem(status).startswith("It was deleted before it ran")


def test_a_job_deleted_by_force_was_killed() -> None:
    assert "qdel -W force" in problem(seen("08f2-"))


@pytest.mark.parametrize("name", ["08g-", "08h-"])
def test_a_job_that_was_deleted_before_it_ran_did_not_end_well(name: str) -> None:
    assert problem(seen(name)).startswith("It was deleted before it ran")


def test_a_job_that_pbs_no_longer_knows_is_lost() -> None:
    assert "no longer knows" in problem(JobStatus(State.UNKNOWN))


def test_a_job_whose_node_was_lost_and_that_must_not_run_twice_is_told_as_that() -> None:
    """As svr_setjob_histinfo of OpenPBS leaves it: no exit status."""
    status = replace(told("F", substate=FAILED, run_count=1, exec_host="n7/0"), used=Usage(walltime=90))
    assert problem(status).startswith("The node that it ran on was lost")
    assert "n7" in problem(status)


@pytest.mark.parametrize("exit_status", [-4, -5, -6])
def test_a_job_whose_node_was_restarted_is_told_as_that(exit_status: int) -> None:
    assert "its node was restarted while it ran" in problem(ended(exit_status))


@pytest.mark.parametrize(("exit_status", "words"), [(-20, "connection to its node was lost"), (-10, "user or group")])
def test_a_job_that_did_not_come_to_run_is_explained(exit_status: int, words: str) -> None:
    assert words in problem(ended(exit_status))


WORDS = "ab .:()<>"
AMOUNTS = st.none() | st.integers(0, 10**9)
USAGES = st.builds(Usage, walltime=AMOUNTS, cput=AMOUNTS, mem=AMOUNTS, ncpus=AMOUNTS)


@given(
    st.none() | st.integers(-300, 600),
    USAGES,
    USAGES,
    st.none() | st.integers(0, 100),
    st.none() | st.text(WORDS, min_size=1),
)
def test_every_end_by_pbs_is_explained_in_sentences(
    exit_status: int | None, used: Usage, asked: Usage, substate: int | None, comment: str | None
) -> None:
    status = replace(told("F", Exit_status=exit_status, substate=substate, comment=comment), used=used, asked=asked)
    verdict = explain_exit(status)
    assert (verdict is not None) == status.ended_by_pbs
    if verdict is not None:
        assert str(verdict)[0].isupper()
        assert str(verdict).endswith(".")
        assert "None" not in str(verdict).replace(comment or "None", "")


@pytest.mark.parametrize("exit_status", [-29, -27, 271, 265, None])
def test_limits_signals_and_deletion_are_by_pbs(exit_status: int | None) -> None:
    assert ended(exit_status).ended_by_pbs


@pytest.mark.parametrize("exit_status", [0, 1, 137, 255])
def test_what_a_script_says_itself_is_not_by_pbs(exit_status: int) -> None:
    assert not ended(exit_status).ended_by_pbs


@given(st.sampled_from(State), st.none() | st.integers(-300, 600), st.none() | st.sampled_from(Cause))
def test_only_a_finished_job_with_0_that_pbs_did_not_end_succeeded(
    state: State, exit_status: int | None, cause: Cause | None
) -> None:
    status = JobStatus(state, exit_status, cause)
    assert status.succeeded == (state is State.FINISHED and exit_status == 0 and cause is None)


# Waiting


def waiting(state: str, comment: str | None = None, **facts: object) -> str:
    """Give what is said of a job that does not go on; nothing if all is well."""
    return str(explain_waiting(told(state, comment=comment, **facts), "1[].vm") or "")


def test_a_job_that_can_never_run_is_told_in_words_and_in_those_of_pbs() -> None:
    words = "Can Never Run: Insufficient amount of resource: ncpus (R: 1000 A: 64 T: 64)"
    text = waiting("Q", words)
    assert words in text
    assert "asked for ncpus=1000, there are 64" in text
    assert "Ask for less (the rule's threads" in text


def test_another_reason_why_a_job_can_never_run_is_told_in_the_words_of_pbs() -> None:
    text = waiting("Q", "Can Never Run: Not enough total nodes available")
    assert "Not enough total nodes available." in text
    assert "That is" not in text


def test_a_held_job_is_told_with_what_releases_it_and_who_holds_it() -> None:
    text = waiting("H", "Job held by root on Wed Nov 25 09:01:41 2026")
    assert "it has not failed" in text
    assert "PBS says: Job held by root on Wed Nov 25 09:01:41 2026." in text
    assert "`qrls '1[].vm'`" in text


def test_a_job_that_waits_for_another_as_it_was_asked_to_is_not_worth_a_word() -> None:
    assert waiting("H", substate=WAITS_FOR_ANOTHER) == ""


def test_a_suspended_job_is_told_without_the_comment_of_its_start() -> None:
    text = waiting("S", "Job run at Wed Nov 25 at 09:01 on (vm:ncpus=1)")
    assert text.startswith("It is suspended: it has not failed")
    assert "09:01" not in text


def test_a_job_that_was_moved_is_told_with_where_to() -> None:
    """OpenPBS puts the destination where the queue was (svr_setjob_histinfo)."""
    assert "moved it to another server, to workq@other. It has not failed" in waiting("M", queue="workq@other")
    assert "moved it to another server. It has not failed" in waiting("M", queue="workq")


def test_a_stopped_queue_is_told() -> None:
    assert "Its queue gpu is stopped" in waiting("Q", "Not Running: Queue not started.", queue="gpu")


@pytest.mark.parametrize("state", ["Q", "R", "F", "W", "T"])
def test_a_job_that_waits_its_turn_needs_no_words(state: str) -> None:
    assert waiting(state, "Not Running: Insufficient amount of resource: ncpus") == ""


# Times


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (125, "2 min 5 s"),
        (3600, "1 h"),
        (187200, "2 d 4 h"),
        (None, "an unknown time"),
    ],
)
def test_times_are_told_in_two_units(seconds: int | None, words: str) -> None:
    assert duration(seconds) == words
