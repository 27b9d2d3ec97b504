"""Three answers to "which refs are there", each read into a `RefSnapshot`.

`read_v2` reads the reply to `ls-refs`, `read_advertisement` what a server says
first in protocol 0 and 1, `read_ls_remote` the text of `git ls-remote
--symref`.  Names outside the scope are left out (a server may send more than
it was asked for, gitprotocol-v2(5)), as are those we keep for ourselves.  Bad
input raises `ProtocolError` or `Truncated` and nothing else.
"""

from __future__ import annotations

import re
from functools import partial
from itertools import compress
from typing import TYPE_CHECKING

from syncer.errors import InvalidName, ProtocolError, Truncated
from syncer.model.content import Ref, RefSnapshot
from syncer.model.names import check_ref, check_refs, shown
from syncer.upstream.pktline import FLUSH, LONGEST, line, packets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

# Ours, and refs that make git show other objects than those asked for.
_RESERVED = ("refs/syncer/", "refs/replace/")
# Whatever follows the name runs to the end of the line, so that a line that
# begins well always matches and nothing is scanned twice.
_ROW = re.compile(
    r"(?m:^)([0-9a-f]{4})([0-9a-f]{40}) ([^ \n]+)"
    r"(?: peeled:([0-9a-f]{40})(?=[ \n]))?([^\n]*)\n"
)
# What a line begins with, and its length without the LF.
_LENGTHS = {f"{length:04x}": length - 1 for length in range(5, LONGEST + 1)}
_OID = re.compile(r"[0-9a-f]{40}")
_OID_SHA256 = re.compile(r"[0-9a-f]{64}")
_ZERO = "0" * 40
# How an empty repository of protocol 0 carries its capabilities.
_EMPTY = "capabilities^{}"
_UNBORN = "unborn HEAD symref-target:"
# `Ref(...)` goes through a Python function; this is the half of it that counts.
_make_ref = partial(tuple.__new__, Ref)


class _Unusual(Exception):
    """The reply is not laid out as git itself does it."""


class _Collected:
    """Refs as they are read; checked together at the end."""

    def __init__(self, scope: tuple[str, ...]) -> None:
        self._scope = scope
        self._reserved = tuple(r for r in _RESERVED if r.startswith(scope))
        self._refs: dict[str, Ref] = {}
        self._count = 0
        self.head: str | None = None

    def add(
        self, names: Sequence[str], oids: Iterable[str], peeled: Iterable[str | None]
    ) -> None:
        """Take refs in any scope, given as columns."""
        scope, reserved = self._scope, self._reserved
        wanted = [name.startswith(scope) for name in names]
        if reserved:
            wanted = [
                w and not n.startswith(reserved)
                for n, w in zip(names, wanted, strict=True)
            ]
        rows = zip(names, map(_make_ref, zip(oids, peeled, strict=True)), strict=True)
        self._refs.update(compress(rows, wanted))
        self._count += sum(wanted)
        if len(self._refs) != self._count:
            msg = "upstream lists a ref twice"
            raise ProtocolError(msg)

    def peel(self, name: str, oid: str) -> None:
        """Take what an annotated tag peels to, told after the tag itself."""
        ref = self._refs.get(name)
        if ref is not None:
            self._refs[name] = ref._replace(peeled=oid)

    def snapshot(self) -> RefSnapshot:
        """Return what was read, with every name checked."""
        try:
            check_refs(self._refs.keys())
            if self.head is not None:
                check_ref(self.head)
        except InvalidName as exc:
            msg = f"upstream lists a name that git refuses: {exc}"
            raise ProtocolError(msg) from None
        return RefSnapshot(self._refs, self.head)


def read_v2(chunks: Iterable[bytes], scope: tuple[str, ...]) -> RefSnapshot:
    """Read the reply to `ls-refs`, as it came in chunks.

    Raises:
        ProtocolError, Truncated: it is not such a reply, or not all of one.
    """
    chunks = list(chunks)
    try:
        return _read_blocks(_blocks(chunks), scope)
    except _Unusual:
        # Line by line the same reply reads slowly, and errors become clear.
        normal = _normalised(b"".join(chunks))
    try:
        return _read_blocks(normal, scope)
    except _Unusual:
        msg = "the reply is not a list of refs"
        raise ProtocolError(msg) from None


def _blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Cut the reply after line feeds: where git's lines end, and all have one."""
    carry = b""
    for chunk in chunks:
        pending = carry + chunk
        cut = pending.rfind(b"\n") + 1
        carry = pending[cut:]
        if len(carry) > LONGEST:
            raise _Unusual
        if cut:
            yield pending[:cut]
    if carry != FLUSH:
        raise _Unusual


def _normalised(data: bytes) -> Iterator[bytes]:
    """Yield each line of the reply as git itself would have written it."""
    ended = False
    for payload in packets(data):
        if ended or (payload is not None and b"\n" in payload):
            msg = "the reply is not a list of refs"
            raise ProtocolError(msg)
        if payload is None:
            ended = True
        elif payload:
            yield line(payload + b"\n") if len(payload) < LONGEST - 4 else b"\n"
    if not ended:
        msg = "the reply ended before the list of refs did"
        raise Truncated(msg)


