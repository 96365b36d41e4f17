"""The client against real commands: those of the local PBS, or of the PBS on PATH with PBS=path."""

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from snakemake_executor_plugin_pbs_singularity.pbs import (
    ErrorKind,
    JobStatus,
    Pbs,
    PbsError,
    State,
    Submission,
    Survey,
    check_queue,
    delete,
    explain_exit,
    explain_waiting,
    find_by_name,
    find_pbs,
    job_name,
    status,
    subjob_id,
    subjob_status,
    submit,
)
from snakemake_executor_plugin_pbs_singularity.pbs.request import Chunk, Request

SECONDS = 60.0
Submit = Callable[..., str]


@pytest.fixture
def submit_script(pbs: Pbs, tmp_path: Path) -> Iterator[Submit]:
    """Submit the text of a script; what is still there at the end of the test is deleted."""
    ids: list[str] = []

    def do(
        text: str,
        *arguments: str,
        folder: Path = tmp_path,
        name: str = "",
        output: str = "out",
        size: int = 1,
        max_running: int | None = None,
    ) -> str:
        script = folder / "script.sh"
        script.write_text(text)
        unique = name or job_name(f"test-{uuid.uuid4().hex[:8]}")
        ids.append(submit(pbs, Submission(script, unique, folder / output, arguments, folder, size, max_running)))
        return ids[-1]

    yield do
    delete(pbs, ids)


def wait_for(pbs: Pbs, job_id: str, wanted: Callable[[JobStatus], bool]) -> JobStatus:
    """Ask until the status is as wanted."""
    until = time.monotonic() + SECONDS
    while True:
        told = status(pbs, [job_id])[job_id]
        if wanted(told):
            return told
        assert time.monotonic() < until, f"{job_id} is {told}"
        time.sleep(0.2)


def unknown_to(job_id: str, number: int) -> str:
    """Give the id of a job that the server of another one does not have."""
    return f"{number}.{job_id.partition('.')[2]}"


def is_over(told: JobStatus) -> bool:
    return told.state is State.FINISHED


def wait_for_file(path: Path) -> str:
    """Give the text of a file once it is there and has some."""
    until = time.monotonic() + SECONDS
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < until, f"{path} did not come"
        time.sleep(0.2)
    return path.read_text()


def test_the_pbs_tells_its_version(pbs: Pbs) -> None:
    assert pbs.version[0].isdigit()


def test_a_job_runs_and_its_exit_status_is_told(pbs: Pbs, submit_script: Submit, tmp_path: Path) -> None:
    job_id = submit_script("echo hello; exit 3", "-l", "select=1:ncpus=1:mem=100mb", "-l", "walltime=00:05:00")
    told = wait_for(pbs, job_id, is_over)
    assert (told.exit_status, told.is_array, told.run_count) == (3, False, 1)
    assert (told.asked.walltime, told.asked.mem, told.asked.ncpus) == (300, 100, 1)
    assert told.exec_host
    assert wait_for_file(tmp_path / "out") == "hello\n"


def test_only_what_did_not_end_well_leaves_an_output(pbs: Pbs, submit_script: Submit, tmp_path: Path) -> None:
    script = "echo out; echo err >&2; exit $PBS_ARRAY_INDEX"
    wait_for(pbs, submit_script(script, size=2, output="out"), is_over)
    assert wait_for_file(tmp_path / "out-1") == "out\nerr\n"
    assert not (tmp_path / "out-0").exists()


def test_each_subjob_of_an_array_tells_its_own_end(pbs: Pbs, submit_script: Submit) -> None:
    array = submit_script("exit $PBS_ARRAY_INDEX", size=3, output="out")
    told = wait_for(pbs, array, is_over)
    assert (told.is_array, told.exit_status, told.subjobs_left) == (True, None, None)
    wanted = {subjob_id(array, index): index for index in range(3)}
    assert {name: job.exit_status for name, job in status(pbs, wanted).items()} == wanted
    assert {name: job.exit_status for name, job in subjob_status(pbs, array).items()} == wanted


def test_an_array_tells_how_many_of_its_subjobs_are_over(pbs: Pbs, submit_script: Submit, tmp_path: Path) -> None:
    ends = f"[ $PBS_ARRAY_INDEX != 0 ] || exit 3; until [ -e {tmp_path}/end ]; do sleep 0.2; done"
    array = submit_script(ends, size=4, output="out", max_running=2)
    assert wait_for(pbs, array, lambda told: told.subjobs_left == 3).state is State.RUNNING
    delete(pbs, [subjob_id(array, 3)])
    assert wait_for(pbs, array, lambda told: told.subjobs_left == 2).state is State.RUNNING
    states = {name: job.state for name, job in subjob_status(pbs, array).items()}
    wanted = [State.FINISHED, State.RUNNING, State.RUNNING, State.FINISHED]
    assert states == {subjob_id(array, index): state for index, state in enumerate(wanted)}
    (tmp_path / "end").touch()
    assert wait_for(pbs, array, is_over).subjobs_left is None


