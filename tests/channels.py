"""Channels of Apprise, as tests open them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncer.alerting import Alert, addressed
from syncer.notify.channels import opened

if TYPE_CHECKING:
    from syncer.notify.channels import AppriseChannel


def alert(address: str, name: str = "ops") -> Alert:
    """Return a channel as it is configured."""
    variable = f"SYNCER_ALERT_{name.upper()}"
    return addressed(Alert(name=name), {variable: address})


def reached(address: str) -> AppriseChannel:
    """Return a channel as it is reached, without the breaks between messages."""
    (channel,) = opened([alert(address)])
    channel._way.request_rate_per_sec = 0  # noqa: SLF001 - Apprise waits 5 s before the next
    return channel
