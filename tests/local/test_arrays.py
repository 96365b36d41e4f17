"""Arrays: subjobs, their limits, their deletion."""

import json
from itertools import accumulate

from .conftest import LocalPbs


def states(pbs: LocalPbs, array: str) -> str:
    """Give the state letters of an array's subjobs, in order."""
    lines = pbs.out(f"qstat -x -t '{array}'").splitlines()[3:]
    return "".join(line.split()[4] for line in lines)


def test_each_subjob_has_its_index_and_its_output(pbs: LocalPbs) -> None:
    array = pbs.submit("echo $PBS_ARRAY_INDEX", "-N arr -J 3-7:2")

    pbs.wait(array)
    outputs = {path.name: path.read_text() for path in pbs.cwd.glob("arr.o*")}
    assert outputs == {"arr.o1.3": "3\n", "arr.o1.5": "5\n", "arr.o1.7": "7\n"}


def test_an_index_in_the_output_path_is_filled_in(pbs: LocalPbs) -> None:
    array = pbs.submit("echo $PBS_ARRAY_INDEX", "-J 0-1 -j oe -o 'log.^array_index^'")

    pbs.wait(array)
    assert [(pbs.cwd / f"log.{index}").read_text() for index in (0, 1)] == ["0\n", "1\n"]


def test_subjobs_share_the_machine_with_other_jobs(pbs: LocalPbs) -> None:
    pbs.set(ncpus=2)
    array = pbs.submit("sleep 60", "-J 0-9")

    assert states(pbs, array) == "RRQQQQQQQQ"
    assert pbs.attribute(array, "array_state_count") == "Queued:8 Running:2 Exiting:0 Expired:0"
    assert pbs.attribute(array, "array_indices_remaining") == "2-9"


def test_no_more_subjobs_run_at_a_time_than_may(pbs: LocalPbs) -> None:
    record = "echo + >> $PBS_O_WORKDIR/log; sleep 0.1; echo - >> $PBS_O_WORKDIR/log"
    array = pbs.submit(record, "-J 0-9%3")

    assert pbs.attribute(array, "max_run_subjobs") == "3"
    pbs.wait(array)
    changes = [1 if line == "+" else -1 for line in (pbs.cwd / "log").read_text().splitlines()]
    assert max(accumulate(changes)) == 3
    assert changes.count(1) == 10


def test_the_counts_of_an_array_are_those_of_its_subjobs(pbs: LocalPbs) -> None:
    def counts() -> str | None:
        return pbs.attribute(array, "array_state_count")

    ends = (
        "[ $PBS_ARRAY_INDEX != 0 ] || exit 3; trap '' TERM; echo > $PBS_O_WORKDIR/$PBS_ARRAY_INDEX; sleep 60; sleep 60"
    )
    pbs.set(kill_grace=2)
    array = pbs.submit(ends, "-J 0-9%2")

    pbs.wait_until(lambda: (pbs.cwd / "2").exists(), "the third subjob never starts")
    assert counts() == "Queued:7 Running:2 Exiting:0 Expired:1"
    pbs.out(f"qdel '{array.replace('[]', '[9]')}'")
    assert counts() == "Queued:6 Running:2 Exiting:0 Expired:2"
    pbs.out(f"qdel '{array}'")
    assert counts() == "Queued:0 Running:2 Exiting:0 Expired:8"
    pbs.stop_server()
    assert counts() == "Queued:0 Running:2 Exiting:0 Expired:8"
    pbs.wait(array)
    assert counts() == "Queued:0 Running:0 Exiting:0 Expired:7"  # OpenPBS counts what never ran


def test_an_array_that_may_not_be_run_again_is_refused(pbs: LocalPbs) -> None:
    refused = pbs.run("echo true | qsub -r n -J 0-1")
    assert (refused.returncode, refused.stderr.splitlines()[0]) == (2, "qsub:  cannot submit non-rerunable Array Job")


def test_a_subjob_that_runs_can_be_deleted(pbs: LocalPbs) -> None:
    array = pbs.submit("sleep 60", "-J 0-2")
    subjob = array.replace("[]", "[1]")

    pbs.out(f"qdel '{subjob}'")

    pbs.wait(subjob, state="X")
    assert states(pbs, array) == "RXR"
    assert pbs.exit_status(subjob) == "271"
    assert pbs.run(f"qdel '{subjob}'").returncode == 35


def test_a_range_of_subjobs_can_be_deleted(pbs: LocalPbs) -> None:
    pbs.set(ncpus=2)
    array = pbs.submit("sleep 60", "-J 0-5")

    pbs.out(f"qdel '{array.replace('[]', '[1-4]')}'")

    pbs.wait(array.replace("[]", "[1]"), state="X")
    pbs.wait(array.replace("[]", "[5]"), state="R")
    assert states(pbs, array) == "RXXXXR"


