"""`image` in Snakefiles, run by the real snakemake."""

import shutil
import textwrap
from pathlib import Path

import pytest
from snakemake_interface_common.exceptions import WorkflowError

from snakemake_executor_plugin_pbs_singularity import image
from snakemake_executor_plugin_pbs_singularity.pbs.local.settings import change
from tests.end_to_end import harness

LOCALLY = ["--cores=2", "--software-deployment-method=apptainer"]
SNAKEFILE = """
    from snakemake_executor_plugin_pbs_singularity import grow, image, pbs, pbs_script
    rule all:
        input: "direct.txt", "nested.txt"
    rule direct:
        output: "direct.txt"
        container: image("deep_learning/alpha")
        resources: **pbs(mem=grow("64mb", most="1gb"), walltime="00:10:00")
        shell: "grep PRETTY_NAME /etc/os-release > {output}"
    rule nested:
        output: "nested.txt"
        container: image("tools/beta")
        benchmark: "benchmark.txt"
        shell: "grep PRETTY_NAME /etc/os-release > {output}"
"""


@pytest.fixture
def workflow(tmp_path):
    def write(snakefile: str) -> Path:
        (tmp_path / "Snakefile").write_text(textwrap.dedent(snakefile))
        return tmp_path

    return write


@pytest.fixture
def environment(container_environment, tmp_path_factory):
    """No library is set; a local PBS is there when one is asked for."""
    home = tmp_path_factory.mktemp("pbs")
    home.chmod(0o700)
    change(home, ncpus=4, kill_grace=1, idle=10)
    unset = "SNAKEMAKE_PBS_SINGULARITY_LIBRARY"
    kept = {name: value for name, value in container_environment.items() if name != unset}
    return {**kept, "PBS_SINGULARITY_LOCAL_HOME": str(home)}


@pytest.fixture
def snakemake(environment):
    def run(folder: Path, *options: str, fails: bool = False) -> harness.Run:
        return harness.run(folder, list(options), environment, fails=fails)

    return run


def names(run):
    return run.text("direct.txt"), run.text("nested.txt")


def test_one_snakefile_runs_here_and_there_with_the_library_of_the_option(workflow, snakemake, library):
    folder = workflow(SNAKEFILE)
    option = f"--pbs-singularity-library={library}"
    images = 'PRETTY_NAME="test image alpha"', 'PRETTY_NAME="test image beta"'
    assert names(snakemake(folder, *LOCALLY, option)) == images
    for executor in (["--dry-run"], ["--dry-run", "--executor=pbs-singularity", "--jobs=2"]):
        assert "Nothing to be done" in snakemake(folder, *LOCALLY, *executor, option).said
    there = [*harness.pbs_options(), "--pbs-singularity-pbs=local", "--forceall", option]
    assert names(snakemake(folder, *there)) == images


def test_the_library_of_a_profile_counts_for_other_executors(workflow, snakemake, library):
    folder = workflow(SNAKEFILE)
    (folder / "profiles" / "default").mkdir(parents=True)
    profile = f"executor: pbs-singularity\npbs-singularity-library: {library}\n"
    (folder / "profiles" / "default" / "config.yaml").write_text(profile)
    run = snakemake(folder, *LOCALLY, "--executor=local", "direct.txt")
    assert run.text("direct.txt") == 'PRETTY_NAME="test image alpha"'


def test_a_job_that_snakemake_starts_a_process_for_finds_the_same_image(workflow, snakemake, library):
    folder = workflow("""
        from snakemake_executor_plugin_pbs_singularity import image
        rule shadowed:
            output: "{kind}_{name}.txt"
            container: image("{kind}/{name}")
            shadow: "minimal"
            shell: "grep PRETTY_NAME /etc/os-release > {output}"
    """)
    run = snakemake(folder, *LOCALLY, f"--pbs-singularity-library={library}", "tools_beta.txt")
    assert run.text("tools_beta.txt") == 'PRETTY_NAME="test image beta"'


