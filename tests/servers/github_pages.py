"""One page of a listing: which part, and the `Link` header (RFC 8288)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar
from urllib.parse import parse_qsl, urlencode

if TYPE_CHECKING:
    from collections.abc import Sequence

_T = TypeVar("_T")
_USUAL, _MOST = 30, 100
#: "Only the first 10000 results are available."
REACHABLE = 10_000


class Asked(NamedTuple):
    """Which page of how many is wanted, and what else the query said."""

    number: int
    per_page: int
    others: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, query: str) -> Asked:
        """Read a query; what is no number counts as if it were not there."""
        pairs = parse_qsl(query, keep_blank_values=True)
        fields = dict(pairs)
        return cls(
            max(1, _number(fields.get("page"), 1)),
            min(_MOST, max(1, _number(fields.get("per_page"), _USUAL))),
            tuple(pair for pair in pairs if pair[0] != "page"),
        )

    @property
    def is_reachable(self) -> bool:
        """Whether GitHub gives this page at all."""
        return (self.number - 1) * self.per_page < REACHABLE

    def cut(self, values: Sequence[_T]) -> Sequence[_T]:
        """Return the values on this page."""
        begin = (self.number - 1) * self.per_page
        return values[begin : begin + self.per_page]

    def link(self, url: str, total: int) -> str | None:
        """Return the `Link` header; None where there is one page only."""
        last = max(1, -(-total // self.per_page))
        relations = {}
        if self.number > 1:
            relations["prev"] = min(self.number - 1, last)
        if self.number < last:
            relations |= {"next": self.number + 1, "last": last}
        if self.number > 1:
            relations["first"] = 1
        parts = [
            f'<{url}?{self._query(page)}>; rel="{relation}"'
            for relation, page in relations.items()
        ]
        return ", ".join(parts) or None

    def _query(self, page: int) -> str:
        return urlencode([*self.others, ("page", str(page))])


def _number(text: str | None, usual: int) -> int:
    return int(text) if text is not None and text.isdecimal() else usual
