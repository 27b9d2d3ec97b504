"""The answer to a fetch, whatever pieces it comes in."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.errors import ProtocolError, Truncated
from syncer.upstream.packs import pack, request
from syncer.upstream.pktline import FLUSH, line

OID = "1" * 40
BODY = [b"PACK" + bytes(range(256)), b"more" * 100, b"end"]
ANSWER = (
    line(b"packfile\n")
    + line(b"\x02counting\n")
    + b"".join(line(b"\x01" + part) for part in BODY)
    + FLUSH
)


def test_a_request_says_what_we_want_and_have_and_is_done() -> None:
    """One round trip: wants, haves and `done`, as gitprotocol-v2 frames them."""
    body = request([OID], ["2" * 40], [b"object-format=sha1"])

    assert body.startswith(b"0012command=fetch\n0017object-format=sha1\n0001")
    assert b"0032want " + OID.encode() + b"\n" in body
    assert body.endswith(b"0032have " + b"2" * 40 + b"\n0009done\n0000")


@given(st.lists(st.integers(1, len(ANSWER) - 1), max_size=12))
def test_any_pieces_give_the_same_pack(cuts: list[int]) -> None:
    """Where the network cuts the answer makes no difference."""
    edges = [0, *sorted(set(cuts)), len(ANSWER)]
    pieces = [ANSWER[a:b] for a, b in pairwise(edges)]

    assert b"".join(pack(pieces)) == b"".join(BODY)


@given(st.integers(0, len(ANSWER) - 1))
def test_a_cut_answer_is_never_a_whole_pack(end: int) -> None:
    """Ended at any byte, it is an error and not a shorter pack."""
    with pytest.raises((Truncated, ProtocolError)):
        list(pack([ANSWER[:end]]))


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_any_bytes_are_a_pack_or_an_error_of_ours(blocks: list[bytes]) -> None:
    """Hostile answers raise what a run knows to handle."""
    try:
        list(pack(blocks))
    except (ProtocolError, Truncated):
        return


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (line(b"packfile\n") + line(b"\x03out of memory\n"), "out of memory"),
        (line(b"ERR upload-pack: not our ref\n"), "not our ref"),
        (line(b"packfile\n") + line(b"\x07?"), "band"),
        (line(b"acknowledgments\n"), "acknowledgments"),
        (b"<!DOCTYPE html>", "begins with"),
    ],
)
def test_an_error_says_what_came_instead(answer: bytes, words: str) -> None:
    """Upstream's words reach the person, quoted."""
    with pytest.raises(ProtocolError, match=words):
        list(pack([answer]))
