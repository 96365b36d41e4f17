"""Ask a registry what a tag means now, without pulling.

The client is dxf, which knows both ways to log in that registries use. Credentials are those that the
container runtime has, so that whoever can pull can also ask.
"""

import base64
import binascii
import hashlib
import json
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import ImageError
from .failures import PassingError
from .reference import UriReference
from .registry_name import DOCKER_HUB, RegistryName, is_digest, registry_name

if TYPE_CHECKING:  # dxf takes a third of a second to import, and most runs ask no registry
    import requests
    from dxf import DXF, DXFBase

TIME_LIMIT = 10.0
"""Seconds for each answer of a registry."""

_HUB_SERVER = "registry-1.docker.io"
_HUB_NAMES = (DOCKER_HUB, "index.docker.io", _HUB_SERVER, "https://index.docker.io/v1/")
"""What Docker Hub is called in URIs and in files of credentials."""
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""What registries call the machines that ``uname -m`` knows under another name."""

Answer = TypeVar("Answer")


def digest_of(reference: UriReference, environment: Mapping[str, str], time_limit: float = TIME_LIMIT) -> str:
    """Give the digest, ``sha256:…``, of what a ``docker://`` or ``oras://`` URI means now.

    A URI that has a digest is taken at its word. Only the head of the manifest is asked for, which Docker Hub
    does not count as a pull. For an image of several architectures it is the digest of their list, which
    Apptainer and Singularity take, too.

    ``environment`` is the runtime's: its credentials, ``APPTAINER_NOHTTPS`` and ``SSL_CERT_FILE`` count.
    Raises ImageError if the registry cannot be reached in time, knows no such image or refuses access; a
    PassingError if trying again is reasonable.
    """
    name = _name(reference)
    if name.digest is not None:
        return name.digest

    def ask(client: "DXF") -> str:
        tag = name.tag or "latest"
        digest = client.head_manifest_and_response(tag)[0]
        if not digest:  # the specification leaves it out for servers that do not care
            content = client.get_manifest_and_response(tag)[1].content
            _manifest(content)
            digest = "sha256:" + hashlib.sha256(content).hexdigest()
        return digest

    digest = _ask(name, reference, environment, time_limit, ask)
    if not is_digest(digest):
        raise ImageError(f"The registry of {reference.shown} answered {digest[:100]!r}, which is no digest.")
    return digest


def size_of(reference: UriReference, environment: Mapping[str, str], time_limit: float = TIME_LIMIT) -> int | None:
    """Give how many bytes will be downloaded for a URI: its layers, packed, for this machine's architecture.

    None where the registry does not say: no image for this architecture, an old format of manifests. It reads
    manifests, which Docker Hub counts like a pull. Raises ImageError as digest_of does.
    """
    name = _name(reference)

    def ask(client: "DXF") -> int | None:
        manifest = _manifest(client.get_manifest_and_response(name.digest or name.tag or "latest")[0])
        chosen = _digest_for_this_machine(manifest)
        if chosen is not None:
            manifest = _manifest(client.get_manifest_and_response(chosen)[0])
        layers = manifest.get("layers")
        return sum(layer["size"] for layer in layers) if layers else None

    return _ask(name, reference, environment, time_limit, ask)


def _name(reference: UriReference) -> RegistryName:
    name = registry_name(reference)
    if name is None:
        raise ImageError(f"{reference.shown} has no digest: only docker:// and oras:// have.")
    return name


def _manifest(text: str | bytes) -> Mapping[str, Any]:
    """Read a manifest; raises ValueError for anything else, such as the page on which a network wants a log-in."""
    manifest = json.loads(text)
    if not isinstance(manifest, dict) or "schemaVersion" not in manifest:
        raise ValueError("no manifest")
    return manifest


def _digest_for_this_machine(manifest: Mapping[str, object]) -> str | None:
    """Choose from a list of manifests; None if it is no list or has none for this machine."""
    machine = platform.machine()
    listed = manifest.get("manifests")
    for entry in listed if isinstance(listed, list) else ():
        meant_for = entry.get("platform") or {}
        wanted = _ARCHITECTURES.get(machine, machine)
        if meant_for.get("os") == "linux" and meant_for.get("architecture") == wanted:
            digest = entry.get("digest")
            return digest if isinstance(digest, str) else None
    return None


def _ask(
    name: RegistryName,
    reference: UriReference,
    environment: Mapping[str, str],
    time_limit: float,
    question: Callable[["DXF"], Answer],
) -> Answer:
    """Ask over https, and over plain http where the runtime may use that and https leads nowhere."""
    import requests
    from dxf.exceptions import DXFAuthInsecureError, DXFError, DXFUnauthorizedError

    host = _HUB_SERVER if name.host is None or name.host in _HUB_NAMES else name.host
    try:
        try:
            return question(_client(host, name, environment, time_limit, insecure=False))
        except requests.ConnectionError:
            if host == _HUB_SERVER or not may_use_http(environment):
                raise
            return question(_client(host, name, environment, time_limit, insecure=True))
    except requests.HTTPError as error:
        raise _refusal(error.response, reference, host) from error
    except DXFUnauthorizedError as error:
        raise _no_access(reference, host) from error
    except DXFAuthInsecureError as error:
        raise ImageError(
            f"The registry {host} wants a password and speaks plain http, where others could read it.",
            f"It was not asked about {reference.shown}. Ask its owner for https.",
        ) from error
    except requests.Timeout as error:
        raise PassingError(
            f"The registry {host} gave no answer about {reference.shown} in {time_limit:g} s."
        ) from error
    except requests.exceptions.SSLError as error:
        raise ImageError(
            f"The registry {host} was not asked about {reference.shown}: {_reason(error)}.",
            "If it speaks plain http, set APPTAINER_NOHTTPS=1; if its certificate is the site's own, let"
            " SSL_CERT_FILE name the file with it.",
        ) from error
    except requests.exceptions.ProxyError as error:
        raise PassingError(
            f"The registry {host} cannot be asked about {reference.shown} through the proxy of this machine: "
            f"{_reason(error)}.",
            "Correct the variable HTTPS_PROXY, or run where the network is.",
        ) from error
    except requests.ConnectionError as error:
        raise PassingError(
            f"The registry {host} cannot be reached, so nobody knows what {reference.shown} is: {_reason(error)}.",
            "This needs the network: run on the login node.",
        ) from error
    except (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL) as error:
        raise ImageError(
            f"The registry {host} was not asked about {reference.shown}: {_reason(error)}.",
            "Correct its name, or the proxy in the variable HTTPS_PROXY.",
        ) from error
    except (requests.RequestException, DXFError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ImageError(
            f"The registry {host} gave an answer about {reference.shown} that is not understood: {error!r:.200}.",
            "Is it a registry?",
        ) from error
    except OSError as error:  # of the certificates
        raise ImageError(
            f"The registry {host} was not asked about {reference.shown}: {error}.",
            "Correct the variable SSL_CERT_FILE or REQUESTS_CA_BUNDLE.",
        ) from error


def _client(
    host: str, name: RegistryName, environment: Mapping[str, str], time_limit: float, *, insecure: bool
) -> "DXF":
    from dxf import DXF

    def log_in(client: "DXFBase", answer: "requests.Response") -> None:
        user, password = credentials(host, environment) or (None, None)
        client.authenticate(user, password, actions=["pull"], response=answer)

    return DXF(
        host,
        name.repository,
        log_in,
        insecure,
        tlsverify=environment.get("SSL_CERT_FILE") or True,
        timeout=time_limit,
    )


def may_use_http(environment: Mapping[str, str]) -> bool:
    """Tell whether the runtime is told to speak plain http where a registry has no https."""
    values = (environment.get(name, "") for name in ("APPTAINER_NOHTTPS", "SINGULARITY_NOHTTPS"))
    return any(value.lower() not in ("", "0", "f", "false", "n", "no") for value in values)


def credentials(host: str, environment: Mapping[str, str]) -> tuple[str, str] | None:
    """Give the user and password that the container runtime has for a registry, or None.

    As the runtimes do: from ``APPTAINER_DOCKER_USERNAME`` and ``_PASSWORD``, else from the file of `registry login`,
    else from Docker's. Programs that keep passwords for Docker (``credHelpers``) are not asked.
    """
    for prefix in ("APPTAINER", "SINGULARITY"):
        user = environment.get(f"{prefix}_DOCKER_USERNAME")
        password = environment.get(f"{prefix}_DOCKER_PASSWORD")
        if user and password:
            return user, password
    names = _HUB_NAMES if host in _HUB_NAMES else (host, f"https://{host}")
    for file in _credential_files(environment):
        found = _credentials_in(file, names)
        if found is not None:
            return found
    return None


def _credential_files(environment: Mapping[str, str]) -> list[Path]:
    home = Path(environment.get("HOME") or Path.home())
    return [
        Path(environment.get("APPTAINER_CONFIGDIR") or home / ".apptainer", "docker-config.json"),
        Path(environment.get("SINGULARITY_CONFIGDIR") or home / ".singularity", "docker-config.json"),
        Path(environment.get("DOCKER_CONFIG") or home / ".docker", "config.json"),
    ]


def _credentials_in(file: Path, names: tuple[str, ...]) -> tuple[str, str] | None:
    """Read a file in Docker's format: ``{"auths": {HOST: {"auth": BASE64 OF USER:PASSWORD}}}``."""
    try:
        known = json.loads(file.read_text()).get("auths", {})
        texts = [known[name]["auth"] for name in names if known.get(name, {}).get("auth")]
        decoded = [base64.b64decode(text, validate=True).decode() for text in texts]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ImageError(f"The credentials in {file} cannot be read: {error.strerror}.") from error
    except (ValueError, AttributeError, TypeError, binascii.Error) as error:
        raise ImageError(f"{file} is damaged, so its credentials cannot be used.", "Log in again.") from error
    if not decoded:
        return None
    user, _, password = decoded[0].partition(":")
    return user, password


def _refusal(answer: "requests.Response | None", reference: UriReference, host: str) -> ImageError:
    status, reason = (answer.status_code, answer.reason) if answer is not None else (0, "nothing")
    if status == 404:
        return ImageError(
            f"The registry {host} has no image {reference.shown}.", "Check the spelling of the name and the tag."
        )
    if status in (401, 403):
        return _no_access(reference, host)
    if status == 429:
        return PassingError(
            f"The registry {host} limits how often it may be asked, and the limit is reached.",
            "Wait, or log in, which raises the limit.",
        )
    kind = PassingError if status >= 500 else ImageError
    return kind(f"The registry {host} answered {status} {reason} when asked about {reference.shown}.")


def _no_access(reference: UriReference, host: str) -> ImageError:
    return ImageError(
        f"The registry {host} refuses access to {reference.shown}, which also is what it says to a name that it does"
        " not know.",
        f"Check the spelling of the name. If the image is private, log in: `apptainer registry login docker://{host}`.",
    )


def _reason(error: Exception) -> str:
    """Give the last part of what requests says, which wraps the reason in several errors."""
    text = str(error)
    return text.rsplit(": ", 1)[-1].strip("()'\">., ")[:200] or type(error).__name__
