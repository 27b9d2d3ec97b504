"""Ways to people: a webhook, mail, a chat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from syncer.model.notices import Notice


class Channel(Protocol):
    """One address that notices are sent to.  Calls come from any thread."""

    @property
    def name(self) -> str:
        """What the configuration calls it."""

    @property
    def service(self) -> str:
        """What kind of service it is: `slack`, `mailtos`; never the address."""

    def send(self, notice: Notice) -> None:
        """Deliver a notice; it took it when this returns.

        Raises:
            Unavailable: it did not; no error says where the channel leads.
        """
