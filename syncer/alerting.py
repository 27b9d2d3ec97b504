"""Whom to tell of what: `[[alert]]`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, PrivateAttr

from syncer.credentials import Secret, alert_url_of, parts_of
from syncer.endpoints import Model
from syncer.model.incidents import Incident, Kind
from syncer.wanted import Interval

if TYPE_CHECKING:
    from collections.abc import Mapping


def _check_name(value: str) -> str:
    if re.fullmatch(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?", value) is None:
        msg = "a name is of small letters, digits and dashes"
        raise ValueError(msg)
    return value


class Alert(Model):
    """One channel, and what it carries.

    Its address usually has a secret in it, so it is no key: it comes from the
    credential `alert-NAME`, from `url_file` or from `SYNCER_ALERT_<NAME>`.
    """

    name: Annotated[str, AfterValidator(_check_name)]
    #: What it tells of.
    on: tuple[Kind, ...] = tuple(Kind)
    #: Mirrors of these tiers only; empty: all.  What is of no mirror always passes.
    tiers: tuple[str, ...] = ()
    #: Tell again of what still lasts, after so long; None: once.
    repeat: Interval | None = None
    #: Tell when it is over, too.
    recovery: bool = True
    url_file: Path | None = None

    _url: Secret | None = PrivateAttr(default=None)

    @property
    def url(self) -> Secret | None:
        """Where it leads, as Apprise writes it (mailto://, slack://, ...)."""
        return self._url

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Its address, and what in it could give it away alone."""
        return () if self._url is None else (self._url, *parts_of(self._url))

    def carries(self, incident: Incident, tier: str | None) -> bool:
        """Return whether it tells of an incident; `tier` is its mirror's."""
        in_tier = tier is None or not self.tiers or tier in self.tiers
        return incident.kind in self.on and in_tier


def addressed(alert: Alert, environ: Mapping[str, str]) -> Alert:
    """Return a channel with its address filled in.

    Raises:
        ConfigError: the address cannot be read.
    """
    copy = alert.model_copy()
    copy._url = alert_url_of(alert.name, alert.url_file, environ)  # noqa: SLF001 - a fresh copy of our own model
    return copy
