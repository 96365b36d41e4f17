"""The `#PBS` lines of scripts that people have."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snakemake_interface_common.exceptions import WorkflowError

from snakemake_executor_plugin_pbs_singularity import pbs_script
from snakemake_executor_plugin_pbs_singularity.pbs import openpbs, torque
from snakemake_executor_plugin_pbs_singularity.settings import ExecutorSettings
from snakemake_executor_plugin_pbs_singularity.tasks.request import build_request


@pytest.fixture
def old(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def read(*lines):
        (tmp_path / "old_job.pbs").write_text("\n".join(["#!/bin/sh", *lines, "sleep 1", ""]))
        return pbs_script("old_job.pbs")

    return read


def asked(script, dialect=openpbs):
    """Give the arguments of qsub for a rule with the script's resources and threads."""
    return " ".join(dialect.request_arguments(build_request("rule", script.threads, script, ExecutorSettings())))


def test_torques_notation_and_openpbs_come_to_the_same(old):
    torque = old("#PBS -l nodes=1:ppn=4:gpus=1,mem=8gb,walltime=02:00:00", "#PBS -q gpu")
    openpbs = old("#PBS -l select=1:ncpus=4:mem=8gb:ngpus=1", "#PBS -l walltime=02:00:00 -q gpu")
    single = old("#PBS -l ncpus=4 -l mem=8gb,ngpus=1", "#PBS -lwalltime=2:0:0", "#PBS -qgpu")
    assert torque == openpbs == single == {"mem_mb": 8192, "gpu": 1, "runtime": 120, "pbs_queue": "gpu"}
    assert torque.threads == openpbs.threads == single.threads == 4


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("nodes=1", "-l select=1:ncpus=1"),
        ("nodes=2:ppn=4,mem=16gb", "-l select=2:ncpus=4:mpiprocs=4:mem=8192mb -l place=scatter"),
        ("select=2:ncpus=8:mpiprocs=2", "-l select=2:ncpus=8:mpiprocs=2 -l place=free"),
        ("select=1:ncpus=8:mpiprocs=8", "-l select=1:ncpus=8:mpiprocs=8"),
        ("select=3:ncpus=8", "-l select=3:ncpus=8 -l place=free"),
        ("select=1:ncpus=8:mpiprocs=2:ompthreads=4", "-l select=1:ncpus=8:mpiprocs=2"),
        ("select=1:ncpus=8:ompthreads=4", "-l select=1:ncpus=8:ompthreads=4"),
        ("select=1:ncpus=7:mpiprocs=2", "-l select=1:ncpus=7:mpiprocs=2"),
        ("select=1:ncpus=2:bigmem=True+2:ncpus=1", "-l select=1:ncpus=2:bigmem=True+2:ncpus=1"),
        ("nodes=1:fat:ppn=8", "-l select=1:fat=true:ncpus=8"),
        ("nodes=1:ppn=8+2:ppn=4", "-l select=1:ncpus=8:mpiprocs=8+2:ncpus=4:mpiprocs=4 -l place=scatter"),
        (
            "nodes=3:green:ncpus=2:ppn=2+2:red",
            "-l select=3:green=true:ncpus=4:mpiprocs=2+2:red=true:ncpus=1 -l place=scatter",
        ),
        ("mem=16gb,nodes=4", "-l select=4:ncpus=1:mem=4096mb -l place=scatter"),
        ("nodes=2:ppn=2,place=free", "-l select=2:ncpus=2:mpiprocs=2 -l place=free"),
        ("ncpus=2,host=node7", "-l select=1:ncpus=2:host=node7"),
        ("select=1:ncpus=1,place=pack:excl", "-l select=1:ncpus=1 -l place=pack:excl"),
        ("ncpus=1,software=matlab", "-l select=1:ncpus=1 -l software=matlab"),
    ],
)
def test_pbs_is_asked_for_what_the_script_asked_for(old, line, arguments):
    assert asked(old(f"#PBS -l {line}")) == arguments


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("nodes=2:ppn=4,mem=16gb", "-l nodes=2:ppn=4 -l mem=16384mb"),
        ("nodes=1:fat:ppn=8,mem=1gb", "-l nodes=1:fat:ppn=8 -l mem=1024mb"),
        ("nodes=1:ppn=8+2:ppn=4", "-l nodes=1:ppn=8+2:ppn=4"),
        ("nodes=3:green:ppn=2+2:red,mem=5gb", "-l nodes=3:green:ppn=2+2:red -l mem=5120mb"),
    ],
)
def test_a_torque_is_asked_for_what_the_script_asked_it_for(old, line, arguments):
    assert asked(old(f"#PBS -l {line}"), torque) == arguments


