"""PBS's notation of memory and time, in the units of Snakemake's resources (pbs_resources(7B))."""

from snakemake_interface_common.exceptions import WorkflowError

from ..pbs.local.resources import parse_size, parse_time


def mebibytes(value: object, where: str) -> int:
    """Give a size such as `8gb` in MiB, rounded up: PBS's `mb` are MiB, and so `mem_mb` becomes `mem=…mb` again.

    Raises WorkflowError, beginning with `where` the value is from, for what is no size, and for a size below 1 MiB,
    which is meant otherwise: PBS takes a number without unit for bytes.
    """
    kibibytes = parse_size(value) if isinstance(value, str) else None
    if kibibytes is None:
        raise WorkflowError(f"{where}: {value!r} is no amount of memory. Write a whole number and its unit: '8gb'.")
    if kibibytes < 1024:
        raise WorkflowError(
            f"{where}: {value!r} is less than a megabyte: PBS takes a number without unit for bytes. Write '8gb'."
        )
    return -(-kibibytes // 1024)


def minutes(value: object, where: str) -> int:
    """Give a time such as `02:00:00` in minutes, rounded up. As with PBS, `30:00` is half an hour and `90` are seconds.

    Raises WorkflowError, beginning with `where` the value is from, for what is no time, and for none at all.
    """
    seconds = parse_time(value) if isinstance(value, str) else None
    if seconds is None:
        raise WorkflowError(f"{where}: {value!r} is no time. Write hours:minutes:seconds in quotes: '02:00:00'.")
    if seconds == 0:
        raise WorkflowError(f"{where}: {value!r} leaves a job no time. Write hours:minutes:seconds: '02:00:00'.")
    return -(-seconds // 60)


def whole_number(value: object, where: str, minimum: int) -> int:
    """Give a count; raises WorkflowError, beginning with `where` it is from, for anything else."""
    digits = value if isinstance(value, int) and not isinstance(value, bool) else None
    if isinstance(value, str) and value.isascii() and value.isdigit():
        digits = int(value)
    if digits is None or digits < minimum:
        raise WorkflowError(f"{where}: {value!r} is no whole number of at least {minimum}.")
    return digits


def word(value: object, where: str) -> str:
    """Give a name such as a queue's; raises WorkflowError, beginning with `where` it is from, for anything else."""
    if not isinstance(value, str) or not value or not value.isprintable() or any(map(str.isspace, value)):
        raise WorkflowError(f"{where}: {value!r} is no name. Write it as text without spaces.")
    return value


def text(value: object, where: str) -> str:
    """Give text of one line; raises WorkflowError, beginning with `where` it is from, for anything else."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise WorkflowError(f"{where}: {value!r} is not text of one line. Write it in quotes.")
    return value
