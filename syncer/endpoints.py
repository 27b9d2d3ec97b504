"""How to reach what is outside: upstream hosts and the object store."""

from __future__ import annotations

import re
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
)

from syncer.credentials import (
    GitHubApp,
    Secret,
    app_key_of,
    app_key_place,
    s3_keys_of,
    token_of,
    token_place,
)
from syncer.errors import ConfigError
from syncer.model.names import GITHUB
from syncer.units import parse_share

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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


def _check_api(value: str) -> str:
    if not value.startswith(("https://", "http://")):
        msg = "write an address like https://ghe.corp/api/v3"
        raise ValueError(msg)
    return _check_base(value)


class Model(BaseModel):
    """A section of the configuration: unknown keys are errors, values stay."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


#: Where well-known hosts keep objects and assets, unless `downloads` says otherwise.
DEFAULT_DOWNLOADS = {
    GITHUB: (
        "*.githubusercontent.com",
        "github-cloud.s3.amazonaws.com",
        "lfs.github.com",
    ),
    "huggingface.co": ("*.huggingface.co", "*.hf.co"),
}


#: Where GitHub's own API is.
GITHUB_API = "https://api.github.com"


class Host(Model):
    """`[host."NAME"]`: how to reach one upstream host."""

    #: Base address of its repositories; `https://NAME` unless given.
    git: Annotated[str, AfterValidator(_check_base)] | None = None
    #: Base address of its API, GitHub's kind; api.github.com for github.com itself.
    api: Annotated[str, AfterValidator(_check_api)] | None = None
    #: The share of the API's hourly allowance that is left to others.
    api_reserve: Annotated[float, BeforeValidator(parse_share), Field(ge=0, lt=1)] = 0.1
    #: A GitHub App that acts instead of a token, and its installation.
    app_id: Annotated[int, Field(gt=0)] | None = None
    app_installation: Annotated[int, Field(gt=0)] | None = None
    app_key_file: Path | None = None
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
    #: LFS objects and assets on their way from this host at the same time.
    transfers: Annotated[int, Field(ge=1, le=256)] = 12
    #: Further hosts its objects and assets may come from: names, or `*.` and a domain.
    downloads: tuple[Annotated[str, AfterValidator(_check_pattern)], ...] | None = None

    _token: Secret | None = PrivateAttr(default=None)
    _app_key: Secret | None = PrivateAttr(default=None)
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
    def app(self) -> GitHubApp | None:
        """The GitHub App that authenticates us instead of a token."""
        if self.app_id is None or self.app_installation is None:
            return None
        key = self._app_key
        return GitHubApp(self.app_id, self.app_installation, key) if key else None

    @property
    def is_authorised(self) -> bool:
        """Whether its API knows who asks."""
        return self._token is not None or self.app is not None

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
    def api_base(self) -> str | None:
        """The address of its API, None where it has none that we know."""
        return self.api_as(self._name)

    def api_as(self, name: str) -> str | None:
        """Return the address of its API if it is called so.

        GitHub's own is asked only when its own repositories are: who named another
        address for them does not talk to GitHub.
        """
        if self.api is not None:
            return self.api
        return GITHUB_API if name == GITHUB and self.git is None else None

    @property
    def allowed_downloads(self) -> tuple[str, ...]:
        """The patterns of further hosts its objects may come from."""
        if self.downloads is not None:
            return self.downloads
        return DEFAULT_DOWNLOADS.get(self._name, ())

    def authorization(self) -> Secret | None:
        """Return the Authorization header that its own token makes, if it has one.

        An App has a token only for an hour: `Tokens` knows it.
        """
        return None if self._token is None else self.basic(self._token)

    def basic(self, token: Secret) -> Secret:
        """Return the value of the Authorization header for git (RFC 7617).

        GitHub takes any user name with a token; `x-access-token` is the one it
        documents for installations.
        """
        github = self._name == GITHUB or self.app_id is not None
        user = "x-access-token" if github else "oauth2"
        pair = f"{user}:{token.reveal()}".encode()
        return Secret(f"Basic {b64encode(pair).decode()}")


def named(host: Host, name: str, environ: Mapping[str, str]) -> Host:
    """Return a host's settings with its name and secrets filled in.

    Raises:
        ConfigError: a secret cannot be read, or the App is not all there.
    """
    problems = tuple(app_problems(name, host, environ))
    if problems:
        msg = f"the GitHub App of {name} cannot be used: {'; '.join(problems)}"
        raise ConfigError(msg, problems=problems)
    copy = host.model_copy()
    copy._name = name  # noqa: SLF001 - a fresh copy of our own model
    copy._token = token_of(name, host.token_file, environ)  # noqa: SLF001 - as above
    if host.app_id is not None:
        key = app_key_of(name, host.app_key_file, environ)
        copy._app_key = key  # noqa: SLF001 - as above
    return copy


def app_problems(name: str, host: Host, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield what is wrong with how a host's GitHub App is configured.

    No secret is read, only looked for.
    """
    given = (host.app_id, host.app_installation, host.app_key_file)
    if all(value is None for value in given):
        return
    if host.app_id is None or host.app_installation is None:
        yield "an App needs both app_id and app_installation"
        return
    if app_key_place(name, host.app_key_file, environ) is None:
        variable = "" if name != GITHUB else " or $SYNCER_GITHUB_APP_KEY"
        yield f"an App needs its private key: app_key_file, a credential{variable}"
    if host.api is None and (name != GITHUB or host.git is not None):
        yield "an App needs `api`, the address that its tokens come from"
    token = token_place(name, host.token_file, environ)
    if token is not None:
        where = f"${token}" if isinstance(token, str) else str(token)
        yield f"there are both an App (app_id) and a token ({where}); keep one of them"


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
