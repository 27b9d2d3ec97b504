"""The shape of the configuration: every key, its type and its default.

How it is read, and from where, is `config.py`'s business.
"""

from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
)

from syncer.endpoints import S3, Host, Model, keyed, named
from syncer.errors import InvalidName
from syncer.model.content import DEFAULT_SCOPE, check_scope
from syncer.model.names import GITHUB, RepoName
from syncer.units import parse_duration, parse_floor, parse_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from syncer.credentials import Secret


# Characters that every S3 server and every client takes as they are.
_S3_ADDRESS = re.compile(
    r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<prefix>[\w!.*'()/-]*))?",
    re.ASCII,
)
_DEFAULT_PREFIX = "blobs/"


class S3Place(NamedTuple):
    """Where blobs lie in an object store; the prefix ends with `/` or is empty."""

    bucket: str
    prefix: str


def _check_blobs(value: str) -> str:
    match = _S3_ADDRESS.fullmatch(value)
    if match is None:
        right = value != "" and "://" not in value
    else:
        *folders, last = (match["prefix"] or "").split("/")
        right = {"", ".", ".."}.isdisjoint(folders) and last not in {".", ".."}
    if not right:
        msg = "write an address like s3://bucket/blobs/, or a directory"
        raise ValueError(msg)
    return value


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


class Syncer(Model):
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
    #: `s3://BUCKET/PREFIX/`, or a directory; None is `DATA/blobs`.
    blobs: Annotated[str, AfterValidator(_check_blobs)] | None = None
    #: LFS objects on their way at the same time, from all hosts.
    transfers: Annotated[int, Field(ge=1, le=256)] = 16
    #: Bytes of LFS objects in memory at the same time.
    in_flight: Annotated[Size, Field(ge=64 << 20)] = 128 << 20
    #: Bytes a second for all LFS downloads together; None: no limit.
    bandwidth: Annotated[Size, Field(gt=0)] | None = None
    #: Unfinished transfers that nobody continued for this long are removed by `gc`.
    stale: Duration = timedelta(days=1)
    s3: S3 = S3()


class Tier(Model):
    """`[tier.NAME]`: how often to ask at least, and the lag aimed for."""

    interval: Interval
    target: Interval


class Repo(Model):
    """`[[repo]]`: one repository to mirror."""

    name: Annotated[RepoName, BeforeValidator(_parse_name)]
    tier: str = "normal"
    refs: Annotated[tuple[str, ...], AfterValidator(check_scope)] = DEFAULT_SCOPE
    #: Instead of `[syncer] keep`.
    keep: Interval | None = None
    #: Mirror its LFS objects too.
    lfs: bool = True
    #: What to do while upstream does not give one of them.
    lfs_missing: Literal["publish", "hold"] = "publish"


DEFAULT_TIERS = {
    "core": Tier(interval=timedelta(minutes=5), target=timedelta(minutes=15)),
    "normal": Tier(interval=timedelta(minutes=30), target=timedelta(hours=2)),
}


class Config(Model):
    """Everything the program was told, checked."""

    syncer: Syncer = Syncer()
    tier: dict[str, Tier] = DEFAULT_TIERS
    repo: tuple[Repo, ...] = ()
    host: dict[str, Host] = Field(default_factory=dict)

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
    def blobs_place(self) -> S3Place | Path:
        """Where blobs lie: a place in an object store, or an absolute directory."""
        return _place(self.syncer.blobs, self.data)

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
        keys = self.syncer.s3.keys or ()
        return [secret for secret in (*found, *keys) if secret is not None]


def _place(blobs: str | None, data: Path) -> S3Place | Path:
    if blobs is None:
        return data / "blobs"
    match = _S3_ADDRESS.fullmatch(blobs)
    if match is None:
        return Path(blobs)
    prefix: str | None = match["prefix"]
    if prefix is None:
        prefix = _DEFAULT_PREFIX
    ends = "" if not prefix or prefix.endswith("/") else "/"
    return S3Place(match["bucket"], f"{prefix}{ends}")


def _below(base: Path, path: Path) -> Path:
    return Path(os.path.normpath(base / path.expanduser()))


def settled(
    config: Config,
    *,
    path: Path | None,
    base: Path,
    origins: dict[str, str],
    environ: Mapping[str, str],
) -> Config:
    """Return the configuration with its origins, secrets and absolute directories.

    A relative directory is below `base`.

    Raises:
        ConfigError: the keys of the object store that is used cannot be read.
    """
    syncer = config.syncer
    changes: dict[str, object] = {"data": _below(base, syncer.data)}
    place = config.blobs_place
    if isinstance(place, S3Place):
        changes["s3"] = keyed(syncer.s3, environ)
    elif syncer.blobs is not None:
        changes["blobs"] = str(_below(base, place))
    copy = config.model_copy(update={"syncer": syncer.model_copy(update=changes)})
    copy._path = path  # noqa: SLF001 - a fresh copy of our own model
    copy._origins = origins  # noqa: SLF001 - as above
    copy._environ = dict(environ)  # noqa: SLF001 - as above
    return copy
