"""How much of something is here, and what one run did for it: counted alike for all."""

from __future__ import annotations

from dataclasses import dataclass, fields
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from typing import Self


@dataclass(frozen=True, slots=True)
class Counts:
    """How much of a mirror's content of one kind is here."""

    present: int = 0
    missing: int = 0
    damaged: int = 0
    #: Bytes of what is present.
    size: int = 0
    #: When the first of what is not present is asked for again.
    retry_at: datetime | None = None

    @property
    def total(self) -> int:
        """All that is wanted."""
        return self.present + self.missing + self.damaged

    @classmethod
    def summed(cls, those: Iterable[Self]) -> Self:
        """Add up the counts of mirrors; what two of them have counts twice."""
        those = list(those)
        names = [each.name for each in fields(cls) if each.name != "retry_at"]
        sums = {name: sum(map(attrgetter(name), those)) for name in names}
        retries = (each.retry_at for each in those if each.retry_at)
        return cls(**sums, retry_at=min(retries, default=None))


@dataclass(frozen=True, slots=True)
class Tally:
    """What one run did for content of one kind, and the bytes it downloaded."""

    fetched: int = 0
    #: Granted by upstream and in the store already: not downloaded.
    linked: int = 0
    missing: int = 0
    received: int = 0
