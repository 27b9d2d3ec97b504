"""The LFS sources' contract, against the fake and against a real server."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from syncer.errors import Unavailable
from syncer.model.lfs import Refusal
from syncer.model.names import RepoName
from syncer.upstream.egress import Egress
from syncer.upstream.lfs import HttpLfs
from syncer.upstream.session import Session
from tests.contracts.lfs_source import LfsSourceContract
from tests.fakes import FakeClock
from tests.fakes_blobs import FakeLfsSource
from tests.fakes_forge import host
from tests.servers.git_http import GitServer
from tests.servers.http_faults import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncer.model.lfs import LfsPointer
    from tests.contracts.lfs_source import LfsUpstream

HOST = "upstream.test"
NAME = RepoName(HOST, "acme", "widget")
OWNED = "acme/widget"
LIFETIME = 60.0


class FakeUpstream:
    """Gives a `FakeLfsSource` objects."""

    name = NAME

    def __init__(self) -> None:
        self._clock = FakeClock()
        self.source = FakeLfsSource(clock=self._clock)
        self.source.lifetime = LIFETIME

    def add(self, body: bytes) -> LfsPointer:
        return self.source.add(body)

    def remove(self, pointer: LfsPointer) -> None:
        del self.source.objects[pointer.oid]

    def send(self, pointer: LfsPointer, body: bytes) -> None:
        self.source.bodies[pointer.oid] = body

    def cut(self, pointer: LfsPointer, after: int) -> None:
        self.source.cut(pointer.oid, after, Unavailable("the connection broke"))

    def refuse(self, pointer: LfsPointer, code: int, message: str) -> None:
        self.source.refusals[pointer.oid] = Refusal(pointer, code, message)

    def expire(self) -> None:
        self._clock.advance(timedelta(seconds=LIFETIME + 1))


class RealUpstream:
    """Gives an LFS server objects."""

    name = NAME

    def __init__(self, server: GitServer, *, ca: bool = False) -> None:
        clock = FakeClock()
        server.repository(OWNED)
        self._server = server
        entry = host(
            HOST, git=server.url, private=True, ca=server.ca_pem if ca else None
        )
        self._session = Session(Egress(clock), clock=clock)
        self.source = HttpLfs(lambda _: entry, self._session, clock=clock)

    def add(self, body: bytes) -> LfsPointer:
        return self._server.lfs.add(OWNED, body)

    def remove(self, pointer: LfsPointer) -> None:
        self._server.lfs.remove(OWNED, pointer.oid)

    def send(self, pointer: LfsPointer, body: bytes) -> None:
        self._server.lfs.replace(OWNED, pointer.oid, body)

    def cut(self, pointer: LfsPointer, after: int) -> None:
        self._server.fault(pointer.oid, Fault(truncate=after), times=1)

    def refuse(self, pointer: LfsPointer, code: int, message: str) -> None:
        self._server.lfs.refusals[pointer.oid] = (code, message)

    def expire(self) -> None:
        self._server.lfs.revoke()

    def close(self) -> None:
        self.source.close()
        self._session.close()


class TestFakeLfsSource(LfsSourceContract):
    """The fake keeps the contract of what it stands for."""

    @pytest.fixture
    def upstream(self) -> LfsUpstream:
        """Return an upstream in memory."""
        return FakeUpstream()


class TestHttpLfs(LfsSourceContract):
    """The batch API and downloads, plain and over TLS, and without ranges."""

    @pytest.fixture(params=["http", "tls", "no ranges", "wrong ranges", "refused"])
    def upstream(self, request: pytest.FixtureRequest) -> Iterator[LfsUpstream]:
        """Yield a real repository with an LFS server."""
        tls = request.param == "tls"
        with GitServer(tls=tls) as server:
            match request.param:
                case "no ranges":
                    server.lfs.ranges = "no"
                case "wrong ranges":
                    server.lfs.ranges = "wrong"
                case "refused":
                    server.lfs.ranges = "refused"
            upstream = RealUpstream(server, ca=tls)
            yield upstream
            upstream.close()
