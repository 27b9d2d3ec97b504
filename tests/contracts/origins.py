"""What every release index knows of who repositories are, and of pins."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from syncer.errors import UnknownMirror
from syncer.model.mirrors import Activity, Held
from syncer.model.names import RepoName
from syncer.model.origin import (
    UNKNOWN,
    Discovery,
    Event,
    Facts,
    Hint,
    Origin,
    Standing,
)
from syncer.model.releases import Pin
from syncer.model.runs import AuditEvent
from tests.contracts.catalog import (
    GIT,
    LATIN,
    MINUTE,
    QWEN,
    T0,
    event,
    hold,
    published,
)

if TYPE_CHECKING:
    from syncer.model.mirrors import RepoState
    from syncer.ports import Catalog, ReleaseIndex

NEW = RepoName.parse("Qwen/Image")
NEWER = RepoName.parse("Qwen/Image-2")
LATER = T0 + timedelta(days=1)
FACTS = Facts(
    id=2**40,
    node_id="R_kgDO",
    name=QWEN,
    default_branch="main",
    private=True,
    archived=True,
    disabled=True,
    fork=True,
    licence="Apache-2.0",
    topics=("vision", "\N{SNOWMAN}"),
    language="Python",
    size=2**40,
    pushed=T0,
)
DESCRIBED = Origin(
    FACTS,
    Standing.BLOCKED,
    since=T0,
    notice="https://github.com/github/dmca",
    sightings=2,
    described=T0 + MINUTE,
    etag='W/"abc"',
)


def alias_of(index: ReleaseIndex, name: RepoName) -> RepoName | None:
    """Return the configured name of the mirror that once had, or has, a name."""
    return index.find_aliases([name]).get(name.identity)


@dataclass(frozen=True)
class Known:
    """A catalog with two mirrors, and the release index that shares its database."""

    catalog: Catalog
    index: ReleaseIndex

    @property
    def git(self) -> RepoState:
        """A mirror."""
        return self.catalog.state(GIT)

    @property
    def qwen(self) -> RepoState:
        """Another mirror."""
        return self.catalog.state(QWEN)

    def want(self, *names: RepoName) -> None:
        """Make the mirrors those of these names."""
        self.catalog.reconcile([(name, "normal") for name in names], T0)

    def rename(self, state: RepoState, name: RepoName, *events: Event) -> None:
        """Let upstream tell that a mirror's repository has a name."""
        facts = replace(FACTS, id=state.id, name=name)
        self.index.describe(state.id, Origin(facts), events, T0)

    def discover(self, owner: str, *found: Facts, at: timedelta = MINUTE) -> None:
        """Let an owner be found to have repositories."""
        each = [Discovery(owner, facts) for facts in found]
        self.index.discovered(owner, each, (), T0 + at)

    def discovered(self) -> list[tuple[str, RepoName, int]]:
        """Return what owners have: owner, name and id."""
        found = self.index.discoveries()
        return [(each.owner, each.facts.name, each.facts.id) for each in found]


