"""What a check found, in words, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is; SKIP was not looked at."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"
    SKIP = "SKIP"


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence; `fix` says what to type, or to change, if anything."""

    level: Level
    text: str
    fix: str | None = None


def fine(text: str) -> Finding:
    """Return that something is as it should be."""
    return Finding(Level.OK, text)


def doubtful(text: str, fix: str) -> Finding:
    """Return what works, and costs something or will break."""
    return Finding(Level.WARN, text, fix)


def wrong(text: str, fix: str | None) -> Finding:
    """Return what does not work, or loses something."""
    return Finding(Level.FAIL, text, fix)


def unseen(text: str, fix: str | None = None) -> Finding:
    """Return why something was not looked at."""
    return Finding(Level.SKIP, text, fix)


def some(count: int, noun: str) -> str:
    """Return `1 mirror`, `3 mirrors`."""
    return f"{count:,} {noun if count == 1 else noun + 's'}"


def or_fine(found: list[Finding], text: str) -> list[Finding]:
    """Return what was found, or that all is well where nothing was."""
    return found or [fine(text)]
