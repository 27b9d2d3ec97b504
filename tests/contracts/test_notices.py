"""The channels' contract, against the fake, a webhook and a mail server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.channels import reached
from tests.contracts.notices import ChannelContract, Service
from tests.fakes_notices import FakeChannel
from tests.servers.hook import Hook
from tests.servers.mail import MailServer

if TYPE_CHECKING:
    from collections.abc import Iterator


class FakeService:
    """Asks the fake what it took."""

    def __init__(self) -> None:
        self.channel = FakeChannel()

    def got(self) -> list[str]:
        return [f"{each.title}\n{each.body}" for each in self.channel.taken]

    def refuse(self) -> None:
        self.channel.refusals = 1


class Webhook:
    """A webhook of Apprise's own kind: JSON with a title and a message."""

    def __init__(self, hook: Hook, authority: str) -> None:
        self._hook = hook
        self.channel = reached(f"json://{authority}/hook")

    def got(self) -> list[str]:
        if self._hook.status != 200:
            return []
        bodies = [json.loads(body) for _, body in self._hook.got]
        return [f"{each['title']}\n{each['message']}" for each in bodies]

    def refuse(self) -> None:
        self._hook.status = 500


class Post:
    """A mail server."""

    def __init__(self, server: MailServer) -> None:
        self._server = server
        address = "mailto://127.0.0.1:{}?from=syncer@corp.example&to=ops@corp.example"
        self.channel = reached(address.format(server.port))

    def got(self) -> list[str]:
        return [
            f"{each.message['Subject']}\n{each.text}" for each in self._server.mails
        ]

    def refuse(self) -> None:
        self._server.refuses = True


class TestFakeChannel(ChannelContract):
    """The channel that other tests tell."""

    @pytest.fixture
    def service(self) -> Service:
        """Return a channel in memory."""
        return FakeService()


class TestWebhook(ChannelContract):
    """A webhook, through Apprise."""

    @pytest.fixture
    def service(self) -> Iterator[Service]:
        """Yield a webhook on loopback."""
        hook = Hook()
        with hook.listening() as authority:
            yield Webhook(hook, authority)


class TestMail(ChannelContract):
    """Mail, through Apprise."""

    @pytest.fixture
    def service(self) -> Iterator[Service]:
        """Yield a mail server on loopback."""
        server = MailServer()
        server.start()
        yield Post(server)
        server.stop()
