"""The pointer file that git holds instead of an LFS object.

docs/spec.md of git-lfs says what a pointer should be; what counts here is what
its `DecodePointer` accepts, which is more: an object that a client would ask
for must not be missed.
"""

from __future__ import annotations

import re

from syncer.model.lfs import LfsPointer

#: A pointer has at least so many bytes, one of the shortest version there is.
MIN_POINTER = 114
#: A pointer has fewer bytes than this (docs/spec.md).
MAX_POINTER = 1024

# What Go's `bytes.TrimSpace` takes away: white space of Unicode, as UTF-8.
_SPACE = (
    rb"(?:[\t\n\v\f\r ]|\xc2[\x85\xa0]|\xe1\x9a\x80"
    rb"|\xe2\x80[\x80-\x8a\xa8\xa9\xaf]|\xe2\x81\x9f|\xe3\x80\x80)*+"
)
# Extensions may stand anywhere before the size, and blank lines everywhere.
# Every repetition is possessive: hostile bytes are refused in linear time.
_EXTRA = rb"((?:ext-[0-9]-\w[^ \n]*+ [^\n]*+\n|\r?\n)*+)"
_VERSION = (
    rb"version (?:https://git-lfs\.github\.com/spec/v1"
    rb"|https://hawser\.github\.com/spec/v1|http://git-media\.io/v/2)\r?\n"
)
_POINTER = re.compile(
    _SPACE
    + _EXTRA
    + _VERSION
    + _EXTRA
    + rb"oid sha256:([0-9a-f]{64})\r?\n"
    + _EXTRA
    + rb"size ([+-]?[0-9]++)"
    + _SPACE
)
_EXTENSION = re.compile(rb"(ext-([0-9])-[^ \n]++) ([^\n]*+)\n")
_VALUE = re.compile(rb"sha256:[0-9a-f]{64}\r?")
_MAX_SIZE = (1 << 63) - 1


def parse_pointer(data: bytes) -> LfsPointer | None:
    """Return what a blob points to, None when it is not a pointer.

    Never raises.  An empty blob stands for an empty object, which nobody needs
    to store: it is not a pointer here.
    """
    if not MIN_POINTER <= len(data) < MAX_POINTER:
        return None
    found = _POINTER.fullmatch(data)
    if found is None:
        return None
    before, between, oid, after, digits = found.groups()
    size = int(digits)
    if not 0 <= size <= _MAX_SIZE or not _are_extensions(before + between + after):
        return None
    return LfsPointer(oid.decode(), size)


def _are_extensions(lines: bytes) -> bool:
    """Return whether each has a digest, and a priority that no other one has.

    Of two lines with one key the last counts, as in the reference client.
    """
    listed = _EXTENSION.findall(lines)
    values = {key: value for key, _, value in listed}
    priorities = {key: priority for key, priority, _ in listed}
    if len(set(priorities.values())) < len(priorities):
        return False
    return all(_VALUE.fullmatch(value) for value in values.values())
