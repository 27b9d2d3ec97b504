"""`syncer alert`: which channels there are, what they told, and whether they work."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.command import Inside
from tests.servers.hook import Hook

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "sEcReTkEy0123456789"
FILE = """
[[alert]]
name = "ops"
on = ["late", "disk"]
repeat = "1d"

[[alert]]
name = "dev-team"
tiers = ["core"]
"""


@pytest.fixture
def hook() -> Hook:
    """Return a webhook that takes everything."""
    return Hook()


@pytest.fixture
def syncer(
    tmp_path: Path, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Inside]:
    """Yield the command, in a place with two channels."""
    command = Inside(tmp_path)
    command.file.write_text(FILE)
    with hook.listening() as authority:
        monkeypatch.setenv("SYNCER_ALERT_OPS", f"json://{authority}/{KEY}")
        monkeypatch.setenv("SYNCER_ALERT_DEV_TEAM", "json://127.0.0.1:1/?cto=0.2")
        done = command("init")
        assert done.status == 0, done.err
        yield command


def test_the_channels_are_listed_without_their_addresses(syncer: Inside) -> None:
    """Which service each is, and what it tells."""
    done = syncer("alert", "list")
    assert done.status == 0, done.err
    assert done.out.splitlines() == [
        "CHANNEL   SERVICE  ON          TIERS  TELLS",
        "ops       json     late, disk  all    every 1d",
        "dev-team  json     all         core   once",
    ]
    assert "nothing went wrong" in done.err
    assert "Next:  syncer alert test --all" in done.err
    found = syncer("alert", "list", "--json").document()
    assert found["schema"] == "syncer.alerts/v1"
    assert [each["name"] for each in found["channels"]] == ["ops", "dev-team"]
    assert found["channels"][0]["repeat_seconds"] == 86_400
    assert found["incidents"] == []
    for text in (done.out, done.err, json.dumps(found)):
        assert KEY not in text


def test_a_test_message_is_sent(syncer: Inside, hook: Hook) -> None:
    """To the channel that was named, and to no other."""
    done = syncer("alert", "test", "ops")
    assert (done.status, done.out) == (0, "")
    assert "ops: json took it" in done.err
    ((_, body),) = hook.got
    assert json.loads(body)["title"] == "syncer: a test"


def test_a_channel_that_does_not_take_it_is_an_error(
    syncer: Inside, hook: Hook
) -> None:
    """The others are tried all the same; no address is shown."""
    done = syncer("alert", "test", "--all")
    assert done.status == 5
    assert "ops: json took it" in done.err
    assert "the channel dev-team did not take a message" in done.err
    assert len(hook.got) == 1
    hook.status = 401
    done = syncer("alert", "test", "ops")
    assert done.status == 5
    assert "it answered 401" in done.err
    assert KEY not in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nope",), "there is no channel 'nope'"),
        ((), "which channel?"),
    ],
)
def test_a_channel_has_to_be_named(
    syncer: Inside, hook: Hook, words: tuple[str, ...], said: str
) -> None:
    """Nobody is told of anything by mistake."""
    done = syncer("alert", "test", *words)
    assert done.status == 2
    assert said in done.err
    assert "nothing was sent" in done.err
    assert hook.got == []


def test_without_channels_it_says_how_to_have_one(syncer: Inside) -> None:
    """An [[alert]] in the file."""
    syncer.file.write_text("")
    for words in (("list",), ("test", "--all")):
        done = syncer("alert", *words)
        assert "[[alert]]" in done.err
    assert done.status == 2


def test_an_address_that_cannot_be_used_is_a_problem_of_the_configuration(
    syncer: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`config validate` says which, `config show` has stars."""
    assert syncer("config", "validate").status == 0
    monkeypatch.setenv("SYNCER_ALERT_OPS", f"nowhere://{KEY}")
    done = syncer("config", "validate")
    assert done.status == 2
    assert "alert ops: its address (nowhere://) is not one" in done.err
    shown = syncer("config", "show")
    assert shown.status == 0
    assert 'url = "********"' in shown.out
    for text in (done.err, done.out, shown.out, shown.err):
        assert KEY not in text
