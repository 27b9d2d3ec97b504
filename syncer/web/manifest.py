"""`manifest.js.gz`: what grokmirror needs to mirror our repositories elsewhere.

As `grok-manifest` writes it (grokmirror/manifest.py in git.kernel.org's
grokmirror.git, version 2): the path of each repository that this machine keeps, below
the address that serves `DATA/git`, with the sha1 of what `git show-ref` prints in a
clone of it.  That is read from its `packed-refs` once for each publication; of
10,000 mirrors that did not change, only `stat` is asked.

`modified` is when we last saw a change, since commit dates are whatever their authors
say.  A repository without refs is left out, as grokmirror does.  Private
repositories: `View.listed`.
"""

from __future__ import annotations

import gzip
import json
from hashlib import sha1
from typing import TYPE_CHECKING, NamedTuple

from syncer import freshness

if TYPE_CHECKING:
    from datetime import datetime

    from syncer.model.mirrors import RepoState
    from syncer.ports import GitStore
    from syncer.web.view import View

_LEVEL = 5


class _Seen(NamedTuple):
    stamp: str
    fingerprint: str | None  # None: there are no refs


class Manifest:
    """Builds the document, and remembers the fingerprints; one call at a time."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def __call__(self, view: View, _now: datetime) -> bytes:
        """Return the document, compressed; the same bytes while nothing changes."""
        states = freshness.configured(view.config, view.catalog.states())
        listed = view.listed()
        entries, seen = [], {}
        for state in filter(listed, states):
            found = self._look(view.store, state.path)
            if found is None:
                continue
            seen[state.path] = found
            if found.fingerprint is not None:
                entry = _entry(state, found.fingerprint)
                entries.append(f"{json.dumps(f'/{state.path}')}: {json.dumps(entry)}")
        self._seen = seen
        document = "{" + ",\n".join(entries) + "}\n"
        return gzip.compress(document.encode(), _LEVEL, mtime=0)

    def _look(self, store: GitStore, path: str) -> _Seen | None:
        """Return the fingerprint of what is published; None: nothing is, here."""
        stamp = store.stamp(path)
        if stamp is None:
            return None
        known = self._seen.get(path)
        if known is not None and known.stamp == stamp:
            return known
        # A publication in between makes the stamp too old: it is read once more.
        lines = store.show_refs(path)
        digest = sha1(lines, usedforsecurity=False).hexdigest() if lines else None
        return _Seen(stamp, digest)


def _entry(state: RepoState, fingerprint: str) -> dict[str, object]:
    changed = state.last_change or state.added
    return {
        "description": f"mirror of {state.source.short}",
        "head": None if state.head is None else f"ref: {state.head}",
        "reference": None,
        "modified": int(changed.timestamp()) if changed is not None else 0,
        "fingerprint": fingerprint,
    }
