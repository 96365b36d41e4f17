"""The `--pbs-singularity-*` options.

Snakemake turns every field into a command line option, a profile key and, where `env_var` is set, an
environment variable `SNAKEMAKE_PBS_SINGULARITY_<NAME>`.
"""

import math
import shlex
from dataclasses import dataclass, field
from pathlib import Path

from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.settings import ExecutorSettingsBase

DEFAULT_LIBRARY = Path("/mnt/data/container_library")
KINDS_OF_PBS = ("auto", "openpbs", "torque", "local")


@dataclass
class ExecutorSettings(ExecutorSettingsBase):
    """What a user may set once for all rules of a run."""

    queue: str | None = field(
        default=None,
        metadata={
            "help": "PBS queue for jobs whose rule sets no pbs_queue resource. Without it, the server's default queue, "
            "or if that does not take a job, the queue with the smallest maximum of walltime that does.",
            "env_var": True,
            "type": str,
            "metavar": "QUEUE",
        },
    )
    leave_queues: bool = field(
        default=False,
        metadata={
            "help": "Choose no queue and refuse no request here: that is PBS's to do. For sites where a hook of PBS "
            "changes queues or requests, so that the limits that `qstat -Qf` shows are not those of the jobs.",
            "env_var": True,
        },
    )
    account: str | None = field(
        default=None,
        metadata={
            "help": "Account that the jobs are charged to (qsub -A), unless the rule sets a pbs_account resource.",
            "env_var": True,
            "type": str,
            "metavar": "ACCOUNT",
        },
    )
    project: str | None = field(
        default=None,
        metadata={
            "help": "PBS project of the jobs (qsub -P), unless the rule sets a pbs_project resource.",
            "env_var": True,
            "type": str,
            "metavar": "PROJECT",
        },
    )
    gpu_model_resource: str = field(
        default="gpu_model",
        metadata={
            "help": "What this site calls the resource of its nodes that says which GPUs they have: a rule's gpu_model "
            "asks for it, as in select=1:ngpus=1:gpu_model=a100. On TORQUE a model is a property of nodes.",
            "env_var": True,
            "type": str,
            "metavar": "NAME",
        },
    )
    storage: str | None = field(
        default=None,
        metadata={
            "help": "Where jobs must name the file systems they use (-l storage=gdata/ab12+scratch/cd34): which "
            "folders stand for which name, separated by commas, such as /g/data/*=gdata/*,/scratch/*=scratch/*. What a "
            "job's files, image and binds lie in is asked for; a rule adds more with the resource pbs_storage.",
            "env_var": True,
            "type": str,
            "metavar": "FOLDER=NAME[,...]",
        },
    )
    storage_resource: str = field(
        default="storage+",
        metadata={
            "help": "The resource that --pbs-singularity-storage asks for, with the sign between the names of several "
            "after it, such as filesystems: for -l filesystems=home:eagle.",
            "env_var": True,
            "type": str,
            "metavar": "NAME[SIGN]",
        },
    )
    library: str | None = field(
        default=None,
        metadata={
            "help": "Folders with the site's container images, separated by colons and searched in this order. A "
            "rule's 'container: \"tools/bwa\"' is then FOLDER/tools/bwa.sif or .simg. "
            f"Default: {DEFAULT_LIBRARY} where that exists.",
            "env_var": True,
            "type": str,
            "metavar": "FOLDER[:FOLDER...]",
        },
    )
    store: str | None = field(
        default=None,
        metadata={
            "help": "Folder, seen by the compute nodes, that images given by URI (docker://...) are pulled into. Set "
            "it to a folder of your group to pull each image once for all workflows. Default: "
            ".snakemake/pbs-singularity/images in the working directory.",
            "env_var": True,
            "type": str,
            "metavar": "FOLDER",
        },
    )
    frozen: bool = field(
        default=False,
        metadata={
            "help": "Use only images that are in images.lock beside the Snakefile, and only as they were when it was "
            "written (pbs-singularity images lock). An image that is not in it, or whose file differs, is an error "
            "before anything is submitted.",
            "env_var": True,
        },
    )
    bind: str | None = field(
        default=None,
        metadata={
            "help": "Paths that every container sees besides the working directory, separated by commas, each "
            "SOURCE[:DESTINATION[:OPTIONS]] as 'singularity exec --bind' takes it, such as /mnt/data.",
            "env_var": True,
            "type": str,
            "metavar": "PATH[,PATH...]",
        },
    )
    container_args: str | None = field(
        default=None,
        metadata={
            "help": "More options for every 'singularity exec', after an equals sign as they begin with dashes: "
            "--pbs-singularity-container-args='--cleanenv'. A rule adds its own with the resource container_args.",
            "env_var": True,
            "type": str,
            "metavar": "OPTIONS",
        },
    )
    container_command: str | None = field(
        default=None,
        metadata={
            "help": "Command that runs containers on the compute nodes: a name, which is looked up on their PATH, or "
            "an absolute path, which is taken as it is. Default: the apptainer or singularity that is found here.",
            "env_var": True,
            "type": str,
            "metavar": "COMMAND",
        },
    )
    container_version: str | None = field(
        default=None,
        metadata={
            "help": "What that command is on the compute nodes, such as 'apptainer 1.4.5', 'singularity 3.8.7' or "
            "'2.6.1', where they differ from this machine or it has none. What this version cannot do is refused "
            "before anything is submitted. Default: what the command answers here.",
            "env_var": True,
            "type": str,
            "metavar": "VERSION",
        },
    )
    node_setup: str | None = field(
        default=None,
        metadata={
            "help": "Shell commands that run on the compute node before the commands of a PBS job, such as 'module "
            "load singularity/2.6.1'. If they fail, so does the job, and its log says why.",
            "env_var": True,
            "type": str,
            "metavar": "COMMANDS",
        },
    )
    login_containers: bool = field(
        default=False,
        metadata={
            "help": "Containers may run on the machine where Snakemake itself runs: those of local rules then do, with "
            "--software-deployment-method apptainer. Within a PBS job they always may.",
            "env_var": True,
        },
    )
    max_array_size: int | None = field(
        default=None,
        metadata={
            "help": "Most subjobs of one job array. Jobs that ask for the same are submitted together, as arrays; 1 "
            "submits each by itself. Default: what the server and the queue allow.",
            "env_var": True,
            "type": int,
            "metavar": "N",
        },
    )
    max_running: int | None = field(
        default=None,
        metadata={
            "help": "Most subjobs of one job array that run at a time, where others need the nodes or the disks (qsub "
            "-J 0-99%%N). Default: as many as PBS has room for.",
            "env_var": True,
            "type": int,
            "metavar": "N",
        },
    )
    bundle: int = field(
        default=1,
        metadata={
            "help": "Short jobs that one PBS job runs, one after the other, in one container start where image and "
            "options are the same. It gets their runtime times as much, and each has its own log and its own failure. "
            "A rule sets its own with the resource bundle.",
            "env_var": True,
            "type": int,
            "metavar": "K",
        },
    )
    never_run_minutes: float = field(
        default=60,
        metadata={
            "help": "Minutes after which a job that PBS says can never run (its 'Can Never Run') is deleted and counts "
            "as failed; 0 lets it wait. PBS says so of requests that no node can fulfil, which may change when nodes "
            "come back. The screen says it at once.",
            "env_var": True,
            "type": float,
            "metavar": "MINUTES",
        },
    )
    pbs: str = field(
        default="auto",
        metadata={
            "help": "Which PBS to submit to. 'auto' takes the qsub found on PATH and asks which kind it is; 'openpbs' "
            "says that it is OpenPBS or PBS Professional, 'torque' that it is TORQUE, without asking; 'local' needs "
            "none: a small PBS of this one machine, for trying out.",
            "env_var": True,
            "type": str,
            "metavar": "|".join(KINDS_OF_PBS),
        },
    )

    def __post_init__(self) -> None:
        """Raise WorkflowError for a PBS that is not known, and for numbers that are none to count with."""
        if self.pbs not in KINDS_OF_PBS:
            raise WorkflowError(f"--pbs-singularity-pbs: {self.pbs!r} is none of {', '.join(KINDS_OF_PBS)}.")
        for name in ("max_array_size", "max_running", "bundle"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise WorkflowError(f"--pbs-singularity-{name.replace('_', '-')}: {number} must be at least 1.")
        if not 0 <= self.never_run_minutes < math.inf:
            raise WorkflowError(
                f"--pbs-singularity-never-run-minutes: {self.never_run_minutes} must be 0 or more, and finite."
            )


def library_folders(settings: ExecutorSettings) -> tuple[Path, ...]:
    """Give the library folders in search order.

    Raises WorkflowError for a folder that was asked for and does not exist; the default may be absent.
    """
    if settings.library is None:
        return (DEFAULT_LIBRARY,) if DEFAULT_LIBRARY.is_dir() else ()
    folders = tuple(Path(folder).expanduser().absolute() for folder in settings.library.split(":") if folder)
    for folder in folders:
        if not folder.is_dir():
            raise WorkflowError(
                f"--pbs-singularity-library: the folder {str(folder)!r} does not exist or is not a folder. "
                "Give the folder that holds your site's images, or leave the option out."
            )
    return folders


def container_options(settings: ExecutorSettings) -> tuple[str, ...]:
    """Give the options of `singularity exec` that every rule gets, one word each.

    Raises WorkflowError for unbalanced quotes, and for a bind source that does not exist.
    """
    options: list[str] = []
    for bind in (settings.bind or "").split(","):
        if not bind:
            continue
        source = bind.split(":")[0]
        if not Path(source).exists():
            raise WorkflowError(
                f"--pbs-singularity-bind: {source!r} does not exist here. Containers could not start with it; "
                "correct the path or leave it out."
            )
        options += ["--bind", bind]
    return (*options, *split_options(settings.container_args or "", "--pbs-singularity-container-args"))


def split_options(text: str, where: str) -> list[str]:
    """Split options as a shell would, without expanding anything.

    Raises WorkflowError naming `where` the text came from if its quotes are unbalanced.
    """
    try:
        return shlex.split(text)
    except ValueError as error:
        raise WorkflowError(f"{where}: cannot split {text!r} into options ({error}). Balance its quotes.") from error
