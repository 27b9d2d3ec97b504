"""As much of GitHub's GraphQL as asking about many repositories needs.

Reads a query (spec.graphql.org, October 2021: operations, variables, aliases,
arguments, inline fragments and `__typename`) and answers the fields it asks for;
a field that GitHub does not have is an error, as there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.servers.github_documents import instant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.servers.github_documents import Document
    from tests.servers.github_releases import GitHubRelease
    from tests.servers.github_state import GitHubRepository, GitHubState

_TOKEN = re.compile(r'\.\.\.|[A-Za-z_]\w*|\$\w+|-?\d+|"(?:[^"\\]|\\.)*"|[][(){}:!=,@]')
_MOST_IDS = 100
_START = {"line": 1, "column": 1}


class Unreadable(Exception):
    """A query that is none, or that asks for what there is not."""


@dataclass(slots=True)
class _Field:
    name: str
    key: str
    arguments: dict[str, Any] = field(default_factory=dict)
    #: Fields below; None for a value.
    below: list[_Field] | None = None


class _Type(NamedTuple):
    """An object: its type's name, and its fields."""

    name: str
    fields: Mapping[str, Any]


class _Reader:
    """Reads one query, from left to right."""

    def __init__(self, query: str, variables: Mapping[str, Any]) -> None:
        self._tokens = _TOKEN.findall(query)
        self._variables = variables

    def read(self) -> list[_Field]:
        """Return the fields of the one operation."""
        while self._next() != "{":
            self._take()
        return self._selection()

    def _next(self) -> str:
        if not self._tokens:
            msg = "Expected one of SCHEMA, SCALAR, TYPE, ENUM, INPUT, UNION, INTERFACE"
            raise Unreadable(msg)
        return str(self._tokens[0])

    def _take(self, wanted: str | None = None) -> str:
        token = self._next()
        if wanted is not None and token != wanted:
            msg = f'Expected "{wanted}", actual: "{token}"'
            raise Unreadable(msg)
        self._tokens.pop(0)
        return token

    def _selection(self) -> list[_Field]:
        self._take("{")
        found: list[_Field] = []
        while self._next() != "}":
            if self._next() == "...":
                found += self._fragment()
            else:
                found.append(self._field())
        self._take("}")
        return found

    def _fragment(self) -> list[_Field]:
        """Read `... on Repository { }`: every node here is one."""
        self._take("...")
        self._take("on")
        if (kind := self._take()) != "Repository":
            msg = f"Fragment on {kind} can't be spread inside Node"
            raise Unreadable(msg)
        return self._selection()

    def _field(self) -> _Field:
        key = name = self._take()
        if self._next() == ":":
            self._take()
            name = self._take()
        arguments = self._arguments() if self._next() == "(" else {}
        below = self._selection() if self._next() == "{" else None
        return _Field(name, key, arguments, below)

    def _arguments(self) -> dict[str, Any]:
        found = {}
        self._take("(")
        while self._next() != ")":
            name = self._take()
            self._take(":")
            found[name] = self._value()
            self._skip_comma()
        self._take(")")
        return found

    def _value(self) -> Any:  # noqa: ANN401 - any value of JSON
        token = self._take()
        if token.startswith("$"):
            return self._variables.get(token[1:])
        if token.startswith('"'):
            return token[1:-1]
        if token == "[":  # noqa: S105 - a bracket
            return self._list()
        if token == "{":  # noqa: S105 - a brace
            return self._object()
        return int(token) if token.lstrip("-").isdecimal() else token

    def _list(self) -> list[Any]:
        found = []
        while self._next() != "]":
            found.append(self._value())
            self._skip_comma()
        self._take("]")
        return found

    def _object(self) -> dict[str, Any]:
        found = {}
        while self._next() != "}":
            name = self._take()
            self._take(":")
            found[name] = self._value()
            self._skip_comma()
        self._take("}")
        return found

    def _skip_comma(self) -> None:
        if self._next() == ",":
            self._take()


