"""What to mirror: single repositories, and those of an owner."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from syncer.endpoints import Model
from syncer.errors import InvalidName
from syncer.model.content import DEFAULT_SCOPE, check_scope
from syncer.model.mirrors import Selection
from syncer.model.names import OwnerName, RepoName
from syncer.model.origin import OwnerSelection
from syncer.model.selection import ReleaseSelection, check_globs, parse_releases
from syncer.units import parse_duration, parse_size


def check_machine(value: str) -> str:
    """Return the name of one of several machines, as DNS has labels (RFC 1123)."""
    if re.fullmatch(r"[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?", value) is None:
        msg = "a machine's name is of small letters, digits, dots and dashes"
        raise ValueError(msg)
    return value


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta():
        msg = "a duration here is longer than nothing"
        raise ValueError(msg)
    return value


def _check_releases(value: str) -> str:
    parse_releases(value)
    return value


def _parse_name(value: object) -> RepoName:
    if isinstance(value, RepoName):
        return value
    try:
        return RepoName.parse(str(value))
    except InvalidName as exc:
        raise ValueError(str(exc)) from None


def _parse_owner(value: object) -> OwnerName:
    if isinstance(value, OwnerName):
        return value
    try:
        return OwnerName.parse(str(value))
    except InvalidName as exc:
        raise ValueError(str(exc)) from None


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Interval = Annotated[Duration, AfterValidator(_positive)]
Size = Annotated[int, BeforeValidator(parse_size), Field(ge=0)]
Globs = Annotated[tuple[str, ...], AfterValidator(check_globs)]


class Wanted(Model):
    """What to mirror of a repository, and how often to look."""

    tier: str = "normal"
    refs: Annotated[tuple[str, ...], AfterValidator(check_scope)] = DEFAULT_SCOPE
    #: Instead of `[syncer] keep`.
    keep: Interval | None = None
    #: Which of several machines keeps its repository; `syncer rehome` moves it.
    host: Annotated[str, AfterValidator(check_machine)] | None = None
    #: Hold it instead of storing more than this of it; None: no limit.
    max_size: Annotated[Size, Field(gt=0)] | None = None
    #: Mirror its LFS objects too.
    lfs: bool = True
    #: What to do while upstream does not give one of them.
    lfs_missing: Literal["publish", "hold"] = "publish"
    #: Which releases: "all", "latest:N" or "off".
    releases: Annotated[str, AfterValidator(_check_releases)] = "all"
    #: Which of their assets: globs, the last that matches decides, "!" excludes.
    assets: Globs = ("*",)
    prereleases: bool = True
    #: Drafts, which only a token with write access is shown.
    drafts: bool = False
    #: Larger assets are left out; None: no limit.
    max_asset: Size | None = None

    @property
    def has_releases(self) -> bool:
        """Whether any of its releases are mirrored."""
        return self.releases != "off"

    @property
    def selection(self) -> Selection:
        """What a run mirrors of it."""
        wanted, latest = parse_releases(self.releases)
        return Selection(
            self.refs,
            lfs=self.lfs,
            hold_missing=self.lfs_missing == "hold",
            max_size=self.max_size,
            releases=ReleaseSelection(
                wanted,
                latest,
                self.assets,
                prereleases=self.prereleases,
                drafts=self.drafts,
                max_asset=self.max_asset,
            ),
        )


class Repo(Wanted):
    """`[[repo]]`: one repository to mirror."""

    name: Annotated[RepoName, BeforeValidator(_parse_name)]


class Owner(Wanted):
    """`[[owner]]`: all repositories of an organisation or user that fit."""

    name: Annotated[OwnerName, BeforeValidator(_parse_owner)]
    #: Globs of repository names; one must match, none of `exclude` may.
    include: Globs = ("*",)
    exclude: tuple[str, ...] = ()
    forks: bool = False
    archived: bool = True
    #: One of these topics; empty: any.
    topics: tuple[str, ...] = ()
    #: One of these languages; empty: any.
    languages: tuple[str, ...] = ()
    visibility: Literal["public", "private", "all"] = "public"

    @property
    def owner_selection(self) -> OwnerSelection:
        """Which of its repositories are mirrored."""
        return OwnerSelection(
            self.include,
            self.exclude,
            forks=self.forks,
            archived=self.archived,
            topics=self.topics,
            languages=self.languages,
            visibility=self.visibility,
        )

    def repo(self, name: RepoName) -> Repo:
        """Return the entry of one of its repositories."""
        shared = {key: getattr(self, key) for key in Wanted.model_fields}
        return Repo(name=name, **shared)
