"""Digests from real registries on loopback: an open one, and one with https and passwords."""

import base64
import contextlib
import json
import platform
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake_executor_plugin_pbs_singularity.images.errors import ImageError
from snakemake_executor_plugin_pbs_singularity.images.failures import PassingError
from snakemake_executor_plugin_pbs_singularity.images.reference import UriReference
from snakemake_executor_plugin_pbs_singularity.images.registry import credentials, digest_of, may_use_http, size_of
from snakemake_executor_plugin_pbs_singularity.images.registry_name import fixed_digest, registry_name
from tools.debian import command
from tools.images import TestImages
from tools.registry import Registry, registry_tools

DIGEST = "sha256:" + "0123456789abcdef" * 4
HTTP = {"APPTAINER_NOHTTPS": "1"}


def docker(rest: str) -> UriReference:
    return UriReference("docker", rest)


def delta(registry: Registry, version: str = ":1") -> UriReference:
    return docker(f"{registry.address}/test/delta{version}")


def manifest(registry: Registry, image: str, tag: str) -> tuple[dict[str, object], str]:
    """What the registry says to somebody who asks by hand."""
    request = urllib.request.Request(
        f"http://{registry.address}/v2/{image}/manifests/{tag}",
        headers={"Accept": "application/vnd.docker.distribution.manifest.v2+json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer), answer.headers["Docker-Content-Digest"]


# --- names ---


@pytest.mark.parametrize(
    ("rest", "parts"),
    [
        ("ubuntu", (None, "ubuntu", None, None)),
        ("ubuntu:22.04", (None, "ubuntu", "22.04", None)),
        ("biocontainers/bwa:0.7.17", (None, "biocontainers/bwa", "0.7.17", None)),
        ("quay.io/a/b/c:1", ("quay.io", "a/b/c", "1", None)),
        ("localhost/a", ("localhost", "a", None, None)),
        ("127.0.0.1:5000/a", ("127.0.0.1:5000", "a", None, None)),
        (f"ghcr.io/a/b:1@{DIGEST}", ("ghcr.io", "a/b", "1", DIGEST)),
    ],
)
def test_a_name_has_a_registry_a_repository_and_a_tag_or_digest(rest: str, parts: tuple[str | None, ...]) -> None:
    name = registry_name(docker(rest))
    assert name is not None
    assert (name.host, name.repository, name.tag, name.digest) == parts


@given(
    host=st.sampled_from([None, "quay.io", "localhost", "127.0.0.1:5000"]),
    repository=st.from_regex(r"[a-z0-9]+(/[a-z0-9_-]+){0,3}", fullmatch=True),
    tag=st.none() | st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True),
)
def test_a_name_is_taken_apart_and_put_together_without_loss(
    host: str | None, repository: str, tag: str | None
) -> None:
    rest = (f"{host}/" if host else "") + repository + (f":{tag}" if tag else "")
    name = registry_name(docker(rest))
    assert name is not None
    assert name.uri == f"docker://{rest}"
    locked = registry_name(docker(name.at(DIGEST).uri.removeprefix("docker://")))
    assert locked == name.at(DIGEST)


def test_a_name_with_a_digest_has_no_tag_as_apptainer_refuses_both() -> None:
    name = registry_name(docker("quay.io/a/b:1"))
    assert name is not None
    assert name.at(DIGEST).uri == f"docker://quay.io/a/b@{DIGEST}"


def test_servers_that_are_no_oci_registry_know_no_digests() -> None:
    assert registry_name(UriReference("library", "lolcow")) is None
    with pytest.raises(ImageError, match="only docker:// and oras://"):
        digest_of(UriReference("library", "lolcow"), {})


@pytest.mark.parametrize("rest", ["a@sha256:12", "a@md5:abc", f"a@{DIGEST}0", "a:b:c", "quay.io/"])
def test_what_can_be_no_name_is_an_error_that_shows_it(rest: str) -> None:
    with pytest.raises(ImageError, match=rest.partition("@")[0]):
        registry_name(docker(rest))


def test_only_a_digest_is_for_ever() -> None:
    assert fixed_digest(docker(f"a@{DIGEST}"))
    assert not fixed_digest(docker("a:1.0"))
    assert not fixed_digest(UriReference("https", f"web.example/a@{DIGEST}"))


# --- an open registry ---


def test_the_digest_is_the_one_that_the_registry_gives(registry: Registry) -> None:
    assert digest_of(delta(registry), HTTP) == manifest(registry, "test/delta", "1")[1]


def test_the_digest_changes_when_the_tag_moves(registry: Registry) -> None:
    registry.tag("test/delta:1", "moving")
    first = digest_of(delta(registry, ":moving"), HTTP)
    registry.tag("test/delta:2", "moving")
    assert digest_of(delta(registry, ":moving"), HTTP) == digest_of(delta(registry, ":2"), HTTP) != first


def test_without_a_tag_latest_is_meant(registry: Registry) -> None:
    registry.tag("test/delta:2", "latest")
    assert digest_of(delta(registry, ""), HTTP) == digest_of(delta(registry, ":2"), HTTP)


def test_a_uri_with_a_digest_needs_no_registry() -> None:
    assert digest_of(docker(f"127.0.0.1:9/a@{DIGEST}"), {}) == DIGEST


def test_the_size_is_that_of_the_packed_layers(registry: Registry) -> None:
    layers = manifest(registry, "test/delta", "2")[0]["layers"]
    assert isinstance(layers, list)
    assert size_of(delta(registry, ":2"), HTTP) == sum(layer["size"] for layer in layers)


def put_list(registry: Registry, tag: str, architecture: str) -> None:
    """Bring a list of manifests into the registry that has one for an architecture."""
    of_image, digest = manifest(registry, "test/delta", "1")
    entry = {
        "mediaType": of_image["mediaType"],
        "digest": digest,
        "size": 1,
        "platform": {"os": "linux", "architecture": architecture},
    }
    kind = "application/vnd.docker.distribution.manifest.list.v2+json"
    contents = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": [entry]}).encode()
    put = urllib.request.Request(
        f"http://{registry.address}/v2/test/delta/manifests/{tag}", contents, {"Content-Type": kind}, method="PUT"
    )
    with urllib.request.urlopen(put, timeout=10):
        pass


def test_the_size_of_an_image_for_several_architectures_is_that_for_this_machine(registry: Registry) -> None:
    put_list(registry, "many", {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()))
    assert size_of(delta(registry, ":many"), HTTP) == size_of(delta(registry, ":1"), HTTP)


def test_the_size_of_an_image_for_other_machines_is_not_known(registry: Registry) -> None:
    put_list(registry, "other", "s390x")
    assert size_of(delta(registry, ":other"), HTTP) is None


def test_a_tag_that_is_not_there_is_an_error_and_asking_again_is_useless(registry: Registry) -> None:
    with pytest.raises(ImageError, match=r"has no image docker://.*:9\.9") as caught:
        digest_of(delta(registry, ":9.9"), HTTP)
    assert not isinstance(caught.value, PassingError)


def test_plain_http_is_spoken_only_where_that_is_allowed(registry: Registry) -> None:
    with pytest.raises(ImageError, match="NOHTTPS"):
        digest_of(delta(registry), {})


@pytest.mark.parametrize(("value", "allowed"), [("1", True), ("yes", True), ("true", True), ("0", False), ("", False)])
def test_no_https_is_a_setting_of_both_runtimes(value: str, allowed: bool) -> None:
    assert may_use_http({"APPTAINER_NOHTTPS": value}) is allowed
    assert may_use_http({"SINGULARITY_NOHTTPS": value}) is allowed


def test_a_registry_that_is_down_is_an_error_that_may_pass() -> None:
    with pytest.raises(PassingError, match="cannot be reached"):
        digest_of(docker("127.0.0.1:9/a:1"), HTTP)


def test_a_registry_that_does_not_answer_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        start = time.monotonic()
        with pytest.raises(PassingError, match=r"no answer .* in 0\.3 s"):
            digest_of(docker(f"127.0.0.1:{silent.getsockname()[1]}/a:1"), {}, time_limit=0.3)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_file_of_certificates_that_is_not_there_is_an_error_that_names_its_variable(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "/no/such.pem")
    with pytest.raises(ImageError, match=rf"/no/such\.pem.*{name}"):
        digest_of(docker("127.0.0.1:1/a:1"), {name: "/no/such.pem"})


@pytest.mark.parametrize(
    ("proxy", "words", "passing"),
    [
        ("http://127.0.0.1:1", "through the proxy .*Connection refused.*HTTPS_PROXY", True),
        ("socks5://127.0.0.1:1", "was not asked .*SOCKS.*HTTPS_PROXY", False),
        ("nonsense://127.0.0.1:1", "was not asked .*nonsense.*HTTPS_PROXY", False),
    ],
)
def test_a_proxy_that_does_not_work_is_an_error_that_names_its_variable(
    proxy: str, words: str, passing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", proxy)
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(ImageError, match=words) as caught:
        digest_of(docker("registry.invalid/a:1"), {})
    assert isinstance(caught.value, PassingError) is passing


@contextlib.contextmanager
def server(answer: bytes) -> Iterator[str]:
    """A server that gives everybody the same answer, as no registry would."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                with connection:
                    if connection.recv(65536).startswith((b"HEAD", b"GET")):  # and not the hello of https
                        connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@pytest.mark.parametrize(
    ("answer", "words", "passing"),
    [
        (b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n", "limits how often", True),
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "503 Service Unavailable", True),
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "not understood|plain http", False),
        (b"HTTP/1.1 200 OK\r\nDocker-Content-Digest: nonsense\r\nContent-Length: 0\r\n\r\n", "no digest", False),
    ],
)
def test_odd_answers_are_errors_in_words(answer: bytes, words: str, passing: bool) -> None:
    with server(answer) as address, pytest.raises(ImageError, match=words) as caught:
        digest_of(docker(f"{address}/a:1"), HTTP)
    assert isinstance(caught.value, PassingError) is passing


@pytest.mark.parametrize(
    "body",
    ["<html>Log in to this network</html>", "[1]", "3", '{"manifests": [3]}', '{"layers": [{"size": "x"}]}', "{}"],
)
def test_what_is_no_manifest_has_neither_digest_nor_size(body: str) -> None:
    with server(f"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{body}".encode()) as address:
        for ask in (digest_of, size_of):
            with pytest.raises(ImageError, match="not understood"):
                ask(docker(f"{address}/a:1"), HTTP)


# --- a registry with https and passwords ---

USER, PASSWORD = "ali", "open:sesame"
HTPASSWD = "$2b$04$fX7bZhxOjrKimlRQdGSGreXezJoBkfgFJ6SQYmS5n.uhnhqVtnjRO"


@dataclass(frozen=True)
class PrivateRegistry:
    address: str
    environment: dict[str, str]
    """Trusts its certificate, has no credentials and an empty home directory."""


@pytest.fixture(scope="module")
def private(images: TestImages, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateRegistry]:
    folder = tmp_path_factory.mktemp("private")
    if shutil.which("openssl") is None:
        pytest.skip("a certificate needs openssl")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out", certificate,
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    (folder / "htpasswd").write_text(f"{USER}:{HTPASSWD}\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    shutil.copytree(images.storage, folder / "storage")
    settings = {
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": str(folder / "storage")}},
        "http": {"addr": address, "tls": {"certificate": str(certificate), "key": str(key)}},
        "auth": {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}},
    }
    (folder / "settings.yml").write_text(json.dumps(settings))
    arguments = [*command(registry_tools(), "usr/bin/docker-registry"), "serve", str(folder / "settings.yml")]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *arguments], stdout=log, stderr=log)
    try:
        wait_for(address)
        yield PrivateRegistry(address, {"HOME": str(folder / "home"), "SSL_CERT_FILE": str(certificate)})
    finally:
        process.kill()
        process.wait()


def wait_for(address: str) -> None:
    host, _, port = address.partition(":")
    end = time.monotonic() + 20
    while True:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection((host, int(port)), 1):
            return
        assert time.monotonic() < end, "the registry does not start"
        time.sleep(0.05)


def test_who_has_no_credentials_is_told_to_log_in(private: PrivateRegistry) -> None:
    with pytest.raises(ImageError, match=r"refuses access.*registry login"):
        digest_of(docker(f"{private.address}/test/delta:1"), private.environment)


def test_wrong_credentials_are_refused(private: PrivateRegistry) -> None:
    wrong = {"APPTAINER_DOCKER_USERNAME": USER, "APPTAINER_DOCKER_PASSWORD": "guess"}
    with pytest.raises(ImageError, match="refuses access"):
        digest_of(docker(f"{private.address}/test/delta:1"), {**private.environment, **wrong})


@pytest.mark.parametrize("prefix", ["APPTAINER", "SINGULARITY"])
def test_the_credentials_of_the_runtimes_variables_are_used(private: PrivateRegistry, prefix: str) -> None:
    right = {f"{prefix}_DOCKER_USERNAME": USER, f"{prefix}_DOCKER_PASSWORD": PASSWORD}
    assert digest_of(docker(f"{private.address}/test/delta:1"), {**private.environment, **right}).startswith("sha256:")


@pytest.mark.parametrize("file", [".apptainer/docker-config.json", ".singularity/docker-config.json", ".docker/config.json"])  # fmt: skip  # noqa: E501
def test_the_credentials_of_a_log_in_are_used(private: PrivateRegistry, file: str, tmp_path: Path) -> None:
    log_in(tmp_path / file, private.address)
    environment = {**private.environment, "HOME": str(tmp_path)}
    assert size_of(docker(f"{private.address}/test/delta:1"), environment)


def test_a_certificate_that_nobody_trusts_is_an_error_that_says_how_to_trust_it(private: PrivateRegistry) -> None:
    with pytest.raises(ImageError, match="SSL_CERT_FILE"):
        digest_of(docker(f"{private.address}/test/delta:1"), {"HOME": private.environment["HOME"]})


def log_in(file: Path, host: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    file.write_text(json.dumps({"auths": {host: {"auth": auth}}}))


# --- credentials ---


def test_the_credentials_of_docker_hub_are_found_under_its_old_name(tmp_path: Path) -> None:
    log_in(tmp_path / ".docker/config.json", "https://index.docker.io/v1/")
    assert credentials("registry-1.docker.io", {"HOME": str(tmp_path)}) == (USER, PASSWORD)


def test_the_credentials_of_one_registry_are_not_given_to_another(tmp_path: Path) -> None:
    log_in(tmp_path / ".docker/config.json", "quay.io")
    assert credentials("quay.example", {"HOME": str(tmp_path)}) is None


def test_a_log_in_with_the_runtime_counts_more_than_one_with_docker(tmp_path: Path) -> None:
    log_in(tmp_path / ".apptainer/docker-config.json", "quay.io")
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").write_text('{"auths": {"quay.io": {"auth": "b3RoZXI6b3RoZXI="}}}')
    assert credentials("quay.io", {"HOME": str(tmp_path)}) == (USER, PASSWORD)


@pytest.mark.parametrize("text", ["", "[]", '{"auths": []}', '{"auths": {"quay.io": {"auth": "%"}}}', "\x00"])
def test_damaged_files_of_credentials_are_errors_that_name_them(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ImageError, match=r"config\.json is damaged"):
        credentials("quay.io", {"HOME": str(tmp_path), "DOCKER_CONFIG": str(tmp_path)})


def test_a_file_without_credentials_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"credsStore": "desktop", "auths": {"quay.io": {}}}')
    assert credentials("quay.io", {"HOME": str(tmp_path), "DOCKER_CONFIG": str(tmp_path)}) is None
