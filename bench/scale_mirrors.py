"""The mirrors of a catalog as they are after a year of work: of every kind.

Most have LFS objects or releases; one in 25 is not well, each in its own way.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from syncer.model.names import GITHUB

YEAR = timedelta(days=365)
OWNERS = 397


class Rows:
    """Makes the rows; the same ones each time, but for the present moment."""

    def __init__(self, mirrors: int, digest: str, asked: str) -> None:
        """`digest` and `asked` are what upstream's answer is known by."""
        self.mirrors = mirrors
        self.now = datetime.now(UTC)
        self._known = {"fingerprint": digest, "asked": asked, "head": "refs/heads/main"}
        self._random = Random(6)  # noqa: S311 - a reproducible stock, no secret

    def mirror(self, number: int, stamp: str) -> dict[str, Any]:
        """Return one mirror; what ails it, if anything, follows from its number."""
        random, full = self._random, name(number)
        owner, _, last = full.rpartition("/")
        seen = self.now - timedelta(seconds=random.random() * 300)
        changed = seen - timedelta(days=random.expovariate(0.86))
        daily = random.lognormvariate(-0.5, 0.8)
        return {
            "identity": f"{GITHUB}/{full}".lower(),
            "host": GITHUB,
            "owner": owner,
            "name": last,
            "path": f"{GITHUB}/{full}.git",
            "tier": tier(number),
            "activity": "active",
            **self._known,
            "stamp": stamp,
            "ref_count": random.randint(2, 900),
            "generation": random.randint(1, 400),
            "outcome": "unchanged",
            "error": None,
            "failures": 0,
            "last_attempt": seen,
            "last_success": seen,
            "behind_since": None,
            "last_change": changed,
            "rate_hour": 0.0,
            "rate_day": daily,
            "rate_fortnight": daily * 12,
            "rate_at": changed,
            "held": None,
            "packs": random.randint(0, 9),
            "added": self.now - YEAR,
            "size": random.randint(1 << 20, 1 << 29),
            "lfs_scanned": self.now - YEAR,
            **self._content(number),
            "node_id": f"R_kgDO{number:08x}",
            "standing": "normal",
            "releases_error": None,
            "releases_failures": 0,
            **self._ailment(number, seen),
        }

    def _content(self, number: int) -> dict[str, Any]:
        """Return the counts of LFS objects, of every fourth, and of releases."""
        random, has_lfs = self._random, number % 4 == 0
        return {
            "lfs_present": random.randint(1, 300) if has_lfs else 0,
            "lfs_missing": 0,
            "lfs_size": random.randint(1 << 20, 1 << 31) if has_lfs else 0,
            "lfs_retry_at": None,
            "releases_checked": self.now - timedelta(seconds=random.random() * 3000),
            "releases_asked": "all",
            "release_count": random.randint(0, 60),
            "assets_present": random.randint(0, 200) if number % 3 else 0,
            "assets_size": random.randint(0, 1 << 30) if number % 3 else 0,
        }

    def _ailment(self, number: int, seen: datetime) -> dict[str, Any]:
        """Return what is other than in a mirror that is well; one in 25 is not."""
        since = self.now - timedelta(hours=7)
        week = self.now + timedelta(days=6)
        kinds: dict[int, dict[str, Any]] = {
            3: {"outcome": "failed", "failures": 4, "last_success": since}
            | {"error": "upstream did not answer within 60 s", "behind_since": since},
            5: {"outcome": "held", "held": _held(since)},
            7: {"activity": "paused"},
            11: {"outcome": "gone", "standing": "gone", "failures": 3}
            | {"error": "upstream does not have it any more", "last_success": since},
            13: {"standing": "archived"},
            17: {"outcome": "partial", "lfs_present": 40, "lfs_missing": 2}
            | {"lfs_size": 1 << 20, "lfs_retry_at": week},
            19: {"last_success": since, "behind_since": since},
            23: {"releases_failures": 2, "releases_error": "the API answered 502"},
            29: {"behind_since": seen},
        }
        return kinds.get(number % 200, {})


def name(number: int) -> str:
    """Return OWNER/NAME of a mirror."""
    return f"Owner{number % OWNERS}/project-{number}"


def tier(number: int) -> str:
    """Return the tier of a mirror: every tenth is a core one."""
    return "normal" if number % 10 else "core"


def _held(since: datetime) -> dict[str, Any]:
    return {
        "reason": "upstream deleted 14 of 15 branches",
        "since": since.isoformat(),
        "deletions": [f"refs/heads/topic/{n}" for n in range(14)],
        "oid": None,
        "accepted": False,
    }
