"""Law 7: of the user's environment only what a command needs goes with a job."""

from snakemake_executor_plugin_pbs_singularity.site import CARRIED_VARIABLES, carried_environment


def test_secrets_stay_here() -> None:
    secrets = {"AWS_SECRET_ACCESS_KEY": "x", "SSH_AUTH_SOCK": "x", "LCX": "x", "TMPDIR": "/x", "HOME": "/x"}
    assert carried_environment(secrets) == {}


def test_what_finds_programs_and_their_language_goes_with_a_job() -> None:
    needed = {"PATH": "/bin", "LANG": "C.UTF-8", "LC_ALL": "C", "LC_TIME": "de_DE"}
    assert carried_environment({**needed, "TOKEN": "x"}) == needed
    assert set(carried_environment(dict.fromkeys(CARRIED_VARIABLES, "x"))) == set(CARRIED_VARIABLES)
