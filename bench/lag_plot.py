"""Draws how large a share of pushes was seen within which time, as SVG."""

from __future__ import annotations

import math
from html import escape
from typing import NamedTuple

_WIDTH, _HEIGHT = 860, 470
_LEFT, _TOP, _RIGHT, _BOTTOM = 70, 50, 230, 60
_COLORS = ("#888888", "#d9822b", "#1f77b4", "#bbbbbb", "#f0b36e", "#7fb4dd")
#: From ten seconds to a day, on a logarithmic scale.
_LEAST, _MOST = 10.0, 86_400.0
_TICKS = ((10, "10 s"), (60, "1 min"), (600, "10 min"), (3600, "1 h"), (86_400, "1 d"))
_POINTS = 200


class Curve(NamedTuple):
    """One policy: its name, and the sorted lags in seconds."""

    name: str
    lags: list[float]


def curves(title: str, those: list[Curve]) -> str:
    """Return a picture of cumulative distributions, one line each."""
    size = f'width="{_WIDTH}" height="{_HEIGHT}"'
    namespace = "http://www.w3.org/2000/svg"
    font = 'font-family="sans-serif" font-size="12"'
    parts = [
        f'<svg xmlns="{namespace}" {size} {font}>',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<text x="{_LEFT}" y="28" font-size="16">{escape(title)}</text>',
        *_axes(),
    ]
    for place, curve in enumerate(those):
        color = _COLORS[place % len(_COLORS)]
        parts.append(
            f'<polyline fill="none" stroke="{color}" stroke-width="2" '
            f'points="{_points(curve.lags)}"/>'
        )
        y = _TOP + 14 + 20 * place
        x = _WIDTH - _RIGHT + 14
        swatch = f'x1="{x}" y1="{y - 4}" x2="{x + 22}" y2="{y - 4}"'
        parts += [
            f'<line {swatch} stroke="{color}" stroke-width="3"/>',
            f'<text x="{x + 28}" y="{y}">{escape(curve.name)}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def _axes() -> list[str]:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _y(share)
        parts += [
            f'<line x1="{_LEFT}" y1="{y}" x2="{right}" y2="{y}" stroke="#e5e5e5"/>',
            f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{share:.0%}</text>',
        ]
    for seconds, label in _TICKS:
        x = _x(seconds)
        parts += [
            f'<line x1="{x}" y1="{_TOP}" x2="{x}" y2="{bottom}" stroke="#e5e5e5"/>',
            f'<text x="{x}" y="{bottom + 18}" text-anchor="middle">{label}</text>',
        ]
    middle = (_LEFT + right) / 2
    parts.append(
        f'<text x="{middle}" y="{bottom + 42}" text-anchor="middle">'
        "time from the push to the probe that sees it</text>"
    )
    return parts


def _points(lags: list[float]) -> str:
    count = len(lags)
    steps = [min(count - 1, n * count // _POINTS) for n in range(_POINTS + 1)]
    return " ".join(f"{_x(lags[n]):.1f},{_y(n / max(1, count - 1)):.1f}" for n in steps)


def _x(seconds: float) -> float:
    inside = min(max(seconds, _LEAST), _MOST)
    share = math.log(inside / _LEAST) / math.log(_MOST / _LEAST)
    return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)


def _y(share: float) -> float:
    return round(_HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM), 1)
