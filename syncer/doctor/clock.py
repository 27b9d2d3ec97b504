"""D02: whether this machine's clock is right, and kept so."""

from __future__ import annotations

import ctypes
import sys
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from syncer import __version__
from syncer.doctor.aside import answers
from syncer.doctor.findings import doubtful, fine, unseen, wrong
from syncer.doctor.site import nobody
from syncer.errors import SyncerError
from syncer.upstream.failures import dated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from syncer.doctor.findings import Finding
    from syncer.doctor.site import Site

#: Seconds: S3 takes no signature that is older than fifteen minutes.
SUSPECT, BROKEN = 2.0, 300.0
#: Hosts that are asked what time it is.
_ASKED = 3
_UNSYNCHRONISED = 0x0040  # STA_UNSYNC of adjtimex(2)
_KEPT = "/run/systemd/timesync/synchronized"
_FIX = "systemctl enable --now systemd-timesyncd (or chrony); timedatectl tells"


class Offset(NamedTuple):
    """How far our clock is ahead of another's, in seconds, and how sure that is."""

    seconds: float
    within: float

    @property
    def least(self) -> float:
        """What it is off by at least."""
        return max(0.0, abs(self.seconds) - self.within)


class _Timex(ctypes.Structure):
    """The first fields of `struct timex` on 64 bit; see adjtimex(2)."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("frequency", ctypes.c_long),
        ("most", ctypes.c_long),
        ("estimated", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def offset(date: datetime, before: datetime, after: datetime) -> Offset:
    """Return how far we are ahead of an answer's date, which has whole seconds."""
    trip = (after - before).total_seconds()
    middle = before + (after - before) / 2
    return Offset((middle - date).total_seconds() - 0.5, 0.5 + trip / 2)


def is_kept(site: Site) -> bool | None:
    """Return whether something sets the clock; None if that cannot be told."""
    if site.file(_KEPT).exists():
        return True
    adjtimex = getattr(ctypes.CDLL(None, use_errno=True), "adjtimex", None)
    if adjtimex is None or sys.maxsize <= 1 << 32:
        return None
    state = _Timex()
    if adjtimex(ctypes.byref(state)) < 0:
        return None
    return not state.status & _UNSYNCHRONISED


def clock(site: Site) -> Iterator[Finding]:
    """Look whether the clock is right, and kept so."""
    yield from kept(site)
    if not site.offline and site.settings is not None:
        yield from compared(site)


def kept(site: Site) -> Iterator[Finding]:
    """Look whether something sets the clock."""
    match is_kept(site):
        case None:
            yield unseen("whether something sets the clock cannot be told")
        case False:
            yield doubtful("nothing sets this machine's clock", _FIX)
        case True:
            yield fine("something sets this machine's clock")


def compared(site: Site) -> Iterator[Finding]:
    """Compare the clock with those of upstream's hosts."""
    hosts = sorted(site.config.hosts)[:_ASKED]
    told = answers([partial(_asked, site, name) for name in hosts])
    found = [
        (name, each) for name, each in zip(hosts, told, strict=True) if each is not None
    ]
    if not found:
        yield unseen("no host told what time it is there")
        return
    yield judged(found)


def judged(found: list[tuple[str, Offset]]) -> Finding:
    """Return what several clocks say of ours: most of them are right."""
    name, told = sorted(found, key=lambda each: each[1].least)[len(found) // 2]
    way = "ahead of" if told.seconds > 0 else "behind"
    text = f"the clock is {abs(told.seconds):.0f} s {way} that of {name}"
    if told.least > BROKEN:
        return wrong(f"{text}: signatures and tokens are refused", _FIX)
    if told.least > SUSPECT:
        return doubtful(f"{text}: lag is told wrongly", _FIX)
    return fine(f"the clock agrees with {name}, within {told.within:.1f} s")


def _asked(site: Site, name: str) -> Offset | None:
    """Return what a host's answer to a second request says; the first connects."""
    host = nobody(site.config.target_host(name))
    if host.protocol == "ssh":
        return None
    session = site.session()
    try:
        channel = session.channel(host)
        for _ in range(2):
            before = site.clock.now()
            agent = {"User-Agent": f"syncer/{__version__}"}
            with channel.opened("HEAD", "/", agent) as answer:
                after, date = site.clock.now(), dated(answer.headers)
    except SyncerError:
        return None  # D12 says why
    finally:
        session.close()
    return None if date is None else offset(date, before, after)
