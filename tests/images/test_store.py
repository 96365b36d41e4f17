"""What pulled images are called."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake_executor_plugin_pbs_singularity.images import Product, Runtime, UriReference, stored_path
from snakemake_executor_plugin_pbs_singularity.images.reference import SCHEMES

STORE = Path("/store")
RESTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300)


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        (UriReference("docker", "ubuntu:22.04"), "docker/ubuntu_22.04-9859e0c0.sif"),
        (UriReference("oras", "ghcr.io/org/img:1"), "oras/ghcr.io_org_img_1-"),
        (UriReference("https", "host/dir/tool.sif?token=1"), "https/host_dir_tool-"),
        (UriReference("docker", "..."), "docker/image-"),
    ],
)
def test_a_stored_image_is_named_after_its_uri(reference: UriReference, name: str) -> None:
    assert str(stored_path(reference, STORE)).startswith(f"/store/{name}")


@given(st.sampled_from(SCHEMES), RESTS)
def test_a_stored_name_is_plain_and_short_and_below_its_scheme(scheme: str, rest: str) -> None:
    path = stored_path(UriReference(scheme, rest), STORE)
    assert path.parent == STORE / scheme
    assert path.name.isascii()
    assert set(path.name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-")
    assert path.name[0] not in ".-_"
    assert len(path.name) < 140


@given(RESTS, RESTS)
def test_two_uris_share_no_stored_name(one: str, other: str) -> None:
    paths = {stored_path(UriReference("docker", rest), STORE) for rest in (one, other)}
    assert len(paths) == len({one, other})


def test_uris_that_differ_in_odd_characters_only_share_no_stored_name() -> None:
    rests = ["a/b", "a_b", "a:b", "a//b", "A/b", "_a/b"]
    assert len({stored_path(UriReference("docker", rest), STORE).name.lower() for rest in rests}) == len(rests)


def test_no_secret_of_a_web_address_is_in_its_stored_name() -> None:
    path = stored_path(UriReference("https", "anna:secret@host/x.sif?token=secret"), STORE)
    assert "secret" not in str(path)


def test_singularity_2_pulls_images_of_the_old_ending() -> None:
    old = Runtime(Path("/usr/bin/singularity"), Product.SINGULARITY, (2, 6, 1))
    assert stored_path(UriReference("docker", "ubuntu"), STORE, old).suffix == ".simg"
