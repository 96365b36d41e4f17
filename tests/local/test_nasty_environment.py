"""Values with quotes, commas and odd bytes in the environment, sent with qsub -V and -v (transcripts openpbs/11)."""

import ast
import subprocess
from dataclasses import dataclass

from .conftest import LocalPbs
from .transcripts import FOLDER

LEFT_OUT = {
    "100k": "the summary does not give the whole value",
    "comma-after-backslash": "with -V, OpenPBS cuts the value; here it arrives",
}
REPORT = "/usr/bin/printf %s \"$NASTY\" | od -An -v -tx1 | tr -d ' \\n'\n"


@dataclass(frozen=True)
class Case:
    """One row of the summary: how NASTY was sent, its value, and what the job saw; None if qsub refused."""

    option: str
    name: str
    value: bytes
    seen: bytes | None


def cases() -> list[Case]:
    """Read the rows of the summary."""
    found = []
    for line in (FOLDER / "11-nasty-SUMMARY.txt").read_text().splitlines()[1:]:
        option, name, value, answer, _, seen, *_ = line.split(" | ")
        if name in LEFT_OUT:
            continue
        sent = ast.literal_eval(value)
        refused = answer.startswith("qsub rc=1")
        found.append(Case(option, name, sent, None if refused else sent if seen == "same" else ast.literal_eval(seen)))
    return found


def test_the_job_sees_what_it_sees_under_openpbs(pbs: LocalPbs) -> None:
    (pbs.cwd / "report.sh").write_text(REPORT)
    jobs: dict[Case, str] = {}
    for case in cases():
        sent = ["-V"] if case.option == "V" else [b"-v", b"NASTY=" + case.value]
        environment = {**pbs.environment, **({"NASTY": case.value} if case.option == "V" else {})}
        qsub = subprocess.run(
            [pbs.bin / "qsub", *sent, "-S", "/bin/sh", "report.sh"],
            cwd=pbs.cwd,
            env=environment,
            capture_output=True,
            timeout=30,
            check=False,
        )
        if case.seen is None:
            assert qsub.returncode == 1, case
            assert qsub.stderr == b"qsub: cannot send environment with the job\n", case
        else:
            assert qsub.returncode == 0, (case, qsub.stderr)
            jobs[case] = qsub.stdout.decode().partition(".")[0]
    pbs.wait_until(lambda: pbs.out("qselect") == "", "the jobs never end")
    seen = {case: bytes.fromhex((pbs.cwd / f"report.sh.o{job}").read_text()) for case, job in jobs.items()}
    assert seen == {case: case.seen for case in jobs}


def test_a_listing_with_odd_bytes_is_printed_as_they_are(pbs: LocalPbs) -> None:
    environment = {**pbs.environment, "NASTY": b"caf\xe9"}
    subprocess.run([pbs.bin / "qsub", "-V", "-h"], cwd=pbs.cwd, env=environment, check=True, input=b"true\n")

    listing = subprocess.run([pbs.bin / "qstat", "-f", "-F", "json"], check=True, capture_output=True, timeout=30)

    assert b'"NASTY":\t"caf\xe9"' in listing.stdout