@pytest.mark.parametrize("options", [[], ["--executor=pbs-singularity", "--jobs=1"], ["--pbs-singularity-library=/no"]])
def test_a_dry_run_needs_no_library_and_says_what_is_missing(workflow, snakemake, options):
    run = snakemake(workflow(SNAKEFILE), *LOCALLY, "--dry-run", *options)
    assert run.said.count("image('deep_learning/alpha'): ") == 1
    assert "This was a dry-run" in run.said


def test_an_image_that_is_missing_is_an_error_of_a_run_before_anything_is_submitted(workflow, snakemake):
    options = [*harness.pbs_options(), "--pbs-singularity-pbs=local"]
    run = snakemake(workflow(SNAKEFILE), *options, fails=True)
    assert "Rule direct: There is no image 'deep_learning/alpha'" in run.said
    assert run.submitted == []


def test_a_library_whose_path_has_a_space_is_explained(workflow, snakemake, library, tmp_path_factory):
    spaced = tmp_path_factory.mktemp("my library")
    shutil.copytree(library / "sandboxes", spaced / "deep_learning", symlinks=True)
    (spaced / "deep_learning" / "gamma").rename(spaced / "deep_learning" / "alpha")
    run = snakemake(workflow(SNAKEFILE), *LOCALLY, "-n", f"--pbs-singularity-library={spaced}", "direct.txt")
    assert "has a space in it, which Snakemake refuses" in run.said


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('container: image("tools/two words")', "has a space in its name"),
        ('container: image("../alpha\\n")', "control character"),
        ('container: image("dokcer://ubuntu")', "Did you mean docker://?"),
        ('resources: **pbs(mem="8 gigs")', "is no amount of memory"),
        ('resources: **pbs(ncpus=8)', "write 'threads: 8' beside resources"),
        ('resources: **pbs_script("none.pbs")', "cannot be read (No such file or directory)"),
    ],
)  # fmt: skip
def test_an_error_names_the_line_of_the_snakefile(workflow, snakemake, line, words):
    folder = workflow(f"""
        from snakemake_executor_plugin_pbs_singularity import image, pbs, pbs_script
        rule bad:
            output: "x.txt"
            {line}
            shell: "true"
    """)
    run = snakemake(folder, "--dry-run", "--cores=1", "x.txt", fails=True)
    assert words in run.said
    assert 'Snakefile", line 5' in run.said
    assert "Traceback" not in run.said


def test_uris_take_their_tag_from_elsewhere():
    assert (
        image.uri("docker://quay.io/biocontainers/bwa", tag="0.7.17--h1")
        == "docker://quay.io/biocontainers/bwa:0.7.17--h1"
    )
    digest = f"sha256:{'0a' * 32}"
    assert (
        image.uri("docker://localhost:5000/test/delta", digest=digest) == f"docker://localhost:5000/test/delta@{digest}"
    )


@pytest.mark.parametrize(
    ("repository", "options", "words"),
    [
        ("docker://python", {"tag": 3.1}, "YAML reads 1.10 as 1.1"),
        ("docker://python", {"tag": "a b"}, "letters, digits"),
        ("docker://python", {}, "either a tag or a digest"),
        ("docker://python", {"tag": "1", "digest": "sha256:0"}, "either a tag or a digest"),
        ("docker://python", {"digest": "sha256:0"}, "64 digits"),
        ("docker://python:3", {"tag": "3"}, "already"),
        ("python", {"tag": "3"}, "only docker://"),
        ("https://example.org/x.sif", {"tag": "3"}, "only docker://"),
    ],
)
def test_a_uri_that_cannot_be_meant_is_refused(repository, options, words):
    with pytest.raises(WorkflowError, match=words):
        image.uri(repository, **options)


def test_a_uri_stays_what_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert image("docker://ubuntu:{release}")({"release": "22.04"}) == "docker://ubuntu:22.04"
