"""A failed task in words: what ended it, what to do, and the last lines of its log."""

import re
from pathlib import Path
from unicodedata import category

from ..pbs import Verdict, explain_exit
from ..text import without_colours
from ..tracking.witness import Over
from .exit_codes import explain_code

TAIL_LINES = 20
"""Lines of the log that a message shows."""
_TAIL_BYTES = 16_384
_CRASH = re.compile(r"fatal error: |runtime/cgo: |SIG[A-Z]+: ")
_DUMP = re.compile(r"PC=0x|runtime stack:|goroutine \d+ ")


def explain(
    over: Over,
    grace: float,
    tasks: int = 1,
    image: Path | None = None,
    log: Path | None = None,
    refused: Verdict | None = None,
) -> Verdict:
    """Say why a task that is over did not succeed.

    `tasks` is how many its PBS job had; `image` what its command ran in, None if that ran on the node itself; `log` its
    own log; `refused` why its PBS job was given up before it began (`PbsJob.refused`), if it was.
    """
    if refused is not None and over.record is None:
        return refused
    by_pbs = explain_exit(over.status) if over.status is not None else None
    if over.status is not None and by_pbs is not None and tasks > 1:
        is_limit = over.status.was_cut_short
        by_pbs = Verdict(
            f"{by_pbs.problem} It was a bundle of {tasks} tasks, with the runtime of all and the memory of one.",
            "Raise the rule's runtime or mem_mb, whichever was too little, or lower bundle."
            if is_limit
            else by_pbs.remedy,
        )
    if over.status is not None and over.status.ended_by_pbs and by_pbs is not None:
        return by_pbs
    words = last_lines(log) if log is not None else []
    if over.record is not None:
        by_itself = explain_code(over.record.exit_status, over.status, image, words)
        return by_itself or Verdict("PBS ended the job.")
    lost_record = (
        f" Its exit record did not appear within {grace:g} seconds: its job script was cut short, or could not "
        "write to the working directory."
    )
    if by_pbs is None and over.status is not None and not over.status.succeeded and over.status.exit_status is not None:
        by_pbs = explain_code(over.status.exit_status, over.status, image, words)
    if by_pbs is None:
        return Verdict(
            f"PBS says that it ended well.{lost_record}",
            "Check that the compute nodes see the working directory and that its disk is not full.",
        )
    return Verdict(f"{by_pbs.problem}{lost_record}", by_pbs.remedy)


def failure_message(verdict: Verdict, logs: list[Path]) -> str:
    """Give the text of Snakemake's error message for a failed job, with the last lines of each log.

    If the first, the job's own, has none, that is said, with the paths: a person need not look for them.
    """
    parts = [str(verdict)]
    silent = []
    for path in logs:
        lines = last_lines(path)
        if lines:
            parts.append(f"Last lines of {path}:\n" + "\n".join(f"    {line}" for line in lines))
        else:
            silent.append(path)
    if silent and silent[0] == logs[0]:
        parts.insert(1, f"Nothing was written to {' or '.join(map(str, silent))}.")
    return "\n".join(parts)


def last_lines(path: Path, most: int = TAIL_LINES) -> list[str]:
    """Give the last lines of a file, without control characters that would upset a terminal.

    Only its end is read, so a log of any size will do. None are given of a file that is missing or cannot be read. Of
    the crash of a program in Go, such as Apptainer, stacks and registers are left out: its cause comes before them.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    lines = without_colours(text).splitlines()
    if size > _TAIL_BYTES and len(lines) > 1:
        lines = lines[1:]
    shown = ["".join(c if c.isprintable() or c == "\t" or category(c) == "Zs" else "�" for c in line) for line in lines]
    return _without_dump(shown)[-most:]


def _without_dump(lines: list[str]) -> list[str]:
    """Leave out what Go's runtime prints after the cause of its own crash, to the end (runtime/panic.go)."""
    for at, line in enumerate(lines):
        cause = lines[at : at + 4]
        dump = next((index for index, after in enumerate(cause) if _DUMP.match(after)), None)
        if _CRASH.match(line) and dump is not None:
            return [*lines[:at], *filter(None, cause[:dump])]
    return lines
