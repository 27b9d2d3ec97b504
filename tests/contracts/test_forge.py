"""The forges' contract, against the fake and against real git behind each path."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from syncer.errors import NotFound
from syncer.model.content import Ref, RefSnapshot
from syncer.model.names import RepoName
from syncer.upstream.egress import Egress
from syncer.upstream.refs import HttpForge
from syncer.upstream.session import Session
from tests.contracts.forge import ForgeContract
from tests.fakes import FakeClock
from tests.fakes_forge import Capabilities, FakeForge, host
from tests.servers.git_http import GitServer
from tests.servers.http_backend import Backend
from tests.servers.repositories import git

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.contracts.forge import Upstream
    from tests.servers.http_backend import Answer
    from tests.servers.http_body import Body
    from tests.servers.http_faults import Request

HOST = "upstream.test"
NAME = RepoName(HOST, "acme", "widget")
MISSING = RepoName(HOST, "acme", "nothing")


class FakeUpstream:
    """Pushes into a `FakeForge`."""

    name, missing = NAME, MISSING

    def __init__(self) -> None:
        self.forge = FakeForge(FakeClock())
        self._made = 0
        self._peeled: dict[str, str] = {}
        self._snapshot = RefSnapshot({}, "refs/heads/main")
        self._publish(self._snapshot)

    def commit(self) -> str:
        self._made += 1
        return f"{self._made:040x}"

    def annotate(self, oid: str) -> str:
        tag = self.commit()
        self._peeled[tag] = oid
        return tag

    def push(self, ref: str, oid: str | None) -> None:
        refs = dict(self._snapshot.refs)
        refs.pop(ref, None)
        if oid is not None:
            refs[ref] = Ref(oid, self._peeled.get(oid))
        self._publish(RefSnapshot(refs, self._snapshot.head))

    def switch(self, branch: str) -> None:
        self._publish(RefSnapshot(self._snapshot.refs, branch))

    def _publish(self, snapshot: RefSnapshot) -> None:
        self._snapshot = snapshot
        self.forge.publish(NAME, snapshot)


class RealUpstream:
    """Pushes into a repository that `git http-backend` serves."""

    name, missing = NAME, MISSING

    def __init__(self, server: GitServer, *, protocol: str = "https") -> None:
        clock = FakeClock()
        self._server = server
        self._made = 0
        self._repository = server.repository("acme/widget")
        ca = server.ca_pem if server.url.startswith("https") else None
        git_host = host(
            HOST, git=server.url, private=True, ca=ca, protocol=protocol, probes=1e6
        )
        self._session = Session(Egress(clock), clock=clock)
        self.forge = HttpForge(
            lambda _: git_host,
            self._session,
            ls_remote=self._ls_remote,
            capabilities=Capabilities(),
            clock=clock,
        )

    def commit(self) -> str:
        self._made += 1
        tree = self._repository.git("mktree", stdin=b"")
        return self._repository.git("commit-tree", tree, "-m", f"commit {self._made}")

    def annotate(self, oid: str) -> str:
        text = f"object {oid}\ntype commit\ntag v1\ntagger A <a@b.c> 1 +0000\n\nv1\n"
        return self._repository.git("mktag", stdin=text.encode())

    def push(self, ref: str, oid: str | None) -> None:
        command = f"update {ref} {oid}\n" if oid else f"delete {ref}\n"
        data = command.encode("utf-8", "surrogateescape")
        self._repository.git("update-ref", "--stdin", stdin=data)

    def switch(self, branch: str) -> None:
        self._repository.git("symbolic-ref", "HEAD", branch)

    def close(self) -> None:
        self._session.close()

    def _ls_remote(self, name: RepoName) -> bytes:
        path = self._server.path(f"{name.owner}/{name.name}")
        if not path.exists():
            msg = f"there is no {name}: kept as it is"
            raise NotFound(msg)
        return git("ls-remote", "--symref", path)


class OldBackend(Backend):
    """Git that is never told which protocol the client would like."""

    @contextmanager
    def ask(self, request: Request, body: Body) -> Iterator[Answer]:
        headers = {k: v for k, v in request.headers.items() if k != "git-protocol"}
        with super().ask(replace(request, headers=headers), body) as answer:
            yield answer


class OldServer(GitServer):
    """Speaks protocol 0 whatever is asked, as servers did before git 2.18."""

    def __init__(self, *, tls: bool = False) -> None:
        super().__init__(tls=tls)
        self.backend = OldBackend(self.root, self.backend.config)


class TestFakeForge(ForgeContract):
    """The fake keeps the contract of what it stands for."""

    @pytest.fixture
    def upstream(self) -> Upstream:
        """Return an upstream in memory."""
        return FakeUpstream()


class TestHttpForge(ForgeContract):
    """`ls-refs` over TLS, and what servers without it get."""

    @pytest.fixture(params=["v2", "tls", "v0", "git"])
    def upstream(self, request: pytest.FixtureRequest) -> Iterator[Upstream]:
        """Yield a real repository, reached in each way there is."""
        kind = OldServer if request.param == "v0" else GitServer
        protocol = "ssh" if request.param == "git" else "https"
        with kind(tls=request.param == "tls") as server:
            upstream = RealUpstream(server, protocol=protocol)
            yield upstream
            upstream.close()
