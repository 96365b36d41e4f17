"""Which options ``exec`` has in which version, so that one that the compute nodes lack is refused before submission.

Singularity 2.x reads its options in ``libexec/cli/action_argparser.sh``, whole words only (transcripts
singularity-2.6.1/07 and 12); all others in ``cmd/internal/cli/action_flags.go``, with ``--name=value``, ``-Bvalue``
and several letters in one word. The table is from these files in every minor version, hidden options included.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .errors import ImageError
from .runtime import Product, Runtime

NEWEST = {Product.APPTAINER: (1, 5), Product.SINGULARITY_CE: (4, 5), Product.SINGULARITY: (4, 5)}
"""What the table knows: a later version may have options that are not in it."""

# Spellings, with = if a value follows; then in which versions of Singularity, and of Apptainer: the first that has it,
# and after a dash the first that has it no more.
_TABLE = """
--add-caps=                 3.0      1.0
--allow-setuid              3.0      1.0
--app=                      2.0      1.0
--apply-cgroups=            3.0      1.0
--authfile=                 4.1      1.4
--bind=,-B=                 2.0      1.0
--blkio-weight=             3.10     1.1
--blkio-weight-device=      3.10     1.1
--cdi-dirs=                 4.0      1.5
--cleanenv,-e               2.0      1.0
--compat                    3.9      1.0
--contain,-c                2.0      1.0
--containall,-C             2.0      1.0
--containlibs=              3.0      1.0
--cpu-shares=               3.10     1.1
--cpus=                     3.10     1.1
--cpuset-cpus=              3.10     1.1
--cpuset-mems=              3.10     1.1
--cwd=                      4.0      1.3
--data=                     4.2      -
--device=                   4.0      1.5
--disable-cache             3.4      1.0
--dns=                      3.0      1.0
--docker-host=              3.11     1.2
--docker-login              3.0      1.0
--docker-password=          3.0      1.0
--docker-username=          3.0      1.0
--drop-caps=                3.0      1.0
--env=                      3.6      1.0
--env-file=                 3.6      1.0
--fakeroot,-f               3.0      1.0
--fusemount=                3.4      1.0
--home=,-H=                 2.0      1.0
--hostname=                 3.0      1.0
--ignore-fakeroot-command   -        1.1
--ignore-subuid             -        1.1
--ignore-userns             -        1.1
--intel-hpu                 -        1.5
--ipc,-i                    2.0      1.0
--keep-layers               4.1      -
--keep-privs                3.0      1.0
--memory=                   3.10     1.1
--memory-reservation=       3.10     1.1
--memory-swap=              3.10     1.1
--mount=                    3.9      1.0
--net,-n                    2.0      1.0
--netns-path=               4.2      1.4
--network=                  3.0      1.0
--network-args=             3.0      1.0
--no-compat                 4.0      -
--no-env=                   -        1.5
--no-eval                   3.10     1.1
--no-home                   2.5      1.0
--no-https                  3.9      1.0
--no-init                   3.0      1.0
--no-mount=                 3.7      1.0
--no-nv                     3.0      1.0
--no-oci                    4.0      -
--no-pid                    4.0      1.3
--no-privs                  3.0      1.0
--no-rocm                   3.5      1.0
--no-setgroups              3.11     -
--no-tmp-sandbox            4.0      -
--no-umask                  3.7      1.0
--nohttps                   3.0      1.0
--nonet                     3.4-3.9  -
--nv                        2.3      1.0
--nvccli                    3.9      1.0
--oci                       3.11     -
--oom-kill-disable          3.10     1.1
--overlay=,-o=              2.4      1.0
--passphrase                3.4      1.0
--pem-path=                 3.4      1.0
--pid,-p                    2.0      1.0
--pids-limit=               3.10     1.1
--proot=                    3.11     -
--pwd=                      2.0      1.0
--rocm                      3.5      1.0
--scratch=,-S=              2.0      1.0
--security=                 3.0      1.0
--sharens                   -        1.3
--sif-fuse                  3.10     -
--tmp-sandbox               4.1      -
--tmpdir=                   3.0      1.0
--underlay                  -        1.2
--unsquash                  -        1.1
--userns,-u                 2.0      1.0
--uts                       3.0      1.0
--vm,--vm-err               3.2-4.0  1.0-1.3
--vm-cpu=,--vm-ram=         3.2-4.0  1.0-1.3
--vm-ip=                    3.4-4.0  1.0-1.3
--workdir=,-W=              2.0      1.0
--writable,-w               2.0      1.0
--writable-tmpfs            3.0      1.0
--CONTAIN,--user            2.0-3.0  -
--noinit                    2.5-3.0  -
--scratchdir=,--scratch-dir= 2.0-3.0 -
--shell=,-s=,-a=            2.0-3.0  -
--wdir=,--workingdir=       2.0-3.0  -
"""

_VARIABLE = (
    "Set the variable before Snakemake is started and name it in the Snakefile's envvars:; with --cleanenv, as "
    "SINGULARITYENV_NAME."
)
_LIMITED_BY_PBS = "Leave it out: PBS limits the job to what the rule asks for, such as mem_mb and threads."
_ONLY_FOR_PULLS = "Leave it out: images are files by the time that jobs run."
_INSTEAD = {
    "--env": _VARIABLE,
    "--env-file": _VARIABLE,
    "--cwd": "Write --pwd, which means the same.",
    "--mount": "Write --bind SOURCE:DESTINATION.",
    "--compat": "Write --containall, and --no-init, --no-umask and --writable-tmpfs where the version has them.",
    "--writable-tmpfs": "Bind a folder to where the command writes: --bind FOLDER:/where/it/writes.",
    "--fakeroot": "Leave it out, or build what needs it into the image elsewhere.",
    "-f": "Leave it out, or build what needs it into the image elsewhere.",
    "--no-mount": "Leave it out, or write --contain, which mounts little.",
    "--rocm": "Bind what AMD's GPUs need: --bind /opt/rocm.",
    "--nvccli": "Write --nv.",
    "--device": "Write --nv or --rocm.",
    "--no-init": "Write --noinit.",
    "--noinit": "Write --no-init.",
    "-a": "Write --app.",
    "--CONTAIN": "Write --containall.",
    "--user": "Write --userns.",
    "--wdir": "Write --workdir.",
    "--workingdir": "Write --workdir.",
    "--scratchdir": "Write --scratch.",
    "--scratch-dir": "Write --scratch.",
    "--unsquash": "Name an unpacked image, a folder.",
    **dict.fromkeys(("--memory", "--memory-reservation", "--memory-swap", "--cpus", "--cpu-shares"), _LIMITED_BY_PBS),
    **dict.fromkeys(("--cpuset-cpus", "--cpuset-mems", "--pids-limit", "--oom-kill-disable"), _LIMITED_BY_PBS),
    **dict.fromkeys(("--no-https", "--nohttps", "--disable-cache", "--authfile", "--docker-host"), _ONLY_FOR_PULLS),
}
"""What to write where an option is missing."""

_LEAVE_OUT = "Leave it out, or ask the site for a version that has it."


@dataclass(frozen=True)
class _Option:
    takes_value: bool
    singularity: tuple[tuple[int, ...], tuple[int, ...]] | None
    """The first version that has it, and the first that has it no more; None if no version has it."""
    apptainer: tuple[tuple[int, ...], tuple[int, ...]] | None

    def is_in(self, runtime: Runtime) -> bool:
        versions = self.apptainer if runtime.product is Product.APPTAINER else self.singularity
        return versions is not None and versions[0] <= runtime.version < versions[1]


def _versions(text: str) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    if text == "-":
        return None
    first, _, last = text.partition("-")
    return tuple(map(int, first.split("."))), tuple(map(int, (last or "999").split(".")))


def _options() -> Iterator[tuple[str, _Option]]:
    for line in _TABLE.strip().splitlines():
        spellings, singularity, apptainer = line.split()
        for spelling in spellings.split(","):
            option = _Option(spelling.endswith("="), _versions(singularity), _versions(apptainer))
            yield spelling.removesuffix("="), option


OPTIONS = dict(_options())
"""Every spelling of every option, such as ``--bind`` and ``-B``."""


def check_options(words: Sequence[str], runtime: Runtime, where: str, *, shell_text: bool = False) -> None:
    """Raise ImageError if ``exec`` of this version does not take these words for options.

    ``where`` says where they were written. Options that a version later than NEWEST may have pass, and a runtime whose
    version is not known takes all. Of ``shell_text``, what stands after the first word that the shell of the node will
    put something in is not looked at.
    """
    if not runtime.version:
        return
    expects_value = ""
    for word in words:
        if expects_value:
            expects_value = ""
            continue
        if shell_text and any(character in word for character in "$`"):
            return
        if word in ("-", "--") or not word.startswith("-"):
            if runtime.is_newer_than(NEWEST[runtime.product]):
                continue  # perhaps the value of an option that is not known here
            raise ImageError(
                f"{where}: {word!r} is no option: {runtime.name} would take it for the image.",
                "Options begin with dashes; quote a value that has blanks.",
            )
        expects_value = _check_word(word, runtime, where)
    if expects_value:
        raise ImageError(f"{where}: {expects_value} needs a value.", "Write it behind.")


def _check_word(word: str, runtime: Runtime, where: str) -> str:
    """Give the option of a word whose value has to follow as the next one, or nothing."""
    name, equals, _ = word.partition("=")
    if runtime.is_version_2:
        if name in OPTIONS and equals:
            raise ImageError(
                f"{where}: {runtime.name} does not know {word!r}: it takes values as words of their own.",
                f"Write {name} and the value with a blank between." if OPTIONS[name].takes_value else f"Write {name}.",
            )
        if word not in OPTIONS and not word.startswith("--") and len(word) > 2:
            raise ImageError(
                f"{where}: {runtime.name} does not know {word!r}: it takes one option a word.",
                f"Write {word[:2]} by itself, and a blank behind it.",
            )
        return word if _find(word, runtime, where).takes_value else ""
    if word.startswith("--"):
        option = _find(name, runtime, where)
        return name if option.takes_value and not equals else ""
    for position, letter in enumerate(word[1:], start=2):
        option = _find(f"-{letter}", runtime, where)
        if option.takes_value:
            return "" if word[position:] else f"-{letter}"
        if word[position : position + 1] == "=":
            break
    return ""


_OF_LATER_VERSIONS = _Option(takes_value=False, singularity=None, apptainer=None)


def _find(name: str, runtime: Runtime, where: str) -> _Option:
    option = OPTIONS.get(name)
    if option is not None and option.is_in(runtime):
        return option
    if option is None and runtime.is_newer_than(NEWEST[runtime.product]):
        return _OF_LATER_VERSIONS
    if option is None:
        raise ImageError(
            f"{where}: {name} is no option of `exec` in {runtime.name}.", "Check its spelling, or leave it out."
        )
    raise ImageError(
        f"{where}: {runtime.name}, which the compute nodes have, has no option {name}.",
        _INSTEAD.get(name, _LEAVE_OUT),
    )