class OriginContract:
    """What is known of a mirror's repository upstream."""

    def test_nothing_is_known_at_first(self, known: Known) -> None:
        """Nobody asked about it yet."""
        assert known.index.origin(known.qwen.id) == UNKNOWN
        assert known.index.aliases(known.qwen.id) == []
        assert alias_of(known.index, NEW) is None

    def test_what_is_described_is_read_back(self, known: Known) -> None:
        """All of it, and the mirror shows what the schedule needs; others do not."""
        before = known.git
        known.index.describe(known.qwen.id, DESCRIBED, (), T0)

        assert known.index.origin(known.qwen.id) == DESCRIBED
        after = known.qwen
        assert (after.node_id, after.standing) == ("R_kgDO", Standing.BLOCKED)
        assert after.upstream is None
        assert known.git == before

    def test_the_last_description_counts(self, known: Known) -> None:
        """What is not known any more is not kept."""
        known.index.describe(known.qwen.id, DESCRIBED, (), T0)
        absent = Origin(None, Standing.ABSENT, since=T0, sightings=1)
        known.index.describe(known.qwen.id, absent, (), T0)

        assert known.index.origin(known.qwen.id) == absent
        after = known.qwen
        assert (after.node_id, after.standing) == (None, Standing.ABSENT)

    def test_another_spelling_is_no_other_name(self, known: Known) -> None:
        """Case is none of a repository's name."""
        known.rename(known.qwen, RepoName.parse("qwenlm/QWEN-image"))

        assert known.qwen.upstream is None
        assert known.index.aliases(known.qwen.id) == []

    def test_a_renamed_repository_is_found_by_both_names(self, known: Known) -> None:
        """The mirror keeps its own until the configuration says otherwise."""
        known.rename(known.qwen, NEW)

        after = known.qwen
        assert (after.name, after.upstream, after.source) == (QWEN, NEW, NEW)
        assert known.catalog.state(NEW) == after
        assert after in known.catalog.states()
        assert alias_of(known.index, NEW) == QWEN
        assert alias_of(known.index, QWEN) is None

    def test_every_name_that_it_had_is_an_alias(self, known: Known) -> None:
        """Also when the configured name is the right one again."""
        for name in (NEWER, NEW, NEWER, QWEN):
            known.rename(known.qwen, name)

        assert known.qwen.upstream is None
        assert known.index.aliases(known.qwen.id) == [NEW.identity, NEWER.identity]

    def test_another_repository_has_none_of_these_names(self, known: Known) -> None:
        """Whoever accepts another id gives the mirror another repository."""
        known.rename(known.qwen, NEW)
        other = Origin(replace(FACTS, id=4711))
        known.index.describe(known.qwen.id, other, (), T0)

        assert known.index.aliases(known.qwen.id) == []

    def test_events_are_audited_with_it(self, known: Known) -> None:
        """In their order, as upstream's doing, under the configured name."""
        events = (Event("renamed", "was a"), Event("licence", "was b", alarming=True))
        known.rename(known.qwen, NEW, *events)

        assert known.catalog.audit_events(9) == [
            AuditEvent(T0, "upstream", "licence", QWEN.short, "was b", alarming=True),
            AuditEvent(T0, "upstream", "renamed", QWEN.short, "was a"),
        ]
        assert known.catalog.audit_events(9, subject="another/one") == []
        assert known.catalog.audit_events(9, since=T0 + MINUTE) == []
        since = known.catalog.audit_events(9, subject=QWEN.short, since=T0)
        assert [event.action for event in since] == ["licence", "renamed"]

    def test_any_text_can_be_described(self, known: Known) -> None:
        """A NUL, or half a surrogate pair, in upstream's words loses nothing else."""
        text = "a\0b\ud800" + "x" * 10_000
        facts = replace(FACTS, licence=text, language=text, topics=(text,))
        origin = replace(DESCRIBED, facts=facts, notice=text, etag=text)
        told = Event("licence", text)
        known.index.describe(known.qwen.id, origin, (told,), T0)

        assert known.index.origin(known.qwen.id).described == T0 + MINUTE
        assert known.catalog.audit_events(1)[0].action == "licence"

    def test_what_is_not_a_mirror_is_not_described(self, known: Known) -> None:
        """It was purged while upstream was asked."""
        with pytest.raises(UnknownMirror):
            known.index.describe(4711, DESCRIBED, (Event("a", "b"),), T0)
        with pytest.raises(UnknownMirror):
            known.index.pin(4711, Pin("v1", T0, "tester"), event("pin"))
        assert known.catalog.audit_events(9) == []

    def test_an_alias_never_shadows_a_mirror(self, known: Known) -> None:
        """Whoever is configured under a name is the one that is meant."""
        known.rename(known.qwen, GIT)

        assert known.catalog.state(GIT).name == GIT
        assert alias_of(known.index, GIT) is None
        assert known.index.aliases(known.qwen.id) == [GIT.identity]

    def test_of_two_that_had_a_name_the_configured_one_is_meant(
        self, known: Known
    ) -> None:
        """Of several it is the one that had the name last."""
        for state in (known.git, known.qwen):
            at = T0 + state.id * MINUTE
            facts = replace(FACTS, name=NEW)
            known.index.describe(state.id, Origin(facts), (), at)
        last, first = sorted((known.git, known.qwen), key=lambda s: -s.id)

        assert alias_of(known.index, NEW) == last.name
        known.want(first.name)
        assert alias_of(known.index, NEW) == first.name
        known.want()
        assert alias_of(known.index, NEW) == last.name

    def test_another_repositorys_identity_is_accepted(self, known: Known) -> None:
        """The hold says whose id it is, before and after."""
        held = Held("another repository has the name", T0, identity=2**40)
        hold(known.catalog, known.qwen, held)
        assert known.qwen.held == held

        accepted = known.catalog.accept(QWEN, event("accept"), oid=None)
        assert accepted == known.qwen.held == replace(held, accepted=True)


