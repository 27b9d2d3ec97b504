"""The tests' own GitHub answers as its public API description says.

Each answer is held against the JSON Schemas while it is made; here is what a
schema cannot say: statuses, headers, what counts, and what goes wrong.
"""

from __future__ import annotations

import http.client
import json
from base64 import b64encode
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import jsonschema
import jwt
import pytest

from tests.fakes import NOW, FakeClock
from tests.servers import github_schemas
from tests.servers.github import GitHubServer
from tests.servers.github_releases import node_id
from tests.servers.repositories import git

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.servers.github_limits import App

TOKEN = {"Authorization": "Bearer ghp_known"}
BYTES = {"Accept": "application/octet-stream"}


class Got(NamedTuple):
    """An answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:  # noqa: ANN401 - any value of JSON
        return json.loads(self.body)


def ask(url: str, headers: Mapping[str, str] | None = None, body: object = None) -> Got:
    """Ask once, follow nothing."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    named = {"User-Agent": "test", **(headers or {})}
    sent = {name: text for name, text in named.items() if text}
    method = "GET" if body is None else "POST"
    data = None if body is None else json.dumps(body).encode()
    target = url.split(parts.netloc, 1)[1]
    try:
        connection.request(method, target, body=data, headers=sent)
        answer = connection.getresponse()
        told = {name.lower(): text for name, text in answer.getheaders()}
        return Got(answer.status, told, answer.read())
    finally:
        connection.close()


@pytest.fixture
def clock() -> FakeClock:
    """Return the server's clock."""
    return FakeClock()


@pytest.fixture
def server(clock: FakeClock) -> Iterator[GitHubServer]:
    """Serve one repository, with a token that is known."""
    with GitHubServer(clock) as server:
        server.token("ghp_known")
        server.repository("acme/tool")
        yield server


def releases(server: GitHubServer, query: str = "", **headers: str) -> Got:
    """Ask for the listing of `acme/tool`."""
    return ask(f"{server.api}/repos/acme/tool/releases{query}", headers | TOKEN)


def test_every_schema_is_one() -> None:
    """Each file is a schema of its draft, and refuses an empty object or text."""
    names = [path.stem for path in github_schemas.PLACE.glob("*.json")]
    assert len(names) >= 10
    for name in names:
        github_schemas.validator(name)
        with pytest.raises(jsonschema.ValidationError):
            github_schemas.check(name, "text")


def test_a_document_that_is_wrong_is_refused(server: GitHubServer) -> None:
    """A field that is lacking or of another type does not pass."""
    document = ask(f"{server.api}/repos/acme/tool").document
    github_schemas.check("repository", document)
    wrongs: list[dict[str, object]] = [
        {"id": "7"},
        {"pushed_at": "yesterday"},
        {"owner": {}},
    ]
    for wrong in wrongs:
        with pytest.raises(jsonschema.ValidationError):
            github_schemas.check("repository", document | wrong)


def test_pages_are_linked_as_github_links_them(server: GitHubServer) -> None:
    """Relations come in its order, below the repository's id."""
    found = server.state.named("acme/tool")
    assert found is not None
    for number in range(5):
        found.release(f"v{number}")
    base = f"<{server.api}/repositories/{found.id}/releases?per_page=2&page="

    first = releases(server, "?per_page=2").headers["link"]
    middle = releases(server, "?per_page=2&page=2").headers["link"]
    last = releases(server, "?per_page=2&page=3").headers["link"]

    assert first == f'{base}2>; rel="next", {base}3>; rel="last"'
    assert middle.split(", ") == [
        f'{base}1>; rel="prev"',
        f'{base}3>; rel="next"',
        f'{base}3>; rel="last"',
        f'{base}1>; rel="first"',
    ]
    assert last == f'{base}2>; rel="prev", {base}1>; rel="first"'
    assert "link" not in releases(server, "?per_page=100").headers
    assert releases(server, "?per_page=100&page=101").status == 422


