"""Which options ``exec`` has in which version."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake_executor_plugin_pbs_singularity.images import ImageError, Product, Runtime, find_runtime
from snakemake_executor_plugin_pbs_singularity.images.options import OPTIONS, check_options
from snakemake_executor_plugin_pbs_singularity.images.runtime import parse_said_version

VERSIONS = (
    *("2.4", "2.6.1", "3.0.1", "3.5.3", "3.6", "3.8.7", "singularity-ce 3.9.2", "singularity-ce 3.11", "4.0", "4.1.5"),
    *("apptainer 1.0.0", "apptainer 1.1.9", "apptainer 1.3.6", "apptainer 1.4.5"),
)


def runtime(version: str) -> Runtime:
    said = parse_said_version(version)
    assert said is not None
    return Runtime(Path("/usr/bin/singularity"), *said)


def check(version: str, words: str, *, shell_text: bool = False) -> None:
    check_options(shlex.split(words), runtime(version), "Rule a", shell_text=shell_text)


def refusal(version: str, words: str) -> ImageError:
    """What is said of options that are refused."""
    with pytest.raises(ImageError) as error:
        check(version, words)
    return error.value


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "words",
    ["", "--nv", "--bind /a:/b:ro -B /c,/d", "--cleanenv -e", "--contain -c -C", "--pwd /x", "-H /a --home /b:/c"],
)
def test_what_every_version_has_passes(version: str, words: str) -> None:
    check(version, words)


@pytest.mark.parametrize(
    ("words", "has", "lacks"),
    [
        ("--env A=b", ["3.6", "3.8.7", "4.1.5", "apptainer 1.0.0"], ["2.6.1", "3.5.3"]),
        ("--env=A=b", ["3.6", "apptainer 1.4.5"], ["2.6.1", "3.0.1"]),
        ("--rocm", ["3.5.3", "apptainer 1.0.0"], ["2.6.1", "3.0.1"]),
        ("--writable-tmpfs", ["3.0.1", "apptainer 1.4.5"], ["2.6.1"]),
        ("--fakeroot", ["3.0.1", "apptainer 1.4.5"], ["2.6.1"]),
        ("-f", ["3.0.1", "apptainer 1.4.5"], ["2.6.1"]),
        ("--compat", ["singularity-ce 3.9.2", "4.0", "apptainer 1.0.0"], ["2.6.1", "3.8.7"]),
        ("--no-mount tmp", ["3.8.7", "4.0"], ["2.6.1", "3.6"]),
        ("--mount type=bind,src=/a,dst=/b", ["4.0", "apptainer 1.0.0"], ["2.6.1", "3.8.7"]),
        ("--cwd /a", ["4.0", "apptainer 1.3.6"], ["2.6.1", "3.8.7", "singularity-ce 3.11", "apptainer 1.1.9"]),
        ("--nvccli", ["4.0", "apptainer 1.0.0"], ["2.6.1", "3.8.7"]),
        ("--unsquash", ["apptainer 1.1.9"], ["2.6.1", "3.8.7", "4.1.5", "apptainer 1.0.0"]),
        ("--oci", ["singularity-ce 3.11", "4.1.5"], ["3.8.7", "apptainer 1.4.5"]),
        ("--memory 1g", ["4.0", "apptainer 1.1.9"], ["2.6.1", "3.8.7", "apptainer 1.0.0"]),
        ("--vm", ["3.8.7", "apptainer 1.1.9"], ["2.6.1", "4.0", "apptainer 1.3.6"]),
        ("--noinit", ["2.6.1"], ["2.4", "3.0.1", "apptainer 1.4.5"]),
        ("-a app", ["2.6.1"], ["3.0.1", "4.0"]),
        ("--bind=/a:/b", ["3.0.1", "apptainer 1.4.5"], ["2.6.1"]),
        ("-B/a:/b", ["3.0.1", "apptainer 1.4.5"], ["2.6.1"]),
        ("-ec", ["3.0.1", "apptainer 1.4.5"], ["2.6.1"]),
        ("--nv=false", ["3.0.1", "apptainer 1.4.5"], ["2.6.1"]),
    ],
)
def test_an_option_passes_where_the_version_has_it(words: str, has: list[str], lacks: list[str]) -> None:
    for version in has:
        check(version, words)
    for version in lacks:
        assert runtime(version).name in refusal(version, words).problem


@pytest.mark.parametrize(
    ("version", "words", "remedy"),
    [
        ("2.6.1", "--env A=b", "envvars:"),
        ("2.6.1", "--bind=/a:/b", "Write --bind and the value with a blank between."),
        ("2.6.1", "--nv=true", "Write --nv."),
        ("2.6.1", "-ec", "Write -e by itself"),
        ("2.6.1", "--cwd /a", "--pwd"),
        ("2.6.1", "--rocm", "--bind /opt/rocm"),
        ("2.6.1", "--mount x", "--bind SOURCE:DESTINATION"),
        ("2.6.1", "--hostname x", "Leave it out"),
        ("3.8.7", "--compat", "--containall"),
        ("3.8.7", "--memory 1g", "mem_mb"),
        ("apptainer 1.4.5", "--noinit", "--no-init"),
    ],
)
def test_a_refusal_says_what_to_write_instead(version: str, words: str, remedy: str) -> None:
    error = refusal(version, words)
    assert remedy in error.remedy
    assert error.problem.startswith("Rule a: ")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_word_that_would_be_taken_for_the_image_is_refused(version: str) -> None:
    for words in ("image.sif", "--nv x", "--bind /a /b", "--", "-"):
        assert "would take it for the image" in refusal(version, words).problem


@pytest.mark.parametrize("words", ["--bind", "--nv -B", "--env"])
def test_an_option_without_its_value_is_refused(words: str) -> None:
    assert "needs a value" in refusal("apptainer 1.4.5", words).problem


@pytest.mark.parametrize("version", ["2.6.1", "3.8.7", "apptainer 1.4.5"])
def test_what_no_version_has_is_refused(version: str) -> None:
    assert "no option of `exec`" in refusal(version, "--silent").problem


@pytest.mark.parametrize("version", ["apptainer 1.6", "apptainer 2.0", "4.6", "5.0"])
def test_what_is_not_known_passes_in_a_later_version_than_is_known(version: str) -> None:
    check(version, "--brand-new --brand-new-too value --nv -Z")
    assert "has no option --noinit" in refusal(version, "--noinit").problem


def test_a_runtime_of_unknown_version_takes_all() -> None:
    check_options(["--brand-new", "x"], Runtime(Path("singularity"), Product.SINGULARITY, ()), "Rule a")


def test_what_the_shell_of_the_node_will_fill_in_is_not_looked_at() -> None:
    check("2.6.1", "--nv $OPTIONS --env", shell_text=True)
    check("2.6.1", "--bind $HOME/x --nv", shell_text=True)
    with pytest.raises(ImageError, match="no option --env"):
        check("2.6.1", "--env A=$B", shell_text=True)


@st.composite
def options_in_words(draw: st.DrawFn, version: str) -> list[str]:
    """Options that a version has, each with a value if it takes one, in a spelling of that version."""
    known = [name for name, option in OPTIONS.items() if option.is_in(runtime(version))]
    words: list[str] = []
    for name in draw(st.lists(st.sampled_from(known), max_size=6)):
        value = draw(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
        if not OPTIONS[name].takes_value:
            words.append(name)
        elif name.startswith("--") and version != "2.6.1" and draw(st.booleans()):
            words.append(f"{name}={value}")
        else:
            words += [name, value]
    return words


@pytest.mark.parametrize("version", ["2.6.1", "3.8.7", "4.1.5", "apptainer 1.4.5"])
@given(data=st.data())
def test_any_options_of_a_version_pass_whatever_their_values_hold(version: str, data: st.DataObject) -> None:
    check_options(data.draw(options_in_words(version)), runtime(version), "Rule a")


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))), st.sampled_from(VERSIONS))
def test_any_words_pass_or_are_refused_in_words(words: list[str], version: str) -> None:
    try:
        check_options(words, runtime(version), "Rule a")
    except ImageError as error:
        assert error.problem.startswith("Rule a: ")  # noqa: PT017
        assert error.remedy  # noqa: PT017


def test_the_runtime_of_this_machine_has_the_options_that_it_is_known_for(
    container_environment: dict[str, str],
) -> None:
    here = find_runtime(container_environment)
    asked = subprocess.run(
        [str(here.command), *(["help", "exec"] if here.is_version_2 else ["exec", "--help"])],
        env=container_environment,
        capture_output=True,
        text=True,
        check=False,
    )
    shown = set(re.findall(r"(?:^ +|[,|] ?)(--[a-z][\w-]*)", asked.stdout, re.MULTILINE)) - {"--help"}
    assert len(shown) > 10
    for name in shown:
        assert OPTIONS[name].is_in(here), name
