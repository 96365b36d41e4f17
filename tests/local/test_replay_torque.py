"""The transcripts of TORQUE 6.1.3, run against the local PBS with its face: same outputs, same exit codes."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from snakemake_executor_plugin_pbs_singularity.pbs.local.machine import current_user

from .conftest import LocalPbs

FOLDER = Path(__file__).parents[1] / "transcripts" / "torque"
_PARTS = re.compile(
    r"^\$ (?P<command>.*?)\n--- stdout\n(?P<out>.*?)--- stderr\n(?P<err>.*?)--- exit: (?P<code>\d+)   \(wall",
    re.DOTALL | re.MULTILINE,
)
QUEUES = {"default": {}, "kc5": {}, "stopped": {"started": False}, "disabled": {"enabled": False}}
_SAME = (
    (r"^    (resources_used\.\w+|session_id|total_runtime) = .*\n", ""),
    (r"<resources_used>.*?</resources_used>|<session_id>\d+</session_id>|<total_runtime>[^<]*</total_runtime>", ""),
    (r"\b(00:00:00|0) ([A-Z]) (default|stopped|kc5)", r"USED \2 \3"),
    (r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}", "DATE"),
    (r"[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d at \d\d:\d\d", "WHEN"),
    (r"\b179\d{7}\b", "SECONDS"),
    (r"PBS_O_(PATH|HOME|LOGNAME)=[^,]*", r"PBS_O_\1=X"),
    (r"torque/\d+", "torque/N"),
    (r"(egroup = |<egroup>)\w+", r"\1group"),
    (r"\(\d+\.\d+\.\d+\.\d+\)", "(ADDRESS)"),
)


@dataclass(frozen=True)
class Transcript:
    """One command of a real TORQUE, and what it printed."""

    command: str
    out: str
    err: str
    code: int


def transcripts(name: str) -> list[Transcript]:
    """Read the commands of one file."""
    text = (FOLDER / f"{name}.txt").read_text()
    return [Transcript(m["command"], m["out"], m["err"], int(m["code"])) for m in _PARTS.finditer(text)]


def comparable(text: str) -> str:
    """Put a word for all that may differ between two machines and two days."""
    for pattern, word in _SAME:
        text = re.sub(pattern, word, text, flags=re.MULTILINE)
    return re.sub(r"(?<=\S) +", " ", text)


@pytest.fixture
def torque(pbs: LocalPbs) -> LocalPbs:
    """A local PBS with the face of TORQUE."""
    pbs.set(face="torque", queues={**QUEUES, "small": {"max_walltime": 600}}, kill_grace=0.3)
    pbs.out("qstat")
    return pbs


Step = tuple[str, str] | Callable[[LocalPbs], object]
"""A file and how a command in it begins (it is replayed once for each time it is there), or something to do."""


def _replay(name: str, start: str, pbs: LocalPbs) -> None:
    found = [one for one in transcripts(name) if one.command.startswith(start)]
    assert found, f"{name} has no command {start!r}"
    expected = found[0]
    command = re.sub(r"(?<=[\d\]])\.torque", f".{pbs.host}", expected.command)
    done = pbs.run(command)
    shown = [_as_in_transcripts(text, pbs) for text in (done.stdout, done.stderr)]
    for mine, wanted in zip(shown, (expected.out, expected.err), strict=True):
        assert comparable(mine) == comparable(wanted.replace("\n\t", "")), f"{name}: {expected.command}"
    assert done.returncode == expected.code, f"{name}: {expected.command}"


def _as_in_transcripts(text: str, pbs: LocalPbs) -> str:
    user = current_user().name
    text = text.replace("\n\t", "").replace(str(pbs.cwd), "/home/user/tq").replace(pbs.host, "torque")
    for before, after in ((f"{user}@", "user@"), (f" {user} ", " user "), (f">{user}<", ">user<")):
        text = text.replace(before, after)
    return re.sub(rf"= {user}$", "= user", text, flags=re.MULTILINE).replace(f"'{user}'", "'user'")


def _number(number: int) -> Step:
    return lambda pbs: pbs.number_next(number)


def _over(*jobs: str) -> Step:
    def wait(pbs: LocalPbs) -> None:
        for job in jobs:
            pbs.wait_until(lambda job=job: " C " in pbs.run(f"qstat '{job}'").stdout, f"{job} never ends")

    return wait


def _running(job: str) -> Step:
    return lambda pbs: pbs.wait_until(lambda: "session_id" in pbs.run(f"qstat -f '{job}'").stdout, f"{job} never runs")


def _started(started: bool) -> Step:
    return lambda pbs: pbs.set(queues={**QUEUES, "default": {"started": started}, "small": {"max_walltime": 600}})


LIFE: Sequence[Step] = (
    _number(1), _started(False), ("02-qsub", ""),
    ("03-states-queued", "qstat 1.torque; qstat -f"), ("03-states-queued", "qstat -x"),
    _started(True), _running("1"),
    ("04-states-running", "qstat 1.torque"), ("04-states-running", "qstat -f 1"), ("04-states-running", "qstat -x"),
    ("04-states-running", "qstat -f1"),
    _over("1"),
    ("05-states-completed", "qstat 1.torque"), ("05-states-completed", "qstat -f 1"),
    ("05-states-completed", "qstat -x 1"), ("05-states-completed", "qstat -fx 1"), ("05-states-completed", "qstat -fF"),
    ("05-states-completed", "qstat -H"),
)  # fmt: skip
WAITING: Sequence[Step] = (
    _number(2),
    ("06-queued-stopped-queue", "echo true | qsub -q stopped"), ("06-queued-stopped-queue", "qstat 2"),
    ("06-queued-stopped-queue", "qstat -f 2"), ("06-queued-stopped-queue", "qstat -x 2"),
    ("06-queued-stopped-queue", "echo true | qsub -h"), ("06-queued-stopped-queue", "qstat 3"),
    ("06-queued-stopped-queue", "qrls 3"), ("06-queued-stopped-queue", "qdel 2"),
    ("06-queued-stopped-queue", "qstat 2.torque; qstat -f"),
)  # fmt: skip
REFUSALS: Sequence[Step] = (
    *(
        ("08-errors", start)
        for start in (
            "qstat 99999", "qstat 99999.torque", "qstat -f 99999", "qstat -x 99999", "qstat notanid",
            "qstat 99999.otherserver", "qdel 99999", "qdel notanid", "qstat nosuchqueue", "echo true | qsub -q nosuch",
            "echo true | qsub -q disabled", "echo true | qsub -q small -l walltime", "echo true | qsub -l nodes=4",
            "echo true | qsub -l nodes=1:ppn=100", "echo true | qsub -l nosuchres", "echo true | qsub -l walltime=abc",
            "echo true | qsub -l mem=abc", "qsub /no/such/script", "echo true | qsub -N 'bad",
            "echo true | qsub -A acct -P",
            "echo true | qsub -J", "echo true | qsub -Z", "qsub -- /bin/echo", "qsub -I", "echo true | qsub -W block",
            "echo true | qsub -l nodes=1:gpus=1", "echo true | qsub -l nodes=nosuchhost",
            "echo true | qsub -l nodes=1:nosuchprop",
        )
    ),
    ("09-arrays-misc", "echo true | qsub -t 0-9:2"), ("09-arrays-misc", "echo true | qsub -t abc"),
    ("01-version", "qsub --version"), ("01-version", "qstat --version"),
)  # fmt: skip
SLOTS: Sequence[Step] = (
    _number(39), ("09-arrays-misc", 'echo "sleep 60" | qsub -t 1,3,5-7%2'), _running("39[3]"),
    ("09-arrays-misc", "qstat -t '39[].torque'"), ("09-arrays-misc", "qdel '39[3]'"), _over("39[3]"),
    lambda pbs: pbs.out("qdel '39[]'"),
    _over("39[1]", "39[5]", "39[6]", "39[7]"), ("09-arrays-misc", "qstat -t -f '39[].torque' | egrep"),
    ("09-arrays-misc", 'echo "sleep 60" | qsub -t 0-2 -N arrdel'), _running("40[2]"),
    ("09-arrays-misc", "qdel -t 0-1"), _over("40[0]", "40[1]"), ("09-arrays-misc", "qstat -t '40[].torque'"),
    ("09-arrays-misc", "qdel '40'"), ("09-arrays-misc", "qdel '40[]'"),
    ("09-arrays-misc", "echo true | qsub -t 5"),
)  # fmt: skip
ARRAY: Sequence[Step] = (
    _number(38), _started(False), ("09-arrays", "echo"),
    lambda pbs: pbs.set(ncpus=10), ("09-arrays", "qstat -t '38[].torque'"),
    _started(True), *(_running(f"38[{index}]") for index in range(10)),
    ("09-arrays", "qstat '38[3]'"), ("09-arrays", "qstat '38[3].torque'"), ("09-arrays", "qstat -f '38[3].torque'"),
    ("09-arrays", "qstat 38"), ("09-arrays", "qstat 38.torque"), ("09-arrays", "qstat '38[77].torque'"),
)  # fmt: skip
TRAP: Sequence[Step] = (
    _number(0), lambda pbs: pbs.out("echo true | qsub; for i in 1 2 3; do echo exit $i | qsub -N m$i; done"),
    _over("0", "1", "2", "3"), _started(False),
    ("16-array-parent-without-t", "echo"), ("16-array-parent-without-t", "qstat '4[].torque'"),
    _started(True), _running("4[2]"),
    ("16-array-parent-without-t", "qstat '4[]'"), ("16-array-parent-without-t", "qstat -f '4[].torque' | egrep"),
    ("16-array-parent-without-t", "qstat -f -t '4[].torque' | egrep"),
    ("16-array-parent-without-t", "qstat '4[].torque' 1"), ("16-array-parent-without-t", "qstat -t '4[].torque' 1"),
    ("16-array-parent-without-t", "qstat '4[0].torque' '4[1]"), ("16-array-parent-without-t", "qstat -x"),
    ("16-array-parent-without-t", "qstat '9999[].torque'"), ("16-array-parent-without-t", "qstat -t '9999[].torque'"),
    _over("4[0]", "4[1]", "4[2]"),
    ("16-array-parent-without-t", "qstat | grep ap"),
    ("16-array-parent-without-t", "qstat -f '4[].torque' | grep -A60"),
)  # fmt: skip
MANY: Sequence[Step] = (
    _number(1), ("11-multi", "for i"), _over("1", "2", "3"),
    ("11-multi", "qstat -f 1"), ("11-multi", "qstat -x 1.torque 2.torque 3.torque  |"),
    ("11-multi", "qstat 1.torque 2.torque 3.torque  99999"), ("11-multi", "qstat -x 99998"),
    ("11-multi", "qstat -u nosuchuser"),
)  # fmt: skip
AWAY: Sequence[Step] = (
    lambda pbs: pbs.set(server="away"),
    ("17-server-down", "qstat"), ("17-server-down", "qstat -f"), ("17-server-down", "qstat -x"),
    ("17-server-down", "echo true"), ("17-server-down", "qdel"),
)  # fmt: skip
SCENARIOS: dict[str, Sequence[Step]] = {
    name.lower(): steps
    for name, steps in list(globals().items())
    if name.isupper() and isinstance(steps, tuple) and not name.startswith("_")
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_transcripts_come_out_the_same(name: str, torque: LocalPbs) -> None:
    for step in SCENARIOS[name]:
        if isinstance(step, tuple):
            _replay(*step, torque)
        else:
            step(torque)