def test_a_deleted_array_is_over_when_its_subjobs_are(pbs: LocalPbs) -> None:
    pbs.set(ncpus=1)
    array = pbs.submit("sleep 60", "-J 0-99")

    pbs.out(f"qdel '{array}'")

    pbs.wait(array)
    assert states(pbs, array) == "F" * 100
    assert pbs.attribute(array, "comment").endswith(" and terminated")
    assert pbs.exit_status(array.replace("[]", "[0]")) == "271"


def test_a_deleted_array_stays_deleted_when_the_server_crashes(pbs: LocalPbs) -> None:
    pbs.set(ncpus=1, kill_grace=1)
    array = pbs.submit("trap '' TERM; echo >> $PBS_O_WORKDIR/ran; sleep 60; sleep 60", "-J 0-99")
    pbs.wait_until(lambda: (pbs.cwd / "ran").exists(), "the first subjob never starts")
    pbs.out(f"qdel '{array}'")

    pbs.stop_server()

    pbs.wait(array)
    assert (pbs.cwd / "ran").read_text() == "\n"


def test_an_array_that_never_began_has_no_exit_status(pbs: LocalPbs) -> None:
    array = pbs.submit("true", "-h -J 0-9")
    assert states(pbs, array) == "H" * 10

    pbs.out(f"qdel '{array}'")

    assert pbs.state(array) == "F"
    assert pbs.exit_status(array) is None


def test_a_held_array_goes_on_when_it_is_released(pbs: LocalPbs) -> None:
    array = pbs.submit("true", "-h -J 0-2")

    pbs.out(f"qrls '{array}'")

    pbs.wait(array)
    assert states(pbs, array) == "FFF"


def test_an_array_waits_for_another(pbs: LocalPbs) -> None:
    first = pbs.submit("until [ -e $PBS_O_WORKDIR/go ]; do sleep 0.05; done", "-J 0-1")
    second = pbs.submit("true", f"-J 0-1 -W depend=afterok:{first}")

    assert pbs.state(second) == "H"
    (pbs.cwd / "go").touch()
    pbs.wait(second)
    assert pbs.exit_status(second) == "0"


def test_an_array_may_be_as_large_as_the_settings_say(pbs: LocalPbs) -> None:
    pbs.set(max_array_size=10)

    assert pbs.run("echo true | qsub -h -J 0-9").returncode == 0
    refused = pbs.run("echo true | qsub -h -J 0-10")
    assert (refused.returncode, refused.stderr) == (3, "qsub: Array job exceeds server or queue size limit\n")


def test_an_array_may_be_as_large_as_its_queue_says(pbs: LocalPbs) -> None:
    pbs.set(queues={"workq": {}, "small": {"max_array_size": 5}, "none": {"max_array_size": 1}})

    assert "    max_array_size = 5\n" in pbs.out("qstat -Qf small")
    assert pbs.run("echo true | qsub -h -q small -J 0-4").returncode == 0
    assert pbs.run("echo true | qsub -h -q small -J 0-5").returncode == 3
    assert pbs.run("echo true | qsub -h -q none -J 0-1").returncode == 3


def test_each_subjob_that_is_not_over_counts_for_how_many_jobs_one_may_have(pbs: LocalPbs) -> None:
    pbs.set(queues={"workq": {"max_queued": 4}})

    assert pbs.run("echo true | qsub -h -J 0-4").returncode == 38
    array = pbs.submit("true", "-h -J 0-3")
    assert pbs.run("echo true | qsub -h").returncode == 38
    pbs.out(f"qdel '{array.replace('[]', '[2]')}'")
    assert pbs.run("echo true | qsub -h").returncode == 0


def test_one_subjob_can_be_asked_for(pbs: LocalPbs) -> None:
    array = pbs.submit("exit $PBS_ARRAY_INDEX", "-J 0-3")
    pbs.wait(array)
    subjob = array.replace("[]", "[2]")

    jobs = json.loads(pbs.out(f"qstat -x -f -F json '{subjob}'"))["Jobs"]

    assert list(jobs) == [subjob]
    assert jobs[subjob]["Exit_status"] == 2
    assert jobs[subjob]["array_id"] == array


def test_an_array_is_not_asked_for_without_brackets(pbs: LocalPbs) -> None:
    pbs.submit("true", "-h -J 0-3")

    assert pbs.run("qstat 1").returncode == 153


def test_subjobs_are_selected_by_state(pbs: LocalPbs) -> None:
    pbs.set(ncpus=2)
    array = pbs.submit("sleep 60", "-J 0-3")

    running = pbs.out("qselect -T -s R").split()

    assert running == [array.replace("[]", "[0]"), array.replace("[]", "[1]")]


def test_ten_thousand_subjobs_are_no_burden(pbs: LocalPbs) -> None:
    pbs.set(ncpus=0)
    array = pbs.submit("true", "-J 0-9999")

    assert len(states(pbs, array)) == 10_000
    pbs.stop_server()
    assert pbs.attribute(array, "array_indices_remaining") == "0-9999"
    pbs.out(f"qdel '{array}'")
    assert pbs.state(array) == "F"
