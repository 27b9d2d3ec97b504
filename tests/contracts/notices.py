"""What every channel has to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

from syncer.errors import Unavailable
from syncer.model.notices import Mood, Notice

if TYPE_CHECKING:
    from syncer.ports import Channel

NOTICE = Notice(
    "mirror: LATE: owner/name",
    "its lag is above the target of 15m\nNext: syncer show owner/name",
)


class Service(Protocol):
    """What a channel leads to."""

    @property
    def channel(self) -> Channel:
        """Return what is under test."""

    def got(self) -> list[str]:
        """Return what arrived, each title and body in one text."""

    def refuse(self) -> None:
        """Take nothing from here on."""


class ChannelContract:
    """A notice arrives, or an error of ours says that it did not."""

    @pytest.fixture
    def service(self) -> Service:
        """Return a service that takes everything."""
        raise NotImplementedError

    def test_what_is_sent_arrives_once(self, service: Service) -> None:
        """With its title, and each line of its body."""
        service.channel.send(NOTICE)
        (text,) = service.got()
        for part in (NOTICE.title, *NOTICE.body.splitlines()):
            assert part in text

    @pytest.mark.parametrize("mood", list(Mood))
    def test_every_mood_arrives(self, service: Service, mood: Mood) -> None:
        """Whatever a service makes of it."""
        service.channel.send(Notice("title", "body", mood))
        assert "body" in service.got()[0]

    def test_what_is_not_taken_is_an_error(self, service: Service) -> None:
        """It names the channel, and how to try it."""
        service.refuse()
        with pytest.raises(Unavailable, match="the channel ops did not take"):
            service.channel.send(NOTICE)
        assert service.got() == []

    def test_one_after_another_arrives(self, service: Service) -> None:
        """In the order in which they were sent, also the same again."""
        for title in ("first", "second", "second"):
            service.channel.send(Notice(title, "body"))
        titles = [text.partition("\n")[0] for text in service.got()]
        assert titles == ["first", "second", "second"]

    def test_letters_of_all_languages_arrive(self, service: Service) -> None:
        """As they are."""
        service.channel.send(Notice("镜像", "落后 15 分钟 — Ölgemälde"))
        assert "落后 15 分钟 — Ölgemälde" in service.got()[0]

    def test_it_says_who_it_is(self, service: Service) -> None:
        """By the configured name, and by its kind."""
        assert service.channel.name == "ops"
        assert service.channel.service.isalnum()
