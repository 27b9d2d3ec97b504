"""What GitHub's client does on the wire: headers, limits, and answers gone wrong.

What every forge's API does is in its contract.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from syncer.errors import (
    AccessDenied,
    PermanentError,
    ProtocolError,
    RateLimited,
    SyncerError,
    TransientError,
    Unavailable,
)
from syncer.model.lfs import Grant
from syncer.model.names import RepoName
from syncer.model.releases import PAGE, asset_pointer
from tests.fakes import NOW, FakeClock
from tests.github_client import HOST, SECRET, GitHubClient
from tests.servers.github import GitHubServer
from tests.servers.http_faults import redirect
from tests.values_of_github import asset_of, facts_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.github_releases import GitHubAsset

NAME = RepoName(HOST, "acme", "tool")


@pytest.fixture
def clock() -> FakeClock:
    """Return the clock of both sides."""
    return FakeClock()


@pytest.fixture
def server(clock: FakeClock) -> Iterator[GitHubServer]:
    """Serve `acme/tool`, with two pages of releases."""
    with GitHubServer(clock) as server:
        server.token(SECRET)
        found = server.repository("acme/tool", id=7)
        for number in range(PAGE + 1):
            found.release(f"v{number}")
        yield server


@pytest.fixture
def client(server: GitHubServer, clock: FakeClock) -> Iterator[GitHubClient]:
    """Ask with a token."""
    client = GitHubClient(server, clock, token=SECRET)
    yield client
    client.close()


@pytest.mark.parametrize("page", [1, 2])
@pytest.mark.parametrize(
    ("failure", "error"),
    [
        ({"status": 500}, Unavailable),
        ({"status": 503, "headers": {"retry-after": "9"}}, TransientError),
        ({"how": "primary", "status": 403}, RateLimited),
        ({"how": "primary", "status": 429}, RateLimited),
        ({"how": "secondary", "status": 403}, RateLimited),
        ({"how": "secondary", "status": 429}, RateLimited),
        ({"how": "html"}, SyncerError),
        ({"how": "json"}, SyncerError),
        ({"how": "cut"}, TransientError),
        ({"how": "reset"}, TransientError),
        ({"status": 401}, AccessDenied),
        ({"status": 404}, PermanentError),
    ],
)
def test_no_failure_is_taken_for_a_listing(
    server: GitHubServer,
    client: GitHubClient,
    failure: dict[str, Any],
    error: type[SyncerError],
    page: int,
) -> None:
    """Whatever goes wrong at whichever page, the whole listing raises."""
    pages = client.api.releases(NAME, 7).pages
    server.fail("releases", page=page, times=None, **failure)

    with pytest.raises(error) as caught:
        client.api.releases(NAME, 7, pages)
    assert SECRET not in f"{caught.value} {caught.value.hint}"


def test_an_unchanged_visit_costs_nothing(
    server: GitHubServer, client: GitHubClient
) -> None:
    """With a token, identity and listing together leave the allowance as it was."""
    etag = client.api.describe(NAME, id_=7).etag
    pages = client.api.releases(NAME, 7).pages
    who = server.limits.credential(f"Bearer {SECRET}")
    before = server.limits.document(who, "core")
    server.forget()

    assert client.api.describe(NAME, id_=7, etag=etag).facts is None
    assert not client.api.releases(NAME, 7, pages).releases

    assert server.limits.document(who, "core") == before
    assert [seen.status for seen in server.requests] == [304, 304, 304]


@pytest.mark.parametrize("told", [True, False], ids=["link", "no link"])
def test_a_304_leads_to_the_next_page(
    server: GitHubServer, client: GitHubClient, *, told: bool
) -> None:
    """Whether it repeats the `Link` header or not."""
    server.links_in_304 = told
    first = client.api.releases(NAME, 7)

    again = client.api.releases(NAME, 7, first.pages)

    assert again.pages == first.pages
    assert again.requests == 2


def test_a_page_that_grew_behind_a_304_is_found(
    server: GitHubServer, client: GitHubClient, clock: FakeClock
) -> None:
    """A last page that is full may have got one after it, which its 304 tells."""
    found = server.state.repositories[7]
    found.releases[0].delete()
    first = client.api.releases(NAME, 7)
    assert len(first.pages) == 1
    older = clock.now() - timedelta(days=400)
    late = found.release("v-backported", created=older)

    again = client.api.releases(NAME, 7, first.pages)

    assert late.id in again.ids
    assert len(again.pages) == 2


def test_the_version_is_pinned_and_the_token_sent_to_the_api_alone(
    server: GitHubServer, client: GitHubClient
) -> None:
    """The second host gets neither our token nor GitHub's headers."""
    asset = _uploaded(server)

    assert _read(client, asset) == b"bytes of a tool"

    api, store = server.requests
    assert api.headers["x-github-api-version"] == "2022-11-28"
    assert api.headers["authorization"] == f"Bearer {SECRET}"
    assert store.host == "assets"
    assert "authorization" not in store.headers
    assert SECRET not in str(store.headers)


