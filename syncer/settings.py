"""The shape of the configuration: every key, its type and its default.

How it is read, and from where, is `config.py`'s business.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
)

from syncer.alerting import Alert, addressed
from syncer.credentials import passwords_of
from syncer.endpoints import S3, Host, Model, keyed, named
from syncer.listening import Web, guarded
from syncer.model.names import GITHUB
from syncer.model.selection import belongs
from syncer.units import parse_floor
from syncer.wanted import Duration, Interval, Owner, Repo, Size, check_machine

if TYPE_CHECKING:
    from collections.abc import Iterable

    from syncer.credentials import Secret
    from syncer.model.names import OwnerName, RepoName
    from syncer.model.origin import Discovery, Facts
    from syncer.ports import ReleaseIndex


# Characters that every S3 server and every client takes as they are.
_S3_ADDRESS = re.compile(
    r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<prefix>[\w!.*'()/-]*))?",
    re.ASCII,
)
_DEFAULT_PREFIX = "blobs/"
_LEAST_AUDIT = timedelta(days=180)


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


def _check_audit(value: timedelta) -> timedelta:
    if value < _LEAST_AUDIT:
        msg = f"audit events are kept {_LEAST_AUDIT.days} days at least"
        raise ValueError(msg)
    return value


Floor = Annotated[float | int, BeforeValidator(parse_floor)]


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
    #: LFS objects and assets on their way at the same time, from all hosts.
    transfers: Annotated[int, Field(ge=1, le=256)] = 16
    #: Bytes of them in memory at the same time.
    in_flight: Annotated[Size, Field(ge=64 << 20)] = 128 << 20
    #: Bytes a second for all of these downloads together; None: no limit.
    bandwidth: Annotated[Size, Field(gt=0)] | None = None
    #: Unfinished transfers that nobody continued for this long are removed by `gc`.
    stale: Duration = timedelta(days=1)
    #: How long runs, lag samples and incidents are kept.
    history: Interval = timedelta(days=400)
    #: How long audit events are kept.
    audit: Annotated[Interval, AfterValidator(_check_audit)] = timedelta(days=400)
    #: This machine's name, where several work for one Postgres catalog.
    host: Annotated[str, AfterValidator(check_machine)] | None = None
    s3: S3 = S3()
    web: Web = Web()


class Tier(Model):
    """`[tier.NAME]`: how often to ask at least, and the lag aimed for."""

    interval: Interval
    target: Interval


DEFAULT_TIERS = {
    "core": Tier(interval=timedelta(minutes=5), target=timedelta(minutes=15)),
    "normal": Tier(interval=timedelta(minutes=30), target=timedelta(hours=2)),
}


class Config(Model):
    """Everything the program was told, checked."""

    syncer: Syncer = Syncer()
    tier: dict[str, Tier] = DEFAULT_TIERS
    repo: tuple[Repo, ...] = ()
    owner: tuple[Owner, ...] = ()
    host: dict[str, Host] = Field(default_factory=dict)
    alert: tuple[Alert, ...] = ()

    _path: Path | None = PrivateAttr(default=None)
    _origins: Mapping[str, str] = PrivateAttr(default_factory=dict)
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
    def is_cluster(self) -> bool:
        """Whether several machines work for its catalog."""
        return self.syncer.host is not None

    @property
    def machine(self) -> str:
        """What this machine is called, in the catalog and to people."""
        return self.syncer.host or socket.gethostname()

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

    def has_api(self, name: str) -> bool:
        """Return whether a host has an API that we know; reads no secret."""
        return self.host.get(name, Host()).api_as(name) is not None

    def reserve(self, name: str) -> float:
        """Return the share of a host's API that is left to others."""
        return self.host.get(name, Host()).api_reserve

    def find(self, name: RepoName) -> Repo | None:
        """Return the entry of a repository, however its case is spelled."""
        return next((r for r in self.repo if r.name.identity == name.identity), None)

    def find_owner(self, name: OwnerName) -> Owner | None:
        """Return the entry of an owner, however its case is spelled."""
        return next((o for o in self.owner if o.name.identity == name.identity), None)

    def with_owned(self, releases: ReleaseIndex) -> Config:
        """Return the configuration with what its owners are known to have.

        What is listed by name already, maybe by a former one, is there once.
        """
        if not self.owner:
            return self
        listed = {repo.name.identity for repo in self.repo}
        found = releases.discoveries()
        aliases = releases.find_aliases([each.facts.name for each in found])
        return self.with_discovered(
            each
            for each in found
            if (known := aliases.get(each.facts.name.identity)) is None
            or known.identity not in listed
        )

    def with_discovered(self, discoveries: Iterable[Discovery]) -> Config:
        """Return the configuration with what its owners were found to have.

        A repository that is listed itself keeps its own entry; of two owners that
        have the same one, the first listed decides.  The order is the file's, and
        below an owner the discoveries' own.
        """
        found: dict[str, list[Facts]] = {}
        for each in discoveries:
            found.setdefault(each.owner, []).append(each.facts)
        repos = {repo.name.identity: repo for repo in self.repo}
        for owner in self.owner:
            selection = owner.owner_selection
            for facts in found.get(owner.name.identity, ()):
                inside = facts.name.host == owner.name.host
                if inside and belongs(facts, selection):
                    repo = owner.repo(facts.name)
                    repos.setdefault(repo.name.identity, repo)
        if len(repos) == len(self.repo):
            return self
        return self.model_copy(update={"repo": tuple(repos.values())})

    @property
    def hosts(self) -> frozenset[str]:
        """Every host that something is mirrored from, or that has a section."""
        listed = {repo.name.host for repo in self.repo}
        owned = {owner.name.host for owner in self.owner}
        return frozenset(listed | owned | self.host.keys())

    def secrets(self) -> list[Secret]:
        """Return every secret that was read, for redaction."""
        hosts = self.hosts | {GITHUB}
        entries = [self.target_host(name) for name in sorted(hosts)]
        found = [entry.token for entry in entries]
        found += [entry.app.key for entry in entries if entry.app is not None]
        found.append(self.syncer.web.token)
        found += [secret for alert in self.alert for secret in alert.secrets]
        found += passwords_of(self.catalog_url)
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
    origins: Mapping[str, str],
    environ: Mapping[str, str],
) -> Config:
    """Return the configuration with its origins, secrets and absolute directories.

    A relative directory is below `base`.

    Raises:
        ConfigError: a secret that is used cannot be read.
    """
    syncer = config.syncer
    changes: dict[str, object] = {
        "data": _below(base, syncer.data),
        "web": guarded(syncer.web, environ),
    }
    place = config.blobs_place
    if isinstance(place, S3Place):
        changes["s3"] = keyed(syncer.s3, environ)
    elif syncer.blobs is not None:
        changes["blobs"] = str(_below(base, place))
    sections = {
        "syncer": syncer.model_copy(update=changes),
        "alert": tuple(addressed(alert, environ) for alert in config.alert),
    }
    copy = config.model_copy(update=sections)
    copy._path = path  # noqa: SLF001 - a fresh copy of our own model
    copy._origins = origins  # noqa: SLF001 - as above
    copy._environ = dict(environ)  # noqa: SLF001 - as above
    return copy
