"""Which releases and assets are mirrored, and which of an owner's repositories.

Decisions about upstream's words: pure, and the same for every host.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from syncer.model.origin import Facts, OwnerSelection
    from syncer.model.releases import Asset, Release

_LATEST = re.compile(r"latest:([1-9][0-9]{0,3})")


@dataclass(frozen=True, slots=True)
class ReleaseSelection:
    """What to mirror of a repository's releases.

    `latest` takes only so many of the newest; None takes all.  `assets` are globs
    that are tried in order: the last that matches decides, and `!` excludes.
    """

    wanted: bool = True
    latest: int | None = None
    assets: tuple[str, ...] = ("*",)
    prereleases: bool = True
    drafts: bool = False
    #: Bytes; larger assets are left out.
    max_asset: int | None = None

    @property
    def key(self) -> str:
        """What tells two selections apart in the catalog."""
        parts = (self.latest, self.assets, self.prereleases, self.drafts)
        return sha256(repr((*parts, self.max_asset)).encode()).hexdigest()[:24]

    def takes(self, asset: Asset) -> bool:
        """Return whether an asset of a selected release is mirrored."""
        if not asset.uploaded:
            return False
        if self.max_asset is not None and asset.size > self.max_asset:
            return False
        return matches(asset.name, self.assets)


def parse_releases(text: str) -> tuple[bool, int | None]:
    """Read "all", "latest:N" or "off": whether any are wanted, and how many.

    Raises:
        ValueError: it is none of them.
    """
    latest = _LATEST.fullmatch(text)
    if latest is not None:
        return True, int(latest[1])
    if text not in {"all", "off"}:
        msg = 'write "all", "latest:5" or "off"'
        raise ValueError(msg)
    return text == "all", None


def check_globs(globs: tuple[str, ...]) -> tuple[str, ...]:
    """Return globs if they can be meant.

    Raises:
        ValueError: there is none, or one is empty.
    """
    if not globs or not all(glob.removeprefix("!") for glob in globs):
        msg = 'name at least one glob, like "*.whl" or "!*.exe"'
        raise ValueError(msg)
    return globs


def matches(name: str, globs: Sequence[str]) -> bool:
    """Return whether globs take a name: the last that matches decides.

    Where the first one excludes, all that none excludes is taken.
    """
    taken = bool(globs) and globs[0].startswith("!")
    for glob in globs:
        if fnmatchcase(name, glob.removeprefix("!")):
            taken = not glob.startswith("!")
    return taken


def chosen(releases: Iterable[Release], selection: ReleaseSelection) -> frozenset[int]:
    """Return the ids of the releases that are mirrored.

    The newest are those that were published last.
    """
    eligible = [
        each
        for each in releases
        if (selection.drafts or not each.draft)
        and (selection.prereleases or not each.prerelease)
    ]
    if selection.latest is None:
        return frozenset(each.id for each in eligible)
    newest = sorted(eligible, key=_age, reverse=True)
    return frozenset(each.id for each in newest[: selection.latest])


def _age(release: Release) -> tuple[str, int]:
    when = release.published or release.created
    return ("" if when is None else when.isoformat(), release.id)


def belongs(facts: Facts, selection: OwnerSelection) -> bool:
    """Return whether one of an owner's repositories is mirrored."""
    return _is_named(facts.name.name, selection) and _is_of_kind(facts, selection)


def _is_named(name: str, selection: OwnerSelection) -> bool:
    """Return whether the globs take a repository; case is none of its name."""
    folded = name.lower()
    included = any(fnmatchcase(folded, glob.lower()) for glob in selection.include)
    excluded = any(fnmatchcase(folded, glob.lower()) for glob in selection.exclude)
    return included and not excluded


def _is_of_kind(facts: Facts, selection: OwnerSelection) -> bool:
    """Return whether what upstream says of a repository is what is wanted."""
    seen = "private" if facts.private else "public"
    topics, languages = selection.topics, selection.languages
    spoken = (facts.language or "").lower()
    return (
        not facts.disabled
        and (selection.forks or not facts.fork)
        and (selection.archived or not facts.archived)
        and selection.visibility in {"all", seen}
        and (not topics or bool(set(topics) & set(facts.topics)))
        and (not languages or spoken in map(str.lower, languages))
    )
