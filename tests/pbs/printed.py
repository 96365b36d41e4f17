"""What an OpenPBS prints: the transcripts, and a `qstat -f` for any attributes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TRANSCRIPTS = Path(__file__).parents[1] / "transcripts" / "openpbs"
LINE = 78


@dataclass(frozen=True)
class Transcript:
    command: str
    stdout: str
    stderr: str
    exit_code: int


def transcript(name: str) -> Transcript:
    """Read a transcript by the beginning of its file name."""
    (path,) = TRANSCRIPTS.glob(f"{name}*.txt")
    return _read(path)


def observed(name: str) -> Transcript:
    """Read what was seen on an OpenPBS 23.06.06 for these tests."""
    return _read(Path(__file__).parent / "observed" / f"{name}.txt")


def _read(path: Path) -> Transcript:
    match = re.search(
        r"^\$ (.*)\n--- stdout\n([\s\S]*?)--- stderr\n([\s\S]*?)--- exit code\n(-?\d+)",
        path.read_text(errors="replace"),
        re.MULTILINE,
    )
    assert match is not None, path
    command, stdout, stderr, exit_code = match.groups()
    return Transcript(command, stdout, stderr, int(exit_code))


def wide(job_id: str, attributes: Mapping[str, str]) -> str:
    """Print a job as `qstat -f -w` does."""
    lines = [
        f"    {name} = {value.replace(chr(10), chr(92) + 'n').replace(chr(12), chr(92) + 'f')}\n"
        for name, value in attributes.items()
    ]
    return f"Job Id: {job_id}\n{''.join(lines)}\n"


def wrapped(job_id: str, attributes: Mapping[str, str]) -> str:
    """Print a job as `qstat -f` does: broken at commas, or anywhere in what is too long (qstat.c, prt_attr)."""
    lines = [f"    {name} = {_wrapped(len(name) + 7, value)}\n" for name, value in attributes.items()]
    return f"Job Id: {job_id}\n{''.join(lines)}\n"


def _wrapped(column: int, value: str) -> str:
    printed = ""
    for number, part in enumerate(value.split(",")):
        if number:
            printed += ","
        if len(part) + column < LINE:
            printed += part
            column += len(part)
            continue
        if number:
            printed += "\n\t"
            column = 9
        for character in part:
            printed += character
            column += 1
            if column > LINE:
                printed += "\n\t"
                column = 8
    return printed
