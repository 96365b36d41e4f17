"""What a lock says of images, without any image."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake_executor_plugin_pbs_singularity.images.errors import ImageError
from snakemake_executor_plugin_pbs_singularity.images.lock import (
    check_against_lock,
    check_locked,
    check_undamaged,
    lock_key,
    locked_uri,
    moved_words,
    unfixed_words,
)
from snakemake_executor_plugin_pbs_singularity.images.lockfile import LockedImage
from snakemake_executor_plugin_pbs_singularity.images.reference import UriReference

D1, D2 = (f"sha256:{digit * 64}" for digit in "12")
A, B, C = (digit * 64 for digit in "abc")
LOCK = Path("/project/images.lock")
IMAGE = Path("/store/image.sif")
PULLED = LockedImage("docker://ubuntu:22.04", D1, A, 10, datetime(2026, 1, 2, tzinfo=UTC), "Apptainer 1.4.5")
FROM_LIBRARY = LockedImage("tools/bwa", None, A, 10, datetime(2019, 1, 1, tzinfo=UTC), None)


def docker(rest: str) -> UriReference:
    return UriReference("docker", rest)


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ("docker://ubuntu:22.04", "docker://ubuntu:22.04"),
        ("tools/bwa", "tools/bwa"),
        ("/mnt/data/x.sif", "/mnt/data/x.sif"),
        ("https://ann:secret@web.example/x.sif?token=secret", "https://web.example/x.sif"),
    ],
)
def test_a_lock_holds_no_secret(value: str, key: str) -> None:
    assert lock_key(value) == key


@pytest.mark.parametrize(
    ("reference", "uri"),
    [
        (docker("ubuntu"), f"docker://ubuntu@{D1}"),
        (docker("quay.io/a/b:1.0"), f"docker://quay.io/a/b@{D1}"),
        (docker(f"quay.io/a/b:1.0@{D2}"), f"docker://quay.io/a/b@{D1}"),
        (UriReference("oras", "ghcr.io/a/b:1"), f"oras://ghcr.io/a/b@{D1}"),
        (UriReference("library", "lolcow:1"), "library://lolcow:1"),
    ],
)
def test_a_locked_uri_names_the_digest_instead_of_the_tag(reference: UriReference, uri: str) -> None:
    assert locked_uri(reference, D1) == uri


def test_a_uri_without_a_digest_is_pulled_as_it_is() -> None:
    assert locked_uri(docker("ubuntu:1"), None) == "docker://ubuntu:1"


def test_what_is_not_locked_is_refused_with_words() -> None:
    with pytest.raises(ImageError, match=r"'tools/bwa' is not in /project/images\.lock.*images lock"):
        check_locked("tools/bwa", None, LOCK)


def test_a_locked_image_of_a_registry_must_have_a_digest() -> None:
    with pytest.raises(ImageError, match=r"no digest for 'docker://ubuntu:22\.04'"):
        check_locked("docker://ubuntu:22.04", replace(PULLED, digest=None), LOCK)


def test_a_digest_in_the_workflow_must_be_the_locked_one() -> None:
    value = f"docker://ubuntu@{D2}"
    with pytest.raises(ImageError, match="another one than its own"):
        check_locked(value, replace(PULLED, reference=value), LOCK)
    locked = replace(PULLED, reference=value, digest=D2)
    assert check_locked(value, locked, LOCK) is locked


def test_a_file_with_the_locked_checksum_is_the_locked_image() -> None:
    check_against_lock(IMAGE, A, PULLED, None, LOCK)
    check_against_lock(IMAGE, A, FROM_LIBRARY, None, LOCK)


def test_a_file_that_was_pulled_by_the_locked_digest_is_the_locked_image_though_its_bytes_differ() -> None:
    check_against_lock(IMAGE, B, PULLED, replace(PULLED, sha256=B), LOCK)


def test_a_file_that_is_not_what_was_pulled_is_damaged() -> None:
    with pytest.raises(ImageError, match=r"image\.sif is damaged.*Remove it"):
        check_against_lock(IMAGE, C, PULLED, replace(PULLED, sha256=B), LOCK)
    with pytest.raises(ImageError, match="is damaged"):
        check_undamaged(IMAGE, C, PULLED)


@pytest.mark.parametrize("record", [None, replace(PULLED, digest=D2, sha256=B), replace(PULLED, digest=None, sha256=B)])
def test_a_file_of_which_nobody_knows_that_it_has_the_digest_is_another_image(record: LockedImage | None) -> None:
    with pytest.raises(ImageError, match=r"is not the image that /project/images\.lock has"):
        check_against_lock(IMAGE, B, PULLED, record, LOCK)


def test_a_changed_image_of_a_library_is_not_to_be_removed() -> None:
    with pytest.raises(ImageError) as caught:
        check_against_lock(IMAGE, B, FROM_LIBRARY, None, LOCK)
    assert "Remove" not in str(caught.value)


@given(
    checksum=st.sampled_from([A, B, C]),
    digest=st.sampled_from([None, D1, D2]),
    record_digest=st.sampled_from([None, D1, D2]),
    record_checksum=st.sampled_from([None, A, B]),
)
def test_no_file_passes_without_a_checksum_that_somebody_noted_down(
    checksum: str, digest: str | None, record_digest: str | None, record_checksum: str | None
) -> None:
    record = replace(PULLED, digest=record_digest, sha256=record_checksum) if record_checksum is not None else None
    known = {A} | ({record.sha256} if record is not None and digest is not None and record.digest == digest else set())
    try:
        check_against_lock(IMAGE, checksum, replace(PULLED, digest=digest), record, LOCK)
    except ImageError:
        passed = False
    else:
        passed = True
    assert passed == (checksum in known)


@pytest.mark.parametrize("rest", ["ubuntu", "ubuntu:latest", "quay.io/a/b"])
def test_latest_is_pointed_out(rest: str) -> None:
    assert "images lock" in str(unfixed_words(docker(rest)))


@pytest.mark.parametrize("reference", [docker("a:1"), docker(f"a@{D1}"), UriReference("library", "a:latest")])
def test_versions_are_not_pointed_out(reference: UriReference) -> None:
    assert unfixed_words(reference) is None


def test_a_tag_that_moved_is_pointed_out_with_both_digests() -> None:
    words = moved_words(docker("ubuntu:22.04"), PULLED, D2)
    assert words is not None
    assert "2026-01-02" in words
    assert D1 in words
    assert D2 in words


@pytest.mark.parametrize("record", [PULLED, replace(PULLED, digest=None)])
def test_a_tag_that_did_not_move_or_of_which_nothing_is_known_is_not_pointed_out(record: LockedImage) -> None:
    assert moved_words(docker("ubuntu:22.04"), record, D1) is None
