"""A catalog as it is after a year of work for very many mirrors, by bulk inserts.

The mirrors are those of `scale_mirrors`, and what a year leaves behind is there: runs,
published changes (`pushes.MEAN_RATE` a day and mirror within the last month),
incidents, samples of storage, blobs, audit events.
"""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from itertools import chain
from random import Random
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert

from bench import pushes
from bench.scale_mirrors import YEAR, Rows, name, tier
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

__all__ = ["MACHINE", "Rows", "fill", "name", "tier"]

MONTH = timedelta(days=30)
RUNS, BLOBS, EVENTS, INCIDENTS = 200_000, 300_000, 50_000, 3_000
MACHINE = "mirror-1"
_CHUNK = 5_000


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
    if engine.dialect.name == "postgresql" and table in {lag_sample, blob_table}:
        _copy(engine, table, rows)
        return
    chunk: list[dict[str, Any]] = []
    with engine.begin() as conn:
        for row in rows:
            chunk.append(row)
            if len(chunk) == _CHUNK:
                conn.execute(insert(table), chunk)
                chunk = []
        if chunk:
            conn.execute(insert(table), chunk)


def _copy(engine: Engine, table: Table, rows: Iterator[dict[str, Any]]) -> None:
    """Do the same as `COPY` does it, in a fifth of the time."""
    first = next(rows)
    names = ", ".join(first)
    types = [table.c[key].type.dialect_impl(engine.dialect) for key in first]
    binds = [kind.bind_processor(engine.dialect) for kind in types]
    with engine.begin() as conn:
        cursor: Any = conn.connection.cursor()
        with cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as copy:
            for row in chain([first], rows):
                pairs = zip(binds, row.values(), strict=True)
                copy.write_row([bind(v) if bind else v for bind, v in pairs])


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
