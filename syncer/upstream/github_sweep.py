"""One question about a hundred repositories: GitHub's GraphQL API.

It costs one point of five thousand an hour (docs.github.com/en/graphql, "Rate
limits and query limits"), and needs a token.  What it says is a hint that makes
mirrors due; nothing is published or deleted for it.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from syncer import __version__
from syncer.errors import AccessDenied, ProtocolError, Unavailable
from syncer.model.names import shown
from syncer.model.origin import Hint
from syncer.upstream.channel import Answer
from syncer.upstream.json_documents import parse_object

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from syncer.endpoints import Host
    from syncer.upstream.github_failures import ApiLimits
    from syncer.upstream.session import Session

#: Repositories in one question; GitHub takes no more.
MOST = 100
#: Bytes of one answer, some forty times of what is usual.
LARGEST = 1 << 20

# What makes a mirror due: a push, a release, and a change of name or standing.
_QUERY = """query($ids: [ID!]!) {
  nodes(ids: $ids) { ... on Repository {
    nameWithOwner pushedAt isArchived isDisabled isPrivate
    releases(first: 1, orderBy: {field: CREATED_AT, direction: DESC}) {
      totalCount nodes { tagName updatedAt isDraft }
    }
  } }
  rateLimit { cost remaining resetAt limit }
}"""
_HEADERS = {
    "Accept": "application/json",
    "Content-Type": "application/json",
    "User-Agent": f"syncer/{__version__}",
}
_NODE_ID = re.compile(r"[A-Za-z0-9+/=_-]{1,256}")
_OK = 200
_LONGEST = 4096
_LIMITED = frozenset({"RATE_LIMITED", "RATE_LIMIT"})
_SHORT = 16

_Object: TypeAlias = "dict[str, object]"


class Sweeper:
    """Asks the GraphQL APIs of hosts that have one.  Thread safe.

    `limits` are those of their resource `graphql`.
    """

    def __init__(self, session: Session, limits: ApiLimits) -> None:
        self._session = session
        self._limits = limits

    def sweep(self, host: Host, node_ids: Sequence[str]) -> list[Hint]:
        """Return a hint of each repository that upstream says something about.

        One that upstream does not show is `absent`; of one that it may not show
        us, there is none.

        Raises:
            AccessDenied: we have no token there, or it is refused.
            RateLimited: a limit, or our reserve, is reached.
            SyncerError: as every question; see `ForgeApi`.
        """
        asked = [id_ for id_ in node_ids if _NODE_ID.fullmatch(id_)]
        if len(asked) > MOST:
            msg = f"{len(asked)} repositories are asked about at once, not {MOST}"
            raise ValueError(msg)
        if not host.is_authorised:
            msg = f"{host.name} answers sweeps only for a token, and there is none"
            raise AccessDenied(msg)
        if not asked:
            return []
        return read_hints(asked, self._ask(host, asked))

    def _ask(self, host: Host, ids: Sequence[str]) -> _Object:
        channel = self._session.api(host, _base(host))
        what = f"{len(ids)} repositories"
        self._limits.check(host)
        channel.budget.take()
        answer = channel.exchange(
            "POST",
            "/graphql",
            headers=_HEADERS,
            body=json.dumps({"query": _QUERY, "variables": {"ids": ids}}).encode(),
            limit=LARGEST,
        )
        self._limits.note(host, answer.headers)
        if answer.status != _OK:
            raise self._limits.refusal(host, what, answer)
        document = _parsed(answer.body)
        if any(error.get("type") in _LIMITED for error in _errors(document)):
            # A limit comes as 200; the headers beside it tell until when.
            raise self._limits.refusal(host, what, Answer(429, *answer[1:]))
        return document


def _base(host: Host) -> str | None:
    """Return what `/graphql` is below.

    GitHub Enterprise Server has its REST API at `/api/v3` and this one at
    `/api/graphql` (docs.github.com/en/enterprise-server/graphql).
    """
    base = host.api_base
    return base.removesuffix("/v3") if base and base.endswith("/api/v3") else base


def read_hints(ids: Sequence[str], document: Mapping[str, object]) -> list[Hint]:
    """Return what an answer to a question about `ids` says, in their order.

    Raises:
        ProtocolError: it says something else.
        Unavailable: upstream gave up.
    """
    data = document.get("data")
    nodes = data.get("nodes") if isinstance(data, dict) else None
    if not isinstance(nodes, list):
        _no_answer(document)
    if len(nodes) != len(ids):
        _reject(f"{len(nodes)} repositories, not {len(ids)}")
    barred = _barred(document)
    found: list[Hint] = []
    for index, (id_, node) in enumerate(zip(ids, nodes, strict=True)):
        if node is None and index not in barred:
            found.append(Hint(id_, absent=True))
        elif node:  # an empty one is something else than a repository
            found.append(_hint(id_, node))
    return found


def _hint(id_: str, node: object) -> Hint:
    if not isinstance(node, dict):
        _reject("a repository that is none")
    pushed = node.get("pushedAt")
    if pushed is not None and not isinstance(pushed, str):
        _reject("a time that is none")
    return Hint(id_, None if pushed is None else _instant(pushed), _digest(node))


def _digest(node: _Object) -> str:
    """Return what differs whenever the newest release, or their number, does.

    Or the repository's name and standing: who looks at its releases looks at these.
    """
    releases = node.get("releases")
    if not isinstance(releases, dict):
        _reject("a repository without releases")
    count, newest = releases.get("totalCount"), releases.get("nodes")
    if type(count) is not int or not isinstance(newest, list) or len(newest) > 1:
        _reject("releases of another kind")
    parts: list[object] = [count]
    if newest:
        release = newest[0]
        if not isinstance(release, dict):
            _reject("a release that is none")
        parts += [release.get(key) for key in ("tagName", "updatedAt", "isDraft")]
    standing = ("nameWithOwner", "isArchived", "isDisabled", "isPrivate")
    parts += [node.get(key) for key in standing]
    if not all(p is None or isinstance(p, str | int | bool) for p in parts):
        _reject("fields of another kind")
    text = json.dumps(parts)
    if len(text) > _LONGEST:
        _reject("fields of another size")
    return sha256(text.encode()).hexdigest()[:_SHORT]


def _instant(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z").astimezone(UTC)
    except (ValueError, OverflowError):
        _reject("a time that is none")


def _errors(document: Mapping[str, object]) -> list[_Object]:
    errors = document.get("errors")
    found = errors if isinstance(errors, list) else []
    return [error for error in found if isinstance(error, dict)]


def _barred(document: Mapping[str, object]) -> set[object]:
    """Return the places of repositories that may exist but are not shown to us.

    Such as those whose organisation wants single sign-on.
    """
    paths = [
        error.get("path")
        for error in _errors(document)
        if error.get("type") != "NOT_FOUND"
    ]
    return {
        path[1]
        for path in paths
        if isinstance(path, list) and len(path) > 1 and isinstance(path[1], int)
    }


def _no_answer(document: Mapping[str, object]) -> NoReturn:
    """Raise for an answer without data: it took too long, or is not understood."""
    messages = [error.get("message") for error in _errors(document)]
    said = next((m for m in messages if isinstance(m, str) and m), None)
    if said is None:
        _reject("neither data nor errors")
    kinds = {error.get("type") for error in _errors(document)}
    msg = f"the GraphQL API did not answer: {shown(said)}; nothing was changed"
    if kinds & {None, "INTERNAL", "SERVICE_UNAVAILABLE"}:
        raise Unavailable(msg)  # "Something went wrong": a timeout, most often
    raise ProtocolError(msg)


def _parsed(body: bytes) -> _Object:
    document = parse_object(body)
    if document is None:
        _reject("something that is no JSON object")
    return document


def _reject(what: str) -> NoReturn:
    msg = f"the GraphQL API answers with {what}; nothing was changed"
    raise ProtocolError(msg)
