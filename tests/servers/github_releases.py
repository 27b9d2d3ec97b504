"""Releases, their assets, and who has them: what a GitHub holds, as values.

Attributes may be changed at any time; what has consequences is a method.  Words
and states are those of docs.github.com/en/rest/releases.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from tests.servers.lfs import Generated

if TYPE_CHECKING:
    from datetime import datetime

    from tests.servers.github_state import GitHubRepository

Content: TypeAlias = "bytes | Generated"


def node_id(kind: str, number: int) -> str:
    """Return a global id in GitHub's new format, one for each kind and number."""
    raw = urlsafe_b64encode(b"\x92\x00\xce" + number.to_bytes(8, "big")).decode()
    return f"{kind}_{raw.rstrip('=')}"


def digest_of(content: Content) -> str:
    """Return the sha256 of what an asset consists of, in hex."""
    if isinstance(content, Generated):
        return content.pointer.oid
    return sha256(content).hexdigest()


def size_of(content: Content) -> int:
    """Return its length in bytes."""
    return content.size if isinstance(content, Generated) else len(content)


@dataclass(eq=False, slots=True)
class GitHubAccount:
    """An organisation or user."""

    id: int
    login: str
    kind: Literal["Organization", "User"] = "Organization"

    @property
    def node_id(self) -> str:
        """Its global id."""
        return node_id("O" if self.kind == "Organization" else "U", self.id)


@dataclass(eq=False, slots=True)
class GitHubAsset:
    """One file of a release; replaced ones are other assets."""

    release: GitHubRelease = field(repr=False)
    id: int
    name: str
    content: Content = field(repr=False)
    uploader: GitHubAccount
    created: datetime
    updated: datetime
    digest: str | None = None
    state: Literal["uploaded", "open"] = "uploaded"
    label: str | None = None
    content_type: str = "application/octet-stream"
    #: Rises with each download, and is a part of every listing.
    download_count: int = 0
    #: What is sent in the place of its content, as by a stale cache.
    sends: Content | None = field(default=None, repr=False)
    #: The size that is told, if not the content's.
    told: int | None = None

    @property
    def node_id(self) -> str:
        """Its global id."""
        return node_id("RA", self.id)

    @property
    def size(self) -> int:
        """The size that the API tells."""
        return size_of(self.content) if self.told is None else self.told

    def replace(self, content: Content, **named: Any) -> GitHubAsset:  # noqa: ANN401 - `asset`'s
        """Delete it and upload another file of its name, as `--clobber` does."""
        release = self.release
        self.delete()
        kept: dict[str, Any] = {"label": self.label, "content_type": self.content_type}
        return release.asset(
            self.name, content, digest=self.digest is not None, **(kept | named)
        )

    def delete(self) -> None:
        """Remove it; its id never comes back."""
        with self.release.repository.state.lock:
            self.release.assets.remove(self)
            del self.release.repository.state.assets[self.id]
            self.release.touch()


@dataclass(eq=False, slots=True)
class GitHubRelease:
    """One release; its assets in the order they were uploaded."""

    repository: GitHubRepository = field(repr=False)
    id: int
    tag: str
    author: GitHubAccount
    created: datetime
    updated: datetime
    published: datetime | None
    title: str | None = None
    body: str | None = None
    target: str = "main"
    draft: bool = False
    prerelease: bool = False
    immutable: bool = False
    assets: list[GitHubAsset] = field(default_factory=list)

    @property
    def node_id(self) -> str:
        """Its global id."""
        return node_id("RE", self.id)

    def asset(
        self,
        name: str,
        content: Content,
        *,
        digest: bool = True,
        **named: Any,  # noqa: ANN401 - any field of `GitHubAsset`
    ) -> GitHubAsset:
        """Upload a file; without `digest` it is as old as files without one are."""
        state = self.repository.state
        with state.lock:
            now = state.now()
            found = digest_of(content) if digest else None
            fields: dict[str, Any] = {
                "id": next(state.asset_ids),
                "uploader": self.author,
                "created": now,
                "updated": now,
                "digest": found,
            }
            made = GitHubAsset(
                release=self, name=name, content=content, **(fields | named)
            )
            self.assets.append(made)
            state.assets[made.id] = made
            self.touch()
            if self.immutable:
                self.repository.attest(made)
            return made

    def edit(self, **fields: Any) -> None:  # noqa: ANN401 - any field
        """Change what it says, as its page on the web does."""
        with self.repository.state.lock:
            for name, value in fields.items():
                setattr(self, name, value)
            self.touch()

    def delete(self) -> None:
        """Remove it with its assets; the tag stays."""
        with self.repository.state.lock:
            self.repository.releases.remove(self)
            for each in self.assets:
                del self.repository.state.assets[each.id]

    def touch(self) -> None:
        """Let it have changed now."""
        self.updated = self.repository.state.now()