def test_no_more_subjobs_run_at_a_time_than_may(pbs: Pbs, submit_script: Submit) -> None:
    array = submit_script("sleep 300", size=3, max_running=1)
    wait_for(pbs, subjob_id(array, 0), lambda told: told.state is State.RUNNING)
    states = [job.state for job in subjob_status(pbs, array).values()]
    assert states == [State.RUNNING, State.QUEUED, State.QUEUED]


def test_subjobs_of_an_array_that_pbs_does_not_know_are_not_told_but_that(pbs: Pbs, submit_script: Submit) -> None:
    array = unknown_to(submit_script("true", "-h"), 999999).replace(".", "[].", 1)
    assert subjob_status(pbs, array) == {array: JobStatus(State.UNKNOWN)}


def test_the_size_of_arrays_is_limited_by_the_server(pbs: Pbs, submit_script: Submit) -> None:
    queue = status(pbs, [job_id := submit_script("true", "-h")])[job_id].queue
    request = Request((Chunk(1, 1),))
    limit = Survey(pbs).max_array_size(request)
    assert limit == Survey(pbs).max_array_size(replace(request, queue=queue))
    assert limit
    with pytest.raises(PbsError, match="Array job exceeds server or queue size limit") as caught:
        submit_script("true", "-h", size=limit + 1)
    assert (caught.value.kind, caught.value.uncertain) == (ErrorKind.REFUSED, False)


def test_unknown_jobs_are_told_from_known_ones(pbs: Pbs, submit_script: Submit) -> None:
    job_id = submit_script("true", "-h")
    unknown = [unknown_to(job_id, 999998), unknown_to(job_id, 999999)]
    told = status(pbs, [unknown[0], job_id, unknown[1]])
    assert {name: job.state for name, job in told.items()} == {
        unknown[0]: State.UNKNOWN,
        job_id: State.HELD,
        unknown[1]: State.UNKNOWN,
    }
    assert {job.state for job in status(pbs, unknown).values()} == {State.UNKNOWN}


@pytest.mark.parametrize("stranger", ["5.aaa.invalid", "99999.zzz.invalid"])
def test_a_job_of_a_server_that_cannot_be_found_costs_that_job_only(
    pbs: Pbs, submit_script: Submit, stranger: str
) -> None:
    job_id = submit_script("true", "-h")
    assert list(status(pbs, [stranger, job_id])) == [job_id]
    with pytest.raises(PbsError, match="illegally formed job identifier"):
        status(pbs, [stranger])


def test_many_subjobs_are_asked_for_at_once(pbs: Pbs, submit_script: Submit) -> None:
    array = submit_script("true", "-h", size=300)
    ids = [subjob_id(array, index) for index in range(300)]
    told = status(pbs, [array, *ids])
    assert set(told) == {array, *ids}
    assert {job.state for job in told.values()} <= {State.HELD, State.QUEUED}


def test_a_held_job_is_not_failed_and_its_being_held_is_told(pbs: Pbs, submit_script: Submit) -> None:
    told = wait_for(pbs, submit_script("true", "-h"), lambda told: told.state is State.HELD)
    assert explain_exit(told) is None
    assert explain_waiting(told, "1.vm") is not None


def test_a_job_is_found_by_its_name_while_it_waits_and_when_it_is_over(pbs: Pbs, submit_script: Submit) -> None:
    name = job_name(f"a rule/{uuid.uuid4().hex[:8]}")
    job_id = submit_script("true", "-h", name=name)
    assert find_by_name(pbs, name) == [job_id]
    delete(pbs, [job_id])
    wait_for(pbs, job_id, is_over)
    assert find_by_name(pbs, name) == [job_id]


def test_an_array_is_found_by_its_name(pbs: Pbs, submit_script: Submit) -> None:
    name = job_name(f"array-{uuid.uuid4().hex[:8]}")
    job_id = submit_script("true", "-h", name=name, size=2)
    assert find_by_name(pbs, name) == [job_id]


def test_a_name_that_only_begins_alike_is_not_found(pbs: Pbs, submit_script: Submit) -> None:
    name = job_name(f"alike-{uuid.uuid4().hex[:8]}")
    submit_script("true", "-h", name=f"{name}-longer")
    assert find_by_name(pbs, name) == []


def test_a_deleted_job_that_never_ran_did_not_end_well(pbs: Pbs, submit_script: Submit) -> None:
    job_id = submit_script("true", "-h")
    delete(pbs, [job_id])
    told = wait_for(pbs, job_id, is_over)
    assert told.exit_status is None
    assert "deleted before it ran" in str(explain_exit(told))


