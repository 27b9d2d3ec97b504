"""How to reach what is outside: upstream hosts and the object store."""

from __future__ import annotations

import re
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
)

from syncer.credentials import Secret, s3_keys_of, token_of
from syncer.model.names import GITHUB

if TYPE_CHECKING:
    from collections.abc import Mapping

    from syncer.model.names import RepoName

# A user belongs into an ssh address alone: it is no secret there.
_BASE = r"(?:https?://|ssh://(?:[A-Za-z0-9_][A-Za-z0-9_.-]*@)?)[^/@?#\s]+(?:/[^?#\s]*)?"


def _check_base(value: str) -> str:
    if re.fullmatch(_BASE, value) is None:
        msg = "write an address like https://ghe.corp or ssh://git@ghe.corp"
        raise ValueError(msg)
    return value.rstrip("/")


# A whole name, or everything below a domain of at least two labels.
_PATTERN = r"(?:\*\.(?=[^.]+\.))?[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]+)?"


def _check_pattern(value: str) -> str:
    if re.fullmatch(_PATTERN, value) is None:
        msg = 'write a host like "media.corp" or "*.media.corp"'
        raise ValueError(msg)
    return value.lower()


class Model(BaseModel):
    """A section of the configuration: unknown keys are errors, values stay."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


#: Where well-known hosts keep LFS objects, unless `downloads` says otherwise.
DEFAULT_DOWNLOADS = {
    GITHUB: (
        "*.githubusercontent.com",
        "github-cloud.s3.amazonaws.com",
        "lfs.github.com",
    ),
    "huggingface.co": ("*.huggingface.co", "*.hf.co"),
}


class Host(Model):
    """`[host."NAME"]`: how to reach one upstream host."""

    #: Base address of its repositories; `https://NAME` unless given.
    git: Annotated[str, AfterValidator(_check_base)] | None = None
    #: This host may have private or loopback addresses.
    private: bool = False
    #: A further certificate authority, PEM.
    ca: Path | None = None
    protocol: Literal["https", "ssh"] = "https"
    ssh_key: Path | None = None
    known_hosts: Path | None = None
    token_file: Path | None = None
    #: Probes a second, at most.
    probes: Annotated[float, Field(gt=0)] = 20.0
    #: Connections kept warm, and so probes at the same time.
    connections: Annotated[int, Field(ge=1, le=256)] = 32
    #: Runs that move objects from this host at the same time.
    fetches: Annotated[int, Field(ge=1)] = 4
    #: LFS objects on their way from this host at the same time.
    transfers: Annotated[int, Field(ge=1, le=256)] = 12
    #: Further hosts its LFS objects may come from: names, or `*.` and a domain.
    downloads: tuple[Annotated[str, AfterValidator(_check_pattern)], ...] | None = None

    _token: Secret | None = PrivateAttr(default=None)
    _name: str = PrivateAttr(default="")

    @property
    def name(self) -> str:
        """The host as repositories name it."""
        return self._name

    @property
    def token(self) -> Secret | None:
        """What authenticates us, from a credential file or the environment."""
        return self._token

    @property
    def base(self) -> str:
        """The address that OWNER/NAME.git is appended to."""
        if self.git is not None:
            return self.git
        user = "git@" if self.protocol == "ssh" else ""
        return f"{self.protocol}://{user}{self._name}"

    def url(self, repo: RepoName) -> str:
        """Return the address of a repository, without any secret."""
        return f"{self.base}/{repo.owner}/{repo.name}.git"

    @property
    def allowed_downloads(self) -> tuple[str, ...]:
        """The patterns of further hosts its objects may come from."""
        if self.downloads is not None:
            return self.downloads
        return DEFAULT_DOWNLOADS.get(self._name, ())

    def authorization(self) -> Secret | None:
        """Return the value of the Authorization header, if there is a token.

        GitHub takes any user name with a token; `x-access-token` is the one it
        documents for installations.
        """
        if self._token is None:
            return None
        user = "x-access-token" if self._name == GITHUB else "oauth2"
        pair = f"{user}:{self._token.reveal()}".encode()
        return Secret(f"Basic {b64encode(pair).decode()}")


def named(host: Host, name: str, environ: Mapping[str, str]) -> Host:
    """Return a host's settings with its name and token filled in."""
    copy = host.model_copy()
    copy._name = name  # noqa: SLF001 - a fresh copy of our own model
    copy._token = token_of(name, host.token_file, environ)  # noqa: SLF001 - as above
    return copy


class S3(Model):
    """`[syncer.s3]`: how to reach the object store that `blobs` names."""

    #: Its address; None is AWS itself.
    endpoint: Annotated[str, AfterValidator(_check_base)] | None = None
    #: The address that consumers reach it by, for the URLs they are handed.
    public_endpoint: Annotated[str, AfterValidator(_check_base)] | None = None
    region: str = "us-east-1"
    #: The authority of its certificate, PEM, when it is none of the system's.
    ca: Path | None = None
    #: Allow an endpoint off loopback without TLS.
    plain_http: bool = False
    access_key_file: Path | None = None
    secret_key_file: Path | None = None

    _access_key: Secret | None = PrivateAttr(default=None)
    _secret_key: Secret | None = PrivateAttr(default=None)

    @property
    def keys(self) -> tuple[Secret, Secret] | None:
        """Access key and secret key; None leaves them to boto3's own chain."""
        if self._access_key is None or self._secret_key is None:
            return None
        return self._access_key, self._secret_key


def keyed(s3: S3, environ: Mapping[str, str]) -> S3:
    """Return the object store's settings with its keys filled in."""
    copy = s3.model_copy()
    files = (s3.access_key_file, s3.secret_key_file)
    copy._access_key, copy._secret_key = s3_keys_of(files, environ)  # noqa: SLF001 - a fresh copy of our own model
    return copy
