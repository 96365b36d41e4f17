"""The commands of the transcripts, run against the local PBS: same outputs, same exit codes.

Every transcript is either replayed here or in test_nasty_environment, or stands in NOT_REPLAYED with the reason.
"""

from collections.abc import Callable, Sequence

import pytest

from snakemake_executor_plugin_pbs_singularity.pbs.local.machine import current_user

from .conftest import LocalPbs
from .transcripts import FOLDER, Transcript, comparable, read, unfolded

NOT_REPLAYED = {
    "00-INDEX": "no command",
    "04m-": "shows a deleted job that OpenPBS takes two seconds to end; here it is gone at once",
    "06g-": "another user's job; a local PBS has one user",
    "08b-": "as 04m",
    "08f-": "as 04m",
    "08i-": "as 04m; test_jobs deletes a subjob",
    "08j-": "as 04m; test_jobs deletes a range of subjobs",
    "08k-": "as 04m; test_jobs deletes an array",
    "08l-": "another user's job; a local PBS has one user",
    "08n-": "the end of 08i to 08k, whose exit statuses come from their timing",
    "11-nasty-SUMMARY": "read by test_nasty_environment",
    "12a-": "qterm: a local PBS ends by itself",
    "12i-": "what OpenPBS says until its node has reported; here it never is unknown",
    "13a-": "about names in a network",
    "13b-": "about names in a network",
    "13c-": "about pbs.conf, which a local PBS has not",
    "13d-": "about routes in a network",
    "16-": "an endless loop of OpenPBS's client",
    "16a-": "an endless loop of OpenPBS's client",
    "17a-": "about reserved ports; a local PBS uses none",
    "17b-": "about reserved ports; a local PBS uses none",
    "18": "the other layout of JSON that the release's client has",
    "20-MEASURES": "no command",
}
IN_ANOTHER_TEST = ("11-nasty-",)

Step = str | Callable[[LocalPbs], object]
"""A transcript by the beginning of its name, or something to do between two."""


def _id_follows(number: int) -> Step:
    return lambda pbs: pbs.number_next(number)


def _submit(number: int, script: str, options: str = "") -> Step:
    return lambda pbs: pbs.submit(script, options, number=number)


def _wait(*jobs: str, state: str = "F") -> Step:
    return lambda pbs: pbs.wait(*jobs, state=state)


def _set(**settings: object) -> Step:
    return lambda pbs: pbs.set(**settings)


def _crash(pbs: LocalPbs) -> None:
    pbs.stop_server()


def _queue(**options: object) -> Step:
    return _set(queues={"workq": {}, "gpu": options})


def _eat(text: str) -> Step:
    def write(pbs: LocalPbs) -> None:
        (pbs.cwd / "tmp").mkdir(exist_ok=True)
        (pbs.cwd / "tmp" / "eatjob.sh").write_text(text)

    return write


def _file_written(name: str) -> Step:
    return lambda pbs: pbs.wait_until(lambda: (pbs.cwd / name).exists(), f"{name} is never written")


