"""Law 7: of the user's environment only what a command needs goes with a job."""

from pathlib import Path

from snakemake_executor_plugin_pbs_singularity.images import Runtime
from snakemake_executor_plugin_pbs_singularity.images.runtime import parse_said_version
from snakemake_executor_plugin_pbs_singularity.site import CARRIED_VARIABLES, bind_variable, carried_environment


def test_secrets_stay_here() -> None:
    secrets = {"AWS_SECRET_ACCESS_KEY": "x", "SSH_AUTH_SOCK": "x", "LCX": "x", "TMPDIR": "/x", "HOME": "/x"}
    assert carried_environment(secrets) == {}


def test_what_finds_programs_and_their_language_goes_with_a_job() -> None:
    needed = {"PATH": "/bin", "LANG": "C.UTF-8", "LC_ALL": "C", "LC_TIME": "de_DE"}
    assert carried_environment({**needed, "TOKEN": "x"}) == needed
    assert set(carried_environment(dict.fromkeys(CARRIED_VARIABLES, "x"))) == set(CARRIED_VARIABLES)


def runtime(version: str) -> Runtime:
    said = parse_said_version(version)
    assert said is not None
    return Runtime(Path("/bin/singularity"), *said)


def test_binds_of_the_environment_reach_the_runtime_of_the_nodes_by_the_name_that_it_knows() -> None:
    """Singularity 2.6.1 ignores SINGULARITY_BIND without a word (transcript singularity-2.6.1/07)."""
    environment = {"SINGULARITY_BIND": "/data", "APPTAINER_BIND": "/other"}
    assert bind_variable(environment, runtime("apptainer 1.4.5")) == {}
    assert bind_variable(environment, runtime("3.8.7")) == {}
    assert bind_variable({"APPTAINER_BIND": "/data"}, runtime("3.8.7")) == {"SINGULARITY_BIND": "/data"}
    assert bind_variable({"SINGULARITY_BIND": "/data"}, runtime("2.6.1")) == {"SINGULARITY_BINDPATH": "/data"}
    assert bind_variable({"SINGULARITY_BINDPATH": "/a", "SINGULARITY_BIND": "/b"}, runtime("2.6.1")) == {}
    assert bind_variable({}, runtime("2.6.1")) == {}
