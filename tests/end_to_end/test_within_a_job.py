"""Snakemake may run in a PBS job, or with the variables of one: its own jobs are none the wiser."""

import shlex
import sys
from pathlib import Path

from . import harness
from .harness import Snakemake, pbs_command, qstat, wait_until, write

WORKFLOW = """
rule all:
    input: "direct", "nested"

rule direct:
    output: "direct"
    container: "tools/beta"
    resources: mem_mb=200
    shell: "env > {output}; env | grep -c FOREIGN > found || true"

rule nested:
    output: "nested"
    resources: mem_mb=500
    run:
        import os
        with open(output[0], "w") as file:
            file.writelines(f"{name}={value}\\n" for name, value in os.environ.items())
"""

FOREIGN = {
    "PBS_JOBID": "FOREIGN.server",
    "PBS_JOBNAME": "FOREIGN",
    "PBS_NODEFILE": "/FOREIGN",
    "PBS_O_WORKDIR": "/FOREIGN",
    "PBS_ARRAY_INDEX": "7",
    "PBS_ARRAYID": "7",
    "PBS_DPREFIX": "#FOREIGN",
    "SINGULARITY_NAME": "FOREIGN.sif",
    "SINGULARITYENV_X": "FOREIGN",
    "APPTAINER_CONTAINER": "/FOREIGN.sif",
    "APPTAINERENV_X": "FOREIGN",
    "NCPUS": "7",
}


def test_jobs_get_nothing_of_the_variables_of_another_job(snakemake: Snakemake, tmp_path: Path) -> None:
    run = snakemake(write(tmp_path, {"Snakefile": WORKFLOW}), variables=FOREIGN)
    assert "FOREIGN" not in run.text("direct") + run.text("nested")
    assert run.values("nested")["PBS_JOBID"] == run.job("nested").pbs_id
    assert "PBS_ARRAY_INDEX" not in run.values("nested")


def test_snakemake_in_a_pbs_job_submits_its_own(environment: dict[str, str], tmp_path: Path) -> None:
    folder = write(tmp_path, {"Snakefile": WORKFLOW})
    command = shlex.join([str(Path(sys.executable).with_name("snakemake")), *harness.pbs_options()])
    exports = "".join(
        f"export {name}={shlex.quote(environment[name])}\n"
        for name in environment
        if name in ("PATH", "PYTHONPATH") or name.startswith(("PBS_SINGULARITY", "SNAKEMAKE_", "PBS_CONF"))
    )
    script = folder / "controller.sh"
    script.write_text(f"{exports}cd {shlex.quote(str(folder))}\n{command} >said 2>&1\n")
    job = pbs_command(environment, "qsub", "-o", "/dev/null", "-j", "oe", str(script)).stdout.strip()
    wait_until(lambda: qstat(environment, job)["job_state"] in ("F", "C"), "the controller's job ends", 120)
    said = (folder / "said").read_text()
    ids = {submitted.pbs_id for submitted in harness.submitted_in(said)}
    assert len(ids) == 2, said
    assert job not in ids
    assert f"PBS_JOBID={job}" not in (folder / "nested").read_text()
