"""Who a repository is upstream: its identity, its standing, and its life cycle.

The id is the key, names change.  GitHub's fields: docs.github.com/en/rest/repos.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from syncer.model.names import RepoName

#: A repository that upstream denies for so long, and so often, is GONE.
CONFIRMED_AFTER = timedelta(hours=24)
CONFIRMATIONS = 3


class Standing(StrEnum):
    """How a repository stands upstream."""

    NORMAL = "normal"
    ARCHIVED = "archived"  # read-only
    DISABLED = "disabled"  # by the host, for policy or billing
    BLOCKED = "blocked"  # for legal reasons: 451 (RFC 7725)
    ABSENT = "absent"  # 404: deleted, or private and not for us to see
    GONE = "gone"  # absent, confirmed

    @property
    def is_quiet(self) -> bool:
        """Whether nothing changes there, so that a look a day is enough."""
        return self in {Standing.ARCHIVED, Standing.BLOCKED, Standing.GONE}

    @property
    def is_reachable(self) -> bool:
        """Whether upstream gives its content."""
        return self in {Standing.NORMAL, Standing.ARCHIVED}


@dataclass(frozen=True, slots=True)
class Facts:
    """What upstream says of one repository."""

    id: int
    node_id: str
    #: As upstream spells it now.
    name: RepoName
    default_branch: str | None = None
    private: bool = False
    archived: bool = False
    disabled: bool = False
    fork: bool = False
    #: SPDX identifier, "NOASSERTION" for one it does not know; None: no licence.
    licence: str | None = None
    topics: tuple[str, ...] = ()
    language: str | None = None
    #: Bytes of the git repository; upstream counts in KiB, and late.
    size: int = 0
    pushed: datetime | None = None

    @property
    def standing(self) -> Standing:
        """How it stands, as far as upstream shows it at all."""
        if self.disabled:
            return Standing.DISABLED
        return Standing.ARCHIVED if self.archived else Standing.NORMAL


@dataclass(frozen=True, slots=True)
class Described:
    """Upstream's answer about one repository; `facts` is None for a 304."""

    facts: Facts | None
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """What is known of a mirror's repository upstream."""

    facts: Facts | None = None
    standing: Standing = Standing.NORMAL
    #: Since when it stands so.
    since: datetime | None = None
    #: Where upstream explains why it blocks it.
    notice: str | None = None
    #: How often it was found absent in a row.
    sightings: int = 0
    #: When upstream last answered for it, and the validator of that answer.
    described: datetime | None = None
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Hint:
    """What a sweep over many repositories shows of one: proof of nothing."""

    node_id: str
    pushed: datetime | None = None
    #: Changes whenever the newest release, or their number, does.
    release: str = ""
    #: Whether upstream does not show it any more.
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Discovery:
    """A repository that an owner was found to have, and under which `[[owner]]`."""

    owner: str
    facts: Facts
    seen: datetime | None = None


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a host's API grants to one credential, as it last said.

    `resource` is GitHub's word: core, graphql, ...
    """

    resource: str
    limit: int
    remaining: int
    reset: datetime
    authorised: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """Something about a mirror's upstream that a person should hear of."""

    action: str
    detail: str
    #: Whether it asks for a person: an alarm, not news.
    alarming: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer about a repository means for its mirror."""

    origin: Origin
    events: tuple[Event, ...] = ()
    #: Why the mirror must not be touched until a person accepts it.
    freeze: str | None = None


#: What is known of a repository that nobody has asked about.
UNKNOWN = Origin()


@dataclass(frozen=True, slots=True)
class OwnerSelection:
    """Which of an owner's repositories are mirrored."""

    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    forks: bool = False
    archived: bool = True
    #: One of these topics; empty: any.
    topics: tuple[str, ...] = ()
    #: One of these languages; empty: any.
    languages: tuple[str, ...] = ()
    #: "public", "private" or "all".
    visibility: str = field(default="public")
