"""What is submitted: one ``qsub``, in words that all kinds of PBS share. Pure."""

import re
from dataclasses import dataclass
from pathlib import Path

NAME_LIMIT = 63
"""Characters of a job name. OpenPBS takes 230 (transcript openpbs/05h2), TORQUE 256 (ck_job_name.c); ``qstat`` shows
15, file names take 255 bytes."""
SHORT_NAME_LIMIT = 15
"""Characters that a PBS Pro before 13 takes."""
NAME_TAIL = 20
"""Characters at the end of a name that are never cut: callers put what makes it unique there."""


@dataclass(frozen=True)
class Submission:
    """One ``qsub``: a job, or an array."""

    script: Path
    """The job script. PBS keeps a copy of it and sends it to every node: keep it small."""
    name: str
    """A name that ``job_name`` made, unique to this submission: ``find_by_name`` looks for it."""
    output: Path
    """Where what the script and PBS itself print goes when the job is over; ``subjob_output`` says where that of a
    subjob goes. An OpenPBS throws it away if the job ends with 0. The folder must be there, or PBS tries for long."""
    arguments: tuple[str, ...]
    """The request, such as ``("-l", "select=1:ncpus=4", "-q", "long")``."""
    workdir: Path
    """The folder to submit from: PBS_O_WORKDIR of the job, which does not begin there by itself."""
    size: int = 1
    """Subjobs, whose index counts from 0 (PBS_ARRAY_INDEX, on TORQUE PBS_ARRAYID); 1 is a plain job, which has none, as
    OpenPBS takes no array of 1."""
    max_running: int | None = None
    """How many subjobs of an array may run at a time; None leaves that to PBS. A PBS Pro before 20 refuses it."""


def job_name(text: str) -> str:
    """Make a valid job name of any text, by cutting the middle of what is too long.

    The last 20 characters survive if they are letters, digits or ``_.-``: put what makes it unique there.
    """
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", text)
    if not re.match(r"[A-Za-z]", name):
        name = f"j{name}"
    if len(name) > NAME_LIMIT:
        name = f"{name[: NAME_LIMIT - NAME_TAIL - 2]}..{name[-NAME_TAIL:]}"
    return name


def short_name(name: str) -> str:
    """Give a name for a PBS that takes 15 characters: the last 14 of it, where what makes it unique is."""
    return name if len(name) <= SHORT_NAME_LIMIT else f"j{name[1 - SHORT_NAME_LIMIT :]}"


def subjob_output(output: Path, index: int | str) -> Path:
    """Give the file that the output of a subjob goes to.

    TORQUE adds the index of its own (transcript torque/16-array-subset); OpenPBS is told to do the same.
    """
    return output.with_name(f"{output.name}-{index}")


def output_argument(output: Path, workdir: Path) -> tuple[str, Path]:
    """Give the value of ``-o`` for an output file, and the folder that ``qsub`` must be run in for it.

    ``qsub`` refuses a path with anything but printable ASCII, ``illegal -o value``, but only in what is written
    there (prepare_path.c of OpenPBS and of TORQUE): of a relative path it does not mind the folder it completes it
    with. It is run in the output's own folder only where that alone helps, as PBS_O_WORKDIR follows.
    """
    if _is_printable(str(output)):
        return str(output), workdir
    if output.is_relative_to(workdir) and _is_printable(str(output.relative_to(workdir))):
        return f"./{output.relative_to(workdir)}", workdir
    return f"./{output.name}", output.parent


def _is_printable(text: str) -> bool:
    return text.isascii() and text.isprintable()
