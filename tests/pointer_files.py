"""Pointer files of every kind there is, and what only looks like one."""

from __future__ import annotations

OID = "0123456789abcdef" * 4
_OTHER = b"f" * 64
_VERSION = b"version https://git-lfs.github.com/spec/v1"
_OID = b"oid sha256:" + OID.encode()
_SIZE = b"size 12345"
_NEXT = b"ext-1-b sha256:" + _OTHER
_FIRST = b"ext-0-a sha256:" + _OTHER


def _file(*lines: bytes, end: bytes = b"\n") -> bytes:
    return b"".join(line + end for line in lines)


_PLAIN = _file(_VERSION, _OID, _SIZE)
_SHORT_VERSION = b"version http://git-media.io/v/2"

#: Each points to `OID`; with the length it gives.
ACCEPTED: dict[str, tuple[bytes, int]] = {
    "as git-lfs writes it": (_PLAIN, 12345),
    "no last line break": (_PLAIN.rstrip(), 12345),
    "the shortest": (_file(_SHORT_VERSION, _OID, b"size 0").rstrip(), 0),
    "the longest": (_PLAIN.ljust(1023, b"\n"), 12345),
    "before the first release": (
        _file(b"version https://hawser.github.com/spec/v1", _OID, _SIZE),
        12345,
    ),
    "CRLF": (_file(_VERSION, _OID, _SIZE, end=b"\r\n"), 12345),
    "blank lines": (_file(b"", _VERSION, b"", b"\r", _OID, b"", _SIZE, b""), 12345),
    "white space around": (b"\n \t\n" + _PLAIN + b" \v\f\r\n", 12345),
    "white space of Unicode": (b"\xc2\xa0" + _PLAIN + b"\xe3\x80\x80\xc2\x85", 12345),
    "a sign": (_file(_VERSION, _OID, b"size +5"), 5),
    "less than nothing is nothing": (_file(_VERSION, _OID, b"size -0"), 0),
    "leading zeros": (_file(_VERSION, _OID, b"size 0005"), 5),
    "the largest": (
        _file(_VERSION, _OID, b"size 9223372036854775807"),
        2**63 - 1,
    ),
    "extensions": (_file(_VERSION, _FIRST, _NEXT, _OID, _SIZE), 12345),
    "extensions in any order": (_file(_VERSION, _NEXT, _FIRST, _OID, _SIZE), 12345),
    "an extension first": (_file(_FIRST, _VERSION, _OID, _SIZE), 12345),
    "an extension after the object": (_file(_VERSION, _OID, _FIRST, _SIZE), 12345),
    "an extension in CRLF": (_file(_VERSION, _FIRST + b"\r", _OID, _SIZE), 12345),
    "an extension with an odd name": (
        _file(_VERSION, b"ext-0-a$\xff\x00 sha256:" + _OTHER, _OID, _SIZE),
        12345,
    ),
    "one extension twice, right at last": (
        _file(_VERSION, b"ext-0-a rubbish", _FIRST, _OID, _SIZE),
        12345,
    ),
}

#: None is a pointer.
REFUSED: dict[str, bytes] = {
    "too long": _PLAIN.ljust(1024, b"\n"),
    "empty": b"",
    "blank": b"\n" * 200,
    "another version": _PLAIN.replace(b"/v1", b"/v2"),
    "another scheme": _PLAIN.replace(b"https", b"http"),
    "no version": _file(_OID, _SIZE, b"", _VERSION),
    "two versions": _file(_VERSION, _VERSION, _OID, _SIZE),
    "a space after the version": _file(_VERSION + b" ", _OID, _SIZE),
    "two spaces": _PLAIN.replace(b"oid ", b"oid  "),
    "a tab": _PLAIN.replace(b"size ", b"size\t"),
    "another order": _file(_VERSION, _SIZE, _OID),
    "another hash": _PLAIN.replace(b"sha256", b"sha512"),
    "capitals": _file(_VERSION, b"oid sha256:" + OID.upper().encode(), _SIZE),
    "a digit too much": _file(_VERSION, _OID + b"0", _SIZE),
    "a digit too few": _file(_VERSION, _OID[:-1], _SIZE),
    "no size": _file(_VERSION, _OID),
    "less than nothing": _file(_VERSION, _OID, b"size -1"),
    "larger than any": _file(_VERSION, _OID, b"size 9223372036854775808"),
    "no number": _file(_VERSION, _OID, b"size 1_000"),
    "digits of another script": _file(_VERSION, _OID, "size \u0665".encode()),
    "one more line": _file(_VERSION, _OID, _SIZE, b"more lines"),
    "a line of a space": _file(_VERSION, b" ", _OID, _SIZE),
    "a byte order mark": b"\xef\xbb\xbf" + _PLAIN,
    "a control character behind": _PLAIN + b"\x1c",
    "two carriage returns": _file(_VERSION, _OID, _SIZE, end=b"\r\r\n"),
    "an extension at the end": _file(_VERSION, _OID, _SIZE, _FIRST),
    "an extension without a digest": _file(_VERSION, b"ext-0-a x", _OID, _SIZE),
    "an extension with no value": _file(_VERSION, b"ext-0-a", _OID, _SIZE),
    "one extension twice, wrong at last": (
        _file(_VERSION, _FIRST, b"ext-0-a rubbish", _OID, _SIZE)
    ),
    "two extensions of one priority": (
        _file(_VERSION, _FIRST, _FIRST.replace(b"-a", b"-b"), _OID, _SIZE)
    ),
    "a priority of two digits": (
        _file(_VERSION, _FIRST.replace(b"-0", b"-10"), _OID, _SIZE)
    ),
    "a letter that is not ASCII": (
        _file(_VERSION, "ext-0-ä sha256:".encode() + _OTHER, _OID, _SIZE)
    ),
}
