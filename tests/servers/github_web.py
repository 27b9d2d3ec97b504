"""The addresses that people download assets from: public, and no part of the API."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from tests.servers.github_faults import wire_of
from tests.servers.http_backend import Answer
from tests.servers.http_faults import Fault

if TYPE_CHECKING:
    from tests.servers.github import GitHubServer
    from tests.servers.github_releases import GitHubAsset
    from tests.servers.github_state import GitHubState
    from tests.servers.http_faults import Request

_PATH = re.compile(r"/(?P<name>[^/]+/[^/]+)(?P<rest>/releases/download/[^/]+/[^/]+)")


def answer(server: GitHubServer, request: Request) -> tuple[Answer, Fault] | None:
    """Return the answer to a download; None if it is none."""
    match = _PATH.fullmatch(request.path)
    if match is None or request.method != "GET":
        return None
    failure = server.failures.choose("web", 1)
    if failure is not None:
        wire = wire_of(failure.how) if failure.how else Fault(status=failure.status)
        return _said(failure.status), wire
    with server.state.lock:
        found = server.state.named(match["name"])
        moved = None if found is not None else server.state.formerly(match["name"])
        if moved is not None and not moved.private:
            url = f"{server.url}/{moved.full_name}{match['rest']}"
            return _elsewhere(url, 301), Fault()
        asset = _asset(server.state, match["name"], match["rest"])
    if asset is None:
        return _said(404), Fault()
    asset.download_count += 1
    url = server.storage.sign(asset, server.assets_url)
    return _elsewhere(url, 302), Fault()


def _asset(state: GitHubState, full_name: str, rest: str) -> GitHubAsset | None:
    """Return the asset that an address names, if everybody may see it."""
    tag, name = (unquote(part) for part in rest.split("/")[3:])
    found = state.named(full_name)
    if found is None or found.private or found.blocked is not None:
        return None
    shown = (
        asset
        for release in found.listed()
        for asset in release.assets
        if release.tag == tag and asset.name == name and asset.state == "uploaded"
    )
    return next(shown, None)


def _said(status: int) -> Answer:
    body = b"Not Found"
    fields = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    return Answer(status, fields, iter([body]))


def _elsewhere(url: str, status: int) -> Answer:
    return Answer(status, [("Location", url), ("Content-Length", "0")], iter(()))
