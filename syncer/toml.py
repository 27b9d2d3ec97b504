"""TOML of very many repositories, read fast (https://toml.io/en/v1.0.0).

Nearly all tables of a long `repos.toml` are plain: some lines of one string each.  A
stretch of these is read by one expression, five times as fast as `tomllib` does it;
all else is left to that.  What a file means, and what is wrong with it, is what
`tomllib` says: it gets whole what is not plain beyond doubt.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any

_HEADER = re.compile(r"^\[\[repo\]\]", re.MULTILINE)
# Strings without escapes, and blank lines or comments; neither with what TOML forbids.
_NAME, _STRING = r"[a-z_]+", r'[^"\\\x00-\x1f\x7f]*'
_LINE = rf'{_NAME}[ \t]*=[ \t]*"{_STRING}"[ \t]*\n'
_BLANK = r"[ \t]*(?:#[^\x00-\x08\x0a-\x1f\x7f]*)?\n"
_PAIR = re.compile(rf'^({_NAME})[ \t]*=[ \t]*"({_STRING})"', re.MULTILINE)
#: A whole table: whatever is next in the file is one, too.
_PLAIN = re.compile(rf"\[\[repo\]\][ \t]*\n((?:{_LINE}|{_BLANK})*)(?=\[|\Z)")


def loads(text: str) -> dict[str, Any]:
    """Return what a TOML document says.

    Raises:
        tomllib.TOMLDecodeError: it is not TOML.
    """
    text = text.replace("\r\n", "\n")  # as `tomllib` does
    try:
        found = _fast(text)
    except tomllib.TOMLDecodeError:
        found = None  # at which line of the whole, it is to say
    return tomllib.loads(text) if found is None else found


def _fast(text: str) -> dict[str, Any] | None:
    """Return the same if its repositories are one stretch of plain tables, else None.

    Raises:
        tomllib.TOMLDecodeError: something is wrong, maybe only in its place.
    """
    header = _HEADER.search(text)
    if header is None:
        return None
    start = end = header.start()
    tables = []
    while (table := _PLAIN.match(text, end)) is not None:
        pairs = _PAIR.findall(table[1])
        tables.append(dict(pairs))
        if len(tables[-1]) < len(pairs):
            return None  # a key is there twice
        end = table.end()
    if not tables or _HEADER.search(text, end):
        return None
    # Complete by itself, or the header stands inside of something else.
    before, after = text[:start], text[end:]
    found = tomllib.loads(before)
    if after:
        found = tomllib.loads(before + after)
    return None if "repo" in found else {**found, "repo": tables}
