"""The page at `/`: how many mirrors are how, and where programs read on.

Whatever comes from outside is escaped; the page has no script and loads nothing.
"""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from hashlib import sha256
from html import escape
from typing import TYPE_CHECKING

from syncer.model.runs import Word

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from syncer.web.renderings import Document
    from syncer.web.view import View

_STYLE = """\
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 3rem auto; max-width: 44rem; padding: 0 1rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.5rem; }
dd { margin: 0; }
ul { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .3rem 1.5rem; }
"""
_DIGEST = b64encode(sha256(_STYLE.encode()).digest()).decode()

#: What the page may do: show its own style.
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; frame-ancestors 'none';"
    " base-uri 'none'; form-action 'none'"
)


class Front:
    """Makes the page."""

    def __init__(self, documents: Iterable[Document]) -> None:
        self._links = "".join(
            f'<dt><a href="{escape(each.path)}">{escape(each.path)}</a></dt>'
            f"<dd>{escape(each.about)}</dd>\n"
            for each in documents
        )

    def __call__(self, view: View, now: datetime) -> bytes:
        """Return the page, as of `now`."""
        counts = Counter(each.word for each in view.public(view.fresh(now)))
        items = "".join(
            f"<li><strong>{word}</strong> {counts[word]:,}</li>\n"
            for word in Word
            if counts[word]
        )
        name = escape(view.config.syncer.web.name)
        return (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width">\n'
            f"<title>{name}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
            f"<h1>{name}</h1>\n"
            f"<p>{counts.total():,} mirrors, {now:%Y-%m-%d %H:%M:%S} UTC</p>\n"
            f"<ul>\n{items}</ul>\n<dl>\n{self._links}</dl>\n</body>\n</html>\n"
        ).encode()