def answer(
    state: GitHubState, asked: Document, allowance: Mapping[str, int], *, private: bool
) -> Document:
    """Return the document of one query; `allowance` is for `rateLimit`."""
    errors: list[Document] = []
    data: Document = {}
    try:
        for each in _Reader(asked["query"], asked.get("variables") or {}).read():
            if each.name == "nodes":
                data[each.key] = _nodes(state, each, errors, private=private)
            else:
                root = _Type("Query", {"rateLimit": _rate_limit(allowance)})
                data[each.key] = _resolved(root, each)
    except Unreadable as error:
        return {"errors": [{"message": str(error), "locations": [_START]}]}
    return {"data": data} | ({"errors": errors} if errors else {})


def _nodes(
    state: GitHubState, asked: _Field, errors: list[Document], *, private: bool
) -> list[Document | None]:
    ids = asked.arguments.get("ids")
    if not isinstance(ids, list):
        msg = "Field 'nodes' is missing required arguments: ids"
        raise Unreadable(msg)
    if len(ids) > _MOST_IDS:
        msg = f"You may not provide more than {_MOST_IDS} node ids."
        raise Unreadable(msg)
    known = {each.node_id: each for each in state.repositories.values()}
    found: list[Document | None] = []
    for number, node_id in enumerate(ids):
        repository = known.get(node_id)
        if repository is None or (repository.private and not private):
            errors.append(_unresolved(asked.key, number, node_id))
            found.append(None)
        else:
            found.append(_selected(_repository(repository), asked))
    return found


def _unresolved(key: str, number: int, node_id: str) -> Document:
    return {
        "type": "NOT_FOUND",
        "path": [key, number],
        "locations": [_START],
        "message": f"Could not resolve to a node with the global id of '{node_id}'.",
    }


def _selected(value: _Type, asked: _Field) -> Document:
    """Return the fields of an object that are asked for."""
    if asked.below is None:
        msg = f"Field must have selections (field '{asked.name}')"
        raise Unreadable(msg)
    return {each.key: _resolved(value, each) for each in asked.below}


def _resolved(value: _Type, asked: _Field) -> Any:  # noqa: ANN401 - any value of JSON
    if asked.name == "__typename":
        return value.name
    if asked.name not in value.fields:
        raise Unreadable(_unknown(asked.name, value.name))
    found = value.fields[asked.name]
    if callable(found):
        found = found(**asked.arguments)
    if isinstance(found, _Type):
        return _selected(found, asked)
    if isinstance(found, list):
        return [_selected(each, asked) for each in found]
    return found


def _unknown(name: str, kind: str) -> str:
    return f"Field '{name}' doesn't exist on type '{kind}'"


def _repository(found: GitHubRepository) -> _Type:
    def releases(
        first: int | None = None,
        orderBy: Mapping[str, str] | None = None,  # noqa: N803 - its name there
    ) -> _Type:
        if first is None:
            msg = "You must provide a `first` or `last` value to paginate `releases`."
            raise Unreadable(msg)
        newest = found.listed(drafts=True)
        if (orderBy or {}).get("direction") != "DESC":
            newest.reverse()
        nodes = [_release(each) for each in newest[:first]]
        return _Type("ReleaseConnection", {"totalCount": len(newest), "nodes": nodes})

    branch = _Type("Ref", {"name": found.default_branch})
    return _Type(
        "Repository",
        {
            "id": found.node_id,
            "databaseId": found.id,
            "name": found.name,
            "nameWithOwner": found.full_name,
            "pushedAt": instant(found.pushed),
            "updatedAt": instant(found.updated),
            "isArchived": found.archived,
            "isDisabled": found.disabled,
            "isPrivate": found.private,
            "isFork": found.fork,
            "defaultBranchRef": branch,
            "releases": releases,
        },
    )


def _release(found: GitHubRelease) -> _Type:
    return _Type(
        "Release",
        {
            "id": found.node_id,
            "databaseId": found.id,
            "tagName": found.tag,
            "name": found.title,
            "updatedAt": instant(found.updated),
            "createdAt": instant(found.created),
            "publishedAt": instant(found.published),
            "isDraft": found.draft,
            "isPrerelease": found.prerelease,
        },
    )


def _rate_limit(allowance: Mapping[str, int]) -> _Type:
    reset = instant(datetime.fromtimestamp(allowance["reset"], UTC))
    said = {name: allowance[name] for name in ("limit", "remaining", "used")}
    return _Type("RateLimit", said | {"cost": 1, "nodeCount": 100, "resetAt": reset})
