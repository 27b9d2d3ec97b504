"""What upstream says of a repository, as the columns of a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from syncer.model.names import RepoName
from syncer.model.origin import Facts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Column, Table

#: The columns of facts, in the order that `read_facts` unpacks.
NAMES = (
    *("forge_id", "node_id", "host", "owner", "name", "default_branch"),
    *("private", "archived", "disabled", "fork"),
    *("licence", "topics", "language", "size", "pushed"),
)
_UNKNOWN: dict[str, Any] = dict.fromkeys(NAMES)


def facts_columns(table: Table) -> list[Column[Any]]:
    """Return the columns of a table that hold facts."""
    return [table.c[name] for name in NAMES]


def facts_values(facts: Facts | None) -> dict[str, Any]:
    """Return the columns that hold facts; all are NULL when there are none."""
    if facts is None:
        return _UNKNOWN
    return {
        "forge_id": facts.id,
        "node_id": facts.node_id,
        "host": facts.name.host,
        "owner": facts.name.owner,
        "name": facts.name.name,
        "default_branch": facts.default_branch,
        "private": facts.private,
        "archived": facts.archived,
        "disabled": facts.disabled,
        "fork": facts.fork,
        "licence": facts.licence,
        "topics": list(facts.topics),
        "language": facts.language,
        "size": facts.size,
        "pushed": facts.pushed,
    }


def read_facts(row: Sequence[Any]) -> Facts | None:
    """Return the facts that columns hold, if they hold any."""
    id_, node_id, host, owner, name, branch, private, archived, *rest = row
    disabled, fork, licence, topics, language, size, pushed = rest
    if id_ is None:
        return None
    return Facts(
        id=id_,
        node_id=node_id,
        name=RepoName(host, owner, name),
        default_branch=branch,
        private=private,
        archived=archived,
        disabled=disabled,
        fork=fork,
        licence=licence,
        topics=tuple(topics),
        language=language,
        size=size,
        pushed=pushed,
    )
