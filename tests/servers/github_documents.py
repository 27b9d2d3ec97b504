"""What GitHub's REST API says of things, as JSON documents.

The fields and their order are those of the public description
(docs.github.com/en/rest, version 2022-11-28).
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from json import dumps
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

if TYPE_CHECKING:
    from datetime import datetime

    from tests.servers.github_releases import GitHubAccount, GitHubAsset, GitHubRelease
    from tests.servers.github_state import Block, GitHubRepository

Document: TypeAlias = "dict[str, Any]"

_OF_USERS = {
    "followers_url": "/followers",
    "following_url": "/following{/other_user}",
    "gists_url": "/gists{/gist_id}",
    "starred_url": "/starred{/owner}{/repo}",
    "subscriptions_url": "/subscriptions",
    "organizations_url": "/orgs",
    "repos_url": "/repos",
    "events_url": "/events{/privacy}",
    "received_events_url": "/received_events",
}
_OF_REPOSITORIES = {
    "forks_url": "/forks",
    "keys_url": "/keys{/key_id}",
    "collaborators_url": "/collaborators{/collaborator}",
    "teams_url": "/teams",
    "hooks_url": "/hooks",
    "issue_events_url": "/issues/events{/number}",
    "events_url": "/events",
    "assignees_url": "/assignees{/user}",
    "branches_url": "/branches{/branch}",
    "tags_url": "/tags",
    "blobs_url": "/git/blobs{/sha}",
    "git_tags_url": "/git/tags{/sha}",
    "git_refs_url": "/git/refs{/sha}",
    "trees_url": "/git/trees{/sha}",
    "statuses_url": "/statuses/{sha}",
    "languages_url": "/languages",
    "stargazers_url": "/stargazers",
    "contributors_url": "/contributors",
    "subscribers_url": "/subscribers",
    "subscription_url": "/subscription",
    "commits_url": "/commits{/sha}",
    "git_commits_url": "/git/commits{/sha}",
    "comments_url": "/comments{/number}",
    "issue_comment_url": "/issues/comments{/number}",
    "contents_url": "/contents/{+path}",
    "compare_url": "/compare/{base}...{head}",
    "merges_url": "/merges",
    "archive_url": "/{archive_format}{/ref}",
    "downloads_url": "/downloads",
    "issues_url": "/issues{/number}",
    "pulls_url": "/pulls{/number}",
    "milestones_url": "/milestones{/number}",
    "notifications_url": "/notifications{?since,all,participating}",
    "labels_url": "/labels{/name}",
    "releases_url": "/releases{/id}",
    "deployments_url": "/deployments",
}
_COUNTS = (
    *("forks", "forks_count", "stargazers_count", "watchers", "watchers_count"),
    *("open_issues", "open_issues_count"),
)
_HAS = (
    *("has_issues", "has_projects", "has_downloads", "has_wiki", "has_pages"),
    "has_discussions",
)


def instant(when: datetime | None) -> str | None:
    """Return an instant as GitHub writes it."""
    return None if when is None else when.strftime("%Y-%m-%dT%H:%M:%SZ")


def error_document(status: int, message: str, page: str = "rest") -> Document:
    """Return the document of an error."""
    where = f"https://docs.github.com/{page}"
    return {"message": message, "documentation_url": where, "status": str(status)}


def block_document(block: Block) -> Document:
    """Return the document of a 451, or of a 403 for what is blocked otherwise."""
    said = {"reason": block.reason, "created_at": instant(block.created)}
    return {
        "message": "Repository access blocked",
        "block": said | {"html_url": block.html_url},
    }


@dataclass(frozen=True, slots=True)
class Documents:
    """Writes documents with addresses of one API, and of the web beside it."""

    api: str
    web: str

    def account(self, account: GitHubAccount) -> Document:
        """Return the simple user of the description."""
        url = f"{self.api}/users/{account.login}"
        linked = {name: f"{url}{path}" for name, path in _OF_USERS.items()}
        return {
            "login": account.login,
            "id": account.id,
            "node_id": account.node_id,
            "avatar_url": f"https://avatars.githubusercontent.com/u/{account.id}?v=4",
            "gravatar_id": "",
            "url": url,
            "html_url": f"{self.web}/{account.login}",
            **linked,
            "type": account.kind,
            "user_view_type": "public",
            "site_admin": False,
        }

    def repository(self, found: GitHubRepository, *, full: bool = True) -> Document:
        """Return a repository; listings say a little less of each."""
        url = f"{self.api}/repos/{found.full_name}"
        page = f"{self.web}/{found.full_name}"
        host = self.web.partition("://")[2]
        linked = {name: f"{url}{path}" for name, path in _OF_REPOSITORIES.items()}
        document = {
            "id": found.id,
            "node_id": found.node_id,
            "name": found.name,
            "full_name": found.full_name,
            "private": found.private,
            "owner": self.account(found.owner),
            "html_url": page,
            "description": found.description,
            "fork": found.fork,
            "url": url,
            **linked,
            "created_at": instant(found.created),
            "updated_at": instant(found.updated),
            "pushed_at": instant(found.pushed),
            "git_url": f"git://{host}/{found.full_name}.git",
            "ssh_url": f"git@{host}:{found.full_name}.git",
            "clone_url": f"{page}.git",
            "svn_url": page,
            "homepage": None,
            "size": found.size,
            "language": found.language,
            **dict.fromkeys(_COUNTS, 0),
            **dict.fromkeys(_HAS, False),
            "mirror_url": None,
            "archived": found.archived,
            "disabled": found.disabled,
            "license": _licence(found.licence, self.api),
            "allow_forking": True,
            "is_template": False,
            "web_commit_signoff_required": False,
            "topics": list(found.topics),
            "visibility": "private" if found.private else "public",
            "default_branch": found.default_branch,
        }
        counted = {"network_count": 0, "subscribers_count": 0, "temp_clone_token": None}
        return document | counted if full else document

    def release(self, found: GitHubRelease) -> Document:
        """Return a release with all of its assets."""
        full_name = found.repository.full_name
        url = f"{self.api}/repos/{full_name}/releases/{found.id}"
        tag = quote(found.tag, safe="")
        balls = f"{self.api}/repos/{full_name}"
        return {
            "url": url,
            "assets_url": f"{url}/assets",
            "upload_url": f"{url}/assets{{?name,label}}",
            "html_url": f"{self.web}/{full_name}/releases/tag/{tag}",
            "id": found.id,
            "author": self.account(found.author),
            "node_id": found.node_id,
            "tag_name": found.tag,
            "target_commitish": found.target,
            "name": found.title,
            "draft": found.draft,
            "immutable": found.immutable,
            "prerelease": found.prerelease,
            "created_at": instant(found.created),
            "updated_at": instant(found.updated),
            "published_at": instant(found.published),
            "assets": [self.asset(each) for each in found.assets],
            "tarball_url": None if found.draft else f"{balls}/tarball/{tag}",
            "zipball_url": None if found.draft else f"{balls}/zipball/{tag}",
            "body": found.body,
        }

    def asset(self, found: GitHubAsset) -> Document:
        """Return an asset."""
        repository = found.release.repository
        full_name = repository.full_name
        below = f"{quote(found.release.tag, safe='')}/{quote(found.name)}"
        return {
            "url": f"{self.api}/repos/{full_name}/releases/assets/{found.id}",
            "id": found.id,
            "node_id": found.node_id,
            "name": found.name,
            "label": found.label,
            "uploader": self.account(found.uploader),
            "content_type": found.content_type,
            "state": found.state,
            "size": found.size,
            "digest": None if found.digest is None else f"sha256:{found.digest}",
            "download_count": found.download_count,
            "created_at": instant(found.created),
            "updated_at": instant(found.updated),
            "browser_download_url": f"{self.web}/{full_name}/releases/download/{below}",
        }

    def attestation(self, found: GitHubRepository, said: Document) -> Document:
        """Return one attestation: a Sigstore bundle around an in-toto statement."""
        subject = {"name": said["name"], "digest": {"sha256": said["digest"]}}
        statement = {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [subject],
            "predicateType": said["predicate_type"],
            "predicate": {},
        }
        payload = dumps(statement).encode()
        signature = b64encode(sha256(payload).digest()).decode()
        envelope = {
            "payload": b64encode(payload).decode(),
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [{"sig": signature}],
        }
        bundle = {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {"tlogEntries": []},
            "dsseEnvelope": envelope,
        }
        return {"bundle": bundle, "repository_id": found.id, "initiator": "github"}


def _licence(spdx: str | None, api: str) -> Document | None:
    if spdx is None:
        return None
    other = spdx == "NOASSERTION"
    key = "other" if other else spdx.lower()
    return {
        "key": key,
        "name": "Other" if other else spdx,
        "spdx_id": spdx,
        "url": None if other else f"{api}/licenses/{key}",
        "node_id": "MDc6TGljZW5zZTA=",
    }
