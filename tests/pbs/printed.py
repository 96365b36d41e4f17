"""What an OpenPBS prints: the transcripts, and a `qstat -f` for any attributes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TRANSCRIPTS = Path(__file__).parents[1] / "transcripts"
LINE = 78


@dataclass(frozen=True)
class Transcript:
    command: str
    stdout: str
    stderr: str
    exit_code: int


def transcript(name: str) -> Transcript:
    """Read a transcript by the beginning of its file name."""
    (path,) = (TRANSCRIPTS / "openpbs").glob(f"{name}*.txt")
    return _read(path)


def torque_transcripts(name: str) -> list[Transcript]:
    """Read all commands of a transcript of TORQUE, by the beginning of its file name."""
    (path,) = (TRANSCRIPTS / "torque").glob(f"{name}*.txt")
    pattern = r"^\$ (.*)\n--- stdout\n([\s\S]*?)--- stderr\n([\s\S]*?)--- exit: (-?\d+)"
    found = re.findall(pattern, path.read_text(errors="replace"), re.MULTILINE)
    assert found, path
    return [Transcript(command, stdout, stderr, int(code)) for command, stdout, stderr, code in found]


def torque_transcript(name: str, command: str) -> Transcript:
    """Read the first command of a transcript of TORQUE that has these words in it."""
    return next(one for one in torque_transcripts(name) if command in one.command)


def xml(*jobs: tuple[str, Mapping[str, str]]) -> str:
    """Print jobs as one document of TORQUE's `qstat -x` does (MXML.c)."""
    printed = (f"<Job>{_element('Job_Id', job_id)}{''.join(_nested(attributes))}</Job>" for job_id, attributes in jobs)
    return f'<?xml version="1.0"?>\n<Data>{"".join(printed)}</Data>\n'


def _nested(attributes: Mapping[str, str]) -> list[str]:
    parts: dict[str, list[str]] = {}
    for name, value in attributes.items():
        head, _, rest = name.partition(".")
        parts.setdefault(head, []).append(_element(rest, value) if rest else _escaped(value))
    return [f"<{name}>{''.join(values)}</{name}>" for name, values in parts.items()]


def _element(name: str, value: str) -> str:
    return f"<{name}>{_escaped(value)}</{name}>"


def _escaped(value: str) -> str:
    for character, escape in {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;"}.items():
        value = value.replace(character, escape)
    return value


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
