"""What every forge does, in memory or over a wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from syncer.errors import NotFound
from syncer.model.content import DEFAULT_SCOPE, Ref

if TYPE_CHECKING:
    from syncer.model.names import RepoName
    from syncer.ports import Forge

HEADS = ("refs/heads/",)


class Upstream(Protocol):
    """One repository of the forge's host, empty at first, and what is pushed to it."""

    @property
    def forge(self) -> Forge:
        """What is under test."""

    @property
    def name(self) -> RepoName:
        """The repository."""

    @property
    def missing(self) -> RepoName:
        """A name that the host has no repository for."""

    def commit(self) -> str:
        """Make another commit that no ref names, and return its id."""

    def annotate(self, oid: str) -> str:
        """Make an annotated tag of a commit that no ref names, and return its id."""

    def push(self, ref: str, oid: str | None) -> None:
        """Let a ref point to an object, or delete it."""

    def switch(self, branch: str) -> None:
        """Let HEAD name a branch, given in full."""


class ForgeContract:
    """Every `Forge` must pass; subclass it and provide an `upstream` fixture."""

    def test_refs_and_head_are_told(self, upstream: Upstream) -> None:
        """A probe reads as upstream's refs, by full name, and the branch of HEAD."""
        main, topic = upstream.commit(), upstream.commit()
        upstream.push("refs/heads/main", main)
        upstream.push("refs/heads/topic/deep", topic)

        snapshot = upstream.forge.probe(upstream.name, DEFAULT_SCOPE).read()

        assert snapshot.refs == {
            "refs/heads/main": Ref(main),
            "refs/heads/topic/deep": Ref(topic),
        }
        assert snapshot.head == "refs/heads/main"

    def test_an_annotated_tag_is_told_with_its_commit(self, upstream: Upstream) -> None:
        """A tag object's ref carries what it peels to; other tags carry nothing."""
        commit = upstream.commit()
        tag = upstream.annotate(commit)
        upstream.push("refs/tags/v1", tag)
        upstream.push("refs/tags/light", commit)

        refs = upstream.forge.probe(upstream.name, DEFAULT_SCOPE).read().refs

        assert refs == {
            "refs/tags/light": Ref(commit),
            "refs/tags/v1": Ref(tag, commit),
        }

    def test_an_unchanged_repository_has_the_same_digest(
        self, upstream: Upstream
    ) -> None:
        """Two probes between which nothing was pushed cannot be told apart."""
        upstream.push("refs/heads/main", upstream.commit())

        first = upstream.forge.probe(upstream.name, DEFAULT_SCOPE)
        second = upstream.forge.probe(upstream.name, DEFAULT_SCOPE)

        assert (first.digest, first.asked) == (second.digest, second.asked)
        assert first.started <= second.started
        assert first.read() == first.read() == second.read()

    @pytest.mark.parametrize("change", ["move", "create", "delete", "tag", "head"])
    def test_each_change_changes_the_digest(
        self, upstream: Upstream, change: str
    ) -> None:
        """No kind of push leaves the digest as it was."""
        main, other = upstream.commit(), upstream.commit()
        upstream.push("refs/heads/main", main)
        upstream.push("refs/heads/topic", main)
        before = upstream.forge.probe(upstream.name, DEFAULT_SCOPE)

        match change:
            case "move":
                upstream.push("refs/heads/topic", other)
            case "create":
                upstream.push("refs/heads/another", main)
            case "delete":
                upstream.push("refs/heads/topic", None)
            case "tag":
                upstream.push("refs/tags/v1", upstream.annotate(main))
            case _:
                upstream.switch("refs/heads/topic")

        after = upstream.forge.probe(upstream.name, DEFAULT_SCOPE)
        assert after.digest != before.digest
        assert after.asked == before.asked
        assert after.read() != before.read()

    def test_a_probe_reads_as_it_was(self, upstream: Upstream) -> None:
        """What is pushed after a probe is not in it."""
        main = upstream.commit()
        upstream.push("refs/heads/main", main)
        probe = upstream.forge.probe(upstream.name, DEFAULT_SCOPE)

        upstream.push("refs/heads/main", upstream.commit())

        assert probe.read().refs == {"refs/heads/main": Ref(main)}

    def test_refs_outside_the_scope_are_left_out(self, upstream: Upstream) -> None:
        """What was not asked for is not told, whatever upstream has."""
        main = upstream.commit()
        for ref in ("heads/main", "headsets/x", "pull/1/head", "tags/v1"):
            upstream.push(f"refs/{ref}", main)

        snapshot = upstream.forge.probe(upstream.name, HEADS).read()

        assert set(snapshot.refs) == {"refs/heads/main"}
        assert snapshot.head == "refs/heads/main"

    def test_another_scope_is_another_question(self, upstream: Upstream) -> None:
        """Digests of different questions are never compared."""
        upstream.push("refs/heads/main", upstream.commit())

        some = upstream.forge.probe(upstream.name, HEADS)
        more = upstream.forge.probe(upstream.name, DEFAULT_SCOPE)

        assert some.asked != more.asked

    def test_names_of_any_bytes_are_told(self, upstream: Upstream) -> None:
        """A name outside ASCII, UTF-8 or not, arrives as git has it."""
        main = upstream.commit()
        latin = b"refs/heads/caf\xe9".decode("utf-8", "surrogateescape")
        upstream.push("refs/heads/caf\N{LATIN SMALL LETTER E WITH ACUTE}", main)
        upstream.push(latin, main)
        upstream.push("refs/heads/\N{SNOWMAN}", main)

        refs = upstream.forge.probe(upstream.name, HEADS).read().refs

        assert set(refs) == {
            "refs/heads/caf\N{LATIN SMALL LETTER E WITH ACUTE}",
            "refs/heads/\N{SNOWMAN}",
            latin,
        }

    def test_our_own_refs_are_never_told(self, upstream: Upstream) -> None:
        """An upstream that is a mirror of ours does not pass its kept tips on."""
        main = upstream.commit()
        upstream.push("refs/heads/main", main)
        upstream.push(f"refs/syncer/keep/2026-01-01/{main}", main)

        refs = (
            upstream.forge.probe(upstream.name, ("refs/heads/", "refs/s")).read().refs
        )

        assert set(refs) == {"refs/heads/main"}

    def test_an_empty_repository_is_no_error(self, upstream: Upstream) -> None:
        """A repository without refs reads as that."""
        assert upstream.forge.probe(upstream.name, DEFAULT_SCOPE).read().refs == {}

    def test_a_repository_that_is_not_there_is_not_found(
        self, upstream: Upstream
    ) -> None:
        """The error says that the mirror is kept."""
        with pytest.raises(NotFound, match="kept as it is"):
            upstream.forge.probe(upstream.missing, DEFAULT_SCOPE)
