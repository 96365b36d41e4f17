r"""What the commands of an OpenPBS print, read. Pure.

Numbers in brackets are transcripts of an OpenPBS 23.06.06; a name such as req_stat.c is a file of its source.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from itertools import chain, pairwise

from .openpbs import JOB_ID, UNKNOWN_JOB_EXIT
from .outcome import JobStatus, State, Usage


def parse_job_id(text: str) -> str | None:
    """Find the job id in what ``qsub`` printed: the last line that is one; wrappers of sites print more."""
    ids = parse_job_ids(text)
    return ids[-1] if ids else None


def parse_job_ids(text: str) -> list[str]:
    """Give all job ids in what ``qselect`` printed, one on a line."""
    return [line.strip() for line in text.splitlines() if JOB_ID.fullmatch(line.strip())]


def parse_blocks(text: str, kind: str = "Job Id") -> Iterator[tuple[str, dict[str, str]]]:
    """Give name and attributes of each block of ``qstat -f`` that is whole.

    A block begins with ``Job Id: 12.server`` (or ``Queue: name``) and ends with an empty line. One that is cut
    off, or has an attribute twice (a value whose newlines make it look like attributes), is passed over:
    nothing is better than half of it.
    """
    starts = (match.end() for match in re.finditer(rf"\n\n(?={kind}: )", text))
    for start, end in pairwise(chain([0], starts, [len(text)])):
        chunk = text[start:end]
        head, newline, rest = chunk.partition("\n")
        if not head.startswith(f"{kind}: ") or not newline or not chunk.endswith("\n\n"):
            continue
        attributes = _parse_attributes(rest)
        if attributes is not None:
            yield head.removeprefix(f"{kind}: ").strip(), attributes


_ATTRIBUTE = re.compile(r"^ {4}([A-Za-z_][\w.-]*) = ", re.MULTILINE)


def _parse_attributes(text: str) -> dict[str, str] | None:
    _, *parts = _ATTRIBUTE.split(text)
    attributes: dict[str, str] = {}
    for name, value in zip(parts[::2], parts[1::2], strict=True):
        if name in attributes:
            return None
        # A line goes on after newline and tab; any other newline is one of the value
        attributes[name] = value.replace("\n\t", "").rstrip("\n")
    return attributes


def parse_jobs(text: str) -> dict[str, JobStatus]:
    """Read ``qstat -f``; jobs that cannot be made sense of, or come twice, are left out."""
    jobs: dict[str, JobStatus | None] = {}
    for job_id, attributes in parse_blocks(text):
        jobs[job_id] = None if job_id in jobs else _parse_job(job_id, attributes)
    return {job_id: status for job_id, status in jobs.items() if status is not None}


def parse_answer(
    ids: Collection[str], exit_code: int, stdout: str, stderr: str, *, express: bool = True
) -> dict[str, JobStatus]:
    """Give what one ``qstat`` said about the jobs it was asked for; those it was silent about are left out.

    With ``-E`` it is silent about unknown ids among known ones. If it knows none of them, it names one of them
    and means all (req_stat.c); without ``-E`` it names each (04d, 04e).
    """
    asked = set(ids)
    learned = {job_id: status for job_id, status in parse_jobs(stdout).items() if job_id in asked}
    unknown = set(re.findall(r"Unknown Job Id (\S+)", stderr))
    if express and exit_code == UNKNOWN_JOB_EXIT and unknown & asked and "Job Id: " not in stdout:
        unknown = asked
    return learned | {job_id: JobStatus(State.UNKNOWN) for job_id in unknown & asked - learned.keys()}


def parse_strangers(stderr: str) -> set[str]:
    """Give the ids whose server ``qstat`` cannot find (04h), for now or for ever: nothing is known about them."""
    return set(re.findall(r"illegally formed job identifier: (\S+)", stderr))


_STATES = {
    "B": State.RUNNING,
    "E": State.EXITING,
    "F": State.FINISHED,
    "H": State.HELD,
    "M": State.MOVED,
    "Q": State.QUEUED,
    "R": State.RUNNING,
    "S": State.SUSPENDED,
    "T": State.TRANSIT,
    "U": State.SUSPENDED,
    "W": State.WAITING,
    "X": State.FINISHED,
}


def _parse_job(job_id: str, attributes: Mapping[str, str]) -> JobStatus | None:
    state = _STATES.get(attributes.get("job_state", ""))
    if state is None:
        return None
    is_array = "[]" in job_id
    exit_status = None
    if "Exit_status" in attributes and not is_array:
        exit_status = _integer(attributes["Exit_status"])
        if exit_status is None:
            return None
    return JobStatus(
        state=state,
        exit_status=exit_status,
        comment=attributes.get("comment") or None,
        queue=attributes.get("queue") or None,
        exec_host=attributes.get("exec_host") or None,
        used=_usage(attributes, "resources_used"),
        asked=_usage(attributes, "Resource_List"),
        run_count=_integer(attributes.get("run_count", "")) or 0,
        substate=_integer(attributes.get("substate", "")),
        is_array=is_array,
        subjobs_over=_subjobs_over(attributes) if is_array and state is not State.FINISHED else None,
    )


def _subjobs_over(attributes: Mapping[str, str]) -> int | None:
    match = re.search(r"\bExpired:(\d{1,9})\b", attributes.get("array_state_count", ""), re.ASCII)
    return int(match[1]) if match else None


def _usage(attributes: Mapping[str, str], prefix: str) -> Usage:
    def value(name: str) -> str:
        return attributes.get(f"{prefix}.{name}", "")

    return Usage(
        walltime=parse_duration(value("walltime")),
        cput=parse_duration(value("cput")),
        mem=parse_size(value("mem")),
        ncpus=_integer(value("ncpus")),
    )


def parse_duration(text: str) -> int | None:
    """Give the seconds of ``HH:MM:SS``, ``MM:SS`` or ``SS`` (fractions are cut off); None for anything else."""
    match = re.fullmatch(r"(?:(?:(\d{1,9}):)?(\d{1,9}):)?(\d{1,9})(?:\.\d*)?", text, re.ASCII)
    if match is None:
        return None
    hours, minutes, seconds = (int(number or 0) for number in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def parse_size(text: str) -> int | None:
    """Give the MiB, rounded up, of a size such as ``6248kb``, ``2gb`` or ``100`` (bytes); None for anything else.

    A ``w`` counts words, of 8 bytes as on every 64-bit node.
    """
    match = re.fullmatch(r"(\d{1,18})([kmgtp]?)([bw]?)", text.lower(), re.ASCII)
    if match is None:
        return None
    number, scale, unit = match.groups()
    size = (int(number) << 10 * " kmgtp".index(scale or " ")) * (8 if unit == "w" else 1)
    return -(-size // 1024**2)


def _integer(text: str) -> int | None:
    return int(text) if re.fullmatch(r"-?\d{1,18}", text, re.ASCII) else None
