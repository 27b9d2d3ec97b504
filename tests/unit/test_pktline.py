"""Lists of refs in three forms: what is read, what is refused, and how fast."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.errors import InvalidName, ProtocolError, Truncated
from syncer.model.content import DEFAULT_SCOPE, Ref, RefSnapshot
from syncer.model.names import check_ref
from syncer.upstream.listing import read_advertisement, read_ls_remote, read_v2
from syncer.upstream.pktline import FLUSH, LONGEST, line, ls_refs, packets
from tests.servers.replay import listing, synthetic

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

A, B, C = "a" * 40, "b" * 40, "c" * 40
MAIN = f"{A} refs/heads/main\n"
HEAD = f"{A} HEAD symref-target:refs/heads/main\n"
LATIN = b"refs/heads/caf\xe9".decode("utf-8", "surrogateescape")
SERVICE = line(b"# service=git-upload-pack\n") + FLUSH


def reply(*lines: str | bytes, end: bytes = FLUSH) -> bytes:
    """Return lines in their framing."""
    raw = [text if isinstance(text, bytes) else text.encode() for text in lines]
    return b"".join(map(line, raw)) + end


def pieces(data: bytes, size: int) -> list[bytes]:
    """Cut bytes as a network does."""
    return [data[i : i + size] for i in range(0, len(data), size)]


def good(name: str) -> bool:
    """Return whether git accepts a name, and our scope holds it."""
    try:
        check_ref(name)
    except InvalidName:
        return False
    return name.startswith(DEFAULT_SCOPE)


oids = st.text("0123456789abcdef", min_size=40, max_size=40).filter(
    lambda o: o.strip("0")
)
names = (
    st.tuples(
        st.sampled_from(DEFAULT_SCOPE),
        st.binary(min_size=1, max_size=30).map(
            lambda raw: raw.decode("utf-8", "surrogateescape")
        ),
    )
    .map("".join)
    .filter(good)
)
refs = st.dictionaries(names, st.builds(Ref, oids, st.none() | oids), max_size=30)
heads = st.none() | names


def rendered(snapshot: RefSnapshot, *, lf: bytes = b"\n") -> bytes:
    """Write a snapshot as a server does that sends what `peel` and `symrefs` ask."""
    lines = []
    if snapshot.head is not None:
        lines.append(f"{A} HEAD symref-target:{snapshot.head}")
    for name, (oid, peeled) in snapshot.refs.items():
        lines.append(f"{oid} {name}" + (f" peeled:{peeled}" if peeled else ""))
    raw = (text.encode("utf-8", "surrogateescape") for text in lines)
    return b"".join(line(text + lf) for text in raw) + FLUSH


@given(refs, heads, st.integers(1, 200))
def test_what_a_server_lists_is_read(
    listed: dict[str, Ref], head: str | None, size: int
) -> None:
    """Every list of refs reads as itself, in whatever pieces it arrives."""
    snapshot = RefSnapshot(listed, head)
    assert read_v2(pieces(rendered(snapshot), size), DEFAULT_SCOPE) == snapshot


@given(refs, heads)
def test_a_final_line_feed_is_optional(
    listed: dict[str, Ref], head: str | None
) -> None:
    """A server may leave line feeds out (gitprotocol-common(5)); git's does not."""
    snapshot = RefSnapshot(listed, head)
    assert read_v2([rendered(snapshot, lf=b"")], DEFAULT_SCOPE) == snapshot


@given(st.binary(max_size=400))
def test_any_bytes_are_a_list_or_an_error_of_ours(data: bytes) -> None:
    """No input raises anything else."""
    for read in (read_v2_whole, read_advertisement, read_ls_remote):
        with contextlib.suppress(ProtocolError, Truncated):
            read(data, DEFAULT_SCOPE)


def read_v2_whole(data: bytes, scope: tuple[str, ...]) -> RefSnapshot:
    """Read a reply that came in one piece."""
    return read_v2([data], scope)


@given(refs, heads, st.randoms(use_true_random=False))
def test_a_spoilt_list_never_gains_a_bad_name(
    listed: dict[str, Ref], head: str | None, chance: random.Random
) -> None:
    """Whatever bytes are changed, what is read is a list of good names and ids."""
    data = bytearray(rendered(RefSnapshot(listed, head)))
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data))
        data[at : at + chance.randint(0, 2)] = chance.randbytes(chance.randint(0, 2))
    try:
        snapshot = read_v2(pieces(bytes(data), 64), DEFAULT_SCOPE)
    except (ProtocolError, Truncated):
        return
    for name, (oid, peeled) in snapshot.refs.items():
        assert good(name)
        assert all(len(o) == 40 and int(o, 16) for o in (oid, peeled or oid))
    assert snapshot.head is None or check_ref(snapshot.head)