def test_a_304_is_free_with_a_token_alone(server: GitHubServer) -> None:
    """Without one it counts like any other answer."""
    url = f"{server.api}/repos/acme/tool"
    for headers, used in ((TOKEN, "1"), ({}, "2")):
        tag = ask(url, headers).headers["etag"]
        again = ask(url, {**headers, "If-None-Match": tag})
        assert again.status == 304
        assert not again.body
        assert again.headers["x-ratelimit-used"] == used
    assert [seen.conditional for seen in server.requests] == [False, True] * 2


def test_a_validator_counts_for_one_credential(server: GitHubServer) -> None:
    """Another token is sent the whole document."""
    server.token("ghp_other")
    url = f"{server.api}/repos/acme/tool"
    tag = ask(url, TOKEN).headers["etag"]

    other = ask(url, {"Authorization": "token ghp_other", "If-None-Match": tag})

    assert other.status == 200
    assert other.headers["etag"] != tag


def test_every_answer_tells_what_is_left(
    server: GitHubServer, clock: FakeClock
) -> None:
    """Limits are in the headers, and in `/rate_limit`, which costs nothing."""
    answer = ask(f"{server.api}/repos/acme/tool")
    headers = {
        name: text
        for name, text in answer.headers.items()
        if name.startswith("x-ratelimit-")
    }
    reset = int((NOW + timedelta(hours=1)).timestamp())
    assert headers == {
        "x-ratelimit-limit": "60",
        "x-ratelimit-used": "1",
        "x-ratelimit-remaining": "59",
        "x-ratelimit-reset": str(reset),
        "x-ratelimit-resource": "core",
    }
    assert parsedate_to_datetime(answer.headers["date"]) == clock.now()
    assert answer.headers["x-github-request-id"]
    core = ask(f"{server.api}/rate_limit").document["resources"]["core"]
    assert core == {"limit": 60, "used": 1, "remaining": 59, "reset": reset}


def test_an_hour_has_so_many_requests(server: GitHubServer, clock: FakeClock) -> None:
    """The 61st is refused, until the window ends."""
    url = f"{server.api}/repos/acme/tool"
    server.limits.exhaust(server.limits.anonymous, left=1)

    assert ask(url).status == 200
    refused = ask(url)

    assert refused.status == 403
    assert refused.document["message"].startswith("API rate limit exceeded for")
    assert refused.headers["x-ratelimit-remaining"] == "0"
    clock.advance(timedelta(hours=1))
    assert ask(url).status == 200


def test_who_may_not_ask_is_refused(server: GitHubServer) -> None:
    """Unknown tokens, tokens without single sign-on, and clients without a name."""
    url = f"{server.api}/repos/acme/tool"
    server.token("ghp_sso", sso="required; url=https://github.com/orgs/acme/sso")

    unknown = ask(url, {"Authorization": "Bearer ghp_unknown"})
    unsigned = ask(url, {"Authorization": "Bearer ghp_sso"})
    future = ask(url, {"X-GitHub-Api-Version": "2199-01-01"})

    assert (unknown.status, unknown.document["message"]) == (401, "Bad credentials")
    assert unsigned.status == 403
    assert unsigned.headers["x-github-sso"].startswith("required; ")
    assert future.status == 400
    assert ask(url, {"User-Agent": ""}).status == 403


def test_a_former_name_leads_to_the_id(server: GitHubServer) -> None:
    """Until somebody takes it: then it is another repository's."""
    found = server.state.named("acme/tool")
    assert found is not None
    found.rename("umbrella/utensil")

    moved = releases(server, "?per_page=3")
    assert moved.status == 301
    where = f"{server.api}/repositories/{found.id}/releases?per_page=3"
    assert moved.headers["location"] == moved.document["url"] == where

    other = server.repository("acme/tool")
    taken = ask(f"{server.api}/repos/acme/tool")
    assert taken.document["id"] == other.id


def test_a_block_has_its_reason(server: GitHubServer) -> None:
    """451 with the notice; as 403 where that is what GitHub says."""
    found = server.state.named("acme/tool")
    assert found is not None
    found.block("dmca", "https://github.com/github/dmca/notice.md")
    answer = ask(f"{server.api}/repos/acme/tool")
    assert answer.status == 451
    assert answer.document["block"]["html_url"].endswith("notice.md")

    found.block("tos", "https://github.com/tos", status=403)
    assert ask(f"{server.api}/repositories/{found.id}").status == 403


