"""`tunasync.json`: the list of mirrors as tunasync's manager prints it.

The fields are those of `internal/status_web.go` in github.com/tuna/tunasync: times
as text and as seconds since 1970, both Go's zero time where there is none.  tunasync
notes when a job ended; a look that found nothing new ends in the second in which it
began, so that the beginning stands for both.  Private repositories: `View.listed`.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from syncer.model.runs import Word
from syncer.web.shown import shown, size

if TYPE_CHECKING:
    from syncer.web.shown import Shown
    from syncer.web.view import View

_STATUS = {
    Word.OK: "success",
    Word.LATE: "success",
    Word.PARTIAL: "failed",
    Word.HELD: "failed",
    Word.FAIL: "failed",
    Word.PAUSED: "paused",
    Word.GONE: "disabled",
    Word.NEW: "none",
}
#: Go's `time.Time{}`.
_NEVER = datetime.min.replace(tzinfo=UTC)


def tunasync(view: View, now: datetime) -> bytes:
    """Return the document, as of `now`."""
    # One by one: encoding all at once would hold up the whole process.
    entries = [json.dumps(_entry(each)) for each in shown(view, now)]
    return f"[{','.join(entries)}]\n".encode()


def _entry(each: Shown) -> dict[str, object]:
    state = each.state
    ended = state.last_success if each.syncing else state.last_attempt
    return {
        "name": state.name.short,
        "is_master": True,
        "status": "syncing" if each.syncing else _STATUS[each.word],
        **_time("last_update", state.last_success),
        **_time("last_started", state.last_attempt),
        **_time("last_ended", ended),
        **_time("next_schedule", each.next),
        "upstream": each.upstream,
        "size": size(state.stored) if state.stored else "unknown",
    }


def _time(key: str, at: datetime | None) -> dict[str, object]:
    at = _NEVER if at is None else at.astimezone(UTC)
    # strftime's %Y has no leading zeros on every system.
    text = f"{at.year:04}-{at:%m-%d %H:%M:%S} +0000"
    return {key: text, f"{key}_ts": int(at.timestamp())}
