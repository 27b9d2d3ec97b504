"""The paper that charts are drawn on: a frame, axes, lines, words (pure).

Colours stand in classes, which the page gives a light and a dark set, and once more in
attributes, for whoever shows a chart without the page.  Every text is escaped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from syncer.reports.axes import Scale, Tick

WIDTH, HEIGHT = 480, 250
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 34, 30
_FONT = 12
_LETTER = 6.7  # the usual width of one, in the font and size above

_HEAD = f'xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {WIDTH} {HEIGHT}"'

#: What each class looks like without a page.
COLORS = {
    "blue": "#2563eb",
    "orange": "#c2570c",
    "green": "#15803d",
    "red": "#b91c1c",
    "grid": "#d9dee5",
    "word": "#3f4752",
}


@dataclass
class Paper:
    """One chart while it is drawn; `name`, a word, tells its ids from another's."""

    name: str
    title: str
    text: str
    _parts: list[str] = field(default_factory=list)

    def line(
        self,
        points: Sequence[tuple[float, float]],
        color: str,
        *,
        dashed: bool = False,
        width: float = 2,
    ) -> None:
        """Draw a line through points."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self._parts.append(
            f'<polyline class="s-{color}" points="{path}" fill="none" '
            f'stroke="{COLORS[color]}" stroke-width="{width:g}"{dash}/>'
        )

    def dot(self, x: float, y: float, color: str, told: str) -> None:
        """Draw a point that says what it is."""
        self._parts.append(
            f'<circle class="f-{color}" cx="{x:.1f}" cy="{y:.1f}" r="2.5" '
            f'fill="{COLORS[color]}"><title>{escape(told)}</title></circle>'
        )

    def box(
        self, x: float, y: float, size: tuple[float, float], color: str, told: str
    ) -> None:
        """Draw a bar that says what it is; `size` is its width and height."""
        width, height = size
        self._parts.append(
            f'<rect class="f-{color}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" '
            f'height="{height:.1f}" fill="{COLORS[color]}">'
            f"<title>{escape(told)}</title></rect>"
        )

    def word(self, x: float, y: float, text: str, anchor: str = "start") -> None:
        """Write a word."""
        self._parts.append(
            f'<text class="f-word" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" '
            f'fill="{COLORS["word"]}">{escape(text)}</text>'
        )

    def axes(
        self, x: Scale, y: Scale, across: Iterable[Tick], up: Iterable[Tick]
    ) -> None:
        """Draw the axes, with a line across for each round number."""
        for tick in up:
            at = y.at(tick.value)
            self.line([(x.start, at), (x.end, at)], "grid", width=1)
            self.word(x.start - 6, at + 4, tick.label, "end")
        free = 0.0
        for tick in across:
            at, half = x.at(tick.value), len(tick.label) * _LETTER / 2
            self.line([(at, y.start), (at, y.start + 4)], "grid", width=1)
            if at - half >= free and at + half <= WIDTH:
                self.word(at, y.start + 18, tick.label, "middle")
                free = at + half + _LETTER
        self.line([(x.start, y.start), (x.end, y.start)], "word", width=1)

    def legend(self, entries: Iterable[tuple[str, str, bool]]) -> None:
        """Name what is drawn, above it: (color, words, whether it is dashed)."""
        x = float(LEFT)
        for color, words, dashed in entries:
            self.line([(x, 14), (x + 18, 14)], color, dashed=dashed, width=3)
            self.word(x + 23, 18, words)
            x += 23 + len(words) * _LETTER + 14

    def note(self, text: str) -> None:
        """Write across the empty middle why nothing is drawn."""
        self.word((LEFT + WIDTH - RIGHT) / 2, HEIGHT / 2, text, "middle")

    def done(self) -> str:
        """Return the chart; its title and its text say what it shows."""
        ids = f"{self.name}-title {self.name}-text"
        looks = f'aria-labelledby="{ids}" font-family="sans-serif" font-size="{_FONT}"'
        return "\n".join(
            [
                f"<svg {_HEAD} {looks}>",
                f'<title id="{self.name}-title">{escape(self.title)}</title>',
                f'<desc id="{self.name}-text">{escape(self.text)}</desc>',
                *self._parts,
                "</svg>",
            ]
        )
