"""Reads the transcripts of a real OpenPBS and makes outputs comparable that differ only in names and times."""

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "transcripts" / "openpbs"
_PARTS = re.compile(
    r"^\$ (?P<command>.*?)\n--- stdout\n(?P<out>.*?)--- stderr\n(?P<err>.*?)--- exit code\n(?P<code>-?\d+)\n",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Transcript:
    """One command of a real OpenPBS, and what it printed."""

    command: str
    out: str
    err: str
    code: int


def read(name: str) -> Transcript:
    """Read a transcript by the beginning of its file name, such as ``01a-``."""
    (path,) = FOLDER.glob(f"{name}*.txt")
    match = _PARTS.search(path.read_text(errors="surrogateescape"))
    assert match is not None, f"{path} is no transcript of a command"
    return Transcript(match["command"], match["out"], match["err"], int(match["code"]))


_SAME = (
    # what OpenPBS reports when its mom has, which takes it two seconds
    (r'\t\t\t"resources_used":\t\{[^}]*\},\n', ""),
    (r'\t\t\t"(session_id|jobdir)":\t.*\n', ""),
    (r"    (resources_used\.\w+|session_id|jobdir) = .*\n", ""),
    (r'("?substate"?( = |:\t))41', r"\g<1>42"),
    (r"\b\d\d:\d\d:\d\d ([A-Z] workq)", r"0 \1"),
    # times
    (r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}", "DATE"),
    (r"[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d at \d\d:\d\d", "WHEN"),
    (r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d ", "LISTED "),
    (r'("(history_)?timestamp":\t)\d+', r"\g<1>SECONDS"),
    (r"history_timestamp = \d+", "history_timestamp = SECONDS"),
    (r"walltime \d+ exceeded", "walltime N exceeded"),
    (r"mem \d+kb exceeded", "mem N exceeded"),
    # places
    (r"PBS_O_PATH=[^,]*", "PBS_O_PATH=PATH"),
    (r'"PBS_O_PATH":\t"[^"]*"', '"PBS_O_PATH":\t"PATH"'),
    (r"\S+/jobs/(\S+\.SC: line 1: )\s*\d+", r"SPOOL/\1PROCESS"),
    (r"(1 user user) +[1-9]\d* ", r"\1 SIZE "),
    (r"(1 user user) +0 ", r"\1 0 "),
)


def comparable(text: str, host: str) -> str:
    """Put a word for all that may differ between two machines and two days."""
    for pattern, word in _SAME:
        text = re.sub(pattern, word, text)
    if len(host) != len("vm"):  # qstat -f cuts the comment at a column
        text = re.sub(r"(    comment = .{40}).*", r"\1", text)
    return re.sub(r"(?<=\S) +", " ", text)  # tables: test_tables compares their columns


def unfolded(text: str) -> str:
    """Undo what qstat -f does to long lines."""
    return text.replace("\n\t", "") if text.startswith("Job Id:") else text
