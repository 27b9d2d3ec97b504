"""Who repositories are, in memory: a part of the catalog and of the release index."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from syncer.errors import UnknownMirror
from syncer.model.mirrors import Activity
from syncer.model.origin import UNKNOWN, Discovery
from syncer.model.runs import AuditEvent

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from syncer.model.mirrors import RepoState
    from syncer.model.names import RepoName
    from syncer.model.origin import Event, Hint, Origin
    from syncer.model.releases import Pin
    from tests.fakes_catalog import FakeCatalog


@dataclass
class Identities:
    """What `FakeCatalog` keeps for `FakeOrigins`; by mirror, but for discoveries."""

    origins: dict[int, Origin] = field(default_factory=dict)
    aliases: dict[int, dict[str, datetime]] = field(default_factory=dict)
    pins: dict[int, dict[str, Pin]] = field(default_factory=dict)
    hints: dict[int, Hint] = field(default_factory=dict)
    discoveries: dict[tuple[str, int, str], Discovery] = field(default_factory=dict)

    def purge(self, mirror_id: int) -> None:
        """Forget a mirror."""
        self.origins.pop(mirror_id, None)
        self.aliases.pop(mirror_id, None)
        self.pins.pop(mirror_id, None)
        self.hints.pop(mirror_id, None)

    def follow(self, mirror_id: int, old: str, new: str) -> None:
        """Pin the tag that a release has now, where the one it had is pinned."""
        pins = self.pins.get(mirror_id, {})
        if old in pins:
            pins.setdefault(new, replace(pins[old], tag=new))

    def note(self, mirror_id: int, identity: str, at: datetime) -> None:
        """Note another name of a mirror; a known one keeps its date."""
        self.aliases.setdefault(mirror_id, {}).setdefault(identity, at)

    def holders(self, identity: str) -> list[int]:
        """Return the mirrors that had a name, by id."""
        return [each for each in sorted(self.aliases) if identity in self.aliases[each]]

    def holder(
        self, states: Mapping[int, RepoState], name: RepoName
    ) -> RepoState | None:
        """Return the mirror that had a name last; one that is configured first."""
        held = sorted(
            self.holders(name.identity),
            key=lambda each: self.aliases[each][name.identity],
            reverse=True,
        )
        found = [states[each] for each in held]
        kept = [state for state in found if state.activity is not Activity.REMOVED]
        return next(iter([*kept, *found]), None)

    def followed(
        self, states: Iterable[RepoState], wanted: Collection[RepoName]
    ) -> dict[str, RepoState]:
        """Return the mirrors that are wanted under another name, by that name."""
        present = {state.name.identity: state for state in states}
        names = {name.identity for name in wanted}
        free = {s.id: s for identity, s in present.items() if identity not in names}
        found: dict[int, str] = {}
        for identity in sorted(names - present.keys()):
            holders = self.holders(identity)
            state = free.get(holders[0]) if len(holders) == 1 else None
            if state is None:
                continue
            is_first = state.id not in found and state.activity is not Activity.REMOVED
            if is_first or _is_upstream(state, identity):
                found[state.id] = identity
        return {identity: free[mirror_id] for mirror_id, identity in found.items()}

    def renamed(
        self, state: RepoState, name: RepoName, at: datetime
    ) -> tuple[RepoState, AuditEvent]:
        """Let a mirror take another name; the one it leaves becomes an alias."""
        same = _is_upstream(state, name.identity)
        upstream = None if same else state.upstream or state.name
        self.aliases.get(state.id, {}).pop(name.identity, None)
        self.note(state.id, state.name.identity, at)
        detail = f"was {state.name.short}"
        event = AuditEvent(at, "config", "rename", name.short, detail)
        return replace(state, name=name, upstream=upstream), event


def _is_upstream(state: RepoState, identity: str) -> bool:
    return state.upstream is not None and state.upstream.identity == identity


class FakeOrigins:
    """The part of `ports.ReleaseIndex` about identities, pins and discoveries."""

    _catalog: FakeCatalog

    @property
    def _known(self) -> Identities:
        return self._catalog.identities

    def origin(self, mirror_id: int) -> Origin:
        return self._known.origins.get(mirror_id, UNKNOWN)

    def describe(
        self, mirror_id: int, origin: Origin, events: Iterable[Event], now: datetime
    ) -> None:
        with self._catalog.lock:
            state = self._state(mirror_id)
            facts, before = origin.facts, self.origin(mirror_id).facts
            if facts is not None and before is not None and facts.id != before.id:
                self._known.aliases.pop(mirror_id, None)
            upstream = None if facts is None else facts.name
            if upstream is not None and upstream.identity == state.name.identity:
                upstream = None
            if upstream is not None:
                self._known.note(mirror_id, upstream.identity, now)
            self._known.origins[mirror_id] = origin
            self._catalog.put(
                replace(
                    state,
                    upstream=upstream,
                    node_id=None if facts is None else facts.node_id,
                    standing=origin.standing,
                )
            )
            self._tell(state.name.short, events, now)

    def _state(self, mirror_id: int) -> RepoState:
        state = self._catalog.by_id().get(mirror_id)
        if state is None:
            msg = f"the mirror number {mirror_id} is not in the catalog"
            raise UnknownMirror(msg)
        return state

    def _tell(self, subject: str, events: Iterable[Event], now: datetime) -> None:
        for each in events:
            told = (now, "upstream", each.action, subject, each.detail, each.alarming)
            self._catalog.audit(AuditEvent(*told))

    def aliases(self, mirror_id: int) -> list[str]:
        return sorted(self._known.aliases.get(mirror_id, {}))

    def find_aliases(self, names: Iterable[RepoName]) -> dict[str, RepoName]:
        found = ((each.identity, self._find_alias(each)) for each in names)
        return {identity: name for identity, name in found if name is not None}

    def _find_alias(self, name: RepoName) -> RepoName | None:
        states = self._catalog.by_id()
        if any(state.name.identity == name.identity for state in states.values()):
            return None
        holder = self._known.holder(states, name)
        return None if holder is None else holder.name

    def pin(self, mirror_id: int, pin: Pin, event: AuditEvent) -> None:
        with self._catalog.lock:
            self._state(mirror_id)
            pins = self._known.pins.setdefault(mirror_id, {})
            if pin.tag not in pins:
                pins[pin.tag] = pin
                self._catalog.audit(event)

    def unpin(self, mirror_id: int, tag: str, event: AuditEvent) -> bool:
        with self._catalog.lock:
            if self._known.pins.get(mirror_id, {}).pop(tag, None) is None:
                return False
            self._catalog.audit(event)
            return True

    def pins(self, mirror_id: int) -> list[Pin]:
        pins = self._known.pins.get(mirror_id, {})
        return [pins[tag] for tag in sorted(pins, key=_bytes)]

    def visibility(self) -> dict[int, bool]:
        facts = {each: known.facts for each, known in self._known.origins.items()}
        return {each: of.private for each, of in facts.items() if of is not None}

    def hints(self) -> dict[int, Hint]:
        return dict(self._known.hints)

    def store_hints(self, hints: Iterable[tuple[int, Hint]]) -> None:
        with self._catalog.lock:
            present = self._catalog.by_id()
            self._known.hints.update(
                (mirror_id, hint) for mirror_id, hint in hints if mirror_id in present
            )

    def discoveries(self) -> list[Discovery]:
        def age(each: Discovery) -> tuple[object, int]:
            return each.seen, each.facts.id

        found = sorted(self._known.discoveries.values(), key=age)
        newest = {(each.facts.name.identity, each.owner): each for each in found}
        return [newest[key] for key in sorted(newest)]

    def discovered(
        self,
        owner: str,
        found: Sequence[Discovery],
        events: Iterable[Event],
        now: datetime,
    ) -> None:
        with self._catalog.lock:
            stored = self._known.discoveries
            for each in found:
                identified = (each.facts.name.host, each.facts.id)
                stored[*identified, owner] = Discovery(owner, each.facts, now)
                for key in [key for key in stored if key[:2] == identified]:
                    stored[key] = replace(stored[key], facts=each.facts)
                self._name(each, now)
            self._tell(owner, events, now)

    def _name(self, found: Discovery, now: datetime) -> None:
        """Note the name of a mirrored repository, which is known by its id."""
        name = found.facts.name
        for mirror_id, origin in self._known.origins.items():
            facts = origin.facts
            if facts is None or (facts.name.host, facts.id) != (
                name.host,
                found.facts.id,
            ):
                continue
            if self._state(mirror_id).name.identity != name.identity:
                self._known.note(mirror_id, name.identity, now)

    def forget_owner(self, owner: str) -> None:
        with self._catalog.lock:
            stored = self._known.discoveries
            for key in [key for key in stored if key[2] == owner]:
                del stored[key]


def _bytes(tag: str) -> bytes:
    return tag.encode("utf-8", "surrogateescape")