def test_a_running_job_that_is_deleted_did_not_end_well_whatever_its_exit_status(
    pbs: Pbs, submit_script: Submit
) -> None:
    job_id = submit_script("sleep 300")
    wait_for(pbs, job_id, lambda told: told.state is State.RUNNING)
    delete(pbs, [job_id])
    told = wait_for(pbs, job_id, is_over)
    assert not told.succeeded
    assert "deleted while it ran" in str(explain_exit(told))


def test_an_array_is_deleted_though_its_subjobs_are_named_too(pbs: Pbs, submit_script: Submit) -> None:
    array = submit_script("true", "-h", size=4)
    delete(pbs, [array, subjob_id(array, 0), subjob_id(array, 1)])
    told = wait_for(pbs, array, is_over)
    assert told.is_array


def test_what_is_over_or_unknown_may_be_deleted_again(pbs: Pbs, submit_script: Submit) -> None:
    job_id = submit_script("true")
    wait_for(pbs, job_id, is_over)
    delete(pbs, [job_id, unknown_to(job_id, 999999)])


def test_a_job_that_takes_too_long_is_told_with_its_walltime(pbs: Pbs, submit_script: Submit) -> None:
    told = wait_for(pbs, submit_script("sleep 300", "-l", "walltime=2"), is_over)
    assert told.exit_status == -29
    assert "more than its walltime of 2 s" in str(explain_exit(told))


def test_a_request_that_no_node_can_fulfil_waits_and_is_told(pbs: Pbs, submit_script: Submit) -> None:
    job_id = submit_script("true", "-l", "select=1:ncpus=90000")
    told = wait_for(pbs, job_id, lambda told: bool(told.comment))
    assert told.state is State.QUEUED
    assert "can never run" in str(explain_waiting(told, "1.vm"))


def test_a_request_that_is_refused_is_refused_in_the_words_of_pbs(submit_script: Submit) -> None:
    with pytest.raises(PbsError, match="Unknown queue") as caught:
        submit_script("true", "-q", "nosuchqueue")
    assert (caught.value.kind, caught.value.uncertain) == (ErrorKind.REFUSED, False)
    with pytest.raises(PbsError, match="walltime"):
        submit_script("true", "-l", "walltime=1:2:3:4:5")


def test_a_queue_that_is_there_passes(pbs: Pbs, submit_script: Submit) -> None:
    job_id = submit_script("true", "-h")
    queue = status(pbs, [job_id])[job_id].queue
    assert queue
    check_queue(pbs, queue)


@pytest.mark.parametrize("queue", ["nosuchqueue", "no such queue", "-Q"])
def test_a_queue_that_is_not_there_is_told_with_those_that_are(pbs: Pbs, submit_script: Submit, queue: str) -> None:
    job_id = submit_script("true", "-h")
    there = status(pbs, [job_id])[job_id].queue
    with pytest.raises(PbsError) as caught:
        check_queue(pbs, queue)
    assert caught.value.kind is ErrorKind.REFUSED
    assert there
    assert there in caught.value.remedy


@pytest.mark.parametrize("name", ['it\'s a "test" $HOME', "a,b:c=d", "é漢", "new\nline", "tab\t`id`;&|<>"])
def test_a_job_can_be_submitted_from_any_folder(pbs: Pbs, submit_script: Submit, tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    job_id = submit_script('printf %s "$PBS_O_WORKDIR"; exit 3', folder=folder)
    assert wait_for(pbs, job_id, is_over).exit_status == 3
    assert wait_for_file(folder / "out") == str(folder)


def test_nothing_of_the_environment_goes_with_a_job(
    pbs_environment: dict[str, str], tmp_path: Path, submit_script: Submit
) -> None:
    secret = uuid.uuid4().hex
    outer = {"PBS_ARRAY_INDEX": secret, "PBS_O_SECRET": secret, "PBS_NODEFILE": secret, "MAIL": secret}
    pbs = find_pbs(pbs_environment | outer | {"SECRET": secret, "PBS_JOBID": f"{secret}.outer"})
    script = tmp_path / "script.sh"
    name = job_name(f"secret-{uuid.uuid4().hex[:8]}")
    script.write_text(f"cd {tmp_path}; printenv > environment.tmp; mv environment.tmp environment")
    job_id = submit(pbs, Submission(script, name, tmp_path / "out", (), tmp_path))
    assert wait_for(pbs, job_id, is_over).exit_status == 0
    seen = wait_for_file(tmp_path / "environment")
    assert secret not in seen
    assert f"PBS_JOBID={job_id}\n" in seen
