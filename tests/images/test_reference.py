"""What the text behind ``container:`` means."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake_executor_plugin_pbs_singularity.images import (
    ImageError,
    LibraryReference,
    PathReference,
    UriReference,
    parse_reference,
)
from snakemake_executor_plugin_pbs_singularity.images.reference import SCHEMES


@pytest.mark.parametrize(
    "value",
    [
        "/data/x.sif",
        "./x.sif",
        "../images/x.sif",
        "~/x.sif",
        "~anna/x.sif",
        '/with space/it\'s "x" $HOME.sif',
        "/数据/x.sif",
    ],
)
def test_a_value_that_is_plainly_a_path_is_one(value: str) -> None:
    assert parse_reference(value) == PathReference(Path(value))


@pytest.mark.parametrize(
    ("value", "path"),
    [("file:///data/x.sif", "/data/x.sif"), ("file://x.sif", "x.sif"), ("file:///a%20b?c#d", "/a%20b?c#d")],
)
def test_what_follows_file_is_taken_literally_as_snakemake_does(value: str, path: str) -> None:
    assert parse_reference(value) == PathReference(Path(path))


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("deep_learning/tensorflow-1.10.0-py3", "deep_learning/tensorflow-1.10.0-py3"),
        ("deep_learning/tensorflow-1.10.0-py3.simg", "deep_learning/tensorflow-1.10.0-py3.simg"),
        ("python", "python"),
        ("a//b/./c/", "a/b/c"),
        ("my image.sif", "my image.sif"),
        ("ubuntu:22.04", "ubuntu:22.04"),
        ("..a/b..", "..a/b.."),
    ],
)
def test_a_bare_name_is_one_of_a_library(value: str, name: str) -> None:
    assert parse_reference(value) == LibraryReference(name)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_scheme_that_the_runtime_pulls_makes_a_uri(scheme: str) -> None:
    value = f"{scheme}:///mnt/ubuntu:22.04@sha256:abc"
    reference = parse_reference(value)
    assert reference == UriReference(scheme, "/mnt/ubuntu:22.04@sha256:abc")
    assert reference.uri == value


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("x.sif\n", "line break"),
        ("a\0b", "control"),
        ("/a/\x1b[31m", "control"),
        ("/a\u2028b", "control"),
        ("/bad\udc80", "control"),
        (" docker://ubuntu", "space"),
        ("dockr://ubuntu", "Did you mean docker://?"),
        ("Docker://ubuntu", "Did you mean docker://?"),
        ("s3://bucket/x.sif", "Known are docker://, oras://"),
        ("docker://", "nothing behind"),
        ("docker:///", "nothing behind"),
        ("file://", "no path"),
        ("docker:ubuntu", "Write docker://ubuntu."),
        ("docker:/ubuntu", "Write docker://ubuntu."),
        ("file:/data/x.sif", "Write file:///data/x.sif."),
        ("docker-archive:x.tar", "Write docker-archive:///x.tar."),
        ("docker-archive://x.tar", "not absolute"),
        ("docker://ubuntu 22.04", "contains a space"),
        ("a/../../secret", "'..'"),
    ],
)
def test_a_value_that_means_nothing_is_refused_in_words(value: str, says: str) -> None:
    with pytest.raises(ImageError) as refused:
        parse_reference(value)
    assert says in str(refused.value)


@pytest.mark.parametrize("scheme", ["https", "ftp"])
def test_a_password_or_token_in_a_web_address_is_not_shown(scheme: str) -> None:
    reference = UriReference(scheme, "anna:secret@host:8080/a@b/x.sif?token=secret#secret")
    assert reference.shown == f"{scheme}://host:8080/a@b/x.sif"
    assert "secret" in reference.uri


def test_a_digest_is_no_password() -> None:
    reference = UriReference("docker", "ubuntu@sha256:abc")
    assert reference.shown == reference.uri


@given(st.text(st.characters(), max_size=40))
def test_any_text_is_understood_or_refused(value: str) -> None:
    try:
        reference = parse_reference(value)
    except ImageError:
        return
    match reference:
        case UriReference():
            assert reference.uri == value
        case LibraryReference(name):
            assert ".." not in name.split("/")
            assert not name.startswith("/")
        case PathReference(path):
            assert str(path)


@given(st.sampled_from([*SCHEMES, "file", "ftp"]), st.text(st.characters(), max_size=30))
def test_any_text_behind_a_scheme_is_understood_or_refused(scheme: str, rest: str) -> None:
    try:
        reference = parse_reference(f"{scheme}://{rest}")
    except ImageError:
        return
    assert isinstance(reference, PathReference if scheme == "file" else UriReference)
