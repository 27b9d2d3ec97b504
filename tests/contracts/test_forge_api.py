"""The forge APIs' contract, against the fake and against a GitHub on loopback."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from syncer.errors import RateLimited, Unavailable
from tests.contracts.asset_source import AssetSourceContract
from tests.contracts.forge_api import HOST, ForgeApiContract
from tests.fakes import FakeClock
from tests.fakes_api import FakeApi, Question
from tests.github_client import SECRET, GitHubClient
from tests.servers.github import GitHubServer
from tests.servers.github_calls import name_of
from tests.servers.github_pages import Asked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncer.ports.api import ForgeApi
    from tests.contracts.forge_api import ApiUpstream
    from tests.servers.github import Seen
    from tests.servers.github_state import GitHubState

#: What the fake calls a call that the server names otherwise.
_METHODS = {"repository": "named", "graphql": "sweep"}


class FakeUpstream:
    """Asks a `FakeApi`."""

    def __init__(self) -> None:
        self._clock = FakeClock()
        self.api = FakeApi(self._clock, HOST)

    @property
    def state(self) -> GitHubState:
        return self.api.state

    def forget_token(self) -> None:
        self.api.authorised = False

    def asked(self) -> list[Question]:
        questions = list(self.api.asked)
        self.api.forget()
        return questions

    def break_down(self, what: str, page: int = 1) -> None:
        error = Unavailable("upstream answers 502: nothing was changed")
        self.api.fail(_METHODS.get(what, what), error, page=page)

    def limit(self, what: str, page: int = 1) -> None:
        hour = timedelta(hours=1)
        error = RateLimited("the hour's allowance is used up", retry_after=hour)
        self.api.fail(_METHODS.get(what, what), error, page=page)

    def wait(self, step: timedelta) -> None:
        self._clock.advance(step)


class RealUpstream:
    """Asks a GitHub on loopback."""

    def __init__(self, server: GitHubServer, clock: FakeClock) -> None:
        self._server = server
        self._clock = clock
        self._client = GitHubClient(server, clock, token=SECRET)
        server.token(SECRET)

    @property
    def api(self) -> ForgeApi:
        return self._client.api

    @property
    def state(self) -> GitHubState:
        return self._server.state

    def forget_token(self) -> None:
        self._client.forget_token()

    def asked(self) -> list[Question]:
        questions = [_question(seen) for seen in self._server.requests]
        self._server.forget()
        return questions

    def break_down(self, what: str, page: int = 1) -> None:
        self._server.fail(what, status=502, page=page)

    def limit(self, what: str, page: int = 1) -> None:
        self._server.fail(what, how="primary", page=page)

    def wait(self, step: timedelta) -> None:
        self._clock.advance(step)

    def close(self) -> None:
        self._client.close()


def _question(seen: Seen) -> Question:
    return Question(
        what=name_of(seen.path),
        subject=seen.path,
        page=Asked.of(seen.query).number,
        conditional=seen.conditional,
        unchanged=seen.status == 304,
    )


class TestFakeApi(ForgeApiContract, AssetSourceContract):
    """The fake keeps the contract of what it stands for."""

    @pytest.fixture
    def upstream(self) -> ApiUpstream:
        """Return an upstream in memory."""
        return FakeUpstream()


class TestGitHubApi(ForgeApiContract, AssetSourceContract):
    """GitHub's REST and GraphQL APIs, over a wire."""

    @pytest.fixture
    def upstream(self) -> Iterator[ApiUpstream]:
        """Yield a GitHub whose clock is ours."""
        clock = FakeClock()
        with GitHubServer(clock) as server:
            upstream = RealUpstream(server, clock)
            yield upstream
            upstream.close()
