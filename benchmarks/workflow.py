"""What is submitted: the Snakefile, the scripts written by hand, the command lines. Pure."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from .cases import Case, Kind, Way

BUNDLE = 10
"""Jobs in a bundle."""
OUTPUTS = "out"
"""The folder, in that of a run, that each job writes a file into: its name is the job's index, what is in it the time
by the node's bash, in seconds since the epoch; empty with another shell."""
LOGS = "logs"
NULL_FOLDER = Path(__file__).parent / "null"
"""For PYTHONPATH: where Snakemake finds the executor that runs nothing."""

_MEMORY, _MINUTES = 500, 10
"""MB and minutes that each job asks for, in every way alike."""
_REQUEST = f"-l select=1:ncpus=1:mem={_MEMORY}mb -l walltime=00:{_MINUTES}:00"

_SNAKEFILE = """\
rule all:
    input: expand("{outputs}/{{i}}", i=range({size}))

rule one:
    output: "{outputs}/{{i}}"
{more}    resources: mem_mb={memory}, runtime={minutes}
    shell: "echo ${{{{EPOCHREALTIME-}}}} > {{output}}"
"""

_BY_HAND = """\
#!/bin/sh
#PBS -N by-hand
#PBS {request}
#PBS -j oe
#PBS -o {logs}/
cd "$PBS_O_WORKDIR" || exit 1
{command}
"""

_ONE_BY_ONE = """\
job=0
while [ "$job" -lt {size} ]; do
    qsub -v job="$job" by-hand.sh || exit 1
    job=$((job + 1))
done
"""

_JOBSCRIPT = """\
#!/bin/sh
# properties = {{properties}}
export PATH={path}
{{exec_job}}
"""
"""Snakemake's own, with the PATH that leads to the container runtime."""


def files(case: Case, runtime: Path, image: Path, path: str) -> dict[str, str]:
    """Give the files of a run by their names; ``path`` is the PATH of jobs."""
    if case.way.is_by_hand:
        return {"by-hand.sh": _by_hand(case, runtime, image), "one-by-one.sh": _ONE_BY_ONE.format(size=case.size)}
    return {
        "Snakefile": _snakefile(case, image),
        "jobscript.sh": _JOBSCRIPT.format(path=shlex.quote(path).replace("{", "{{").replace("}", "}}")),
    }


def command(case: Case, more: Sequence[str] = ()) -> list[str]:
    """Give the command line that runs a case, in the folder of its files; ``more`` are options of Snakemake."""
    if case.way in (Way.ARRAY, Way.ARRAY_R):
        without_output = ["-R", "oe"] if case.way is Way.ARRAY_R else []
        return ["qsub", "-J", f"0-{case.size - 1}", *without_output, "by-hand.sh"]
    if case.way is Way.SINGLES:
        return ["sh", "one-by-one.sh"]
    return [
        sys.executable,
        "-m",
        "snakemake",
        "--jobs",
        str(case.size),
        "--workflow-profile",
        "none",
        *_options(case),
        *more,
    ]


def _options(case: Case) -> list[str]:
    if case.way is Way.NULL:
        return ["--executor", "null"]
    if case.way is Way.CLUSTER_GENERIC:
        generic = [
            "--executor",
            "cluster-generic",
            "--jobscript",
            "jobscript.sh",
            "--cluster-generic-cancel-cmd",
            "qdel",
        ]
        generic += ["--cluster-generic-submit-cmd", f"qsub {_REQUEST} -j oe -o {LOGS}/"]
        return generic + (["--sdm", "apptainer"] if case.kind is Kind.CONTAINER else [])
    plugin = ["--executor", "pbs-singularity"]
    if case.way is Way.BUNDLES:
        plugin += ["--pbs-singularity-bundle", str(BUNDLE)]
    if case.way is Way.PLUGIN_SINGLES:
        plugin += ["--pbs-singularity-max-array-size", "1"]
    return plugin


def _snakefile(case: Case, image: Path) -> str:
    more = ""
    if case.kind is Kind.CONTAINER:
        more += f"    container: {str(image)!r}\n"
    if case.way is Way.NESTED:
        more += '    benchmark: "timing/{i}"\n'
    return _SNAKEFILE.format(outputs=OUTPUTS, size=case.size, more=more, memory=_MEMORY, minutes=_MINUTES)


def _by_hand(case: Case, runtime: Path, image: Path) -> str:
    index = "$job" if case.way is Way.SINGLES else "$PBS_ARRAY_INDEX"
    work = f"echo ${{EPOCHREALTIME-}} > {OUTPUTS}/{index}"
    if case.kind is Kind.CONTAINER:
        work = f'{shlex.join([str(runtime), "exec", str(image)])} sh -c "{work}"'
    return _BY_HAND.format(request=_REQUEST, logs=LOGS, command=work)
