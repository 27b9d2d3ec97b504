"""A catalog as it is after a year of work for very many mirrors, by bulk inserts.

Every state there is has its mirrors, most have LFS objects or releases, and what a
year leaves behind is there: runs, published changes (`pushes.MEAN_RATE` a day and
mirror within the last month), incidents, samples of storage, blobs, audit events.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from random import Random
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert

from bench import pushes
from syncer.catalog import database
from syncer.catalog.blob_tables import blob as blob_table
from syncer.catalog.operations_tables import counter, storage_sample
from syncer.catalog.operations_tables import incident as incident_table
from syncer.catalog.operations_tables import machine as machine_table
from syncer.catalog.origin_tables import origin
from syncer.catalog.tables import audit_event, lag_sample, mirror, run
from syncer.model.incidents import Kind
from syncer.model.names import GITHUB

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine, Table

YEAR = timedelta(days=365)
MONTH = timedelta(days=30)
RUNS, BLOBS, EVENTS, INCIDENTS = 200_000, 300_000, 50_000, 3_000
OWNERS = 397
MACHINE = "mirror-1"
_CHUNK = 5_000
_DAY = 86_400


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


def fill(url: str, rows: Rows, stamps: list[str]) -> None:
    """Put the whole stock into a migrated, empty catalog."""
    engine = database.connect(url)
    for table, found in _tables(rows, stamps):
        _insert(engine, table, found)
    with engine.begin() as conn:
        _settle(conn)
    engine.dispose()


def _tables(
    rows: Rows, stamps: list[str]
) -> Iterator[tuple[Table, Iterator[dict[str, Any]]]]:
    every = (rows.mirror(n, stamp) for n, stamp in enumerate(stamps))
    yield mirror, (_whole(row) for row in every)
    yield origin, _origins(rows)
    yield run, _runs(rows)
    yield lag_sample, _lag(rows)
    yield blob_table, _blobs(rows)
    yield audit_event, _events(rows)
    yield incident_table, _incidents(rows)
    yield storage_sample, _samples(rows)
    yield machine_table, iter([_machine(rows)])
    yield counter, _counters()


def _insert(engine: Engine, table: Table, rows: Iterator[dict[str, Any]]) -> None:
    chunk: list[dict[str, Any]] = []
    with engine.begin() as conn:
        for row in rows:
            chunk.append(row)
            if len(chunk) == _CHUNK:
                conn.execute(insert(table), chunk)
                chunk = []
        if chunk:
            conn.execute(insert(table), chunk)


def _whole(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with every counted column, so that all are of one shape."""
    counts = ("lfs_damaged", "assets_missing", "assets_damaged")
    return dict.fromkeys(counts, 0) | row


def _origins(rows: Rows) -> Iterator[dict[str, Any]]:
    for number in range(rows.mirrors):
        owner, _, last = name(number).rpartition("/")
        yield {
            "mirror_id": number + 1,
            "forge_id": 100_000 + number,
            "node_id": f"R_kgDO{number:08x}",
            "host": GITHUB,
            "owner": owner,
            "name": last,
            "default_branch": "main",
            "private": number % 50 == 0,
            "archived": number % 200 == 13,
            "disabled": False,
            "fork": False,
            "licence": "Apache-2.0",
            "topics": ["llm"],
            "size": 1 << 20,
            "standing": "normal",
            "sightings": 0,
            "described": rows.now,
        }


def _runs(rows: Rows) -> Iterator[dict[str, Any]]:
    step = YEAR / RUNS
    for number in range(RUNS):
        ended = rows.now - YEAR + step * number
        failed = number % 40 == 0
        yield {
            "mirror_id": number * 7919 % rows.mirrors + 1,
            "trigger": "schedule",
            "started": ended - timedelta(seconds=20),
            "stage": "fetching" if failed else "recording",
            "outcome": "failed" if failed else "changed",
            "ended": ended,
            "error": "upstream did not answer within 60 s" if failed else None,
            "exit_code": 5 if failed else 0,
            "counts": {} if failed else {"moved": 2, "created": 1},
            "objects": number % 900,
            "received": number % 90_000_000,
            "generation": number // rows.mirrors,
            "notes": [],
        }


