"""What every forge's API does, in memory or over a wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from syncer.errors import (
    AccessDenied,
    Blocked,
    NotFound,
    RateLimited,
    SyncerError,
    Unavailable,
)
from syncer.model.names import RepoName
from syncer.model.origin import Standing
from syncer.model.releases import PAGE
from tests.servers.github_releases import node_id
from tests.values_of_github import facts_of, release_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from syncer.ports.api import ForgeApi
    from tests.fakes_api import Question
    from tests.servers.github_state import GitHubRepository, GitHubState

HOST = "github.test"
NAME = RepoName(HOST, "acme", "tool")
NEW_NAME = RepoName(HOST, "umbrella", "utensil")


class ApiUpstream(Protocol):
    """An API, and what it is about."""

    @property
    def api(self) -> ForgeApi:
        """What is under test."""

    @property
    def state(self) -> GitHubState:
        """What upstream holds."""

    def forget_token(self) -> None:
        """Ask without a token from now on."""

    def asked(self) -> list[Question]:
        """Return what was asked since the last look."""

    def break_down(self, what: str, page: int = 1) -> None:
        """Let the next call of a kind fail with 502."""

    def limit(self, what: str, page: int = 1) -> None:
        """Let the next call of a kind find the hour's allowance used up."""

    def wait(self, step: timedelta) -> None:
        """Let time pass."""