BASIC: Sequence[Step] = (
    "01a-", "01b-", _wait("1"), "01c-", "01d-", "01e-", "01f-", "01g-", "15a-",
)  # fmt: skip
EXITS: Sequence[Step] = (
    _submit(2, "exit 3", "-N ex3"),
    _submit(3, "exit 127", "-N ex127"),
    _submit(4, "exit 137", "-N ex137"),
    _submit(5, "exit 255", "-N ex255"),
    _submit(6, "exit 271", "-N ex271 -S /bin/bash"),
    _submit(7, "kill -SEGV $$", "-N segv"),
    _submit(8, "kill -KILL $$", "-N kill"),
    _wait("2", "3", "4", "5", "6", "7", "8"),
    "02-exit-3", "02-exit-127", "02-exit-137", "02-exit-255", "02-exit-271",
    "02-signal-segv", "02-signal-kill",
)  # fmt: skip
ARRAYS: Sequence[Step] = (
    _id_follows(9),
    "03a-",
    lambda pbs: [pbs.wait(f"9[{index}]", state="R") for index in (0, 9)],
    "03b-", "03c-", "03d-", "03e-", "03f-",
    _wait("9[]"),
    "03g-", "03h-", "03i-", "03j-", "03k-", "03l-",
    _submit(10, "exit $((PBS_ARRAY_INDEX % 3))", "-J 0-9%1"),
    _wait("10[]"),
    "03m-",
)  # fmt: skip
IDS: Sequence[Step] = (
    lambda pbs: pbs.out("echo 'sleep 1; hostname' | qsub; qselect"),
    _submit(2, "exit 3", "-N ex3"),
    _submit(3, "exit 127"),
    _submit(7, "true"),
    _submit(9, "true", "-J 0-9"),
    _wait("1", "2", "3", "7", "9[]"),
    "04a-", "04b-", "04c-", "04d-", "04d2", "04d3", "04e-", "04f-", "04g-", "04h-", "04i-", "04j-",
    _id_follows(11),
    "04k-", "04l-", "04n-", "04o-", "04p-", "04q-", "04r-", "04s-",
)  # fmt: skip
REFUSALS: Sequence[Step] = (
    lambda pbs: (pbs.cwd / "tmp").mkdir(),
    _id_follows(15),
    "05a-", "05b-", "05c-", "05d-", "05e-", "05f-", "05g-", "05h-",
    _id_follows(18),
    "05h2", "05i-", "05j-", "05k-", "05k2", "05l-", "05m-", "05n-", "05o-", "05p-",
    _id_follows(28),
    "05q-", "05r-", "05s-", "05t-",
    _wait("18", "19", "23", "24", "30"),
    "05u-", "05v-", "05w-",
)  # fmt: skip
QUEUES: Sequence[Step] = (
    _queue(enabled=False), "06a-",
    _queue(started=False), _id_follows(32), "06b-",
    _queue(closed=True), "06c-",
    _queue(max_walltime=3600), "06d-",
    _queue(max_queued=1), _id_follows(35), "06e-",
    _id_follows(37), "06f-",
)  # fmt: skip
HOLDS: Sequence[Step] = (_id_follows(39), "07a-", "07b-", "07c-", "07d-")
DELETIONS: Sequence[Step] = (
    _id_follows(40), "08a-",
    _wait("40", state="R"),
    lambda pbs: pbs.wait_until(lambda: "start" in _spooled(pbs, "40"), "job 40 never starts"),
    lambda pbs: pbs.out("qdel 40"),
    _wait("40"),
    "08c-", "08c2",
    _submit(41, "trap 'echo got TERM; exit 0' TERM; echo; sleep 300 & wait", "-N trapper"),
    lambda pbs: pbs.wait_until(lambda: _spooled(pbs, "41") == "\n", "job 41 never starts"),
    lambda pbs: pbs.out("qdel 41"),
    _wait("41"),
    lambda pbs: _drop_first_line(pbs, "trapper.o41"),
    "08d-",
    _set(kill_grace=0.3),
    _submit(42, "trap '' TERM; echo; sleep 300; sleep 300", "-N ignorer"),
    lambda pbs: pbs.wait_until(lambda: _spooled(pbs, "42") == "\n", "job 42 never starts"),
    lambda pbs: pbs.out("qdel 42"),
    _wait("42"),
    "08e-",
    _submit(43, "sleep 300"),
    _wait("43", state="R"),
    lambda pbs: pbs.out("qdel -W force 43"),
    _wait("43"),
    "08f2",
    _submit(44, "true", "-h"),
    "08g-",
    _submit(45, "true", "-l ncpus=500"),
    "08h-",
    _set(kill_grace=10),
    _submit(48, "trap '' TERM; echo; sleep 300; sleep 300"),
    lambda pbs: pbs.wait_until(lambda: _spooled(pbs, "48") == "\n", "job 48 never starts"),
    "08m-",
)  # fmt: skip
HELD_AND_DELETED: Sequence[Step] = (
    _id_follows(44), lambda pbs: pbs.out("echo true | qsub -h; qdel 44"), "08g2",
)  # fmt: skip
WALLTIMES: Sequence[Step] = (
    _id_follows(48),
    lambda pbs: pbs.out("echo sleep 300 | qsub"),  # so that the next has slot 1, as in the transcript
    _set(kill_grace=0.3),
    "09a-",
    _submit(
        50,
        "trap 'echo got TERM; exit 0' TERM; sleep 300 & wait",
        "-N wt0 -l walltime=5",
    ),
    _wait("49", "50"),
    "09b-", "09b2", "09c-",
)  # fmt: skip
_EATER = "/usr/bin/python3 -c 'import time; b=bytearray(300*1024*1024); time.sleep(0.2); print(len(b))'\necho rc=$?\n"
LIMITS: Sequence[Step] = (
    _eat(_EATER),
    _id_follows(51),
    "10-default-mem-a", "10-default-vmem-a", "10-default-pvmem-a", "10-default-pmem-a",
    _wait("51", "52", "53", "54"),
    "10-default-mem-b", "10-default-vmem-b", "10-default-pvmem-b", "10-default-pmem-b",
    _eat("timeout 60 /usr/bin/python3 -c 'while True: pass'\necho rc=$?\n"),
    "10-default-cput-a", _wait("55"), "10-default-cput-b",
)  # fmt: skip
ENFORCED: Sequence[Step] = (
    _set(enforce_mem=True, kill_grace=0.3),
    _eat(_EATER.replace("0.2", "4")),
    _id_follows(56),
    "10-enforce-mem-mem-a", _wait("56"), "10-enforce-mem-mem-b",
    "10-enforce-mem-vmem-a", _wait("57"), "10-enforce-mem-vmem-b",
)  # fmt: skip
AWAY: Sequence[Step] = (
    lambda pbs: pbs.submit("true"),
    _set(server="away"),
    "12b-", "12c-", "12c2", "12d-", "12d2", "12e-", "12f-", "12g-", "12h-",
)  # fmt: skip
CRASHES: Sequence[Step] = (
    _submit(126, "echo start; sleep 0.5; echo end", "-N survive"),
    _crash,
    _file_written("survive.o126"),
    _wait("126"),
    "12j-",
    _submit(127, "sleep 0.3; exit 7", "-N gone"),
    _crash,
    _file_written("gone.o127"),
    _wait("127"),
    "12k-", "12k2",
)  # fmt: skip
HUNG: Sequence[Step] = (_set(server="hung"), "14a-", "14b-", _set(server="up"), "14c-")
MANY: Sequence[Step] = (
    _set(queues={"workq": {"started": False}}),
    lambda pbs: (pbs.cwd / "perf").mkdir(),
    _id_follows(928), "20a-",
)  # fmt: skip