def test_what_qsub_takes_as_it_is_is_passed_on(old):
    script = old("#PBS -m abe -M me@example.org", '#PBS -W "group_list=lab" -h')
    assert script["pbs_extra"] == "-m abe -M me@example.org -W group_list=lab -h"


def test_names_and_logs_are_left_out_with_words(old):
    script = old("#PBS -N mnist -o out.log", "#PBS -j oe", "#PBS -V", "#PBS -W depend=afterok:1.vm", "#PBS -t 0-9")
    assert script == {}
    assert script.notes[0] == "old_job.pbs, line 2: -N mnist is left out: the plugin names the jobs."
    assert [note.partition(" is left out")[0] for note in script.notes] == [
        "old_job.pbs, line 2: -N mnist",
        "old_job.pbs, line 2: -o out.log",
        "old_job.pbs, line 3: -j oe",
        "old_job.pbs, line 4: -V",
        "old_job.pbs, line 5: -W depend=afterok:1.vm",
        "old_job.pbs, line 6: -t 0-9",
    ]


def test_the_cores_are_pointed_out_because_no_resource_sets_them(old):
    assert old("#PBS -l nodes=1:ppn=4").notes == ("old_job.pbs: it asks for 4 cores: write 'threads: 4' in the rule.",)


def test_comments_and_lines_after_the_first_command_do_not_count(old):
    script = old("# PBS -q no", "##PBS -q no", "#PBSX", "#PBS -q yes # don't", "", "cd work", "#PBS -q late")
    assert script == {"pbs_queue": "yes"}
    assert script.notes == ("old_job.pbs, line 8: PBS never read this line: it comes after the command in line 7.",)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("-l walltime=2h", "line 2: -l walltime=2h: '2h' is no time"),
        ("-l mem=8", "line 2.*bytes"),
        ("-l nodes=node7:ppn=2", "may be a host or a property"),
        ("-l nodes=0", "at least 1"),
        ("-l nodes=1:ppn=", "ppn"),
        ("-l nodes=1 -l select=1", "exclude each other"),
        ("-l select=1:ncpus=2,mem=8gb", "beside select"),
        ("-l procs=8", "on how many nodes"),
        ("-l walltime", "no resource"),
        ("-q", "has no value"),
        ("-q 'x", "cannot be split"),
        ("-Y 3", "no option of qsub"),
        ("qsub -q x", "no option of qsub"),
        ("-W block=true", "line 2: -W block=true cannot be taken over"),
    ],
)
def test_what_cannot_be_read_is_named_with_file_and_line(old, line, words):
    with pytest.raises(WorkflowError, match=f"old_job.pbs, .*{words}" if "line 2" not in words else words):
        old(f"#PBS {line}")


def test_a_script_that_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WorkflowError, match=r"'none\.pbs'.*No such file"):
        pbs_script("none.pbs")


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60))
def test_any_line_is_read_or_refused_in_words(tmp_path_factory, line):
    path = tmp_path_factory.getbasetemp() / "any.pbs"
    path.write_text(f"#PBS {line}\n", encoding="utf-8")
    try:
        outcome = str(pbs_script(path).threads)
    except WorkflowError as error:
        outcome = str(error)
    assert outcome.isdigit() or "any.pbs, line 1" in outcome