@given(refs, st.data())
def test_a_list_that_is_cut_is_never_read_as_a_shorter_one(
    listed: dict[str, Ref], data: st.DataObject
) -> None:
    """Every proper beginning of a reply is an error."""
    whole = rendered(RefSnapshot(listed))
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises((ProtocolError, Truncated)):
        read_v2([whole[:cut]], DEFAULT_SCOPE)


CORPUS = {
    "nothing": b"",
    "no end": reply(MAIN, end=b""),
    "an end too many": reply(MAIN) + FLUSH,
    "more after the end": reply(MAIN) + line(MAIN.encode()),
    "a page": b"<!DOCTYPE html><html>Sign in</html>",
    "a page of four": b"<html",
    "an error": reply("ERR access denied\n"),
    "an error that steers": reply("ERR \x1b[2J\n"),
    "a null id": reply(f"{'0' * 40} refs/heads/main\n"),
    "a tag of a null id": reply(f"{A} refs/tags/v1 peeled:{'0' * 40}\n"),
    "a short id": reply("abc refs/heads/main\n"),
    "a long id": reply(f"{A}a refs/heads/main\n"),
    "an id of SHA-256": reply(f"{A}{'b' * 24} refs/heads/main\n"),
    "an id in capitals": reply(f"{'A' * 40} refs/heads/main\n"),
    "an id and no name": reply(f"{A}\n"),
    "an id and a space": reply(f"{A} \n"),
    "two spaces": reply(f"{A}  refs/heads/main\n"),
    "a tab": reply(f"{A}\trefs/heads/main\n"),
    "a ref twice": reply(MAIN, MAIN),
    "a ref twice, otherwise": reply(MAIN, f"{B} refs/heads/main\n"),
    "dots": reply(f"{A} refs/heads/../../config\n"),
    "a lock": reply(f"{A} refs/heads/main.lock\n"),
    "a lock inside": reply(f"{A} refs/heads/a.lock/b\n"),
    "a slash too many": reply(f"{A} refs/heads//main\n"),
    "a slash at the end": reply(f"{A} refs/heads/main/\n"),
    "a hidden name": reply(f"{A} refs/heads/.git\n"),
    "a brace": reply(f"{A} refs/heads/a@{{1}}\n"),
    "a NUL": reply(f"{A} refs/heads/a\0b\n"),
    "a control character": reply(f"{A} refs/heads/a\x1b[2J\n"),
    "a carriage return": reply(f"{A} refs/heads/main\r\n"),
    "a backslash": reply(f"{A} refs/heads/a\\b\n"),
    "a star": reply(f"{A} refs/heads/*\n"),
    "a name that is too long": reply(f"{A} refs/heads/{'x' * 5000}\n"),
    "a bad name in UTF-8": reply(f"{A} refs/heads/\N{SNOWMAN}..\n"),
    "a bad peeled id": reply(f"{A} refs/tags/v1 peeled:xyz\n"),
    "a long peeled id": reply(f"{A} refs/tags/v1 peeled:{B}".encode() + b"\xbb"),
    "a bad late peeled id": reply(f"{A} refs/tags/v1 new:1 peeled:xyz\n"),
    "a bad HEAD": reply(f"{A} HEAD symref-target:refs/heads/../x\n", MAIN),
    "HEAD outside": reply(f"{A} HEAD symref-target:/etc/passwd\n", MAIN),
    "an option as HEAD": reply(f"{A} HEAD symref-target:--upload-pack=x\n", MAIN),
    "an unborn branch twice": reply(*["unborn HEAD symref-target:refs/heads/x\n"] * 2),
    "an unborn branch late": reply(MAIN, "unborn HEAD symref-target:refs/heads/x\n"),
    "a line feed inside": reply(f"{A} refs/heads/a\n{B} refs/heads/b\n"),
    "lengths that hide a line": b"00c0" + MAIN.encode() + reply(f"{B} refs/heads/b\n"),
    "a prefix before a line": b"zz" + b"0041" + MAIN.encode() + FLUSH,
    "a length too short": b"003c" + MAIN.encode() + FLUSH,
    "a length too long": b"003e" + MAIN.encode() + FLUSH,
    "a length of three": b"0003" + FLUSH,
    "a length of a keepalive": b"0004" + FLUSH,
    "a delimiter": b"0001" + reply(MAIN),
    "a response end": reply(MAIN, end=b"0002"),
    "a signed length": b"+03d" + MAIN.encode() + FLUSH,
    "a spaced length": b" 03d" + MAIN.encode() + FLUSH,
    "a length with an underscore": b"0_3d" + MAIN.encode() + FLUSH,
    "the longest length": b"ffff" + b"x" * 65531 + FLUSH,
    "half a length": reply(MAIN, end=b"00"),
    "nothing but a line feed": b"\n",
    "a shell's words": b"fatal: not found\n0000",
}


