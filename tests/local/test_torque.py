"""The local PBS with the face of TORQUE: what becomes of jobs, as transcripts torque/07, 13, 16 and 21 show it."""

import xml.etree.ElementTree as ET

import pytest

from .conftest import LocalPbs


@pytest.fixture
def torque(pbs: LocalPbs) -> LocalPbs:
    pbs.set(face="torque", kill_grace=0.3)
    return pbs


def ended(pbs: LocalPbs, job: str) -> dict[str, str]:
    """Wait for a job's end and give its attributes as XML tells them."""

    def attributes() -> dict[str, str]:
        (found,) = ET.fromstring(pbs.out(f"qstat -x '{job}'")).findall("Job")
        return {item.tag: item.text or "" for item in found}

    pbs.wait_until(lambda: attributes()["job_state"] == "C", f"{job} never ends")
    return attributes()


@pytest.mark.parametrize(
    ("script", "status"), [("exit 3", "3"), ("kill -TERM $$", "143"), ("kill -KILL $$", "137"), ("exit 255", "255")]
)
def test_a_job_that_ends_by_itself_has_its_own_exit_status(torque: LocalPbs, script: str, status: str) -> None:
    assert ended(torque, torque.submit(script, "-S /bin/bash"))["exit_status"] == status


def test_a_job_over_its_walltime_has_a_number_of_torques_own_and_words(torque: LocalPbs) -> None:
    job = torque.submit("sleep 60", "-N over -l nodes=1,walltime=1")

    assert ended(torque, job)["exit_status"] == "-11"
    assert (torque.cwd / "over.e1").read_text() == "=>> PBS: job killed: walltime 2 exceeded limit 1\n"


def test_a_job_that_is_deleted_has_271_whatever_it_traps(torque: LocalPbs) -> None:
    job = torque.submit("trap 'exit 9' TERM; echo; sleep 60 & wait")
    torque.wait_until(lambda: "session_id" in torque.out(f"qstat -f {job}"), "it never runs")
    torque.out(f"qdel {job}")

    assert ended(torque, job)["exit_status"] == "271"


def test_a_job_that_waited_when_it_was_deleted_has_no_exit_status(torque: LocalPbs) -> None:
    job = torque.submit("true", "-h")
    torque.out(f"qdel {job}")

    assert "exit_status" not in ended(torque, job)
    assert torque.run(f"qdel {job}").returncode == 170


def test_mem_is_the_size_of_the_data_segment(torque: LocalPbs) -> None:
    job = torque.submit("ulimit -d; exit 0", "-N data -S /bin/bash -l mem=100mb")
    ended(torque, job)

    assert (torque.cwd / "data.o1").read_text() == "102400\n"


def test_a_job_is_forgotten_after_keep_completed(torque: LocalPbs) -> None:
    torque.set(keep_completed=1)
    job = torque.submit("exit 4")
    assert ended(torque, job)["exit_status"] == "4"
    torque.wait_until(lambda: torque.run(f"qstat {job}").returncode == 153, "it is never forgotten")

    assert torque.run(f"qstat -x {job}").stderr == f"qstat: Unknown Job Id Error {job}\n"
    assert torque.run(f"qdel {job}").returncode == 153


def test_the_output_of_subjobs_ends_with_their_index(torque: LocalPbs) -> None:
    (torque.cwd / "folder").mkdir()
    torque.submit("echo hi", "-t 0-1 -N plain")
    torque.submit("echo hi", f"-t 0-1 -N there -j oe -o {torque.cwd}/folder/")
    torque.submit("echo hi", f"-t 0-1 -N named -j oe -o {torque.cwd}/fixed.log")
    for job in ("1[]", "2[]", "3[]"):
        for index in range(2):
            ended(torque, job.replace("[]", f"[{index}]"))

    names = {str(path.relative_to(torque.cwd)) for path in torque.cwd.rglob("*") if path.is_file()}
    assert names == {
        *("plain.o1-0", "plain.o1-1", "plain.e1-0", "plain.e1-1"),
        *("folder/there.o2-0", "folder/there.o2-1", "fixed.log-0", "fixed.log-1"),
    }


def test_a_subjob_knows_its_index_and_name(torque: LocalPbs) -> None:
    torque.submit("echo $PBS_ARRAYID $PBS_JOBNAME $PBS_JOBID $PBS_NUM_PPN", "-t 3,7 -N arr -l nodes=1:ppn=2")
    ended(torque, "1[7]")

    assert (torque.cwd / "arr.o1-7").read_text() == f"7 arr-7 1[7].{torque.host} 2\n"


def test_a_job_whose_dependency_failed_is_deleted(torque: LocalPbs) -> None:
    first = torque.submit("sleep 0.5; exit 1")
    second = torque.submit("true", f"-W depend=afterok:{first}")

    told = ended(torque, second)
    assert told["exit_status"] == "271"
    assert told["comment"] == f"Job deleted as result of dependency on job {first}"


def test_the_node_shows_its_slots(torque: LocalPbs) -> None:
    assert "     np = 64\n" in torque.out("pbsnodes -a")