def _read_blocks(blocks: Iterable[bytes], scope: tuple[str, ...]) -> RefSnapshot:
    collected = _Collected(scope)
    first = True
    for block in blocks:
        # One character per byte: lengths are in bytes, names may not be UTF-8.
        text = block.decode("latin-1")
        if first:
            text, collected.head = _without_unborn(text)
            first = False
        _read_rows(text, collected, exotic=not block.isascii())
    return collected.snapshot()


def _without_unborn(text: str) -> tuple[str, str | None]:
    """Split off a first line that names the branch of an empty repository."""
    if not text.startswith(_UNBORN, 4):
        return text, None
    row, _, rest = text.partition("\n")
    if row[:4] != f"{len(row) + 1:04x}":
        raise _Unusual
    return rest, _name(row[4 + len(_UNBORN) :])


def _read_rows(text: str, collected: _Collected, *, exotic: bool) -> None:
    """Read whole lines, each of the length it says, with nothing between them."""
    rows = _ROW.findall(text)
    lengths = list(map(len, text.split("\n")))
    if lengths.pop() or lengths != [_LENGTHS.get(row[0]) for row in rows]:
        raise _Unusual
    if not rows:
        return
    if _ZERO in text and any(_ZERO in (row[1], row[3]) for row in rows):
        msg = "upstream lists a ref without an object"
        raise ProtocolError(msg)
    _, oids, names, peeled, rest = zip(*rows, strict=True)
    if exotic:
        names = tuple(map(_name, names))
    if any(rest):
        peeled = tuple(map(_peeled, peeled, rest))
        if names[0] == "HEAD" and collected.head is None:
            collected.head = _attribute(rest[0], "symref-target:")
    collected.add(names, oids, [oid or None for oid in peeled])


def _peeled(oid: str, rest: str) -> str:
    """Return the peeled id, also when another attribute stands before it."""
    late = None if oid or not rest else _attribute(rest, "peeled:")
    if late is None:
        return oid
    if _OID.fullmatch(late) is None:
        msg = f"upstream peels a tag to {shown(late)}, which is not an object id"
        raise ProtocolError(msg)
    return late


def _attribute(rest: str, key: str) -> str | None:
    """Return the value of one attribute of a line; unknown ones are skipped."""
    for attribute in rest.split(" "):
        if attribute.startswith(key):
            return _name(attribute.removeprefix(key))
    return None


def _name(text: str) -> str:
    """Return a name of one character per byte as the rest of the program has it."""
    if text.isascii():
        return text
    return text.encode("latin-1").decode("utf-8", "surrogateescape")


def read_advertisement(data: bytes, scope: tuple[str, ...]) -> tuple[RefSnapshot, bool]:
    """Read what a server of protocol 0 or 1 says first (gitprotocol-http(5)).

    The second value tells whether the server told what HEAD points to.

    Raises:
        ProtocolError, Truncated: it is not such an answer, or not all of one.
    """
    collected = _Collected(scope)
    known = False
    seen = False
    for payload in _advertised(data):
        text, nul, capabilities = payload.partition(b"\0")
        if nul and not seen:
            known = _take_head(capabilities, collected)
        seen = True
        _take(text.decode("utf-8", "surrogateescape"), " ", collected)
    return collected.snapshot(), known


def _advertised(data: bytes) -> Iterator[bytes]:
    """Yield the lines between the service header and the last flush."""
    lines = packets(data)
    first = next(lines, None)
    if first == b"# service=git-upload-pack":
        if next(lines, b"") is not None:
            msg = "the answer is not a list of refs"
            raise ProtocolError(msg)
        first = next(lines, None)
    if first is not None and first != b"version 1":
        yield first
    for payload in lines:
        if payload is None:
            return
        if not payload.startswith(b"shallow "):
            yield payload
    if first is not None:
        msg = "the answer ended before the list of refs did"
        raise Truncated(msg)


def _take_head(capabilities: bytes, collected: _Collected) -> bool:
    for capability in capabilities.decode("utf-8", "surrogateescape").split(" "):
        if capability.startswith("symref=HEAD:"):
            collected.head = capability.removeprefix("symref=HEAD:")
            return True
    return False


def _take(text: str, separator: str, collected: _Collected) -> None:
    """Take one line of the older lists: an object id and a name."""
    oid, _, name = text.partition(separator)
    if _OID_SHA256.fullmatch(oid) is not None:
        msg = "repositories of another object format than SHA-1 are not mirrored"
        raise ProtocolError(msg)
    if _OID.fullmatch(oid) is None or not name or (oid == _ZERO and name != _EMPTY):
        msg = f"the answer is not a list of refs: {shown(text)}"
        raise ProtocolError(msg)
    if name.endswith("^{}"):
        collected.peel(name[:-3], oid)
    else:
        collected.add([name], [oid], [None])


def read_ls_remote(data: bytes, scope: tuple[str, ...]) -> tuple[RefSnapshot, bool]:
    """Read what `git ls-remote --symref` prints; see `read_advertisement`.

    Raises:
        ProtocolError: it is not such a text.
    """
    collected = _Collected(scope)
    known = False
    for text in data.decode("utf-8", "surrogateescape").splitlines():
        if text.startswith("ref: "):
            target, _, name = text[5:].partition("\t")
            if name == "HEAD":
                collected.head = target
                known = True
        else:
            _take(text, "\t", collected)
    return collected.snapshot(), known
