"""Put load on syncer and on what it stands on, and print what it took.

    stress web http://127.0.0.1:8417    status requests, from many clients
    stress mirrors --count 200          first, quiet and stormy runs; then clones
    stress objects --config FILE        PUT and GET on the object store it names

`mirrors` makes a store, and an upstream for it, in a directory of its own: nothing of
an installation is touched.  `web` only reads; what `objects` writes, it removes.
From a checkout: make stress ARGS='web http://127.0.0.1:8417'; where the Debian package
is installed: /usr/share/syncer/stress web http://127.0.0.1:8417
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from deploy.stress.clock import Row

_COLUMNS = (
    *("LOAD", "COUNT", "ERRORS", "PER SECOND", "MB/s"),
    *("P50 ms", "P95 ms", "P99 ms", "CPU", "RSS MiB"),
)
_MANY = 1_000_000


def main(args: Sequence[str] | None = None) -> int:
    """Run one load, print its rows, and return 1 when anything failed."""
    asked = _parser().parse_args(args)
    module = import_module(f"deploy.stress.{asked.load}")
    found: Iterable[Row] = getattr(module, asked.load)(asked)
    rows = []
    for row in found:
        print(f"{row.what} ...", file=sys.stderr)
        rows.append(row)
    if asked.as_json:
        told = {"schema": "syncer.stress/v1", "rows": [asdict(row) for row in rows]}
        print(json.dumps(told, indent=2))
    else:
        print(table(rows))
        print(f"({os.cpu_count()} processors; CPU: how many of them it kept busy)")
    return 1 if any(row.errors for row in rows) else 0


def table(rows: Iterable[Row]) -> str:
    """Return rows as aligned columns."""
    cells = [_COLUMNS, *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if index else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    )


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.what,
        str(row.count),
        str(row.errors),
        *(f"{value:.1f}" for value in (row.per_second, row.mb_per_second)),
        *(f"{value:.1f}" for value in (row.p50, row.p95, row.p99)),
        "-" if row.cpu is None else f"{row.cpu:.2f}",
        "-" if row.rss_mib is None else f"{row.rss_mib:.0f}",
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stress",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    loads = parser.add_subparsers(dest="load", required=True, metavar="LOAD")
    web = loads.add_parser("web", help="status requests")
    web.add_argument("url", help="of the HTTP face, as http://127.0.0.1:8417")
    web.add_argument("--seconds", type=float, default=10, help="for each page")
    web.add_argument("--page", action="append", help="instead of the usual ones")
    web.add_argument("--token-file", type=Path, help="what it asks readers for")
    web.add_argument("--pid", type=int, help="of syncer, whose cost is then told")
    mirrors = loads.add_parser("mirrors", help="runs and clones")
    mirrors.add_argument("--count", type=_positive, default=100, help="of mirrors")
    mirrors.add_argument("--kib", type=_positive, default=256, help="of each")
    mirrors.add_argument("--workers", type=_positive, default=4, help="`workers`")
    mirrors.add_argument("--dir", type=Path, help="where the store is made")
    mirrors.add_argument(
        "--syncer", default=f"{sys.executable} -m syncer", help="the program"
    )
    objects = loads.add_parser("objects", help="PUT and GET")
    objects.add_argument("--config", type=Path, required=True, help="a repos.toml")
    objects.add_argument("--count", type=_positive, default=64, help="of objects")
    objects.add_argument("--kib", type=_positive, default=8192, help="of each")
    for load, clients in ((web, 50), (mirrors, 4), (objects, 8)):
        load.add_argument("--clients", type=_positive, default=clients)
        load.add_argument("--json", dest="as_json", action="store_true")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if not 0 < value < _MANY:
        raise ValueError(text)
    return value


if __name__ == "__main__":
    sys.exit(main())
