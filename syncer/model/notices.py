"""What people are sent when something is wrong, or is over."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Mood(StrEnum):
    """How a notice is to be taken; services colour it so."""

    ALARM = "alarm"  # something is wrong, or changed upstream
    OVER = "over"  # it is over
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Notice:
    """One message: a title of one line, and a few lines of plain text.

    Nothing in it is markup, and nothing of upstream's in it calls anybody by name.
    """

    title: str
    body: str
    mood: Mood = Mood.ALARM
