"""git's progress lines, read into numbers."""

from __future__ import annotations

import re

from syncer.model.runs import Progress

_LINE = re.compile(
    r"^(?:remote: )?(?P<step>[A-Z][A-Za-z ]+):\s+"
    r"(?:(?P<percent>\d+)% \()?(?P<done>\d+)(?:/(?P<total>\d+)\))?"
    r"(?:, (?P<size>[\d.]+) (?P<unit>bytes|[KMG]iB))?"
    r"(?: \| (?P<rate>[\d.]+) (?P<per>bytes|[KMG]iB)/s)?"
)
_UNITS = {"bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def parse(line: str) -> Progress | None:
    """Read `Receiving objects: 45% (123/456), 1.20 MiB | 3.40 MiB/s`."""
    match = _LINE.match(line)
    if match is None:
        return None
    return Progress(
        step=match["step"].lower(),
        done=int(match["done"]),
        total=int(match["total"] or 0),
        received=_bytes(match["size"], match["unit"]),
        rate=float(_bytes(match["rate"], match["per"])),
    )


def _bytes(number: str | None, unit: str | None) -> int:
    if number is None or unit is None:
        return 0
    try:
        return int(float(number) * _UNITS[unit])
    except ValueError:
        return 0
