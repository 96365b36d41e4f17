"""Resources that rise with each attempt, for rules with `retries:`."""

import math
from dataclasses import dataclass
from typing import Literal

from snakemake_interface_common.exceptions import WorkflowError

from .notation import mebibytes, minutes

Unit = Literal["number", "MiB", "minutes"]
Amount = int | float | str


@dataclass(frozen=True)
class Growth:
    """What a resource is at each attempt; Snakemake calls it as it calls any function in `resources:`."""

    first: float
    factor: float
    step: float
    most: float | None
    unit: Unit

    def __call__(self, wildcards: object, attempt: int) -> int:
        """Give the value for an attempt; the first is 1. Never more than `most`, rounded up."""
        try:
            value = self.first * self.factor ** (attempt - 1) + self.step * (attempt - 1)
        except OverflowError:
            value = math.inf
        if self.most is not None:
            value = min(value, self.most)
        if not math.isfinite(value):
            raise WorkflowError(f"grow({self.first:g}, …) is endless at attempt {attempt}. Give it a limit with most=.")
        return math.ceil(value - 1e-9)  # 100 * 1.1 is 110.00000000000001


def grow(
    first: Amount, *, factor: float | None = None, step: Amount | None = None, most: Amount | None = None
) -> Growth:
    """Give a resource that rises with each attempt: by `factor` (2 if nothing is said), or by a `step`, up to `most`.

    `mem_mb=grow(4000, most=64000)` is 4000, 8000, 16000, …; `runtime=grow(60, step=30)` is 60, 90, 120, … In PBS's
    notation it is also a value for `pbs`: `mem=grow("4gb", most="64gb")`, `walltime=grow("02:00:00", factor=3)`. A size
    then gives MiB, for `mem_mb`, and a time minutes, for `runtime`.

    Raises WorkflowError for amounts that are none, or of different kinds, and for what does not rise.
    """
    unit, start = _amount("first", first)
    if factor is not None and step is not None:
        raise WorkflowError(f"grow({first!r}, …): factor={factor!r} and step={step!r} exclude each other. Give one.")
    if factor is not None and (isinstance(factor, bool) or not isinstance(factor, int | float) or not factor >= 1):
        raise WorkflowError(f"grow({first!r}, factor={factor!r}): give a factor of at least 1, such as 1.5 or 2.")
    added = 0.0 if step is None else _alike("step", step, unit, first)
    limit = None if most is None else _alike("most", most, unit, first)
    if limit is not None and limit < start:
        raise WorkflowError(f"grow({first!r}, most={most!r}): the most is less than the first. Exchange them?")
    return Growth(start, float(factor or 2) if step is None else 1.0, added, limit, unit)


def _amount(name: str, value: Amount) -> tuple[Unit, float]:
    where = f"grow({name}={value!r})"
    if isinstance(value, str):
        if ":" in value:
            return "minutes", minutes(value, where)
        if value.isdigit():
            raise WorkflowError(
                f"{where}: write a number without quotes, a size with its unit, or a time as '02:00:00'."
            )
        return "MiB", mebibytes(value, where)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise WorkflowError(f"{where}: give a number above 0, a size such as '8gb', or a time such as '02:00:00'.")
    return "number", float(value)


def _alike(name: str, value: Amount, unit: Unit, first: Amount) -> float:
    own, amount = _amount(name, value)
    if own != unit:
        raise WorkflowError(f"grow({first!r}, {name}={value!r}): the two are of different kinds. Write both alike.")
    return amount
