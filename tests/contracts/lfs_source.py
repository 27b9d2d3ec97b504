"""What every LFS source does, in memory or over a wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from syncer.errors import Expired, IntegrityError, NotFound, TransientError, Truncated
from syncer.model.lfs import Grant, LfsPointer, Refusal

if TYPE_CHECKING:
    from syncer.model.names import RepoName
    from syncer.ports.lfs import LfsSource

#: Several blocks of whoever sends or reads it, and no round number.
LARGE = bytes(range(251)) * 12_345


class LfsUpstream(Protocol):
    """One repository with an LFS server, and what happens to its objects."""

    @property
    def source(self) -> LfsSource:
        """What is under test."""

    @property
    def name(self) -> RepoName:
        """The repository."""

    def add(self, body: bytes) -> LfsPointer:
        """Have an object."""

    def remove(self, pointer: LfsPointer) -> None:
        """Lose an object that was granted already."""

    def send(self, pointer: LfsPointer, body: bytes) -> None:
        """Send other bytes from now on."""

    def cut(self, pointer: LfsPointer, after: int) -> None:
        """Break the next download off after some bytes."""

    def refuse(self, pointer: LfsPointer, code: int, message: str) -> None:
        """Refuse an object."""

    def expire(self) -> None:
        """Let every grant so far run out."""


class LfsSourceContract:
    """Every `LfsSource` must pass; subclass it and provide an `upstream` fixture."""

    @pytest.mark.parametrize("size", [1, 4096, len(LARGE)])
    def test_a_granted_object_arrives_whole(
        self, upstream: LfsUpstream, size: int
    ) -> None:
        """What is read is what upstream has."""
        pointer = upstream.add(LARGE[:size])

        assert read(upstream, grant(upstream, pointer)) == LARGE[:size]

    def test_an_empty_object_has_no_blocks(self, upstream: LfsUpstream) -> None:
        """Nothing is what it consists of."""
        pointer = upstream.add(b"")

        assert read(upstream, grant(upstream, pointer)) == b""

    @pytest.mark.parametrize("offset", [1, 4096, 1_000_000, len(LARGE) - 1, len(LARGE)])
    def test_a_download_goes_on_where_it_ended(
        self, upstream: LfsUpstream, offset: int
    ) -> None:
        """From an offset on, exactly the rest comes."""
        granted = grant(upstream, upstream.add(LARGE))

        assert read(upstream, granted, offset) == LARGE[offset:]

    def test_answers_come_in_the_order_of_the_questions(
        self, upstream: LfsUpstream
    ) -> None:
        """Each object has one answer, granted or refused."""
        known = [upstream.add(bytes([n])) for n in range(9)]
        wanted = [*reversed(known), LfsPointer("0" * 64, 5), known[0]]

        reply = batch(upstream, *wanted)

        assert [answer.pointer for answer in reply] == wanted
        assert [answer.pointer for answer in reply if isinstance(answer, Refusal)] == [
            LfsPointer("0" * 64, 5)
        ]

    def test_an_unknown_object_is_refused(self, upstream: LfsUpstream) -> None:
        """What upstream does not have is refused with 404, not an error."""
        (refusal,) = batch(upstream, LfsPointer("1" * 64, 7))

        assert isinstance(refusal, Refusal)
        assert refusal.code == 404
        assert refusal.reason

    def test_upstreams_reason_is_told(self, upstream: LfsUpstream) -> None:
        """A refusal has upstream's code and words."""
        pointer = upstream.add(b"taken down")
        upstream.refuse(pointer, 410, "removed by its owner")

        (refusal,) = batch(upstream, pointer)

        assert isinstance(refusal, Refusal)
        assert refusal.code == 410
        assert "removed by its owner" in refusal.reason

    def test_too_short_a_body_is_truncated(self, upstream: LfsUpstream) -> None:
        """Fewer bytes than declared are never taken for the whole."""
        pointer = upstream.add(LARGE)
        granted = grant(upstream, pointer)
        upstream.send(pointer, LARGE[:-1])

        with pytest.raises(Truncated):
            read(upstream, granted)

    def test_too_long_a_body_is_an_integrity_error(self, upstream: LfsUpstream) -> None:
        """A byte more than declared is not passed on."""
        pointer = upstream.add(LARGE)
        granted = grant(upstream, pointer)
        upstream.send(pointer, LARGE + b"x")
        received = bytearray()

        with pytest.raises(IntegrityError):
            read(upstream, granted, into=received)
        assert len(received) <= len(LARGE)

    @pytest.mark.parametrize("after", [1, 1_000_000, len(LARGE) - 1])
    def test_a_broken_download_keeps_what_came(
        self, upstream: LfsUpstream, after: int
    ) -> None:
        """Another attempt brings the rest, and all of it fits together."""
        pointer = upstream.add(LARGE)
        granted = grant(upstream, pointer)
        upstream.cut(pointer, after)
        received = bytearray()

        with pytest.raises(TransientError):
            read(upstream, granted, into=received)
        assert received == LARGE[: len(received)]
        assert len(received) <= after

        read(upstream, granted, len(received), into=received)
        assert received == LARGE

    def test_a_grant_that_ran_out_is_told(self, upstream: LfsUpstream) -> None:
        """A new grant is as good as the first one was."""
        pointer = upstream.add(LARGE)
        granted = grant(upstream, pointer)
        upstream.expire()

        with pytest.raises(Expired):
            read(upstream, granted, 10)
        assert read(upstream, grant(upstream, pointer), 10) == LARGE[10:]

    def test_an_object_that_is_lost_meanwhile_is_not_found(
        self, upstream: LfsUpstream
    ) -> None:
        """A grant is no promise that its address has the object."""
        pointer = upstream.add(LARGE)
        granted = grant(upstream, pointer)
        upstream.remove(pointer)

        with pytest.raises(NotFound):
            read(upstream, granted)

    def test_a_place_that_is_not_asked_is_told(self, upstream: LfsUpstream) -> None:
        """A `.lfsconfig` that names a stranger changes nothing but the note."""
        usual = upstream.source.endpoint(upstream.name, None)
        strange = upstream.source.endpoint(upstream.name, "https://evil.example/lfs")

        assert usual.note is None
        assert strange.url == usual.url
        assert "evil.example" in str(strange.note)


def batch(upstream: LfsUpstream, *wanted: LfsPointer) -> list[Grant | Refusal]:
    """Ask where the repository's objects usually are."""
    endpoint = upstream.source.endpoint(upstream.name, None)
    return upstream.source.batch(upstream.name, endpoint, wanted)


def grant(upstream: LfsUpstream, pointer: LfsPointer) -> Grant:
    """Ask for one object that upstream gives."""
    (answer,) = batch(upstream, pointer)
    assert isinstance(answer, Grant)
    return answer


def read(
    upstream: LfsUpstream,
    granted: Grant,
    offset: int = 0,
    *,
    into: bytearray | None = None,
) -> bytes:
    """Download to the end, or as far as it goes, and return what came."""
    received = bytearray() if into is None else into
    with upstream.source.open(upstream.name, granted, offset) as blocks:
        for block in blocks:
            assert block
            received += block
    return bytes(received)
