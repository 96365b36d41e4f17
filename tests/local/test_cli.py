"""The command ``pbs-singularity local``."""

import subprocess
import sys
import time

from .conftest import LocalPbs


def cli(pbs: LocalPbs, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``pbs-singularity local`` for the home of a test."""
    code = "from snakemake_executor_plugin_pbs_singularity.cli import main; main()"
    environment = {
        **pbs.environment,
        "PATH": "/usr/bin:/bin",
        "PBS_SINGULARITY_LOCAL_HOME": str(pbs.home),
    }
    return subprocess.run(
        [sys.executable, "-c", code, "local", *arguments],
        cwd=pbs.cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_command_finds_the_pbs_commands_and_its_exit_code_is_given(pbs: LocalPbs) -> None:
    done = cli(pbs, "--", "bash", "-c", "command -v qsub; exit 3")

    assert (done.stdout, done.returncode) == (f"{pbs.bin}/qsub\n", 3)


def test_the_commands_own_options_are_left_to_it(pbs: LocalPbs) -> None:
    assert cli(pbs, "--", "printf", "%s|", "--status", "--help").stdout == "--status|--help|"


def test_a_command_that_a_signal_ended_gives_what_a_shell_gives(pbs: LocalPbs) -> None:
    assert cli(pbs, "--", "sh", "-c", "kill -TERM $$").returncode == 143


def test_a_command_that_is_not_there_is_named(pbs: LocalPbs) -> None:
    done = cli(pbs, "--", "no-such-command")

    assert (done.returncode, done.stderr) == (127, "pbs-singularity: there is no command 'no-such-command'.\n")


def test_settings_are_changed_and_shown(pbs: LocalPbs) -> None:
    done = cli(pbs, "--set", "ncpus=3", "--set", "server=up", "--status")

    assert done.returncode == 0, done.stderr
    assert "ncpus = 3\n" in done.stdout
    assert "not running" in done.stdout
    assert "resources_available.ncpus = 3" in pbs.out("pbsnodes -a")


def test_the_settings_that_are_shown_can_be_set(pbs: LocalPbs) -> None:
    queues = {"day": {"max_walltime": 60, "acl_users": ["joan"], "resources_max": {"mem": "4gb"}}}
    pbs.set(queues=queues, face="torque", ncpus=2)
    shown = cli(pbs, "--status").stdout
    settings = [line.replace(" = ", "=", 1) for line in shown.splitlines() if " = " in line and "machine" not in line]
    pbs.set(queues=None, face=None, ncpus=None)

    done = cli(pbs, *(word for setting in settings for word in ("--set", setting)), "--status")

    assert (done.returncode, done.stdout) == (0, shown)


def test_a_wrong_setting_is_one_line_of_error(pbs: LocalPbs) -> None:
    done = cli(pbs, "--set", "ncpus=lots")

    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert "ncpus cannot be 'lots'" in done.stderr


def test_stop_deletes_all_jobs_and_ends_the_server(pbs: LocalPbs) -> None:
    job = pbs.submit("sleep 60")

    assert cli(pbs, "--stop").returncode == 0

    assert pbs.server_process() is None
    assert pbs.exit_status(job) == "265"


def test_a_home_that_is_open_to_others_is_one_line_of_error(pbs: LocalPbs) -> None:
    pbs.home.chmod(0o755)

    done = cli(pbs, "--", "true")

    pbs.home.chmod(0o700)
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: The folder of the local PBS, {pbs.home}, is open to other users.")


def test_without_anything_to_do_it_says_what_to_write(pbs: LocalPbs) -> None:
    done = cli(pbs)

    assert done.returncode == 2
    assert "pbs-singularity local -- qstat" in done.stderr


def test_the_help_says_what_it_is_and_is_not(pbs: LocalPbs) -> None:
    text = cli(pbs, "--help").stdout

    assert "PBS of this machine" in text
    assert "no batch system for a group" in text


def test_commands_are_quick(pbs: LocalPbs) -> None:
    pbs.out("qstat")

    def once() -> float:
        began = time.perf_counter()
        pbs.out("qstat")
        return time.perf_counter() - began

    assert min(once() for _ in range(10)) < 0.2  # the best of ten, on a machine that does other things too