def test_one_release_is_found_in_three_ways(server: GitHubServer) -> None:
    """By id, by its tag, and as the latest that is neither draft nor early."""
    found = server.state.named("acme/tool")
    assert found is not None
    release = found.release("v1/a b")
    asset = release.asset("tool.bin", b"bytes")
    found.release("v2-rc1", prerelease=True)
    draft = found.release("v3", draft=True)
    base = f"{server.api}/repos/acme/tool/releases"

    for path in (f"/{release.id}", "/tags/v1%2Fa%20b", "/latest"):
        assert ask(base + path).document["id"] == release.id
    (listed,) = ask(f"{base}/{release.id}/assets").document
    assert listed == ask(f"{base}/assets/{asset.id}").document
    assert listed["digest"] == f"sha256:{asset.digest}"
    assert ask(f"{base}/{draft.id}").status == 404
    assert ask(f"{base}/{draft.id}", TOKEN).document["published_at"] is None


def test_bytes_are_on_another_host(server: GitHubServer, clock: FakeClock) -> None:
    """A signed address leads there, by the API and the web, and runs out."""
    found = server.state.named("acme/tool")
    assert found is not None
    asset = found.release("v1").asset("tool.bin", b"0123456789")
    base = f"{server.api}/repos/acme/tool/releases/assets/{asset.id}"
    web = f"{server.url}/acme/tool/releases/download/v1/tool.bin"

    for url, headers in ((base, BYTES), (web, {})):
        redirect = ask(url, headers)
        assert redirect.status == 302
        signed = redirect.headers["location"]
        assert urlsplit(signed).netloc == server.assets_host
        assert ask(signed).body == b"0123456789"
    assert asset.download_count == 2
    # Our token has no business there.
    assert ask(signed, TOKEN).status == 400
    assert ask(signed.replace("sig=", "sig=0")).status == 403
    clock.advance(timedelta(seconds=server.storage.lifetime))
    assert ask(signed).status == 403


def test_assets_may_come_from_the_api_itself(server: GitHubServer) -> None:
    """The description allows 200 as well as 302."""
    found = server.state.named("acme/tool")
    assert found is not None
    asset = found.release("v1").asset("tool.bin", b"0123456789")
    server.calls.direct = True

    answer = ask(f"{server.api}/repos/acme/tool/releases/assets/{asset.id}", BYTES)

    assert (answer.status, answer.body) == (200, b"0123456789")


def test_ranges_are_answered(server: GitHubServer) -> None:
    """From an offset on, while it is the same file; behind the end there is none."""
    found = server.state.named("acme/tool")
    assert found is not None
    asset = found.release("v1").asset("tool.bin", b"0123456789")
    signed = server.storage.sign(asset, server.assets_url)
    tag = ask(signed).headers["etag"]

    rest = ask(signed, {"Range": "bytes=7-", "If-Range": tag})
    other = ask(signed, {"Range": "bytes=7-", "If-Range": '"another"'})
    behind = ask(signed, {"Range": "bytes=10-"})

    assert (rest.status, rest.body) == (206, b"789")
    assert rest.headers["content-range"] == "bytes 7-9/10"
    assert (other.status, other.body) == (200, b"0123456789")
    assert behind.status == 416
    assert behind.headers["content-range"] == "bytes */10"


def test_an_assets_bytes_say_how_it_goes_wrong(server: GitHubServer) -> None:
    """As often as they say; and a fault that nobody knows is a mistake."""
    found = server.state.named("acme/tool")
    assert found is not None
    release = found.release("v1")
    cut = release.asset("cut", b"fault:truncate-at=9,times=1\nmore")
    signed = server.storage.sign(cut, server.assets_url)
    with pytest.raises(http.client.IncompleteRead) as caught:
        ask(signed)
    assert caught.value.partial == b"fault:tru"
    assert ask(signed).body == cut.content

    page = release.asset("page", b"fault:html\n")
    got = ask(server.storage.sign(page, server.assets_url))
    assert got.status == 200
    assert got.headers["content-type"].startswith("text/html")

    late = release.asset("late", b"fault:expired,times=1\n")
    signed = server.storage.sign(late, server.assets_url)
    assert [ask(signed).status, ask(signed).status] == [403, 200]


