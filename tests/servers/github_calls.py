"""The calls of GitHub's REST API that are about repositories and their owners.

Each returns a `Reply`; who may ask, limits, ETags and headers are the server's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, unquote

from tests.servers.github_documents import block_document, error_document
from tests.servers.github_pages import Asked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.servers.github_documents import Documents
    from tests.servers.github_limits import Credential
    from tests.servers.github_releases import GitHubAsset, GitHubRelease
    from tests.servers.github_state import GitHubRepository, GitHubState
    from tests.servers.http_faults import Request

JSON = "application/json; charset=utf-8"
_REPOSITORY = re.compile(
    r"/(?:repos/(?P<name>[^/]+/[^/]+)|repositories/(?P<id>[0-9]+))(?P<rest>/.*)?"
)
_OWNED = re.compile(r"/(?P<kind>orgs|users|organizations|user)/(?P<who>[^/]+)/repos")


@dataclass(slots=True)
class Reply:
    """An answer: a document of some schema, or a redirect to bytes."""

    status: int
    document: Any = None
    schema: str = "error"
    headers: dict[str, str] = field(default_factory=dict)
    #: An asset whose bytes are the answer.
    asset: GitHubAsset | None = None


class Call(NamedTuple):
    """Who asks for what."""

    request: Request
    who: Credential

    @property
    def page(self) -> Asked:
        """The page of a listing that is asked for."""
        return Asked.of(self.request.query)


def not_found() -> Reply:
    """Return what is said of all that is not there, or not for us to see."""
    return Reply(404, error_document(404, "Not Found"))


def name_of(path: str) -> str:
    """Return which call a path is, in the words of `GitHubServer.fail`."""
    if _OWNED.fullmatch(path):
        return "owned"
    match = _REPOSITORY.fullmatch(path)
    if match is None:
        return path.rpartition("/")[2]
    rest = match["rest"] or ""
    return next((each for pattern, each in _NAMES if pattern.fullmatch(rest)), rest)


_NAMES = [
    (re.compile(pattern), name)
    for pattern, name in (
        ("", "repository"),
        ("/releases", "releases"),
        ("/releases/latest", "latest"),
        ("/releases/tags/(.+)", "tag"),
        ("/releases/([0-9]+)", "release"),
        ("/releases/([0-9]+)/assets", "assets"),
        ("/releases/assets/([0-9]+)", "asset"),
        ("/attestations/sha256:([0-9a-f]{64})", "attestations"),
    )
]


class Calls:
    """Answers calls about what `state` holds."""

    def __init__(self, state: GitHubState, documents: Documents) -> None:
        self._state = state
        self._documents = documents
        #: Whether assets are sent by the API itself: 200 instead of 302.
        self.direct = False
        self._of_repositories: dict[
            str, Callable[[Call, GitHubRepository, str], Reply]
        ] = {
            "repository": self._repository,
            "releases": self._releases,
            "latest": self._latest,
            "tag": self._tag,
            "release": self._release,
            "assets": self._assets,
            "asset": self._asset,
            "attestations": self._attestations,
        }

    def answer(self, call: Call, path: str) -> Reply:
        """Return the answer to a call below the API's base."""
        with self._state.lock:
            owned = _OWNED.fullmatch(path)
            if owned is not None:
                return self._owned(call, owned["kind"], owned["who"])
            match = _REPOSITORY.fullmatch(path)
            if match is None:
                return not_found()
            return self._about(call, match)

    def _about(self, call: Call, match: re.Match[str]) -> Reply:
        rest = match["rest"] or ""
        if match["id"] is not None:
            found = self._state.repositories.get(int(match["id"]))
        else:
            found = self._state.named(match["name"])
            if found is None and (left := self._state.formerly(match["name"])):
                return self._moved(call, left, rest)
        if found is None or (found.private and not call.who.may_see):
            return not_found()
        if found.blocked is not None:
            return Reply(found.blocked.status, block_document(found.blocked), "block")
        for pattern, name in _NAMES:
            if (asked := pattern.fullmatch(rest)) is not None:
                value = asked[1] if asked.groups() else ""
                return self._of_repositories[name](call, found, unquote(value))
        return not_found()

    def _moved(self, call: Call, found: GitHubRepository, rest: str) -> Reply:
        if found.private and not call.who.may_see:
            return not_found()
        query = f"?{call.request.query}" if call.request.query else ""
        url = f"{self._documents.api}/repositories/{found.id}{rest}{query}"
        guide = "rest/guides/best-practices-for-using-the-rest-api#follow-redirects"
        said = {
            "message": "Moved Permanently",
            "url": url,
            "documentation_url": f"https://docs.github.com/{guide}",
        }
        return Reply(301, said, headers={"Location": url})

    def _repository(self, _call: Call, found: GitHubRepository, _: str) -> Reply:
        return Reply(200, self._documents.repository(found), "repository")

    def _releases(self, call: Call, found: GitHubRepository, _: str) -> Reply:
        listed = found.listed(drafts=call.who.may_see)
        url = f"{self._documents.api}/repositories/{found.id}/releases"
        return _paged(call, url, listed, self._documents.release, "releases")

    def _latest(self, _call: Call, found: GitHubRepository, _: str) -> Reply:
        return self._shown(found.latest())

    def _tag(self, _call: Call, found: GitHubRepository, tag: str) -> Reply:
        named = (each for each in found.listed() if each.tag == tag)
        return self._shown(next(named, None))

    def _release(self, call: Call, found: GitHubRepository, number: str) -> Reply:
        return self._shown(_numbered(call, found, number))

    def _shown(self, release: GitHubRelease | None) -> Reply:
        if release is None:
            return not_found()
        return Reply(200, self._documents.release(release), "release")

    def _assets(self, call: Call, found: GitHubRepository, number: str) -> Reply:
        release = _numbered(call, found, number)
        if release is None:
            return not_found()
        base = f"{self._documents.api}/repositories/{found.id}"
        url = f"{base}/releases/{release.id}/assets"
        return _paged(call, url, release.assets, self._documents.asset, "assets")

    def _asset(self, call: Call, found: GitHubRepository, number: str) -> Reply:
        asset = self._state.find_asset(int(number))
        if asset is None or asset.release.repository is not found:
            return not_found()
        if asset.release.draft and not call.who.may_see:
            return not_found()
        if call.request.headers.get("accept") != "application/octet-stream":
            return Reply(200, self._documents.asset(asset), "asset")
        if asset.state != "uploaded":
            return not_found()
        asset.download_count += 1
        return Reply(200 if self.direct else 302, asset=asset)

    def _attestations(self, call: Call, found: GitHubRepository, digest: str) -> Reply:
        wanted = parse_qs(call.request.query).get("predicate_type", [""])[0]
        said = [
            self._documents.attestation(found, each)
            for each in found.attestations.get(digest, [])
            if wanted in {"", each["predicate_type"]}
            # The words `release`, `provenance` and `sbom` are short for types.
            or f"/{wanted}/" in each["predicate_type"]
        ]
        if not said:
            return not_found()
        return Reply(200, {"attestations": said}, "attestations")

    def _owned(self, call: Call, kind: str, who: str) -> Reply:
        organisation = kind in {"orgs", "organizations"}
        account = next(
            (
                each
                for each in self._state.accounts.values()
                if who.lower() in {each.login.lower(), str(each.id)}
            ),
            None,
        )
        if account is None or (organisation and account.kind != "Organization"):
            return not_found()
        visible = [
            each
            for each in self._state.owned(account)
            if call.who.may_see or not each.private
        ]
        base = "organizations" if organisation else "user"
        url = f"{self._documents.api}/{base}/{account.id}/repos"
        return _paged(call, url, visible, self._listed, "repositories")

    def _listed(self, found: GitHubRepository) -> dict[str, Any]:
        return self._documents.repository(found, full=False)


def _numbered(call: Call, found: GitHubRepository, number: str) -> GitHubRelease | None:
    shown = found.listed(drafts=call.who.may_see)
    return next((each for each in shown if each.id == int(number)), None)


def _paged(
    call: Call,
    url: str,
    values: Sequence[Any],
    write: Callable[[Any], dict[str, Any]],
    schema: str,
) -> Reply:
    page = call.page
    if not page.is_reachable:
        said = "Only the first 10000 results are available."
        return Reply(422, error_document(422, said))
    link = page.link(url, len(values))
    headers = {} if link is None else {"Link": link}
    return Reply(200, [write(each) for each in page.cut(values)], schema, headers)
