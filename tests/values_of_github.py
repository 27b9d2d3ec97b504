"""What `ForgeApi` makes of a GitHub's state, as values of the model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from syncer.model.names import RepoName
from syncer.model.origin import Facts
from syncer.model.releases import Asset, Author, Release

if TYPE_CHECKING:
    from tests.servers.github_releases import GitHubAccount, GitHubAsset, GitHubRelease
    from tests.servers.github_state import GitHubRepository

_KIB = 1024


def facts_of(found: GitHubRepository, host: str) -> Facts:
    """Return what the API says of a repository."""
    return Facts(
        id=found.id,
        node_id=found.node_id,
        name=RepoName(host, found.owner.login, found.name),
        default_branch=found.default_branch,
        private=found.private,
        archived=found.archived,
        disabled=found.disabled,
        fork=found.fork,
        licence=found.licence,
        topics=found.topics,
        language=found.language,
        size=found.size * _KIB,
        pushed=found.pushed,
    )


def release_of(found: GitHubRelease) -> Release:
    """Return what the API says of a release and its assets."""
    return Release(
        id=found.id,
        node_id=found.node_id,
        tag=found.tag,
        target=found.target,
        title=found.title,
        body=found.body,
        author=_author(found.author),
        draft=found.draft,
        prerelease=found.prerelease,
        immutable=found.immutable,
        created=found.created,
        published=found.published,
        updated=found.updated,
        assets=tuple(asset_of(each) for each in found.assets),
    )


def asset_of(found: GitHubAsset) -> Asset:
    """Return what the API says of an asset."""
    return Asset(
        id=found.id,
        node_id=found.node_id,
        name=found.name,
        size=found.size,
        digest=found.digest,
        uploaded=found.state == "uploaded",
        label=found.label,
        content_type=found.content_type,
        created=found.created,
        updated=found.updated,
        uploader=_author(found.uploader),
    )


def attestations_of(found: GitHubRepository, digest: str) -> bytes | None:
    """Return what was attested of a digest, as JSON."""
    said = found.attestations.get(digest)
    return json.dumps({"attestations": said}).encode() if said else None


def _author(account: GitHubAccount) -> Author:
    return Author(account.id, account.login)