def test_an_asset_costs_nothing_without_a_token(
    server: GitHubServer, clock: FakeClock
) -> None:
    """The web's address is no part of the API."""
    asset = _uploaded(server)
    client = GitHubClient(server, clock)

    assert _read(client, asset) == b"bytes of a tool"

    assert server.limits.document(server.limits.anonymous, "core")["used"] == 0
    client.close()


def test_a_public_asset_costs_nothing_with_a_token(
    server: GitHubServer, client: GitHubClient
) -> None:
    """Where a digest proves its bytes, the web's address serves; else the API's."""
    release = server.state.repositories[7].releases[0]
    proven = release.asset("new.bin", b"bytes of a tool")
    old = release.asset("old.bin", b"bytes of a tool", digest=False)
    who = server.limits.credential(f"Bearer {SECRET}")

    assert _read(client, proven, public=True) == b"bytes of a tool"
    assert server.limits.document(who, "core")["used"] == 0
    assert _read(client, old, public=True) == b"bytes of a tool"
    assert server.limits.document(who, "core")["used"] == 1


def test_an_asset_may_come_from_the_api_itself(
    server: GitHubServer, client: GitHubClient
) -> None:
    """200 is as good as a redirect."""
    server.calls.direct = True

    assert _read(client, _uploaded(server)) == b"bytes of a tool"


def test_single_sign_on_is_named(server: GitHubServer, client: GitHubClient) -> None:
    """A token that lacks it is told what it lacks, and not that nothing is there."""
    who = server.limits.credential(f"Bearer {SECRET}")
    who.sso = "required; url=https://github.com/orgs/acme/sso?authorization_request=A"

    with pytest.raises(AccessDenied) as caught:
        client.api.named(NAME)
    said = f"{caught.value} {caught.value.hint}"
    assert "single sign-on" in said.lower()
    assert SECRET not in said


def test_a_revoked_token_is_no_outage(
    server: GitHubServer, client: GitHubClient
) -> None:
    """401 is told as a matter of credentials."""
    server.limits.credential(f"Bearer {SECRET}").revoked = True

    with pytest.raises(AccessDenied):
        client.api.describe(NAME, id_=7)


def test_what_is_kept_free_is_not_spent(
    server: GitHubServer, client: GitHubClient
) -> None:
    """At the reserve nothing that costs is asked; what costs nothing still is."""
    etag = client.api.describe(NAME, id_=7).etag
    who = server.limits.credential(f"Bearer {SECRET}")
    server.limits.exhaust(who, left=501)
    client.api.named(NAME)
    server.forget()

    with pytest.raises(RateLimited) as caught:
        client.api.named(NAME)

    assert not server.requests
    assert caught.value.retry_after is not None
    assert client.api.describe(NAME, id_=7, etag=etag).facts is None


