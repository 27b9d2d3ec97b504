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
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_BYTES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_STEP = 1024
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


def duration(value: timedelta | None) -> str:
    """Return a time as `0.4s`, `12s`, `3m02s`, `1h05m` or `2d03h`."""
    if value is None:
        return "-"
    exact = max(0.0, value.total_seconds())
    if 0 < exact < 1:
        return f"{exact:.1f}s"
    seconds = int(exact)
    if seconds < _MINUTE:
        return f"{seconds}s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE}m{seconds % _MINUTE:02}s"
    if seconds < _DAY:
        return f"{seconds // _HOUR}h{seconds % _HOUR // _MINUTE:02}m"
    return f"{seconds // _DAY}d{seconds % _DAY // _HOUR:02}h"


def span(value: timedelta) -> str:
    """Return a time as the configuration writes it: `15m`, `1h30m`, `90d`."""
    left = value.total_seconds()
    text = ""
    for unit, length in (("d", _DAY), ("h", _HOUR), ("m", _MINUTE)):
        count, left = divmod(left, length)
        text += f"{count:.0f}{unit}" if count else ""
    return f"{text}{left:g}s" if left or not text else text


def size(count: float) -> str:
    """Return bytes in binary units: `812 B`, `148.2 MiB`."""
    unit = 0
    while count >= _STEP and unit < len(_BYTES) - 1:
        count /= _STEP
        unit += 1
    return f"{count:.0f} B" if not unit else f"{count:.1f} {_BYTES[unit]}"


def plural(count: int, noun: str, many: str | None = None) -> str:
    """Return `1 mirror`, `3 mirrors`."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"
