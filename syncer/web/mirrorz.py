"""`mirrorz.json`: the list of mirrors as sites of github.com/mirrorz-org read it.

Format 1.7, as that repository's README has it: `status` is one letter with a time,
and further letters with times.  No header lets pages of other sites read it: a
company's list of mirrors is not every web page's to fetch; a proxy may add one.
Private repositories: `View.listed`.
"""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import TYPE_CHECKING

from syncer.model.runs import Word
from syncer.web.shown import page, shown, size

if TYPE_CHECKING:
    from datetime import datetime

    from syncer.settings import Config
    from syncer.web.shown import Shown
    from syncer.web.view import View

_VERSION = 1.7


def mirrorz(view: View, now: datetime) -> bytes:
    """Return the document, as of `now`."""
    site = {"url": site_url(view.config), "abbr": view.config.syncer.web.name}
    # One by one: encoding all at once would hold up the whole process.
    entries = ",".join(json.dumps(_entry(each)) for each in shown(view, now))
    head = json.dumps({"version": _VERSION, "site": site, "info": []})
    return f'{head[:-1]}, "mirrors": [{entries}]}}\n'.encode()


def site_url(config: Config) -> str:
    """Return the address that consumers know the HTTP face by; ends with no slash."""
    web = config.syncer.web
    if web.url is not None or web.address is None:
        return web.url or f"http://{config.machine}"
    host, port = web.address
    if _is_anywhere(host):
        host = config.machine
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _is_anywhere(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


def _entry(each: Shown) -> dict[str, object]:
    state = each.state
    entry: dict[str, object] = {
        "cname": state.name.short,
        "desc": "",
        "url": page(state.name),
        "status": _status(each),
        "help": "",
        "upstream": each.upstream,
        "size": size(state.stored) if state.stored else "",
    }
    if state.last_success is None:
        entry["disable"] = True  # there is nothing to be had yet
    return entry


def _status(each: Shown) -> str:
    state, word = each.state, each.word
    old = _mark("O", state.last_success)
    if each.syncing:
        return _mark("Y", state.last_attempt, always=True) + old
    if word in {Word.OK, Word.LATE}:
        main = _mark("S", state.last_success, always=True)
    elif word is Word.NEW:
        main = "D" + _mark("N", state.added)
    elif word in {Word.PAUSED, Word.GONE}:
        return _mark("P", state.last_success, always=True)
    else:
        main = _mark("F", state.last_attempt, always=True) + old
    return main + _mark("X", each.next)


def _mark(letter: str, at: datetime | None, *, always: bool = False) -> str:
    """Return a letter with its time; without one it is there only if `always`."""
    if at is None:
        return letter if always else ""
    return f"{letter}{int(at.timestamp())}"