@pytest.mark.parametrize(
    ("failure", "status", "header"),
    [
        ({"status": 502}, 502, "x-github-request-id"),
        ({"how": "primary"}, 429, "x-ratelimit-reset"),
        ({"how": "primary", "status": 403}, 403, "x-ratelimit-reset"),
        ({"how": "secondary", "status": 403}, 403, "retry-after"),
        ({"how": "html"}, 200, "content-type"),
        ({"status": 503, "headers": {"retry-after": "9"}}, 503, "retry-after"),
    ],
)
def test_calls_fail_when_told_to(
    server: GitHubServer, failure: dict[str, Any], status: int, header: str
) -> None:
    """The page that is meant fails once, and no other."""
    server.fail("releases", page=2, **failure)

    assert releases(server).status == 200
    failed = releases(server, "?page=2")

    assert failed.status == status
    assert header in failed.headers
    assert [seen.status for seen in server.requests] == [200, status]
    server.limits.exhaust(server.limits.credential(TOKEN["Authorization"]), left=9)
    assert releases(server, "?page=2").status == 200


def test_an_app_gets_tokens_for_an_hour(server: GitHubServer, clock: FakeClock) -> None:
    """A JWT that it signed is exchanged for one; any other is refused."""
    app, other = server.app(), server.app()
    url = f"{server.api}/app/installations/{app.installation}/access_tokens"
    now = int(clock.now().timestamp())

    got = ask(url, _signed(app, now - 60, now + 540), {})

    assert got.status == 201
    assert got.document["expires_at"] == "2026-03-01T13:30:00Z"
    minted = {"Authorization": f"Bearer {got.document['token']}"}
    assert ask(f"{server.api}/repos/acme/tool", minted).status == 200
    wrong_key = app._replace(private_key=other.private_key)
    for refused in (
        _signed(app, now - 60, now + 601),
        _signed(app, now - 700, now - 100),
        _signed(app, now + 61, now + 540),
        _signed(wrong_key, now - 60, now + 540),
        TOKEN,
    ):
        assert ask(url, refused, {}).status == 401
    assert ask(url, _signed(other, now - 60, now + 540), {}).status == 404
    clock.advance(timedelta(hours=1))
    assert ask(f"{server.api}/repos/acme/tool", minted).status == 401


def _signed(app: App, issued: int, expires: int) -> dict[str, str]:
    claims = {"iat": issued, "exp": expires, "iss": str(app.id)}
    encoded = jwt.encode(claims, app.private_key, algorithm="RS256")
    return {"Authorization": f"Bearer {encoded}"}


def test_graphql_answers_the_fields_that_are_asked_for(server: GitHubServer) -> None:
    """Under their aliases; what is not there is null, with an error beside it."""
    found = server.state.named("acme/tool")
    assert found is not None
    found.release("v1")
    query = """query Sweep($ids: [ID!]!) {
      nodes(ids: $ids) { __typename ... on Repository {
        who: nameWithOwner pushedAt
        releases(first: 1, orderBy: {field: CREATED_AT, direction: DESC}) {
          totalCount nodes { tagName }
        }
      } }
      rateLimit { cost remaining }
    }"""
    ids = [node_id("R", 4), found.node_id]
    asked = {"query": query, "variables": {"ids": ids}}

    got = ask(f"{server.api}/graphql", TOKEN, asked)

    assert got.document["data"] == {
        "nodes": [
            None,
            {
                "__typename": "Repository",
                "who": "acme/tool",
                "pushedAt": "2026-03-01T12:30:00Z",
                "releases": {"totalCount": 1, "nodes": [{"tagName": "v1"}]},
            },
        ],
        "rateLimit": {"cost": 1, "remaining": 4999},
    }
    (error,) = got.document["errors"]
    assert (error["type"], error["path"]) == ("NOT_FOUND", ["nodes", 0])
    assert got.headers["x-ratelimit-resource"] == "graphql"


