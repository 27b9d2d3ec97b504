"""What a GitHub holds: its repositories, by their ids, and who had which name.

Shared by the server on loopback and the API in memory: a test arranges the same
things for both.  See docs.github.com/en/rest/repos.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any, Literal, Protocol

from tests.servers.github_releases import (
    GitHubAccount,
    GitHubRelease,
    digest_of,
    node_id,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.servers.github_releases import GitHubAsset

#: The documented predicate of what GitHub says of immutable releases.
RELEASE_PREDICATE = "https://in-toto.io/attestation/release/v0.1"


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return it, with a zone."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the time."""
        return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Block:
    """Why a repository is not given: `block` of the 451 or 403 answer."""

    reason: str
    html_url: str
    created: datetime
    status: int = 451


@dataclass(eq=False, slots=True)
class GitHubRepository:
    """One repository: the id is what it is, its name may change."""

    state: GitHubState = field(repr=False)
    id: int
    owner: GitHubAccount
    name: str
    created: datetime
    updated: datetime
    pushed: datetime
    private: bool = False
    archived: bool = False
    disabled: bool = False
    fork: bool = False
    default_branch: str = "main"
    description: str | None = None
    #: SPDX identifier; "NOASSERTION" is what is said of one that is not known.
    licence: str | None = "Apache-2.0"
    topics: tuple[str, ...] = ()
    language: str | None = "Python"
    #: KiB.
    size: int = 0
    blocked: Block | None = None
    releases: list[GitHubRelease] = field(default_factory=list, repr=False)
    #: Documents of the attestations endpoint, by digest in hex.
    attestations: dict[str, list[dict[str, Any]]] = field(
        default_factory=dict, repr=False
    )

    @property
    def node_id(self) -> str:
        """Its global id."""
        return node_id("R", self.id)

    @property
    def full_name(self) -> str:
        """`OWNER/NAME`, as it is spelt now."""
        return f"{self.owner.login}/{self.name}"

    def release(self, tag: str, **named: Any) -> GitHubRelease:  # noqa: ANN401 - any field
        """Publish a release, or begin one with `draft=True`."""
        with self.state.lock:
            now = self.state.now()
            fields: dict[str, Any] = {
                "id": next(self.state.release_ids),
                "author": self.state.account("octocat", "User"),
                "created": now,
                "updated": now,
                "published": None if named.get("draft") else now,
                "title": tag,
            }
            made = GitHubRelease(repository=self, tag=tag, **(fields | named))
            self.releases.append(made)
            return made

    def listed(self, *, drafts: bool = False) -> list[GitHubRelease]:
        """Return the releases in the order of the listing: newest first."""
        with self.state.lock:
            shown = [each for each in self.releases if drafts or not each.draft]
        return sorted(shown, key=lambda each: (each.created, each.id), reverse=True)

    def latest(self) -> GitHubRelease | None:
        """Return the release that `/releases/latest` is."""
        full = (each for each in self.listed() if not each.prerelease)
        return next(full, None)

    def push(self) -> None:
        """Let a ref have moved now."""
        self.pushed = self.updated = self.state.now()

    def rename(self, full_name: str) -> None:
        """Rename or transfer it: the old name leads to it until it is taken."""
        login, _, name = full_name.partition("/")
        with self.state.lock:
            self.state.redirects[self.full_name.lower()] = self.id
            self.owner, self.name = self.state.account(login), name
            self.updated = self.state.now()

    def delete(self) -> None:
        """Remove it; its id answers 404."""
        with self.state.lock:
            del self.state.repositories[self.id]

    def block(
        self,
        reason: str = "dmca",
        url: str = "https://github.com/github/dmca/blob/master/2026/03/notice.md",
        status: int = 451,
    ) -> None:
        """Take it down for legal reasons."""
        self.blocked = Block(reason, url, self.state.now(), status)

    def attest(self, asset: GitHubAsset, predicate: str = RELEASE_PREDICATE) -> None:
        """Offer an attestation of an asset's bytes."""
        digest = digest_of(asset.content)
        said = {"predicate_type": predicate, "digest": digest, "name": asset.name}
        self.attestations.setdefault(digest, []).append(said)


class GitHubState:
    """All of it; `lock` guards what a request must see as one."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock: Clock = SystemClock() if clock is None else clock
        self.lock = threading.RLock()
        self.accounts: dict[str, GitHubAccount] = {}
        self.repositories: dict[int, GitHubRepository] = {}
        #: Those of all repositories, by id.
        self.assets: dict[int, GitHubAsset] = {}
        #: Former names, in lower case, and whose they were.
        self.redirects: dict[str, int] = {}
        self.release_ids, self.asset_ids = count(70_000_001), count(400_000_001)
        self._account_ids, self._repository_ids = count(9_001), count(1_300_001)

    def now(self) -> datetime:
        """Return the time, to a second, as GitHub does."""
        return self.clock.now().replace(microsecond=0)

    def account(
        self, login: str, kind: Literal["Organization", "User"] = "Organization"
    ) -> GitHubAccount:
        """Return an account; it is made if there is none of that name."""
        with self.lock:
            known = self.accounts.get(login.lower())
            if known is None:
                known = GitHubAccount(next(self._account_ids), login, kind)
                self.accounts[login.lower()] = known
            return known

    def repository(self, full_name: str, **named: Any) -> GitHubRepository:  # noqa: ANN401 - any field
        """Create a repository, under a name that nobody has now."""
        login, _, name = full_name.partition("/")
        with self.lock:
            assert self.named(full_name) is None, f"{full_name} is taken"
            now = self.now()
            fields: dict[str, Any] = {"owner": self.account(login), "name": name}
            fields |= {"created": now, "updated": now, "pushed": now}
            if "id" not in named:
                fields["id"] = next(self._repository_ids)
            made = GitHubRepository(state=self, **(fields | named))
            self.repositories[made.id] = made
            return made

    def named(self, full_name: str) -> GitHubRepository | None:
        """Return the repository that has a name now; None for a former one."""
        wanted = full_name.lower()
        with self.lock:
            return next(
                (
                    each
                    for each in self.repositories.values()
                    if each.full_name.lower() == wanted
                ),
                None,
            )

    def formerly(self, full_name: str) -> GitHubRepository | None:
        """Return the repository that left a name which nobody took since."""
        with self.lock:
            return self.repositories.get(self.redirects.get(full_name.lower(), -1))

    def owned(self, account: GitHubAccount) -> list[GitHubRepository]:
        """Return an account's repositories by name."""
        with self.lock:
            found: Iterable[GitHubRepository] = (
                each for each in self.repositories.values() if each.owner is account
            )
            return sorted(found, key=lambda each: each.name.lower())

    def find_asset(self, asset_id: int) -> GitHubAsset | None:
        """Return an asset by its id, if its repository is still there."""
        with self.lock:
            found = self.assets.get(asset_id)
            gone = found is None or found.release.repository.id not in self.repositories
            return None if gone else found