class RenameContract:
    """What becomes of a mirror when the configuration follows upstream."""

    def test_a_mirror_follows_its_repository(self, known: Known) -> None:
        """All that is known and stored of it stays, in its place; nothing is new."""
        published(known.catalog, known.qwen)
        known.rename(known.qwen, NEW)
        before = known.qwen
        known.want(GIT, NEW)

        after = known.catalog.state(NEW)
        assert after == replace(before, name=NEW, upstream=None)
        assert known.index.aliases(after.id) == [QWEN.identity]
        assert known.qwen == after
        assert known.catalog.states() == [known.git, after]
        assert [run.name for run in known.catalog.runs(NEW, 9)] == [NEW]

    def test_a_renaming_is_audited_once(self, known: Known) -> None:
        """Reading the configuration again changes nothing."""
        known.rename(known.qwen, NEW)
        known.want(GIT, NEW)
        known.want(GIT, NEW)

        told = AuditEvent(T0, "config", "rename", NEW.short, f"was {QWEN.short}")
        assert known.catalog.audit_events(9) == [told]

    def test_who_is_still_wanted_keeps_its_name(self, known: Known) -> None:
        """The other name is a mirror of its own then."""
        known.rename(known.qwen, NEW)
        known.want(QWEN, NEW)

        assert known.qwen.upstream == NEW
        assert known.catalog.state(NEW).id != known.qwen.id
        assert known.catalog.state(NEW).path == NEW.path

    def test_the_name_it_left_is_free_again(self, known: Known) -> None:
        """Whoever takes it has a directory of its own, beside the other's."""
        known.rename(known.qwen, NEW)
        known.want(NEW)
        known.want(NEW, QWEN)

        assert known.catalog.state(NEW).path == QWEN.path
        assert known.qwen.path == "github.com/QwenLM/Qwen-Image~2.git"
        known.want(QWEN)
        known.want(QWEN, NEW)
        assert known.catalog.state(NEW).path == QWEN.path

    def test_a_changed_mind_is_no_new_mirror(self, known: Known) -> None:
        """It takes its former name, and is asked for as before."""
        known.rename(known.qwen, NEW)
        before = known.qwen
        known.want(NEW)
        known.want(QWEN)

        assert known.qwen == before
        assert known.index.aliases(before.id) == [NEW.identity]

    def test_a_removed_mirror_comes_back_under_its_name_of_today(
        self, known: Known
    ) -> None:
        """It is the same repository, by its id."""
        known.rename(known.qwen, NEW)
        before = known.qwen
        known.want(GIT)
        known.want(GIT, NEW)

        after = known.catalog.state(NEW)
        assert (after.id, after.activity) == (before.id, Activity.ACTIVE)

    def test_a_removed_mirror_does_not_take_a_former_name(self, known: Known) -> None:
        """That may be another repository's by now: it is mirrored anew."""
        known.rename(known.qwen, NEWER)
        known.rename(known.qwen, NEW)
        before = known.qwen
        known.want(GIT)
        known.want(GIT, NEWER)

        assert known.catalog.state(NEWER).id != before.id
        assert known.qwen.activity is Activity.REMOVED

    def test_a_name_that_two_had_is_neithers(self, known: Known) -> None:
        """Nobody can tell which of them is meant: it is mirrored anew."""
        ids = {known.git.id, known.qwen.id}
        known.rename(known.git, NEW)
        known.rename(known.qwen, NEW)
        known.want(NEW)

        (state,) = known.catalog.states()
        assert state.id not in ids

    def test_the_name_upstream_is_the_best(self, known: Known) -> None:
        """Where two of its names are wanted, the other one is a new mirror's."""
        for name in (NEWER, NEW):
            known.rename(known.qwen, name)
        before = known.qwen
        known.want(NEWER, NEW)

        assert known.catalog.state(NEW).id == before.id
        assert known.catalog.state(NEWER).id != before.id

    def test_a_name_that_is_wanted_twice_is_one_mirror(self, known: Known) -> None:
        """Also in two spellings; the first counts."""
        shouted = RepoName.parse("QWEN/IMAGE")
        known.catalog.reconcile([(NEW, "core"), (shouted, "normal")], T0)

        (state,) = known.catalog.states()
        assert (state.name, state.tier) == (NEW, "core")

    def test_a_purged_mirror_leaves_no_names(self, known: Known) -> None:
        """Nor anything else that is known of it; those of others stay."""
        gone = known.qwen.id
        for state in (known.git, known.qwen):
            known.rename(state, RepoName("github.com", "a", str(state.id)))
            known.index.pin(state.id, Pin("v1", T0, "tester"), event("pin"))
            known.index.store_hints([(state.id, Hint("R"))])
        known.want(GIT)
        known.catalog.purge(QWEN, event("purge"))

        index = known.index
        assert index.origin(gone) == UNKNOWN
        assert (index.aliases(gone), index.pins(gone)) == ([], [])
        assert index.hints() == {known.git.id: Hint("R")}
        assert len(index.aliases(known.git.id)) == len(index.pins(known.git.id)) == 1
        assert alias_of(index, RepoName("github.com", "a", str(gone))) is None


