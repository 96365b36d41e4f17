"""Stands for a command of PBS and misbehaves as a file tells it: ``misbehave.py FOLDER COMMAND REAL ARGUMENT...``.

The file is FOLDER/faults, which the test changes while a run goes on; ``faults.py`` says what can be in it. Each call
is noted down in FOLDER/calls. Nothing but the standard library is imported, as each call starts a Python.
"""

import fcntl
import json
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

UNABLE_CODES = {"qstat": 255}
"""Exit codes of commands that cannot connect, where they are not 162 (transcripts openpbs/12b to 12f)."""


def main(folder: str, command: str, real: str, arguments: list[str]) -> int:
    """Do what the command does, but for the faults that are told; give the exit code."""
    faults = json.loads(Path(folder, "faults").read_text())
    if command not in faults["commands"] or arguments == ["--version"]:
        os.execv(real, [real, *arguments])
    with Path(folder, "calls").open("a+") as calls:
        fcntl.flock(calls, fcntl.LOCK_EX)
        calls.seek(0)
        before = [json.loads(line) for line in calls]
        chance = random.Random(f"{faults['seed']} {len(before)}")
        fault = choose(faults, command, before, chance)
        calls.write(json.dumps({"command": command, "arguments": arguments, "fault": fault}) + "\n")
    if fault == "away":
        return say_unable(command, arguments, real)
    if fault == "hangs":
        time.sleep(faults["hangs"])
    if command == "qsub" and faults["hides_records"]:
        hide_records(arguments[-1])
    done = subprocess.run([real, *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    time.sleep(faults["late"])
    if fault == "lost":
        return lose(chance, on_torque=is_torque(real))
    out = garbled(done.stdout, faults["garbles"], chance) if command in ("qstat", "qselect") else done.stdout
    os.write(2, done.stderr)
    write(out)
    return done.returncode


def choose(faults: dict, command: str, before: list[dict], chance: random.Random) -> str:
    """Give the fault of this call: "away", "lost", "hangs" or none, ""."""
    if faults["away"]:
        return "away"
    if faults["away_after"] is not None:
        submitted = sum(call["command"] == "qsub" and call["fault"] != "away" for call in before)
        if submitted >= faults["away_after"]:
            return "away"
    if chance.random() < faults["fails"]:
        return "away"
    if command == "qsub" and chance.random() < faults["loses"]:
        return "lost"
    return "hangs" if faults["hangs"] else ""


def say_unable(command: str, arguments: list[str], real: str) -> int:
    """Say what the command says whose server does not listen (transcripts openpbs/12b to 12f, torque/17)."""
    server = os.uname().nodename.split(".")[0]
    if is_torque(real):
        text = f"Cannot connect to specified server host '{server}'.\n{command}: cannot connect to server {server}"
        os.write(2, f"{text} (errno=111) Connection refused\n".encode())
        return 111
    if command == "qdel":
        text = f"Couldn't connect to cluster: {server}"
    else:
        text = f"{command}: cannot connect to server {server} (errno=15010)"
    ids = sum(bool(re.match(r"\d", argument)) for argument in arguments) if command == "qstat" else 1
    os.write(2, f"Connection refused\n{text}\n".encode() * max(ids, 1))
    return UNABLE_CODES.get(command, 162)


def is_torque(real: str) -> bool:
    """Tell whether a command is TORQUE's."""
    return b"Version:" in subprocess.run([real, "--version"], capture_output=True, check=False).stdout


def lose(chance: random.Random, *, on_torque: bool) -> int:
    """Have done what was asked, and not tell the id: in words, by silence, or by a sudden end."""
    way = chance.randrange(3)
    if way == 0 and on_torque:
        os.write(2, b"qsub: submit error (End of File)\n")
        return 237
    if way == 0:
        os.write(2, b"Failed to recv data from background qsub\n")
        return 255
    if way == 1:
        os.kill(os.getpid(), 9)
    return 0


def garbled(answer: bytes, ways: list[str], chance: random.Random) -> bytes:
    """Spoil an answer in one of some ways."""
    if not ways or not answer:
        return answer
    way = chance.choice(ways)
    blocks = re.split(rb"(?<=\n\n)", answer) if b"\n\n" in answer else answer.splitlines(keepends=True)
    blocks = [block for block in blocks if block]
    if way == "shuffled":
        chance.shuffle(blocks)
        return b"".join(blocks)
    if way == "duplicated":
        again = [*blocks, *blocks]
        chance.shuffle(again)
        return b"".join(again)
    if way == "truncated":
        return answer[: chance.randrange(len(answer))]
    if way == "not UTF-8":
        spoiled = bytearray(answer)
        for _ in range(1 + len(spoiled) // 200):
            at = chance.randrange(len(spoiled) + 1)
            spoiled[at:at] = chance.choice([b"\xff\xfe", b"\x80", b"\xc3", b"\xed\xa0\x80", b"\x00"])
        return bytes(spoiled)
    raise ValueError(way)


def hide_records(submitted_script: str) -> None:
    """Let the node of these jobs see another folder of exit records: what it writes is not there for others yet."""
    script = Path(submitted_script).with_suffix(".sh")
    text = script.read_text()
    hidden, count = re.subn(r"^_pbs_records=(.*)/records('?)$", r"_pbs_records=\1/hidden\2", text, flags=re.MULTILINE)
    if count != 1:
        raise ValueError(f"{script} does not say where the records go")
    (script.parents[1] / "hidden").mkdir(exist_ok=True)
    script.write_text(hidden)


def write(data: bytes) -> None:
    """Write all of it."""
    while data:
        data = data[os.write(1, data) :]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]))
