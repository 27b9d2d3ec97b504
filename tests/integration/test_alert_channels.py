"""Channels through Apprise: where messages go, what is refused, what is never told."""

from __future__ import annotations

import io
import json
import logging
import time
from typing import TYPE_CHECKING

import pytest
from requests import PreparedRequest, Response

from syncer.errors import ConfigError, Unavailable
from syncer.model.notices import Mood, Notice
from syncer.notify import channels
from syncer.notify.channels import opened, service_of
from tests.channels import alert, reached
from tests.servers.hook import Hook

if TYPE_CHECKING:
    from collections.abc import Iterator

NOTICE = Notice("mirror: LATE: owner/name", "behind\nNext: syncer show owner/name")
#: Parts of addresses that must never be seen.
KEY = "sEcReTkEy0123456789abcdef"
SLACK = f"slack://T1JJ3T3L2/A1BRTD4JD/{KEY[:24]}/"


class Transport:
    """Stands in for the network below `requests`: it keeps what would have left."""

    def __init__(self, answer: bytes = b"{}", status: int = 200) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self._answer = answer
        self._status = status

    def send(self, request: PreparedRequest, **_named: object) -> Response:
        """Keep a request, and answer it."""
        body = request.body
        raw = body if isinstance(body, bytes) else str(body).encode()
        self.sent.append((str(request.url), raw))
        response = Response()
        response.status_code = self._status
        response.url = str(request.url)
        response.request = request
        response.raw = io.BytesIO(self._answer)
        return response


def transported(
    address: str, answer: bytes = b"{}", status: int = 200
) -> list[tuple[str, bytes]]:
    """Return what leaves for an address: (url, body)."""
    channel, transport = reached(address), Transport(answer, status)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("requests.adapters.HTTPAdapter.send", transport.send)
        channel.send(NOTICE)
    return transport.sent


@pytest.mark.parametrize(
    ("address", "host", "answer"),
    [
        (SLACK, "https://hooks.slack.com/services/", b"ok"),
        (
            f"feishu://{KEY}",
            "https://open.feishu.cn/open-apis/bot/v2/hook/",
            b'{"code":0,"msg":"success"}',
        ),
        (
            f"dingtalk://{KEY}",
            "https://oapi.dingtalk.com/robot/send?",
            b'{"errcode":0,"errmsg":"ok"}',
        ),
        (
            f"wecombot://{KEY}",
            "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?",
            b'{"errcode":0,"errmsg":"ok"}',
        ),
    ],
)
def test_a_chat_gets_the_message_and_no_other_host_does(
    address: str, host: str, answer: bytes
) -> None:
    """One request, to the service's own host, which names no other one."""
    ((url, body),) = transported(address, answer)
    assert url.startswith(host)
    text = json.dumps(json.loads(body), ensure_ascii=False)
    assert "owner/name" in text
    assert "syncer show" in text
    assert "http" not in text


@pytest.mark.parametrize(
    ("address", "answer", "code"),
    [
        (f"feishu://{KEY}", b'{"code":9499,"msg":"Bad Request"}', "9499"),
        (f"dingtalk://{KEY}", b'{"errcode":310000,"errmsg":"no keyword"}', "310000"),
        (f"wecombot://{KEY}", b'{"errcode":93000,"errmsg":"invalid"}', "93000"),
    ],
)
def test_a_no_with_status_200_is_a_no(address: str, answer: bytes, code: str) -> None:
    """These services refuse so; a message that nobody got does not count as told."""
    with pytest.raises(Unavailable, match=f"with its code {code}"):
        transported(address, answer)
    assert len(transported(address, b'{"code":0,"errcode":0}')) == 1


def test_a_status_that_is_no_yes_is_told() -> None:
    """With the number, which says whose fault it is."""
    with pytest.raises(Unavailable, match="it answered 403"):
        transported(SLACK, b"", 403)


@pytest.fixture
def hook() -> Hook:
    """Return a webhook that takes everything."""
    return Hook()


@pytest.fixture
def authority(hook: Hook) -> Iterator[str]:
    """Yield where it listens."""
    with hook.listening() as found:
        yield found


def test_a_redirect_is_not_followed(hook: Hook, authority: str) -> None:
    """The message was meant for one host, and its key, too."""
    other = Hook()
    with other.listening() as elsewhere:
        hook.status, hook.headers = 307, {"Location": f"http://{elsewhere}/"}
        with pytest.raises(Unavailable, match="it answered 307"):
            reached(f"json://{authority}/{KEY}").send(NOTICE)
    assert len(hook.got) == 1
    assert other.got == []


