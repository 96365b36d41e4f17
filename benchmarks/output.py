"""What Snakemake prints, as it comes, and what jobs write: when which job was reported, and when it ended."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

_JOB = re.compile(rb"    jobid: (\d+)\s")
_WILDCARD = re.compile(rb"    wildcards: i=(\d+)\s")
_FINISHED = re.compile(rb"Finished jobid: (\d+) ")


@dataclass
class Reports:
    """Reads Snakemake's lines and notes down when jobs are reported as finished."""

    times: dict[int, float] = field(default_factory=dict)
    """Seconds since the epoch, by the index of a job (its wildcard ``i``)."""
    _job: int = -1
    _indices: dict[int, int] = field(default_factory=dict)

    def read(self, line: bytes) -> None:
        """Take a line that comes now."""
        if match := _FINISHED.match(line):
            index = self._indices.get(int(match[1]))
            if index is not None:
                self.times[index] = time.time()
        elif match := _JOB.match(line):
            self._job = int(match[1])
        elif match := _WILDCARD.match(line):
            self._indices[self._job] = int(match[1])


def end_times(outputs: Mapping[int, str]) -> dict[int, float]:
    """Give when jobs ended, by index, in seconds since the epoch, from what they wrote; less those that wrote nothing.

    What they wrote is bash's EPOCHREALTIME, whose decimal point is that of the locale.
    """
    return {index: float(text.replace(",", ".")) for index, text in outputs.items() if text.strip()}