class ForgeApiContract:
    """Every `ForgeApi` must pass; subclass it, provide an `upstream` fixture."""

    def test_a_host_is_served_or_not(self, upstream: ApiUpstream) -> None:
        """The one host is known, with a token; another one is not."""
        assert upstream.api.serves(HOST)
        assert not upstream.api.serves("elsewhere.test")
        assert upstream.api.is_authorised(HOST)

        upstream.forget_token()

        assert not upstream.api.is_authorised(HOST)

    def test_a_repository_is_described(self, upstream: ApiUpstream) -> None:
        """All that is asked for arrives, by name as by id."""
        found = upstream.state.repository(
            "acme/tool",
            fork=True,
            licence="NOASSERTION",
            topics=("mirror", "git"),
            language="C++",
            size=71,
            default_branch="trunk",
            private=True,
        )

        by_name = upstream.api.describe(NAME)
        by_id = upstream.api.describe(NAME, id_=found.id)

        assert by_name.facts == by_id.facts == facts_of(found, HOST)
        assert by_name.facts == upstream.api.named(NAME)
        assert by_name.facts is not None
        assert by_name.facts.size == 71 * 1024

    def test_a_repository_may_say_little(self, upstream: ApiUpstream) -> None:
        """Without licence, language and topics, nothing is made up."""
        upstream.state.repository("acme/tool", licence=None, language=None)

        facts = upstream.api.named(NAME)

        assert (facts.licence, facts.language, facts.topics) == (None, None, ())

    @pytest.mark.parametrize("known", [True, False], ids=["by id", "by name"])
    def test_an_unchanged_description_is_not_sent(
        self, upstream: ApiUpstream, *, known: bool
    ) -> None:
        """With the validator of an answer, the same answer has no facts."""
        found = upstream.state.repository("acme/tool")
        id_ = found.id if known else None
        first = upstream.api.describe(NAME, id_=id_)
        upstream.asked()

        again = upstream.api.describe(NAME, id_=id_, etag=first.etag)

        assert again.facts is None
        assert again.etag == first.etag
        (question,) = upstream.asked()
        assert question.conditional
        assert question.unchanged

    def test_a_changed_description_is_sent(self, upstream: ApiUpstream) -> None:
        """An old validator hides nothing."""
        found = upstream.state.repository("acme/tool")
        first = upstream.api.describe(NAME, id_=found.id)
        found.archived = True

        again = upstream.api.describe(NAME, id_=found.id, etag=first.etag)

        assert again.facts is not None
        assert again.facts.standing is Standing.ARCHIVED
        assert again.etag != first.etag

    def test_a_disabled_repository_says_so(self, upstream: ApiUpstream) -> None:
        """What the host disabled is described as that."""
        upstream.state.repository("acme/tool", disabled=True)

        assert upstream.api.named(NAME).standing is Standing.DISABLED

    def test_a_renamed_repository_is_found_by_its_old_name(
        self, upstream: ApiUpstream
    ) -> None:
        """The answer has the id it always had, and the new name."""
        found = upstream.state.repository("acme/tool")
        found.rename("umbrella/utensil")

        for facts in (
            upstream.api.named(NAME),
            upstream.api.describe(NAME).facts,
            upstream.api.describe(NAME, id_=found.id).facts,
        ):
            assert facts is not None
            assert (facts.id, facts.name) == (found.id, NEW_NAME)

    def test_a_name_that_was_taken_over_shows_another_id(
        self, upstream: ApiUpstream
    ) -> None:
        """By its id the first repository is still found, under its new name."""
        found = upstream.state.repository("acme/tool")
        found.rename("umbrella/utensil")
        other = upstream.state.repository("acme/tool")

        assert upstream.api.named(NAME).id == other.id
        first = upstream.api.describe(NAME, id_=found.id).facts
        assert first is not None
        assert first.name == NEW_NAME

    def test_what_is_deleted_is_not_found(self, upstream: ApiUpstream) -> None:
        """By name, by id and for its releases, the answer is the same."""
        found = upstream.state.repository("acme/tool")
        etag = upstream.api.describe(NAME, id_=found.id).etag
        found.delete()

        with pytest.raises(NotFound):
            upstream.api.named(NAME)
        with pytest.raises(NotFound):
            upstream.api.describe(NAME, id_=found.id, etag=etag)
        with pytest.raises(NotFound):
            upstream.api.releases(NAME, found.id)

    def test_what_is_private_is_not_found_without_a_token(
        self, upstream: ApiUpstream
    ) -> None:
        """Private and deleted look the same from outside."""
        found = upstream.state.repository("acme/tool", private=True)
        assert upstream.api.named(NAME).private

        upstream.forget_token()

        with pytest.raises(NotFound):
            upstream.api.named(NAME)
        with pytest.raises(NotFound):
            upstream.api.releases(NAME, found.id)

    def test_a_takedown_has_its_notice(self, upstream: ApiUpstream) -> None:
        """451 is told apart from 404, with the place that explains it."""
        found = upstream.state.repository("acme/tool")
        found.block("dmca", "https://github.com/github/dmca/blob/master/notice.md")

        questions: list[Callable[[], object]] = [
            lambda: upstream.api.named(NAME),
            lambda: upstream.api.describe(NAME, id_=found.id),
            lambda: upstream.api.releases(NAME, found.id),
        ]
        for ask in questions:
            with pytest.raises(Blocked) as caught:
                ask()
            assert str(caught.value.notice).endswith("/notice.md")

    @pytest.mark.parametrize("count", [0, 1, PAGE, PAGE + 1, 3 * PAGE])
    def test_all_releases_are_listed(self, upstream: ApiUpstream, count: int) -> None:
        """Each is there once, newest first, on as many pages as it takes."""
        found = published(upstream.state, count)

        listing = upstream.api.releases(NAME, found.id)

        newest = [release_of(each) for each in found.listed(drafts=True)]
        assert list(listing.releases) == newest
        shown = [id_ for page in listing.pages for id_ in page.ids]
        assert shown == [each.id for each in newest]
        assert len(listing.pages) == max(1, -(-count // PAGE))
        assert listing.requests == len(upstream.asked()) == len(listing.pages)
        chained = [page.next for page in listing.pages[:-1]]
        assert chained == [page.url for page in listing.pages[1:]]
        assert listing.pages[-1].next is None

    def test_all_that_a_release_says_arrives(self, upstream: ApiUpstream) -> None:
        """Flags, notes in any script, and assets with and without a digest."""
        found = upstream.state.repository("acme/tool")
        release = found.release(
            "nightly/2026-03-01",
            title=None,
            body="Notes:\r\n\tübergroß — 発行 🚀",
            prerelease=True,
            immutable=True,
            target="f" * 40,
        )
        release.asset("a b.tar.gz", b"old", digest=False, label="The sources")
        release.asset("späť.whl", b"new", content_type="application/zip")
        release.asset("half", b"", state="open", digest=False)
        found.release("v2", title="", body=None, draft=True)

        listing = upstream.api.releases(NAME, found.id)

        expected = [release_of(each) for each in found.listed(drafts=True)]
        assert list(listing.releases) == expected

    def test_drafts_are_shown_to_a_token_alone(self, upstream: ApiUpstream) -> None:
        """Without one, a draft is not there."""
        found = upstream.state.repository("acme/tool")
        draft = found.release("v2", draft=True)
        assert upstream.api.releases(NAME, found.id).ids == {draft.id}

        upstream.forget_token()

        assert not upstream.api.releases(NAME, found.id).ids

    def test_an_unchanged_listing_costs_one_conditional_request_a_page(
        self, upstream: ApiUpstream
    ) -> None:
        """Nothing is read again, and the pages are what they were."""
        found = published(upstream.state, 3 * PAGE, assets=1)
        first = upstream.api.releases(NAME, found.id)
        upstream.asked()

        again = upstream.api.releases(NAME, found.id, first.pages)

        assert again.releases == ()
        assert again.pages == first.pages
        questions = upstream.asked()
        assert again.requests == len(questions) == 3
        assert all(each.conditional and each.unchanged for each in questions)

    def test_an_asset_of_an_old_release_changes_its_page_alone(
        self, upstream: ApiUpstream
    ) -> None:
        """What moves no ref and no first page is still found."""
        found = published(upstream.state, 3 * PAGE)
        first = upstream.api.releases(NAME, found.id)
        old = found.listed()[250]
        old.asset("late.bin", b"added years after")
        upstream.asked()

        again = upstream.api.releases(NAME, found.id, first.pages)

        assert [each.unchanged for each in upstream.asked()] == [True, True, False]
        assert release_of(old) in again.releases
        assert {each.id for each in again.releases} == set(again.pages[2].ids)
        assert [page.ids for page in again.pages] == [page.ids for page in first.pages]

    def test_a_download_changes_no_value(self, upstream: ApiUpstream) -> None:
        """It changes the page's validator, and nothing that is kept."""
        found = published(upstream.state, 2, assets=1)
        first = upstream.api.releases(NAME, found.id)
        found.releases[0].assets[0].download_count += 1

        again = upstream.api.releases(NAME, found.id, first.pages)

        assert again.releases == first.releases
        assert again.pages[0].ids == first.pages[0].ids
        assert again.pages[0].etag != first.pages[0].etag

    def test_a_new_release_moves_the_others_along(self, upstream: ApiUpstream) -> None:
        """The pages are other ones then, and the last one may be new."""
        found = published(upstream.state, 2 * PAGE)
        first = upstream.api.releases(NAME, found.id)
        newest = found.release("v-next")

        again = upstream.api.releases(NAME, found.id, first.pages)

        assert len(again.pages) == 3
        assert again.ids == first.ids | {newest.id}
        assert again.pages[0].ids[0] == newest.id

    def test_a_release_that_is_deleted_is_listed_no_more(
        self, upstream: ApiUpstream
    ) -> None:
        """The last page may go with it."""
        found = published(upstream.state, PAGE + 1)
        first = upstream.api.releases(NAME, found.id)
        gone = found.listed()[0]
        gone.delete()

        again = upstream.api.releases(NAME, found.id, first.pages)

        assert again.ids == first.ids - {gone.id}
        assert len(again.pages) == 1

    def test_a_replaced_asset_has_another_id(self, upstream: ApiUpstream) -> None:
        """The same name, another file."""
        found = published(upstream.state, 1, assets=1)
        first = upstream.api.releases(NAME, found.id)
        (before,) = first.releases[0].assets
        found.releases[0].assets[0].replace(b"other bytes")

        again = upstream.api.releases(NAME, found.id, first.pages)

        (after,) = again.releases[0].assets
        assert after.name == before.name
        assert after.id != before.id
        assert after.digest != before.digest

    @pytest.mark.parametrize("page", [1, 2, 3])
    @pytest.mark.parametrize("known", [True, False], ids=["again", "first"])
    def test_half_a_listing_is_none(
        self, upstream: ApiUpstream, page: int, *, known: bool
    ) -> None:
        """A failure at any page is one of the whole; the next attempt is whole."""
        found = published(upstream.state, 3 * PAGE)
        before = upstream.api.releases(NAME, found.id).pages if known else ()
        upstream.break_down("releases", page)

        with pytest.raises(Unavailable):
            upstream.api.releases(NAME, found.id, before)

        assert len(upstream.api.releases(NAME, found.id, before).ids) == 3 * PAGE

    @pytest.mark.parametrize("page", [1, 2])
    def test_a_limit_says_when_to_come_back(
        self, upstream: ApiUpstream, page: int
    ) -> None:
        """The rest of the hour is waited for; then it is as if nothing was."""
        found = published(upstream.state, PAGE + 1)
        upstream.limit("releases", page)

        with pytest.raises(RateLimited) as caught:
            upstream.api.releases(NAME, found.id)

        assert caught.value.retry_after is not None
        upstream.wait(caught.value.retry_after)
        assert len(upstream.api.releases(NAME, found.id).ids) == PAGE + 1

    def test_one_release_is_asked_for(self, upstream: ApiUpstream) -> None:
        """A release that is there is told from one that is not."""
        found = published(upstream.state, 2)
        first, second = found.releases
        first.delete()

        assert not upstream.api.release(NAME, found.id, first.id)
        assert upstream.api.release(NAME, found.id, second.id)

    def test_a_failure_is_no_evidence_of_absence(self, upstream: ApiUpstream) -> None:
        """What could not be asked is not answered."""
        found = published(upstream.state, 1)
        upstream.break_down("release")

        with pytest.raises(Unavailable):
            upstream.api.release(NAME, found.id, found.releases[0].id)

    def test_attestations_are_handed_over(self, upstream: ApiUpstream) -> None:
        """They are JSON where there are some, and nothing where there are none."""
        found = upstream.state.repository("acme/tool")
        locked = found.release("v1", immutable=True).asset("tool", b"locked")
        loose = found.release("v0").asset("tool", b"loose")

        offered = upstream.api.attestations(NAME, str(locked.digest))

        assert offered is not None
        assert offered.startswith(b"{")
        assert upstream.api.attestations(NAME, str(loose.digest)) is None

    @pytest.mark.parametrize("kind", ["Organization", "User"])
    def test_an_owners_repositories_are_listed(
        self, upstream: ApiUpstream, kind: str
    ) -> None:
        """All of them, on several pages, private ones with a token only."""
        upstream.state.account("acme", "User" if kind == "User" else "Organization")
        made = [
            upstream.state.repository(f"acme/tool-{number:03}", private=number == 7)
            for number in range(PAGE + 1)
        ]
        upstream.state.repository("umbrella/other")

        owned = upstream.api.owned(HOST, "acme")
        upstream.forget_token()
        public = upstream.api.owned(HOST, "acme")

        assert {each.id for each in owned} == {each.id for each in made}
        assert facts_of(made[7], HOST) in owned
        assert [each.id for each in owned if each not in public] == [made[7].id]

    def test_an_owner_that_is_not_there_is_not_found(
        self, upstream: ApiUpstream
    ) -> None:
        """Nobody's repositories are not no repositories."""
        with pytest.raises(NotFound):
            upstream.api.owned(HOST, "nobody")

    def test_a_sweep_shows_who_changed(self, upstream: ApiUpstream) -> None:
        """A push and a release each change the hint of their repository alone."""
        made = [upstream.state.repository(f"acme/tool-{n}") for n in range(3)]
        ids = [each.node_id for each in made]
        first = upstream.api.sweep(HOST, ids)
        made[0].pushed = made[0].pushed.replace(year=2027)
        made[2].release("v1")

        again = upstream.api.sweep(HOST, ids)

        assert [hint.node_id for hint in again] == ids
        assert again[0].pushed == made[0].pushed
        assert again[0].release == first[0].release
        assert again[1] == first[1]
        assert again[2].release != first[2].release

    def test_a_sweep_shows_who_is_absent(self, upstream: ApiUpstream) -> None:
        """One that is gone does not hide the others."""
        gone, stays = (upstream.state.repository(f"acme/{n}") for n in ("a", "b"))
        ids = [gone.node_id, stays.node_id, node_id("R", 999)]
        gone.delete()

        hints = upstream.api.sweep(HOST, ids)

        assert [hint.absent for hint in hints] == [True, False, True]

    def test_a_sweep_needs_a_token(self, upstream: ApiUpstream) -> None:
        """Nobody else is answered."""
        found = upstream.state.repository("acme/tool")
        upstream.forget_token()

        with pytest.raises(AccessDenied):
            upstream.api.sweep(HOST, [found.node_id])

    @pytest.mark.parametrize("what", ["repository", "attestations", "owned", "graphql"])
    def test_an_outage_is_an_outage(self, upstream: ApiUpstream, what: str) -> None:
        """No question takes 502 for an answer, and each works again."""
        found = published(upstream.state, 1, assets=1)
        digest = str(found.releases[0].assets[0].digest)
        questions: dict[str, Callable[[], object]] = {
            "repository": lambda: upstream.api.named(NAME),
            "attestations": lambda: upstream.api.attestations(NAME, digest),
            "owned": lambda: upstream.api.owned(HOST, "acme"),
            "graphql": lambda: upstream.api.sweep(HOST, [found.node_id]),
        }
        upstream.break_down(what)

        with pytest.raises(SyncerError) as caught:
            questions[what]()
        assert isinstance(caught.value, Unavailable)
        questions[what]()


def published(state: GitHubState, count: int, *, assets: int = 0) -> GitHubRepository:
    """Return `acme/tool` with so many releases of so many assets."""
    found = state.repository("acme/tool")
    for number in range(count):
        release = found.release(f"v{number}")
        for each in range(assets):
            release.asset(f"tool-{each}.bin", b"%d of %d" % (each, number))
    return found