def test_the_mood_arrives(hook: Hook, authority: str) -> None:
    """A service may colour what is over, and what is none."""
    channel = reached(f"json://{authority}/")
    for mood in Mood:
        channel.send(Notice("title", "body", mood))
    types = [json.loads(body)["type"] for _, body in hook.got]
    assert types == ["warning", "success", "info"]


def test_a_channel_that_does_not_answer_is_given_up() -> None:
    """After a bounded time, as one that refuses."""
    import socket  # noqa: PLC0415 - a port that never answers, only here

    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        channel = reached(f"json://127.0.0.1:{port}/?rto=0.2&cto=0.2")
        began = time.monotonic()
        with pytest.raises(Unavailable, match="it did not answer, or refused"):
            channel.send(NOTICE)
    assert time.monotonic() - began < 5


def test_the_timeout_is_ours_unless_the_address_has_one() -> None:
    """Apprise's own is short for a chat on the other side of the world."""
    assert reached(f"feishu://{KEY}")._way.request_timeout == (channels.TIMEOUT,) * 2  # noqa: SLF001 - nothing else tells
    asked = reached(f"feishu://{KEY}?rto=20")
    assert asked._way.request_timeout[1] == 20  # noqa: SLF001 - as above


@pytest.mark.parametrize(
    "address",
    [
        "nonsense",
        f"nowhere://{KEY}",
        f"slack://{KEY}",
        "mailto://",
        "gnome://",
        "json://",
    ],
)
def test_an_address_that_cannot_be_used_is_told_and_not_shown(
    address: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """By the channel's name, with all others that are wrong."""
    with pytest.raises(ConfigError) as caught:
        opened([alert(address), alert("nonsense", "other")])
    told = f"{caught.value} {caught.value.problems} {caught.value.hint}"
    assert "alert ops" in told
    assert "alert other" in told
    assert KEY not in told
    assert KEY not in "".join(capfd.readouterr())


def test_the_service_is_all_that_is_told_of_an_address() -> None:
    """Whatever it looks like."""
    assert service_of(alert(SLACK)) == "slack"
    assert service_of(alert("JSONS://host/x")) == "jsons"
    assert service_of(alert(KEY)) == "?"


class Lines(logging.Handler):
    """What the program's own log gets."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        self.lines.append(f"{record.name} {record.getMessage()}")


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """Yield what is logged in detail; of urllib3 warnings, as in `logs.py`."""
    handler, root = Lines(), logging.getLogger()
    urllib3 = logging.getLogger("urllib3")
    levels = root.level, urllib3.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    urllib3.setLevel(logging.WARNING)
    yield handler.lines
    root.removeHandler(handler)
    root.setLevel(levels[0])
    urllib3.setLevel(levels[1])


def test_no_log_has_any_part_of_an_address(
    lines: list[str], capfd: pytest.CaptureFixture[str], authority: str, hook: Hook
) -> None:
    """Apprise writes addresses and answers into its log; nothing of it comes out."""
    hook.status, hook.answer = 500, KEY.encode()
    for address in (
        f"json://user:{KEY}@{authority}/{KEY}",
        f"json://user:{KEY}@127.0.0.1:1/{KEY}?cto=0.2",
    ):
        with pytest.raises(Unavailable) as caught:
            reached(address).send(NOTICE)
        assert KEY not in f"{caught.value} {caught.value.hint}"
    assert [line for line in lines if line.startswith("apprise")] == []
    assert KEY not in "".join(lines)
    assert KEY not in "".join(capfd.readouterr())


def test_the_parts_of_an_address_are_redacted() -> None:
    """urllib3 may name a path in a warning; the redactor knows it then."""
    from syncer.credentials import Redactor  # noqa: PLC0415 - what this is about

    clean = Redactor(alert(f"json://user:p%40ss-word@hook.corp/{KEY}").secrets).clean
    assert clean(f"POST /{KEY} failed") == "POST /******** failed"
    assert clean("login p@ss-word, p%40ss-word") == "login ********, ********"
    assert clean("hook.corp answers 500") == "hook.corp answers 500"
    local = Redactor(alert("json://localhost/x").secrets).clean
    assert local("localhost answers 500") == "localhost answers 500"
    token = Redactor(alert(f"feishu://{KEY}").secrets).clean
    assert token(f"/hook/{KEY}/") == "/hook/********/"
