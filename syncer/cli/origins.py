"""What is told of who a repository is upstream: names, standing, licence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncer.cli.asking import kinds, licence
from syncer.cli.render import printable
from syncer.model.origin import Standing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from syncer.model.mirrors import RepoState
    from syncer.model.origin import Origin
    from syncer.model.releases import Pin

_SHOWN = 5

_MEANING = {
    Standing.ARCHIVED: "archived: read-only upstream",
    Standing.DISABLED: "disabled by its host",
    Standing.BLOCKED: "blocked upstream for legal reasons",
    Standing.ABSENT: "not found upstream: deleted, or private",
    Standing.GONE: "gone upstream, confirmed",
}


def facts(
    state: RepoState, origin: Origin, aliases: Sequence[str]
) -> list[tuple[str, str]]:
    """Return the lines about a mirror's origin; nothing that goes without saying."""
    told = []
    if state.upstream is not None:
        told.append(("renamed", f"upstream calls it {state.upstream} now"))
    if origin.standing is not Standing.NORMAL:
        told.append(("standing", standing(origin)))
    if origin.notice is not None:
        told.append(("notice", printable(origin.notice)))
    if origin.facts is not None:
        odd = [kind for kind in kinds(origin.facts) if kind != "archived"]
        about = [licence(origin.facts.licence).removeprefix("licence "), *odd]
        told.append(("licence", ", ".join(about)))
    known = {state.name.identity, state.source.identity}
    others = [alias for alias in aliases if alias not in known]
    if others:
        told.append(("also", f"known as {', '.join(map(printable, others))}"))
    return told


def standing(origin: Origin) -> str:
    """Return `archived: read-only upstream, since 2026-01-02`."""
    text = _MEANING.get(origin.standing, origin.standing.value)
    if origin.standing in {Standing.ABSENT, Standing.GONE} and origin.sightings > 1:
        text += f", found so {origin.sightings:,} times in a row"
    return f"{text}, since {origin.since:%Y-%m-%d}" if origin.since else text


def pinned(pins: Sequence[Pin]) -> list[tuple[str, str]]:
    """Return the line about the tags that no retention rule touches."""
    if not pins:
        return []
    left = len(pins) - _SHOWN
    more = f" and {left:,} more" if left > 0 else ""
    tags = ", ".join(printable(pin.tag) for pin in pins[:_SHOWN])
    return [("pinned", f"{tags}{more}")]
