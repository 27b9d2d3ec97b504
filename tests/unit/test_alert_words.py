"""What messages say: little, plainly, and nothing that upstream could make do."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.model.incidents import Incident, Kind
from syncer.model.notices import Mood
from syncer.notify.alerts import Phase
from syncer.notify.words import BURST, Message, Sender, messages, plain, trial
from tests.fakes import NOW

SENDER = Sender("mirror", "https://mirror.corp")
HOUR = timedelta(hours=1)


def incident(id_: int = 1, detail: str = "why", kind: Kind = Kind.LATE) -> Incident:
    """Return an incident that began an hour ago."""
    subject = f"owner/name{id_}"
    return Incident(kind, subject, NOW - HOUR, detail, mirror_id=id_, id=id_)


def made(*those: Incident, phase: Phase = Phase.NEWS, sent: int = 0) -> list[Message]:
    """Return the messages about incidents of two hosts."""
    hosts = {each.id: "a.test" if each.id % 2 else "b.test" for each in those}
    say = [(each, phase) for each in those]
    return messages(say, hosts, dict.fromkeys(Kind, sent), SENDER, NOW)


def test_few_are_told_one_by_one_and_many_at_once_by_host() -> None:
    """Every incident is in one message."""
    few = made(incident(1), incident(3))
    assert [each.notice.title for each in few] == [
        "mirror: LATE: owner/name1",
        "mirror: LATE: owner/name3",
    ]
    many = made(*(incident(index) for index in range(1, 41)))
    assert [each.notice.title for each in many] == [
        "mirror: LATE: 20 mirrors of a.test",
        "mirror: LATE: 20 mirrors of b.test",
    ]
    assert sorted(sum((each.ids for each in many), ())) == list(range(1, 41))


def test_what_does_not_fit_waits() -> None:
    """Three messages of a kind, and no more for now."""
    assert made(incident(), sent=BURST) == []
    assert len(made(incident(1), incident(3), sent=BURST - 1)) == 1


def test_many_that_share_a_reason_say_it_once() -> None:
    """The others have their own beside their name."""
    those = [incident(index, "no route") for index in range(1, 11, 2)]
    (message,) = made(*those, incident(99, "401"))
    assert message.notice.body.splitlines() == [
        "no route (5)",
        *(f"- owner/name{index}" for index in range(1, 11, 2)),
        "- owner/name99: 401",
        "Next: syncer lag",
        "https://mirror.corp",
    ]


@pytest.mark.parametrize("phase", list(Phase))
def test_the_title_says_how_things_stand(phase: Phase) -> None:
    """Begun, lasting, over."""
    over = replace(incident(), ended=NOW)
    (message,) = made(over, phase=phase)
    starts = {
        Phase.NEWS: "mirror: LATE: owner/name1",
        Phase.AGAIN: "mirror: still LATE: owner/name1",
        Phase.PAST: "mirror: was LATE, is over: owner/name1",
        Phase.OVER: "mirror: over: LATE: owner/name1",
    }
    assert message.notice.title == starts[phase]
    calm = phase in {Phase.PAST, Phase.OVER}
    assert message.notice.mood is (Mood.OVER if calm else Mood.ALARM)
    assert "1h00m" in message.notice.body


@pytest.mark.parametrize(
    "text",
    [
        "@everyone",
        "<!channel>",
        "<@U123>",
        '<at user_id="all">all</at>',
        "[click](http://evil.test)",
        "<b>",
        "Subject\r\nBcc: x@evil.test",
        "\x1b[31m\u202eevil\u2066",
        "\udcff",
    ],
)
def test_what_upstream_says_calls_nobody_and_links_nowhere(text: str) -> None:
    """Neither in a title nor in a body."""
    (message,) = made(replace(incident(detail=text), subject=f"x {text}"))
    for part in (message.notice.title, *message.notice.body.splitlines()):
        assert part.isprintable()
        assert not set("@<>") & set(part)
        assert "](" not in part


@given(st.lists(st.text(min_size=1), min_size=1, max_size=60))
def test_a_message_fits_the_smallest_service(texts: list[str]) -> None:
    """WeCom takes 2,048 bytes; what to do next is never cut."""
    those = [
        replace(incident(index * 2 + 1, text * 50), subject=text)
        for index, text in enumerate(texts)
    ]
    for each in made(*those):
        assert len(each.notice.title) <= 120
        assert len(each.notice.body.encode()) <= 1704
        assert each.notice.body.splitlines()[-1] == "https://mirror.corp"
        assert each.notice.body.splitlines()[-2].startswith("Next: syncer ")


def test_plain_text_stays_as_it_is() -> None:
    """Names and dots are no markup."""
    text = "`refs/heads/main` 1234567..89abcde; the old tips are kept"
    assert plain(text) == text


def test_a_trial_says_that_it_is_one() -> None:
    """Nobody gets up for it."""
    notice = trial("ops", SENDER)
    assert notice.mood is Mood.TEST
    assert "Nothing is wrong" in notice.body