def test_allowances_are_what_the_host_said(
    server: GitHubServer, client: GitHubClient
) -> None:
    """By resource, each with its own window."""
    found = server.state.repositories[7]
    assert client.api.allowances(HOST) == []
    client.api.named(NAME)
    client.api.sweep(HOST, [found.node_id])

    said = {each.resource: each for each in client.api.allowances(HOST)}

    assert set(said) == {"core", "graphql"}
    for each in said.values():
        assert (each.limit, each.remaining) == (5000, 4999)
        assert each.authorised
        assert each.reset == NOW + timedelta(hours=1)


def test_graphql_limits_come_with_200(
    server: GitHubServer, client: GitHubClient
) -> None:
    """They are limits all the same."""
    who = server.limits.credential(f"Bearer {SECRET}")
    server.limits.exhaust(who, "graphql")

    with pytest.raises(RateLimited):
        client.api.sweep(HOST, [server.state.repositories[7].node_id])


def test_a_redirect_leads_to_no_other_host(
    server: GitHubServer, client: GitHubClient
) -> None:
    """The API's own answers never send us, and our token, elsewhere."""
    server.fault(r"GET /repos/acme/tool$", redirect(f"{server.assets_url}/steal"))

    with pytest.raises(PermanentError):
        client.api.named(NAME)

    assert [seen.host for seen in server.requests] == ["api"]


def test_a_redirect_in_a_circle_ends(
    server: GitHubServer, client: GitHubClient
) -> None:
    """After a few steps it is no answer of the API."""
    server.fault(r"GET /repos/acme/tool$", redirect(f"{server.api}/repos/acme/tool"))

    with pytest.raises((PermanentError, TransientError)):
        client.api.named(NAME)

    assert len(server.requests) < 6


def test_pages_that_lead_in_a_circle_end(
    server: GitHubServer, client: GitHubClient
) -> None:
    """A server that never stops is not read for ever."""
    first = f"{server.api}/repositories/7/releases?per_page=100"
    server.rewrite_link = lambda _: f'<{first}>; rel="next"'

    with pytest.raises((ProtocolError, Unavailable)):
        client.api.releases(NAME, 7)

    assert len(server.requests) < 12


def test_an_enterprise_server_is_asked_below_its_path(clock: FakeClock) -> None:
    """REST, GraphQL and assets, where its description has them."""
    with GitHubServer(clock, enterprise=True) as server:
        server.token(SECRET)
        found = server.repository("acme/tool", id=7)
        asset = found.release("v1").asset("tool.bin", b"bytes of a tool")
        client = GitHubClient(server, clock, token=SECRET)

        assert client.api.named(NAME) == facts_of(found, HOST)
        assert client.api.releases(NAME, 7).ids == {asset.release.id}
        assert client.api.sweep(HOST, [found.node_id])[0].pushed == found.pushed
        assert _read(client, asset) == b"bytes of a tool"
        client.close()


def test_an_api_is_asked_by_tls(tls_github: GitHubServer) -> None:
    """With the authority that the entry names, at both hosts."""
    tls_github.token(SECRET)
    found = tls_github.repository("acme/tool", id=7)
    asset = found.release("v1").asset("tool.bin", b"bytes of a tool")
    client = GitHubClient(tls_github, FakeClock(), token=SECRET)

    assert client.api.named(NAME).id == 7
    assert _read(client, asset) == b"bytes of a tool"
    client.close()


def _uploaded(server: GitHubServer) -> GitHubAsset:
    release = server.state.repositories[7].releases[0]
    return release.asset("tool.bin", b"bytes of a tool")


def _read(client: GitHubClient, asset: GitHubAsset, *, public: bool = False) -> bytes:
    shown = asset_of(asset)
    source = client.api.assets(NAME, [(asset.release.tag, shown)], public=public)
    (granted,) = source.batch([asset_pointer(shown)])
    assert isinstance(granted, Grant)
    with source.open(granted, 0) as blocks:
        return b"".join(blocks)