SCENARIOS: dict[str, Sequence[Step]] = {
    name.lower(): steps
    for name, steps in list(globals().items())
    if name.isupper() and isinstance(steps, tuple) and name != "IN_ANOTHER_TEST"
}

QUICKER = (
    ("timeout 60 qstat", "timeout 0.5 qstat"),
    ("timeout 30", "timeout 0.5"),
    ("sleep 2", "sleep 0.6"),
    ("time.sleep(40)", "time.sleep(0.2)"),
)  # fmt: skip
LOOSER = {
    "04s-": [(" R workq", " F workq")],  # OpenPBS takes two seconds to end it
    "14b-": [("qsub -f", "qsub")],
    "14c-": [(" 141 ", " 0 ")],  # jobs before it
    "10-enforce-mem-mem-a": [("time.sleep(0.2)", "time.sleep(4)")],
    "10-enforce-mem-vmem-a": [("time.sleep(0.2)", "time.sleep(4)")],
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_transcripts_come_out_the_same(name: str, pbs: LocalPbs) -> None:
    for step in SCENARIOS[name]:
        if isinstance(step, str):
            _replay(step, pbs)
        else:
            step(pbs)


def _replay(name: str, pbs: LocalPbs) -> None:
    expected = _prepared(name, pbs)
    done = pbs.run(expected.command)
    shown = [_as_in_transcripts(text, pbs) for text in (done.stdout, done.stderr)]
    for found, wanted in zip(shown, (expected.out, expected.err), strict=True):
        assert comparable(found, pbs.host) == comparable(wanted, pbs.host), f"{name}: {expected.command}"
    assert done.returncode == expected.code, f"{name}: {expected.command}"


def _prepared(name: str, pbs: LocalPbs) -> Transcript:
    transcript = read(name)
    texts = [transcript.command, transcript.out, transcript.err]
    for before, after in (*QUICKER, *LOOSER.get(name, ())):
        texts = [text.replace(before, after) for text in texts]
    command, out, err = texts
    return Transcript(command.replace(".vm", f".{pbs.host}"), unfolded(out), err, transcript.code)


def _as_in_transcripts(text: str, pbs: LocalPbs) -> str:
    user = current_user().name
    text = unfolded(text).replace(str(pbs.cwd), "/home/user")
    if pbs.host != "vm":
        text = text.replace(pbs.host, "vm")
    return (
        text.replace(f"{user}@vm", "user@vm").replace(f" {user} {user} ", " user user ").replace(f" {user} ", " user ")
    )


def _spooled(pbs: LocalPbs, job: str) -> str:
    path = pbs.home / "jobs" / f"{job}.{pbs.host}" / "OU"
    return path.read_text() if path.exists() else ""


def _drop_first_line(pbs: LocalPbs, name: str) -> None:
    path = pbs.cwd / name
    path.write_text(path.read_text().partition("\n")[2])


def test_every_transcript_is_replayed_or_left_out_for_a_reason() -> None:
    replayed = [step for steps in SCENARIOS.values() for step in steps if isinstance(step, str)]
    covered = (*replayed, *NOT_REPLAYED, *IN_ANOTHER_TEST)
    forgotten = [path.name for path in sorted(FOLDER.glob("*.txt")) if not path.name.startswith(covered)]
    assert forgotten == []
