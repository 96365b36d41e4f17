"""The tables, byte for byte; pure functions given the names of the transcripts.

The user of the transcripts is called ``user`` in them, but had a name of seven letters when they were made:
columns and folded lines show it.
"""

from snakemake_executor_plugin_pbs_singularity.pbs.local.attributes import as_text, attributes, view_of
from snakemake_executor_plugin_pbs_singularity.pbs.local.job import Indices, Job, Request, Run
from snakemake_executor_plugin_pbs_singularity.pbs.local.resources import resources
from snakemake_executor_plugin_pbs_singularity.pbs.local.tables import alternate_table, job_table

from .transcripts import read

USER = "usr7usr"
USED = {"cpupercent": 0, "cput": 0, "mem": 0, "ncpus": 1, "vmem": 0, "walltime": 1}


def request(name: str, **more: object) -> Request:
    values = {
        "name": name,
        "owner": f"{USER}@vm",
        "queue": "workq",
        "resources": resources([], has_gpus=False),
        "submitted": 0.0,
        "output": f"vm:/home/user/{name}.o1",
        "error": f"vm:/home/user/{name}.e1",
        "variables": (),
        "arguments": "",
        **more,
    }
    return Request(**values)


def test_a_finished_job_in_the_short_table() -> None:
    job = Job(1, request("STDIN"), Run("F", used=USED))

    table = job_table([view_of(job, None, "")], "vm", title=True)

    assert table.replace(USER, "user").splitlines(keepends=True) == read("04d2").out.splitlines(keepends=True)[2:5]


def test_an_array_in_the_short_table() -> None:
    job = Job(9, request("arr", indices=Indices(0, 9)), Run("B"))
    job.subjobs = {index: Run("R") for index in range(10)}
    views = [view_of(job, index, "") for index in (None, *range(10))]

    assert job_table(views, "vm", title=True).replace(USER, "user") == read("03c-").out


def test_long_names_are_cut_and_marked() -> None:
    job = Job(1, request("n" * 30, owner="somebody-with-a-long-name@vm", queue="q" * 20), Run("Q"))

    line = job_table([view_of(job, None, "")], "a-host-with-a-long-name", title=False)

    assert line == "1.a-host-with-a-* nnnnnnnnnnnnnnn* somebody-with-a*         0 Q qqqqqqqqqqqqqqq*\n"


def test_the_alternate_table_has_the_requests() -> None:
    wanted = resources([("select", "1:ncpus=2:mem=12gb"), ("walltime", "90:00")], has_gpus=False)
    job = Job(12, request("train", resources=wanted), Run("R", session=4711, started=0, ended=61))

    table = alternate_table([view_of(job, None, "why")], "vm", title=True, comments=True, nodes=False)

    assert table.splitlines()[-2:] == [
        "12.vm           usr7usr  workq    train        4711   1   2   12gb 01:30 R 00:01",
        "   why",
    ]


def test_long_lines_are_folded_as_qstat_does() -> None:
    transcript = read("15a-").out
    variables = {
        "PBS_O_HOME": f"/home/{USER}",
        "PBS_O_LANG": "C.UTF-8",
        "PBS_O_LOGNAME": USER,
        "PBS_O_PATH": "/usr/bin:/bin:/usr/local/pbs/bin:/usr/local/pbs/sbin",
        "PBS_O_SHELL": "/bin/bash",
        "PBS_O_INTERACTIVE_AUTH_METHOD": "resvport",
        "PBS_O_INTERACTIVE_ENCRYPT_METHOD": "",
        "PBS_O_WORKDIR": f"/home/{USER}",
        "PBS_O_SYSTEM": "Linux",
        "PBS_O_QUEUE": "workq",
        "PBS_O_HOST": "vm",
    }
    job = Job(1, request("STDIN", variables=tuple(variables.items())), Run("F"))

    text = as_text("Job Id: 1.vm", attributes(view_of(job, None, ""), "vm", "/home/user"))

    start, end = transcript.index("    Variable_List"), transcript.index("    comment")
    assert transcript[start:end] in text.replace(USER, "user")