class PinContract:
    """Tags that no retention rule touches, and what sweeps show."""

    def test_a_pinned_tag_stays_as_it_was_pinned(self, known: Known) -> None:
        """Pinning it again changes nothing, so it is audited once."""
        first = Pin("v1", T0, "alice")
        known.index.pin(known.git.id, first, event("pin"))
        known.index.pin(known.git.id, Pin("v1", LATER, "bob"), event("pin", LATER))

        assert known.index.pins(known.git.id) == [first]
        assert known.catalog.audit_events(9) == [event("pin")]

    def test_pins_come_by_tag(self, known: Known) -> None:
        """Byte for byte, each mirror's own."""
        tags = ["v2", LATIN, "v10", "\N{SNOWMAN}"]
        for tag in tags:
            known.index.pin(known.git.id, Pin(tag, T0, "tester"), event("pin"))

        found = [pin.tag for pin in known.index.pins(known.git.id)]
        assert found == [LATIN, "v10", "v2", "\N{SNOWMAN}"]
        assert known.index.pins(known.qwen.id) == []

    def test_a_pin_is_taken_back(self, known: Known) -> None:
        """Once; after that there is nothing to take, nor to audit."""
        for tag in ("v1", "v2"):
            known.index.pin(known.git.id, Pin(tag, T0, "tester"), event("pin"))

        assert not known.index.unpin(known.qwen.id, "v1", event("unpin"))
        assert known.index.unpin(known.git.id, "v1", event("unpin"))
        assert not known.index.unpin(known.git.id, "v1", event("unpin"))
        assert [pin.tag for pin in known.index.pins(known.git.id)] == ["v2"]
        actions = [each.action for each in known.catalog.audit_events(9)]
        assert actions == ["unpin", "pin", "pin"]

    def test_what_nobody_described_is_neither_private_nor_public(
        self, known: Known
    ) -> None:
        """Visibility is upstream's word; there is none of a repository never seen."""
        assert known.index.visibility() == {}
        known.index.describe(known.qwen.id, DESCRIBED, (), T0)
        known.index.describe(known.git.id, UNKNOWN, (), T0)
        assert known.index.visibility() == {known.qwen.id: True}
        shown = Origin(replace(FACTS, private=False))
        known.index.describe(known.qwen.id, shown, (), T0)
        assert known.index.visibility() == {known.qwen.id: False}

    def test_the_last_sweep_is_what_hints_show(self, known: Known) -> None:
        """Of each mirror that it showed; purged ones are passed over."""
        git, qwen = known.git.id, known.qwen.id
        seen = Hint("R_1", T0, "v1 3")
        known.index.store_hints([(git, seen), (qwen, seen), (4711, seen)])
        gone = Hint("R_1", absent=True)
        known.index.store_hints(iter([(qwen, gone)]))
        known.index.store_hints([])

        assert known.index.hints() == {git: seen, qwen: gone}


