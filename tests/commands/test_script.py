"""``pbs-singularity script``: what a run would submit, to read or to submit by hand."""

import subprocess
from pathlib import Path

import pytest
from local.conftest import pbs

from .called import call
from .test_exec import Done, Site, site

__all__ = ["pbs", "site"]

SNAKEFILE = """
envvars: "TOKEN"
print("the Snakefile speaks")
rule all:
    input: "b.txt", "c.txt"
rule a:
    output: "a.txt"
    container: "deep_learning/alpha"
    shell: "grep PRETTY /etc/os-release > {output}; echo made"
rule b:
    input: "a.txt"
    output: "{x,b}.txt"
    threads: 2
    resources: mem_mb=300, runtime=5
    container: "deep_learning/alpha"
    shell: "cat {input} > {output}; echo $TOKEN {wildcards.x} it\\\\'s >> {output}"
rule c:
    output: "c.txt"
    run:
        open(output[0], "w").write("run")
rule nowhere:
    output: "e.txt"
    container: "no/such"
    shell: "touch {output}"
rule pulled:
    output: "d.txt"
    container: "docker://127.0.0.1:9/no/such:1"
    shell: "touch {output}"
"""
SECRET = "sesame"


@pytest.fixture(autouse=True)
def snakefile(site: Site) -> None:
    (site.folder / "Snakefile").write_text(SNAKEFILE)
    site.environment["TOKEN"] = SECRET


def script(site: Site, *words: str | Path, fails: bool = False) -> Done:
    return call(*words, folder=site.folder, environment=site.environment, fails=fails, command="script")


def submit(site: Site, text: str, *options: str) -> str:
    """Submit a script by hand, wait for its end and give its id."""
    done = subprocess.run(
        ["qsub", *options],
        cwd=site.folder,
        env=site.environment,
        input=text,
        capture_output=True,
        text=True,
        check=True,
    )
    job = done.stdout.strip()
    site.pbs.wait(job)
    return job


def test_the_script_can_be_submitted_as_it_is(site: Site) -> None:
    text = script(site, "a.txt").stdout
    job = submit(site, text, "-v", "TOKEN=x")
    assert site.pbs.exit_status(job) == "0"
    assert (site.folder / "a.txt").read_text() == 'PRETTY_NAME="test image alpha"\n'
    assert next(site.folder.glob("a.o*")).read_text() == "made\n"


def test_it_asks_for_what_the_plugin_would_ask_for(site: Site) -> None:
    text = script(site, "b.txt").stdout
    directives = [line for line in text.splitlines() if line.startswith("#PBS")]
    assert directives[:2] == ["#PBS -l select=1:ncpus=2:mem=300mb", "#PBS -l walltime=300"]
    assert "# rule b (x=b)" in text
    assert "# Its input is not there yet: a.txt, which rule a makes." in text


def test_a_torque_is_asked_in_its_own_words(site: Site) -> None:
    site.pbs.set(face="torque")
    directives = [line for line in script(site, "b.txt").stdout.splitlines() if line.startswith("#PBS")]
    assert directives[:2] == ["#PBS -l nodes=1:ppn=2", "#PBS -l mem=300mb"]


def test_the_profile_counts(site: Site) -> None:
    profile = site.folder / "profiles/default/config.yaml"
    profile.parent.mkdir(parents=True)
    profile.write_text("pbs-singularity-account: chem\nset-resources:\n  a:\n    mem_mb: 70\n")
    text = script(site, "a.txt").stdout
    assert "mem=70mb" in text
    assert "#PBS -A chem" in text


def test_declared_variables_are_not_printed_but_needed(site: Site) -> None:
    (site.folder / "a.txt").write_text("input\n")
    done = script(site, "b.txt")
    assert SECRET not in done.stdout + done.stderr
    assert site.pbs.exit_status(submit(site, done.stdout)) != "0"
    assert "TOKEN: set it in this script" in next(site.folder.glob("b.o*")).read_text()
    submit(site, done.stdout, "-v", "TOKEN=open")
    assert (site.folder / "b.txt").read_text() == "input\nopen b it's\n"


def test_a_job_that_needs_snakemake_on_the_node_can_be_submitted_too(site: Site) -> None:
    text = script(site, "c").stdout
    assert "# It starts Snakemake on the node: its rule is not a shell: rule." in text
    assert site.pbs.exit_status(submit(site, text, "-v", "TOKEN=x")) == "0"
    assert (site.folder / "c.txt").read_text() == "run"


def test_scripts_of_a_whole_workflow_are_private_files_in_order(site: Site) -> None:
    written = [Path(line) for line in script(site, "--all", "--output", "scripts").stdout.split()]
    assert [file.name for file in written] == ["01-a.pbs", "02-b-x=b.pbs", "03-c.pbs"]
    assert {oct(file.stat().st_mode & 0o777) for file in written} == {"0o600"}
    for file in written:
        subprocess.run(["sh", file], env=site.environment, stdin=subprocess.DEVNULL, timeout=60, check=True)
    assert (site.folder / "b.txt").read_text() == f'PRETTY_NAME="test image alpha"\n{SECRET} b it\'s\n'
    assert (site.folder / "c.txt").exists()


def test_what_is_done_is_shown_again(site: Site) -> None:
    (site.folder / "a.txt").touch()
    assert "# rule a" in script(site, "a.txt").stdout


def test_an_image_that_has_to_be_pulled_is_named(site: Site) -> None:
    assert "pbs-singularity images pull docker://127.0.0.1:9/no/such:1" in script(site, "pulled").stdout


def test_another_directory_and_snakefile_can_be_named(site: Site, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    text = script(site, "--snakefile", "Snakefile", "--directory", elsewhere, "a.txt").stdout
    submit(site, text, "-v", "TOKEN=x")
    assert (elsewhere / "a.txt").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Name a file or a rule"),
        (["all"], "runs nothing itself"),
        (["--all"], "give --output FOLDER"),
        (["no-such-file"], "no-such-file"),
        (["--config", "x", "a.txt"], "write NAME=VALUE"),
        (["--configfile", "no-such.yaml", "a.txt"], "'no-such.yaml' does not exist"),
        (["nowhere"], "Rule nowhere: There is no image 'no/such'"),
    ],
)
def test_what_cannot_be_shown_is_said(words: list[str], said: str, site: Site) -> None:
    done = script(site, *words, fails=True)
    assert said in done.stderr
    assert 'File "' not in done.stderr
    assert done.stdout == ""