@pytest.mark.parametrize("data", CORPUS.values(), ids=CORPUS.keys())
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_what_is_no_list_is_refused(data: bytes, size: int) -> None:
    """Each of these is an error, however it is cut, and shows no control character."""
    with pytest.raises((ProtocolError, Truncated)) as caught:
        read_v2(pieces(data, size), DEFAULT_SCOPE)
    assert str(caught.value).isprintable()


def test_head_is_told_by_its_symref() -> None:
    """A detached HEAD names no branch, one of an empty repository its future one."""
    unborn = "unborn HEAD symref-target:refs/heads/trunk\n"
    assert read_v2([reply(HEAD, MAIN)], DEFAULT_SCOPE).head == "refs/heads/main"
    assert read_v2([reply(f"{A} HEAD\n", MAIN)], DEFAULT_SCOPE).head is None
    assert read_v2([reply(unborn)], DEFAULT_SCOPE).head == "refs/heads/trunk"
    assert read_v2([reply()], DEFAULT_SCOPE) == RefSnapshot()


def test_symbolic_refs_keep_what_they_peel_to() -> None:
    """Attributes may come in any order, and further ones are skipped."""
    data = reply(
        f"{A} refs/heads/alias symref-target:refs/heads/main\n",
        f"{B} refs/tags/latest symref-target:refs/tags/v1 peeled:{C}\n",
        f"{B} refs/tags/v1 peeled:{C} shiny:yes\n",
        f"{B} refs/tags/v2 shiny:yes peeled:{C}\n",
    )
    assert read_v2([data], DEFAULT_SCOPE).refs == {
        "refs/heads/alias": Ref(A),
        "refs/tags/latest": Ref(B, C),
        "refs/tags/v1": Ref(B, C),
        "refs/tags/v2": Ref(B, C),
    }


def test_names_out_of_scope_are_left_out() -> None:
    """A server that ignores `ref-prefix` (it may) tells nothing that was not asked."""
    data = reply(
        HEAD,
        MAIN,
        f"{B} refs/pull/1/head\n",
        f"{B} refs/headsets/x\n",
        f"{B} refs/syncer/keep/tags/{B}\n",
        f"{B} refs/replace/{A}\n",
    )
    assert set(read_v2([data], ("refs/heads/",)).refs) == {"refs/heads/main"}
    wide = read_v2([data], ("refs/heads/", "refs/s", "refs/r"))
    assert set(wide.refs) == {"refs/heads/main"}


def test_names_that_are_not_utf8_keep_their_bytes() -> None:
    """Lengths count bytes, and names come out as git has them."""
    exotic = f"{A} refs/heads/\N{SNOWMAN}\n"
    latin = f"{A} {LATIN}\n".encode("utf-8", "surrogateescape")
    read = read_v2([reply(exotic, latin, MAIN)], DEFAULT_SCOPE)
    assert set(read.refs) == {"refs/heads/\N{SNOWMAN}", LATIN, "refs/heads/main"}


CAPABILITIES = "multi_ack symref=HEAD:refs/heads/main agent=git/2.39.5"


@pytest.mark.parametrize("first", [b"", line(b"version 1\n")])
@pytest.mark.parametrize("service", [b"", SERVICE])
def test_an_advertisement_is_read(service: bytes, first: bytes) -> None:
    """Protocols 0 and 1 tell the same refs in another form."""
    data = reply(
        f"{A} HEAD\0{CAPABILITIES}\n",
        MAIN,
        f"{B} refs/pull/1/head\n",
        f"{B} refs/tags/v1\n",
        f"{C} refs/tags/v1^{{}}\n",
        f"shallow {C}\n",
    )
    snapshot, known = read_advertisement(service + first + data, DEFAULT_SCOPE)
    assert known
    assert snapshot == RefSnapshot(
        {"refs/heads/main": Ref(A), "refs/tags/v1": Ref(B, C)}, "refs/heads/main"
    )


def test_an_advertisement_may_not_tell_of_head() -> None:
    """Without the capability `symref` nothing is known of HEAD."""
    data = reply(f"{A} HEAD\0multi_ack\n", MAIN)
    snapshot, known = read_advertisement(SERVICE + data, DEFAULT_SCOPE)
    assert (snapshot.head, known) == (None, False)


@pytest.mark.parametrize(
    "data", [FLUSH, reply(f"{'0' * 40} capabilities^{{}}\0{CAPABILITIES}\n")]
)
def test_an_advertisement_may_be_empty(data: bytes) -> None:
    """An empty repository carries its capabilities on a ref that is none."""
    assert read_advertisement(SERVICE + data, DEFAULT_SCOPE)[0].refs == {}


