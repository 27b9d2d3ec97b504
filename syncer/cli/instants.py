"""Moments as people type them: `7d` ago, a date, a date and a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from syncer.units import parse_duration

if TYPE_CHECKING:
    import click


def parse(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> timedelta | datetime | None:
    """Return how long ago, or when; a time without a zone is in UTC."""
    if value is None:
        return None
    try:
        return parse_duration(value)
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(value.strip())
    except ValueError:
        import click

        msg = 'write how long ago, like "7d", or a date, like "2026-03-01"'
        raise click.BadParameter(msg, ctx, param) from None
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def resolve(moment: timedelta | datetime, now: datetime) -> datetime:
    """Return a moment that was typed, as an instant.

    Raises:
        OverflowError: it is before the calendar begins.
    """
    return now - moment if isinstance(moment, timedelta) else moment


def within(moment: timedelta | datetime | None, now: datetime) -> datetime | None:
    """Return a moment that was typed, if any; at the earliest the first there is."""
    if moment is None:
        return None
    try:
        return resolve(moment, now)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)
