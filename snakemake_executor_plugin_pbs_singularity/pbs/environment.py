"""What PBS's commands run with. Pure."""

from collections.abc import Mapping

_USER = ("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER", "XDG_RUNTIME_DIR")
_SYSTEM = ("KRB5CCNAME", "KRB5_CONFIG", "LD_LIBRARY_PATH")
_PBS = (
    *("PBS_CONF_FILE", "PBS_DEFAULT", "PBS_EXEC", "PBS_HOME", "PBS_PRIMARY", "PBS_SECONDARY", "PBS_SERVER"),
    *("PBS_BATCH_SERVICE_PORT", "PBS_BATCH_SERVICE_PORT_DIS", "PBS_MANAGER_SERVICE_PORT"),
    *("PBS_AUTH_METHOD", "PBS_ENCRYPT_METHOD", "PBS_SUPPORTED_AUTH_METHODS", "PBS_GSS_USER_CREDENTIALS_BIN"),
    *("PBS_INTERACTIVE_AUTH_METHOD", "PBS_INTERACTIVE_ENCRYPT_METHOD"),
    *("PBS_LEAF_NAME", "PBS_LEAF_ROUTERS", "PBS_OUTPUT_HOST_NAME", "PBS_PUBLIC_HOST_NAME", "PBS_SERVER_HOST_NAME"),
    "PBS_TMPDIR",
    "PBS_JOBID",
)
_PASSED_ON = frozenset((*_USER, *_SYSTEM, *_PBS))
_LOCAL_PREFIX = "PBS_SINGULARITY_LOCAL_"


def command_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Give what PBS's commands run with: what they need of an environment, and nothing else of it.

    What OpenPBS's read is listed in pbs_loadconf.c; TORQUE's read PBS_DEFAULT and PBS_SERVER (get_server.c).
    ``qsub`` copies HOME, LANG, LOGNAME, PATH, MAIL, SHELL and TZ into the job as PBS_O_*, where everybody can read
    them (transcript openpbs/15a); MAIL is not needed. Of the variables of a job that Snakemake itself may run in,
    only PBS_JOBID stays: with it OpenPBS's ``qsub`` leaves no background process on the node (qsub.c), and the new
    job gets its own. PBS_DPREFIX, which says what a script's ``#PBS`` is, does not, nor does PBS_QSTAT_NO_COMPLETE,
    with which TORQUE's ``qstat`` is silent about jobs that are over. The locale is C, in which ``qstat`` prints all
    bytes as they are.
    """
    passed = {
        name: value for name, value in environment.items() if name in _PASSED_ON or name.startswith(_LOCAL_PREFIX)
    }
    return passed | {"LC_ALL": "C"}
