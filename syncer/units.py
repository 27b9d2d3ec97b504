"""Durations and sizes as people write them: `"5m"`, `"200M"`, `"5%"`."""

from __future__ import annotations

import re
from datetime import timedelta

_DURATION = re.compile(r"(?P<count>[0-9]+(?:\.[0-9]+)?)(?P<unit>ms|s|m|h|d|w)")
_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_SIZE = re.compile(r"(?P<count>[0-9]+(?:\.[0-9]+)?)(?P<unit>[KMGT]?)(?:i?B)?")
_FACTORS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def parse_duration(value: object) -> timedelta:
    """Read `"90s"`, `"5m"`, `"2h"`, `"1h30m"`, `"90d"`."""
    if isinstance(value, timedelta):
        return value
    text = value.strip() if isinstance(value, str) else ""
    parts = list(_DURATION.finditer(text))
    if not parts or "".join(part[0] for part in parts) != text:
        msg = 'write a duration like "30s", "5m", "2h" or "90d"'
        raise ValueError(msg)
    try:
        return sum(
            (float(part["count"]) * _UNITS[part["unit"]] for part in parts), timedelta()
        )
    except OverflowError:
        msg = "the duration is too long"
        raise ValueError(msg) from None


def parse_size(value: object) -> int:
    """Read `"200M"`, `"10G"` or a number of bytes."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        msg = 'write a size like "200M", "10G" or a number of bytes'
        raise ValueError(msg)
    try:
        return int(float(match["count"]) * _FACTORS[match["unit"]])
    except OverflowError:
        msg = "the size is too large"
        raise ValueError(msg) from None


def parse_share(value: object) -> float:
    """Read a share of a whole: `"10%"`, or a number from 0 to 1."""
    text = value.strip() if isinstance(value, str) else ""
    try:
        if text.endswith("%"):
            return float(text[:-1]) / 100
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
    except ValueError:
        pass
    msg = 'write a share like "10%"'
    raise ValueError(msg)


def parse_floor(value: object) -> float | int:
    """Read free space: a share of the file system (`"5%"`) or a size."""
    if isinstance(value, float):
        return _share(value)
    if isinstance(value, str) and value.strip().endswith("%"):
        return _share(float(value.strip()[:-1]) / 100)
    return parse_size(value)


def _share(share: float) -> float:
    if not 0 <= share < 1:
        msg = "a share of the disk is between 0% and 100%"
        raise ValueError(msg)
    return share