def _lag(rows: Rows) -> Iterator[dict[str, Any]]:
    """Yield a month of samples as they come in, and older ones more thinly."""
    random = Random(7)  # noqa: S311 - as above
    lately = int(pushes.MEAN_RATE * MONTH.days * rows.mirrors)
    older = int(pushes.MEAN_RATE * YEAR.days * rows.mirrors) // 20
    spans = [(YEAR, older), (MONTH, lately)]
    for ago, count in spans:
        for number in range(count):
            at = rows.now - ago + ago * number / count
            yield {
                "mirror_id": random.randint(1, rows.mirrors),
                "component": "refs" if number % 9 else "releases",
                "observed": at - timedelta(seconds=random.lognormvariate(3, 1.5)),
                "published": at,
            }


def _blobs(rows: Rows) -> Iterator[dict[str, Any]]:
    digests = sorted(sha256(b"%d" % n).hexdigest() for n in range(BLOBS))
    for number, digest in enumerate(digests):
        stored = rows.now - timedelta(minutes=number)
        yield {
            "digest": digest,
            "size": number % 9_000_000,
            "stored": stored,
            "verified": stored,
            "provenance": f"lfs {name(number % rows.mirrors)}",
        }


def _events(rows: Rows) -> Iterator[dict[str, Any]]:
    for number in range(EVENTS):
        yield {
            "at": rows.now - YEAR + YEAR * number / EVENTS,
            "actor": "syncer",
            "action": "renamed" if number % 3 else "force-push",
            "subject": f"{GITHUB}/{name(number % rows.mirrors)}",
            "detail": "refs/heads/main was rewound",
            "alarming": False,
        }


def _incidents(rows: Rows) -> Iterator[dict[str, Any]]:
    kinds = [Kind.LATE, Kind.FAILING, Kind.HELD, Kind.FORCE_PUSH]
    for number in range(INCIDENTS):
        began = rows.now - YEAR + YEAR * number / INCIDENTS
        lasts = number > INCIDENTS - 100
        yield {
            "kind": kinds[number % 3 if lasts else number % 4].value,
            "subject": f"{GITHUB}/{name(number % rows.mirrors)}".lower(),
            "began": began,
            "ended": None if lasts else began + timedelta(hours=2),
            "detail": "its lag is 3 h, the target 2 h",
            "mirror_id": number % rows.mirrors + 1,
            "told": began,
        }


def _samples(rows: Rows) -> Iterator[dict[str, Any]]:
    hours = YEAR.days * 24
    for number in range(hours):
        used = (2 << 40) + number * (1 << 26)
        yield {
            "at": rows.now - timedelta(hours=hours - number),
            "machine": MACHINE,
            "free": (8 << 40) - used,
            "capacity": 8 << 40,
            "git": used // 2,
            "lfs": used // 3,
            "assets": used // 3,
            "blobs": used // 2,
        }


def _machine(rows: Rows) -> dict[str, Any]:
    return {
        "name": MACHINE,
        "version": "1",
        "roles": ["scheduler", "worker", "web"],
        "started": rows.now - timedelta(days=9),
        "seen": rows.now,
        "leader": 1,
        "running": 2,
        "waiting": 3,
        "oldest": rows.now - timedelta(seconds=4),
        "capacity": 4,
        "tick": 0.2,
        "allowances": [],
    }


def _counters() -> Iterator[dict[str, Any]]:
    for counted, label, value in (
        ("syncs", "changed", 195_000.0),
        ("syncs", "failed", 5_000.0),
        ("probes", "unchanged", 2.6e8),
        ("bytes", "git", 3.1e12),
        ("sync_seconds_sum", "", 4e6),
        ("blob_bytes", "", 1.3e12),
    ):
        yield {"name": counted, "label": label, "value": value}


def _settle(conn: Connection) -> None:
    """Let the engine look at what it has got, as it does by itself in a year."""
    conn.exec_driver_sql("ANALYZE")
