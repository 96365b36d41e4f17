"""What the words of a failed pull mean. The words are from transcripts of the real programs."""

from pathlib import Path

import pytest

from snakemake_executor_plugin_pbs_singularity.images import Product, Runtime, UriReference
from snakemake_executor_plugin_pbs_singularity.images.failures import PassingError, explain, last_words

NEW = Runtime(Path("/usr/bin/apptainer"), Product.APPTAINER, (1, 4, 5))
OLD = Runtime(Path("/usr/bin/singularity"), Product.SINGULARITY, (2, 6, 1))
IMAGE = UriReference("docker", "localhost:5000/ufoym/deepo:cpu")
DESTINATION = Path("/store/docker/deepo-12345678.sif")

APPTAINER = [
    (
        "FATAL:   While making image from oci registry: error fetching image to cache: failed to get checksum"
        " for docker://localhost:5000/ufoym/deepo:cpu: reading manifest cpu in localhost:5000/ufoym/deepo:"
        " manifest unknown",
        "no such image or tag",
    ),
    (
        "FATAL:   While performing build: conveyor failed to get: GET"
        " http://localhost:5000/v2/ufoym/deepo/manifests/cpu: MANIFEST_UNKNOWN: manifest unknown;"
        " map[Tag:cpu]",
        "no such image or tag",
    ),
    (
        "FATAL:   While making image from oci registry: error fetching image to cache: failed to get checksum"
        " for docker://localhost:5999/ufoym/deepo:cpu: pinging container registry localhost:5999: Get"
        ' "http://localhost:5999/v2/": dial tcp 127.0.0.1:5999: connect: connection refused',
        "needs the network: run on the login node",
    ),
    (
        'FATAL:   While performing build: conveyor failed to get: Get "https://index.docker.io/v2/": dial'
        " tcp: lookup index.docker.io on 10.255.255.53:53: no such host",
        f"put the file at {DESTINATION}",
    ),
    (
        "FATAL:   While pulling shub image: error fetching image to cache: failed to get manifest for:"
        " shub://vsoch/hello-world: no response received from singularity hub",
        "since 2021",
    ),
    (
        "FATAL:   Unable to get library client configuration: no default remote with library client in use"
        " (see https://apptainer.org/docs/user/latest/endpoint.html#no-default-remote)",
        "remote add --no-login SylabsCloud",
    ),
    (
        "FATAL:   While performing build: while creating squashfs: /usr/bin/mksquashfs command failed: exit"
        " status 1: Write failed because No space left on device\n"
        "FATAL ERROR: Failed to write to output filesystem",
        "APPTAINER_TMPDIR for unpacking",
    ),
    (
        "FATAL:   While making image from oci registry: requested access to the resource is denied",
        "`/usr/bin/apptainer registry login docker://localhost:5000`",
    ),
    ("FATAL:   something new", "ended with exit status 255"),
    ("", "ended with exit status 255"),
]


@pytest.mark.parametrize(("output", "says"), APPTAINER)
def test_what_apptainer_says_is_explained_with_a_remedy(output: str, says: str) -> None:
    error = explain(output, 255, IMAGE, NEW, DESTINATION)
    assert says in str(error)
    assert IMAGE.shown in error.problem
    assert error.remedy
    assert not isinstance(error, PassingError)
    assert all(line in error.problem for line in output.splitlines())


@pytest.mark.parametrize(
    "output",
    [
        "FATAL:   While performing build: conveyor failed to get: error writing layer: unexpected EOF",
        "FATAL:   While making image from oci registry: toomanyrequests: You have reached your pull rate limit.",
        "FATAL:   read tcp 10.0.0.1:44->10.0.0.2:443: read: connection reset by peer",
        "FATAL:   pinging container registry: received unexpected HTTP status: 503 Service Unavailable",
    ],
)
def test_a_rate_limit_or_a_cut_connection_is_worth_another_attempt(output: str) -> None:
    assert isinstance(explain(output, 255, IMAGE, NEW, DESTINATION), PassingError)


@pytest.mark.parametrize(
    ("output", "says"),
    [
        (
            "ERROR MANIFEST_UNKNOWN: OCI manifest found, but accept header does not support OCI manifests",
            "OCI format",
        ),
        ("/usr/bin/env: \u2018python\u2019: No such file or directory", "command named python"),
        ("denied: requested access to the resource is denied", "SINGULARITY_DOCKER_PASSWORD"),
    ],
)
def test_what_singularity_2_says_is_explained_too(output: str, says: str) -> None:
    assert says in str(explain(output, 1, IMAGE, OLD, DESTINATION))


def test_progress_warnings_and_terminal_codes_are_left_out() -> None:
    output = (
        "INFO:    Starting build...\n2026/11/23 14:21:09  warn rootless{dev/full} creating empty file\n"
        "12 MiB / 70 MiB [==>-----]\rWARNING: old\r\x1b[91mERROR  : Failed\x1b[0m\n"
        "\x1b[31m\x1b(B\x1b[mFATAL: no\a\n\n"
    )
    assert last_words(output)[1:] == ["ERROR  : Failed", "FATAL: no"]
    assert last_words("INFO:    Starting build...\n") == ["INFO:    Starting build..."]


def test_a_password_in_the_uri_is_not_repeated() -> None:
    reference = UriReference("https", "anna:secret@host/x.sif?token=secret")
    output = f"FATAL:   While pulling from {reference.uri}: 404 Not Found"
    error = explain(output, 255, reference, NEW, DESTINATION)
    assert "secret" not in str(error)
    assert "https://host/x.sif" in error.problem
