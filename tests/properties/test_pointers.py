"""What holds for LFS pointers, also in the eyes of the real git-lfs."""

from __future__ import annotations

import io
from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from syncer.git.pointers import Reader, Sieve
from syncer.model.lfs import LfsPointer
from syncer.model.pointers import MAX_POINTER, MIN_POINTER, parse_pointer
from tests.pointer_files import ACCEPTED, REFUSED
from tests.servers.pointers import pointer_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.lfs_client import GitLfs

digests = st.text("0123456789abcdef", min_size=64, max_size=64)
pointers = st.builds(LfsPointer, digests, st.integers(0, 2**63 - 1))
# What pointers and attacks on them are made of.
pieces = st.sampled_from(
    [
        *(b"\n", b"\r\n", b"\r", b" ", b"\t", b"\x0b", b"\xc2\xa0", b"\x85", b"\x00"),
        *(b"+", b"-", b"0", b"size ", b"oid sha256:", b"oid ", b"version "),
        *(b"ext-0-a sha256:" + b"a" * 64 + b"\n", b"ext-0-b sha256:" + b"b" * 64),
        *(b"ext-1-c sha256:" + b"c" * 64 + b"\r\n", b"ext-0-a x\n", b"ext-"),
    ]
)


@st.composite
def nearly(draw: st.DrawFn) -> bytes:
    """Draw a file that is a pointer, or was before some pieces got in."""
    data = draw(st.sampled_from([*(d for d, _ in ACCEPTED.values()), REFUSED["blank"]]))
    for _ in range(draw(st.integers(0, 3))):
        # Most of what matters happens at the ends of lines.
        ends = [0, *(n + 1 for n, byte in enumerate(data) if byte == ord("\n"))]
        place = draw(st.sampled_from(ends) | st.integers(0, len(data)))
        gone = draw(st.sampled_from([0, 0, 0, 1, 2]))
        data = data[:place] + draw(pieces) + data[place + gone :]
    return data


@settings(max_examples=500)
@given(st.binary(max_size=1100) | st.lists(pieces).map(b"".join) | nearly())
@example(REFUSED["too long"])
def test_any_bytes_are_a_pointer_or_not(data: bytes) -> None:
    """Parsing never raises, and what it accepts it finds again when written anew."""
    pointer = parse_pointer(data)

    assert pointer is None or parse_pointer(pointer_file(pointer)) == pointer


@given(pointers, st.sampled_from([b"\n", b"\r\n"]), st.text("\n \t", max_size=200))
def test_a_pointer_is_read_back(pointer: LfsPointer, end: bytes, space: str) -> None:
    """However its lines end, and whatever blanks are around it."""
    data = space.encode() + pointer_file(pointer).replace(b"\n", end) + space.encode()

    assert parse_pointer(data) == pointer


@given(
    st.lists(st.one_of(pointers.map(pointer_file), nearly()), max_size=20),
    st.lists(st.integers(0, 25_000), max_size=20),
)
def test_wherever_git_s_answers_are_cut_all_is_found(
    files: list[bytes], cuts: list[int]
) -> None:
    """The pieces that a pipe brings make no difference."""
    files = [data for data in files if MIN_POINTER <= len(data) < MAX_POINTER]
    listed = b"".join(
        b"blob %d %040x\n" % (len(data), n) for n, data in enumerate(files)
    )
    kept = io.BytesIO()
    sieve, reader = Sieve(kept), Reader()
    for piece in _cut(listed, cuts):
        sieve.take(piece)
    contents = b"".join(b"%d\n%b\n" % (len(data), data) for data in files)
    for piece in _cut(contents, cuts):
        reader.take(piece)

    assert kept.getvalue() == b"".join(b"%040x\n" % n for n in range(len(files)))
    assert reader.found == {found for f in files if (found := parse_pointer(f))}


def _cut(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    edges = [0, *sorted({cut for cut in cuts if 0 < cut < len(data)}), len(data)]
    for start, end in pairwise(edges):
        yield data[start:end]


def test_git_lfs_agrees_on_every_kind(git_lfs: GitLfs) -> None:
    """What we call a pointer is one for git-lfs, and nothing else is."""
    files = {**{name: data for name, (data, _) in ACCEPTED.items()}, **REFUSED}
    # It sees the start of a longer file alone, and takes an empty one for a pointer
    # to the empty object, which nobody fetches.
    judged = {
        name: git_lfs.pointer_check(data)
        for name, data in files.items()
        if 0 < len(data) < MAX_POINTER
    }

    assert judged == {name: parse_pointer(files[name]) is not None for name in judged}
    assert len(judged) == len(files) - 2


@settings(
    max_examples=60,
    deadline=None,  # a process for each
    # The fixture is a path: no example leaves anything behind.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=nearly())
def test_git_lfs_agrees_on_damaged_ones(git_lfs: GitLfs, data: bytes) -> None:
    """A pointer into which something got is one for both, or for neither."""
    if 0 < len(data) < MAX_POINTER:
        assert git_lfs.pointer_check(data) == (parse_pointer(data) is not None)
