"""git and LFS beside the API: one address for a whole host, as github.com is.

A repository lies below its id, so that a new name changes nothing; an old name
leads to the new one (301), as GitHub's does.
"""

from __future__ import annotations

import re
from base64 import b64decode
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.servers.github_limits import Refused
from tests.servers.http_backend import Answer, Backend
from tests.servers.http_faults import Fault
from tests.servers.lfs import STORAGE, Lfs
from tests.servers.repositories import Repository

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.github_limits import Limits
    from tests.servers.github_state import GitHubRepository, GitHubState
    from tests.servers.http_body import Body
    from tests.servers.http_faults import Request

_PATH = re.compile(r"/(?P<name>[^/]+/[^/]+?)\.git(?P<rest>/.*)")


class GitHosting:
    """The repositories' git side; `repository` makes one when it is first used."""

    def __init__(self, state: GitHubState, limits: Limits, place: Path) -> None:
        self._state, self._limits = state, limits
        self._root = place / "git"
        self._root.mkdir()
        self._backend = Backend(self._root, place / "gitconfig")
        #: LFS objects, by the names of their repositories.
        self.lfs = Lfs()

    def repository(self, found: GitHubRepository) -> Repository:
        """Open the bare repository of one, empty if it was not there."""
        return Repository(self._root / f"{found.id}.git")

    def serves(self, path: str) -> bool:
        """Return whether a path is git's or an LFS object's."""
        return path.startswith(STORAGE) or _PATH.fullmatch(path) is not None

    @contextmanager
    def answer(
        self, request: Request, body: Body, url: str
    ) -> Iterator[tuple[Answer, Fault]]:
        """Answer git or LFS; every child has ended when this does."""
        match = _PATH.fullmatch(request.path)
        if match is None:
            yield self.lfs.answer(request, body, url, known=True), Fault()
            return
        with self._state.lock:
            found = self._state.named(match["name"])
            left = self._state.formerly(match["name"]) if found is None else None
        refusal = _moved(request, left, match["rest"], url) if left else None
        if refusal is None:
            refusal = self._refusal(request, found)
        if refusal is not None or found is None:
            yield refusal or _said(404), Fault()
        elif "/info/lfs/" in match["rest"]:
            yield self.lfs.answer(request, body, url, known=True), Fault()
        else:
            self.repository(found)
            inside = replace(request, path=f"/{found.id}.git{match['rest']}")
            with self._backend.ask(inside, body) as answer:
                yield Answer(answer.status, answer.headers, answer.body), Fault()

    def stop(self) -> None:
        """End every child."""
        self._backend.stop()

    def _refusal(
        self, request: Request, found: GitHubRepository | None
    ) -> Answer | None:
        """Return why a repository is not given, None if it is."""
        try:
            who = self._limits.credential(_bearer(request))
        except Refused:
            return _said(401)
        if found is None or (found.private and not who.may_see):
            # Who has no token is asked for one: it may be private.
            return _said(404 if who.authorised else 401)
        return _said(403) if found.blocked or found.disabled else None


def _bearer(request: Request) -> str | None:
    """Return the token of Basic authentication, in the API's form."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return request.headers.get("authorization")
    return f"Bearer {b64decode(value).decode().partition(':')[2]}"


def _moved(request: Request, found: GitHubRepository, rest: str, url: str) -> Answer:
    query = f"?{request.query}" if request.query else ""
    where = f"{url}/{found.full_name}.git{rest}{query}"
    return Answer(301, [("Location", where), ("Content-Length", "0")], iter(()))


def _said(status: int) -> Answer:
    fields = [("Content-Type", "text/plain"), ("Content-Length", "0")]
    if status == 401:
        fields.append(("WWW-Authenticate", 'Basic realm="GitHub"'))
    return Answer(status, fields, iter(()))
