"""Which blobs are LFS pointers, and what git's answers about blobs mean."""

from __future__ import annotations

import io
import time
import tracemalloc

import pytest

from syncer.errors import IntegrityError
from syncer.git.pointers import Reader, Sieve
from syncer.model.lfs import LfsPointer
from syncer.model.pointers import MAX_POINTER, MIN_POINTER, parse_pointer
from tests.pointer_files import ACCEPTED, OID, REFUSED
from tests.servers.pointers import pointer_file


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_pointer_is_understood(name: str) -> None:
    """What git-lfs takes for a pointer is one, whoever wrote it."""
    data, size = ACCEPTED[name]

    assert parse_pointer(data) == LfsPointer(OID, size)


@pytest.mark.parametrize("name", REFUSED)
def test_what_only_looks_like_a_pointer_is_none(name: str) -> None:
    """A file that git-lfs would not replace is left alone."""
    assert parse_pointer(REFUSED[name]) is None


def test_the_limits_are_those_of_real_pointers() -> None:
    """The shortest pointer there can be is not overlooked for its length."""
    lengths = {len(data) for data, _ in ACCEPTED.values()}

    assert min(lengths) == MIN_POINTER
    assert max(lengths) == MAX_POINTER - 1


@pytest.mark.parametrize(
    "hostile",
    [
        b"\n" * 1022 + b"x",
        b"\r\n" * 511,
        b"\t" * 1022 + b"\x1c",
        b"ext-0-a \r\n" * 102,
        b"ext-0-" + b"a" * 1016,
        b"ext-0-a" + b" " * 1010 + b"\n",
        pointer_file(LfsPointer(OID, 1)) + b" " * 800 + b"x",
        pointer_file(LfsPointer(OID, 1))[:-2] + b"0" * 890 + b"x",
    ],
)
def test_hostile_bytes_are_refused_at_once(hostile: bytes) -> None:
    """No input makes the parser look at its bytes again and again."""
    began = time.perf_counter()
    for _ in range(1000):
        assert parse_pointer(hostile) is None

    assert time.perf_counter() - began < 2  # 2 ms for each is far too much already


def test_the_sieve_keeps_blobs_with_the_length_of_a_pointer() -> None:
    """Every length at which there are pointers passes, and no other."""
    oids = {f"{length:040x}".encode(): length for length in range(2000)}
    kept = io.BytesIO()
    sieve = Sieve(kept)
    for oid, length in oids.items():
        sieve.take(b"blob %d %b\ntree %d %b\n" % (length, oid, length, oid))
    sieve.take(b"%040d missing\n" % 1)

    passed = [oids[oid] for oid in kept.getvalue().split()]
    assert passed == list(range(MIN_POINTER, MAX_POINTER))


def test_a_pointer_inside_of_another_file_is_none() -> None:
    """A blob that looks like git's answer with a pointer in it is only a blob."""
    inner = pointer_file(LfsPointer(OID, 1))
    outer = b"%d\n%b\n" % (len(inner), inner)
    reader = Reader()
    reader.take(b"%d\n%b\n" % (len(outer), outer))

    assert reader.found == set()


@pytest.mark.parametrize("line", [b"0" * 40 + b" missing", b"99999", b"-120", b""])
def test_an_answer_that_is_none_is_an_error(line: bytes) -> None:
    """An object that is gone is not taken for one without pointers."""
    with pytest.raises(IntegrityError, match="published refs are unchanged"):
        Reader().take(line + b"\n")


def test_a_million_blobs_take_no_memory() -> None:
    """What git says of blobs that are no pointers is dropped as it comes."""
    text = b"x" * 120
    listed = b"blob 2000 %040d\n" % 1 * 1000
    contents = b"120\n%b\n" % text * 1000
    sieve, reader = Sieve(io.BytesIO()), Reader()
    tracemalloc.start()
    try:
        for _ in range(1000):
            sieve.take(listed)
        for _ in range(100):
            reader.take(contents)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 4 << 20
    assert reader.found == set()