@pytest.mark.parametrize(
    "data",
    [
        SERVICE + reply(MAIN, end=b""),
        line(b"# service=git-upload-pack\n") + reply(MAIN),
        SERVICE + reply(f"{'0' * 40} refs/heads/main\n"),
        SERVICE + reply(MAIN, MAIN),
        SERVICE + reply("ERR no such repository\n"),
        reply("version 2\n", "ls-refs\n"),
        b"<html>",
    ],
)
def test_what_is_no_advertisement_is_refused(data: bytes) -> None:
    """Each of these is an error."""
    with pytest.raises((ProtocolError, Truncated)):
        read_advertisement(data, DEFAULT_SCOPE)


def test_the_text_of_ls_remote_is_read() -> None:
    """What `git ls-remote --symref` prints tells the same."""
    text = f"ref: refs/heads/main\tHEAD\n{A}\tHEAD\n{A}\trefs/heads/main\n"
    text += f"{B}\trefs/tags/v1\n{C}\trefs/tags/v1^{{}}\n{B}\trefs/pull/1/head\n"
    expected = RefSnapshot(
        {"refs/heads/main": Ref(A), "refs/tags/v1": Ref(B, C)}, "refs/heads/main"
    )
    assert read_ls_remote(text.encode(), DEFAULT_SCOPE) == (expected, True)
    assert read_ls_remote(b"", DEFAULT_SCOPE) == (RefSnapshot(), False)


@pytest.mark.parametrize(
    "text", ["fatal: no", f"{A} refs/heads/main", f"{A}{'b' * 24}\trefs/heads/main"]
)
def test_other_text_is_refused(text: str) -> None:
    """Each of these is an error."""
    with pytest.raises(ProtocolError):
        read_ls_remote(text.encode(), DEFAULT_SCOPE)


def test_a_request_is_what_git_expects() -> None:
    """Command and capabilities, a delimiter, arguments, a flush."""
    body = ls_refs(("refs/heads/",), announced=(b"agent=x",), unborn=True)
    assert body == (
        b"0014command=ls-refs\n000cagent=x\n0001"
        b"0009peel\n000csymrefs\n000bunborn\n"
        b"0014ref-prefix HEAD\n001bref-prefix refs/heads/\n0000"
    )


@given(st.lists(st.binary(max_size=100).filter(lambda b: not b.startswith(b"ERR "))))
def test_lines_are_read_as_they_were_written(payloads: list[bytes]) -> None:
    """Framing changes nothing but a final line feed."""
    data = b"".join(line(p) for p in payloads if p) + FLUSH
    assert list(packets(data)) == [
        *(p.removesuffix(b"\n") for p in payloads if p),
        None,
    ]


def test_a_line_has_a_longest_length() -> None:
    """What git would not read is not written."""
    assert len(line(b"x" * (LONGEST - 4))) == LONGEST
    with pytest.raises(ValueError, match="longer"):
        line(b"x" * (LONGEST - 3))


def took(chunks: Iterable[bytes]) -> float:
    """Return the processor time of reading, successful or not."""
    began = time.process_time()
    with contextlib.suppress(ProtocolError, Truncated):
        read_v2(chunks, DEFAULT_SCOPE)
    return time.process_time() - began


def test_many_refs_are_read_fast() -> None:
    """A hundred thousand refs take a fraction of a second (measured: 0.18 s)."""
    data = listing(synthetic(100_000))
    assert len(read_v2(pieces(data, 16384), DEFAULT_SCOPE).refs) == 100_000
    assert min(took(pieces(data, 16384)) for _ in range(3)) < 0.8


HOSTILE = {
    "no line feed": b"a" * (4 << 20),
    "ids and spaces": (f"003d{A} " * 90_000).encode() + b"\0\n",
    "ids, ended by line feeds": (f"003d{A} \n" * 90_000).encode(),
    "line feeds": b"\n" * (1 << 20),
    "flushes": FLUSH * (1 << 19),
    "the shortest lines": line(b"\n") * (1 << 18) + FLUSH,
    "attributes": line(f"{A} refs/tags/v1{' x:y' * 16_000}\n".encode()) * 60 + FLUSH,
    "the longest names": line(f"{A} refs/heads/{'x' * 65_000}\n".encode()) * 60 + FLUSH,
    "dots": line(f"{A} refs/heads/{'./' * 32_000}\n".encode()) * 60 + FLUSH,
    "a digit short": (b"003d" + MAIN.encode()[:-1]) * 60_000 + FLUSH,
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_lists_take_no_longer(data: bytes) -> None:
    """Time grows with the size of a reply, whatever is in it."""
    assert took(pieces(data, 16384)) < 3.0
