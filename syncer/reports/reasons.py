"""Why runs failed, put together so that the same trouble is one line (pure).

A reason is upstream's text in part: nothing in it can steer a terminal or a page.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from syncer.model.names import RepoName

_LONGEST = 120
#: Object ids and digests, addresses, and counts: what differs between like reasons.
_IDS = re.compile(r"\b[0-9a-f]{7,64}\b")
_ADDRESS = re.compile(r"https?://([^\s/`'\"]+)[^\s`'\",;]*")
_COUNT = re.compile(
    r"\b\d[\d,]*(?:\.\d+)?(?= (?:bytes|MiB|s|objects?|assets?|refs?)\b)"
)
#: How our sentences end: it is the same for all.
_UNCHANGED = re.compile(
    r"; [^;]*(?:unchanged|not changed|nothing was \w+|kept as it is)$"
)


def plain(text: str) -> str:
    """Return text as one line that shows every character it has."""
    line = " ".join(text.split())
    return "".join(c if c.isprintable() else "\ufffd" for c in line)


def clipped(text: str, most: int = _LONGEST) -> str:
    """Return a line cut at a length."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def reason(error: str | None, name: RepoName) -> str:
    """Return an error without what is this mirror's and this run's alone."""
    text = plain(error or "") or "no reason was recorded"
    for spelled in (str(name), name.short, f"{name.owner}/{name.name}"):
        text = re.sub(
            rf"{re.escape(spelled)}(?:\.git)?", "NAME", text, flags=re.IGNORECASE
        )
    text = _ADDRESS.sub(r"https://\1/…", text)
    text = _COUNT.sub("N", _IDS.sub("…", text))
    return clipped(_UNCHANGED.sub("", text))