@pytest.mark.parametrize(
    "query",
    [
        '{ nodes(ids: ["x"]) { ... on Repository { stars } } }',
        "{ nodes { id } }",
        "{ viewer { login } }",
        "{ rateLimit { cost ",
        "",
    ],
)
def test_graphql_refuses_what_it_does_not_have(
    server: GitHubServer, query: str
) -> None:
    """With 200 and errors, and no data."""
    found = server.state.named("acme/tool")
    assert found is not None
    asked = {"query": query.replace('"x"', f'"{found.node_id}"')}

    got = ask(f"{server.api}/graphql", TOKEN, asked)

    assert got.status == 200
    assert set(got.document) == {"errors"}


def test_graphql_says_limits_with_200(server: GitHubServer) -> None:
    """Who has no points left is told by the errors alone; anonymous is 401."""
    asked = {"query": "{ rateLimit { cost } }"}
    who = server.limits.credential(TOKEN["Authorization"])
    server.limits.exhaust(who, "graphql")

    got = ask(f"{server.api}/graphql", TOKEN, asked)

    assert got.status == 200
    assert got.document["errors"][0]["type"] == "RATE_LIMITED"
    assert ask(f"{server.api}/graphql", {}, asked).status == 401


def test_attestations_are_of_one_digest_and_kind(server: GitHubServer) -> None:
    """Where there are none, the answer is 404."""
    found = server.state.named("acme/tool")
    assert found is not None
    asset = found.release("v1", immutable=True).asset("tool.bin", b"bytes")
    base = f"{server.api}/repos/acme/tool/attestations/sha256:"

    got = ask(f"{base}{asset.digest}?predicate_type=release")

    (attestation,) = got.document["attestations"]
    assert attestation["repository_id"] == found.id
    assert ask(f"{base}{asset.digest}?predicate_type=sbom").status == 404
    assert ask(f"{base}{'0' * 64}").status == 404


def test_an_enterprise_server_has_its_api_below_a_path(clock: FakeClock) -> None:
    """REST below `/api/v3`, GraphQL beside it, and the web where it always is."""
    with GitHubServer(clock, enterprise=True) as server:
        server.token("ghp_known")
        found = server.repository("acme/tool")
        found.release("v1").asset("tool.bin", b"bytes")

        document = ask(f"{server.api}/repos/acme/tool").document
        query = {"query": "{ rateLimit { cost } }"}

        assert server.api == f"{server.url}/api/v3"
        assert document["url"] == f"{server.api}/repos/acme/tool"
        assert ask(f"{server.url}/repos/acme/tool").status == 404
        assert ask(f"{server.url}/api/graphql", TOKEN, query).status == 200
        web = f"{server.url}/acme/tool/releases/download/v1/tool.bin"
        assert ask(web).status == 302


def test_git_has_the_same_address(server: GitHubServer, tmp_path: Path) -> None:
    """A repository is cloned by its name, by a former one, and by who may see it."""
    found = server.state.named("acme/tool")
    assert found is not None
    oid = server.git.repository(found).commit("main", {"README": "tool\n"}, "first")
    found.rename("umbrella/utensil")

    for name in ("umbrella/utensil", "acme/tool"):
        listed = git("ls-remote", f"{server.url}/{name}.git", at=tmp_path)
        assert oid in listed.decode()

    refs = f"{server.url}/umbrella/utensil.git/info/refs?service=git-upload-pack"
    assert ask(refs).status == 200
    found.private = True
    assert ask(refs).status == 401
    assert ask(refs, {"Authorization": _basic("ghp_known")}).status == 200
    found.block()
    assert ask(refs, {"Authorization": _basic("ghp_known")}).status == 403


def _basic(token: str) -> str:
    return f"Basic {b64encode(f'x-access-token:{token}'.encode()).decode()}"