class DiscoveryContract:
    """What owners were found to have."""

    def test_what_is_discovered_is_read_back(self, known: Known) -> None:
        """By name, with when it was seen."""
        other = replace(FACTS, id=7, name=NEW)
        known.discover("github.com/qwen", FACTS, other)

        owner, seen = "github.com/qwen", T0 + MINUTE
        assert known.index.discoveries() == [
            Discovery(owner, other, seen),
            Discovery(owner, FACTS, seen),
        ]

    def test_what_is_not_found_again_stays_known(self, known: Known) -> None:
        """Its date tells; nothing is forgotten because upstream did not show it."""
        other = replace(FACTS, id=7, name=NEW)
        known.discover("github.com/qwen", FACTS, other)
        known.discover("github.com/qwen", FACTS, at=2 * MINUTE)
        known.discover("github.com/qwen")

        found = {each.facts.id: each.seen for each in known.index.discoveries()}
        assert found == {7: T0 + MINUTE, FACTS.id: T0 + 2 * MINUTE}

    def test_a_renamed_repository_is_found_by_its_id(self, known: Known) -> None:
        """Under every owner that had it."""
        known.discover("a", FACTS)
        known.discover("b", replace(FACTS, name=NEW))

        assert known.discovered() == [("a", NEW, FACTS.id), ("b", NEW, FACTS.id)]

    def test_ids_of_two_hosts_are_two_repositories(self, known: Known) -> None:
        """Each host counts for itself."""
        there = replace(FACTS, name=RepoName.parse("ghe.corp/a/b"))
        known.discover("a", FACTS, there)

        assert {name for _, name, _ in known.discovered()} == {QWEN, there.name}

    def test_two_repositories_swap_their_names(self, known: Known) -> None:
        """Whatever order they come in."""
        other = replace(FACTS, id=7, name=NEW)
        known.discover("a", FACTS, other)
        known.discover("a", replace(FACTS, name=NEW), replace(other, name=QWEN))

        assert known.discovered() == [("a", NEW, FACTS.id), ("a", QWEN, 7)]

    def test_a_name_is_whose_it_was_last(self, known: Known) -> None:
        """One that was deleted and made anew is not there twice."""
        known.discover("a", FACTS)
        known.discover("a", replace(FACTS, id=7), at=2 * MINUTE)

        assert known.discovered() == [("a", QWEN, 7)]

    def test_an_owner_is_forgotten(self, known: Known) -> None:
        """What others have stays."""
        known.discover("a", FACTS)
        known.discover("b", FACTS)
        known.index.forget_owner("a")

        assert known.discovered() == [("b", QWEN, FACTS.id)]

    def test_events_are_audited_under_the_owner(self, known: Known) -> None:
        """In the same transaction."""
        found = [Discovery("a", FACTS)]
        known.index.discovered("a", found, [Event("discovered", "QwenLM/x")], T0)

        told = AuditEvent(T0, "upstream", "discovered", "a", "QwenLM/x")
        assert known.catalog.audit_events(9) == [told]

    def test_a_mirrored_repository_is_known_by_its_id(self, known: Known) -> None:
        """So its mirror follows, although nobody asked about that one since."""
        known.rename(known.qwen, QWEN)
        before = known.qwen
        there = RepoName("ghe.corp", "a", "b")
        known.discover("a", replace(FACTS, id=before.id, name=there))
        known.discover("a", replace(FACTS, id=before.id, name=QWEN))
        assert known.index.aliases(before.id) == []

        known.discover("a", replace(FACTS, id=before.id, name=NEW))
        assert known.index.aliases(before.id) == [NEW.identity]
        known.want(GIT, NEW)
        after = known.catalog.state(NEW)
        assert (after.id, after.upstream) == (before.id, QWEN)


class OriginIndexContract(
    OriginContract, RenameContract, PinContract, DiscoveryContract
):
    """Every release index must pass; provide a `known` fixture."""
