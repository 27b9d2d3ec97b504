"""What went wrong, or changed upstream, so that somebody should hear of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime, timedelta


class Kind(StrEnum):
    """What an incident is about; `[[alert]] on` names these words."""

    LATE = "late"  # a lag target is missed
    FAILING = "failing"  # a mirror cannot be brought up to date
    HELD = "held"  # a mirror waits for a person
    DISK = "disk"  # free space is below the floor, or soon will be
    INTEGRITY = "integrity"  # bytes are lost or are not what they should be
    UPSTREAM = "upstream"  # gone, blocked, renamed, another repository
    LICENCE = "licence"  # upstream changed it
    FORCE_PUSH = "force-push"  # upstream rewrote history
    SCHEDULER = "scheduler"  # nobody decides who is due


@dataclass(frozen=True, slots=True)
class Incident:
    """A state that lasts from `began` to `ended`, or an event, where both are equal.

    Of one kind, subject and began there is one; of one kind and subject at most one
    is open.
    """

    kind: Kind
    #: A repository's name, a machine's, or "mirrors" for all of them.
    subject: str
    began: datetime
    detail: str
    mirror_id: int | None = None
    #: None while it lasts.
    ended: datetime | None = None
    #: The audit event it was made from.
    event_id: int | None = None
    id: int = 0
    #: When people were told of it, and of its end.
    told: datetime | None = None
    recovery_told: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether it lasts."""
        return self.ended is None

    @property
    def is_event(self) -> bool:
        """Whether it happened at one moment, so that nothing can recover."""
        return self.ended == self.began

    def lasted(self, now: datetime) -> timedelta:
        """Return how long it has lasted, or lasted."""
        return (self.ended or now) - self.began
