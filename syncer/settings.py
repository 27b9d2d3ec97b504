"""The shape of the configuration: every key, its type and its default.

How it is read, and from where, is `config.py`'s business.
"""

from __future__ import annotations

import re
from base64 import b64encode
from datetime import timedelta
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

from syncer.credentials import Secret, token_of
from syncer.errors import InvalidName
from syncer.model.content import DEFAULT_SCOPE, check_scope
from syncer.model.names import GITHUB, RepoName
from syncer.units import parse_duration, parse_floor, parse_size

if TYPE_CHECKING:
    from collections.abc import Mapping


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta():
        msg = "a duration here is longer than nothing"
        raise ValueError(msg)
    return value


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Interval = Annotated[Duration, AfterValidator(_positive)]
Size = Annotated[int, BeforeValidator(parse_size), Field(ge=0)]
Floor = Annotated[float | int, BeforeValidator(parse_floor)]


def _parse_name(value: object) -> RepoName:
    if isinstance(value, RepoName):
        return value
    try:
        return RepoName.parse(str(value))
    except InvalidName as exc:
        raise ValueError(str(exc)) from None


# A user belongs into an ssh address alone: it is no secret there.
_BASE = r"(?:https?://|ssh://(?:[A-Za-z0-9_][A-Za-z0-9_.-]*@)?)[^/@?#\s]+(?:/[^?#\s]*)?"


def _check_base(value: str) -> str:
    if re.fullmatch(_BASE, value) is None:
        msg = "write an address like https://ghe.corp or ssh://git@ghe.corp"
        raise ValueError(msg)
    return value.rstrip("/")


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Syncer(_Model):
    """`[syncer]`: where everything lives, and the limits of the whole program."""

    data: Path = Path("./mirror")
    #: A SQLAlchemy address; None is `DATA/catalog.db`.
    catalog: str | None = None
    #: The git program; a plain name is looked up in PATH.
    git: str = "git"
    #: Below this much free space nothing new starts: a share, or bytes.
    min_free: Floor = 0.05
    #: No file git writes may be larger.
    max_file: Size = 256 << 30
    #: Runs that move objects at the same time.
    workers: Annotated[int, Field(ge=1, le=256)] = 4
    #: How long the old tips of rewound and deleted branches are kept.
    keep: Interval = timedelta(days=90)
    #: How long packs that were rolled together stay for readers that have them open.
    grace: Duration = timedelta(hours=1)
    #: A run that moves objects is ended after this.
    deadline: Interval = timedelta(hours=6)
    proxy: str | None = None


class Tier(_Model):
    """`[tier.NAME]`: how often to ask at least, and the lag aimed for."""

    interval: Interval
    target: Interval


class Host(_Model):
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


class Repo(_Model):
    """`[[repo]]`: one repository to mirror."""

    name: Annotated[RepoName, BeforeValidator(_parse_name)]
    tier: str = "normal"
    refs: Annotated[tuple[str, ...], AfterValidator(check_scope)] = DEFAULT_SCOPE
    #: Instead of `[syncer] keep`.
    keep: Interval | None = None


DEFAULT_TIERS = {
    "core": Tier(interval=timedelta(minutes=5), target=timedelta(minutes=15)),
    "normal": Tier(interval=timedelta(minutes=30), target=timedelta(hours=2)),
}


class Config(_Model):
    """Everything the program was told, checked."""

    syncer: Syncer = Syncer()
    tier: dict[str, Tier] = DEFAULT_TIERS
    repo: tuple[Repo, ...] = ()
    host: dict[str, Host] = {}

    _path: Path | None = PrivateAttr(default=None)
    _origins: dict[str, str] = PrivateAttr(default_factory=dict)
    _hosts: dict[str, Host] = PrivateAttr(default_factory=dict)
    _environ: dict[str, str] = PrivateAttr(default_factory=dict)

    @property
    def path(self) -> Path | None:
        """The file it came from, None when there was none."""
        return self._path

    @property
    def origins(self) -> Mapping[str, str]:
        """Where a key that was not left at its default came from."""
        return self._origins

    @property
    def data(self) -> Path:
        """Where everything embedded lives; absolute."""
        return self.syncer.data

    @property
    def catalog_url(self) -> str:
        """The catalog's SQLAlchemy address; may hold a password."""
        return self.syncer.catalog or f"sqlite:///{self.data / 'catalog.db'}"

    def target_host(self, name: str) -> Host:
        """Return how to reach a host, with its defaults when it is not configured."""
        known = self._hosts.get(name)
        if known is None:
            known = named(self.host.get(name, Host()), name, self._environ)
            self._hosts[name] = known
        return known

    def find(self, name: RepoName) -> Repo | None:
        """Return the entry of a repository, however its case is spelled."""
        return next((r for r in self.repo if r.name.identity == name.identity), None)

    def secrets(self) -> list[Secret]:
        """Return every secret that was read, for redaction."""
        hosts = {repo.name.host for repo in self.repo} | {GITHUB, *self.host}
        found = [self.target_host(name).token for name in sorted(hosts)]
        return [secret for secret in found if secret is not None]


def named(host: Host, name: str, environ: Mapping[str, str]) -> Host:
    """Return a host's settings with its name and token filled in."""
    copy = host.model_copy()
    copy._name = name  # noqa: SLF001 - a fresh copy of our own model
    copy._token = token_of(name, host.token_file, environ)  # noqa: SLF001 - as above
    return copy


def settled(
    config: Config,
    *,
    path: Path | None,
    data: Path,
    origins: dict[str, str],
    environ: Mapping[str, str],
) -> Config:
    """Return the configuration with where it came from and an absolute `data`."""
    syncer = config.syncer.model_copy(update={"data": data})
    copy = config.model_copy(update={"syncer": syncer})
    copy._path = path  # noqa: SLF001 - a fresh copy of our own model
    copy._origins = origins  # noqa: SLF001 - as above
    copy._environ = dict(environ)  # noqa: SLF001 - as above
    return copy
