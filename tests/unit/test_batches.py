"""The batch API's documents: what is taken from an answer, and what is not."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.errors import ProtocolError, RateLimited, SyncerError, Unavailable
from syncer.model.lfs import Grant, LfsPointer, Refusal
from syncer.upstream import batches
from syncer.upstream.origins import Origin

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
ASKED = batches.Asked(Origin("https", "upstream.test", 443), NOW, 1000.0)
POINTER, OTHER = LfsPointer("a" * 64, 10), LfsPointer("b" * 64, 20)
HREF = "https://upstream.test/object"


def entry(pointer: LfsPointer = POINTER, **action: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    """Return the answer that grants an object."""
    download = {"href": HREF, **action}
    oid, size = pointer
    return {"oid": oid, "size": size, "actions": {"download": download}}


def read(
    *objects: object,
    wanted: tuple[LfsPointer, ...] = (POINTER,),
    **more: Any,  # noqa: ANN401 - any JSON
) -> list[Grant | Refusal]:
    """Read a reply that holds `objects`."""
    document = {"transfer": "basic", "objects": list(objects), **more}
    return batches.read_reply(json.dumps(document).encode(), wanted, ASKED)


def granted(**action: Any) -> Grant:  # noqa: ANN401 - any JSON
    """Read a reply that grants one object in some way."""
    (answer,) = read(entry(**action))
    assert isinstance(answer, Grant)
    return answer


def test_a_request_asks_for_basic_downloads_by_sha256() -> None:
    """It is the document of the specification, and nothing more."""
    assert json.loads(batches.request([POINTER, OTHER])) == {
        "operation": "download",
        "transfers": ["basic"],
        "objects": [{"oid": "a" * 64, "size": 10}, {"oid": "b" * 64, "size": 20}],
        "hash_algo": "sha256",
    }


def test_a_grant_holds_what_was_said() -> None:
    """Address, headers and the end of it; neither of the first two is shown."""
    grant = granted(header={"Authorization": "Bearer s3cret"}, expires_in=60)

    assert (grant.pointer, grant.href) == (POINTER, HREF)
    assert grant.headers == {"Authorization": "Bearer s3cret"}
    assert grant.expires == 1060.0
    assert "s3cret" not in repr(grant)
    assert HREF not in repr(grant)


def test_only_what_was_asked_for_counts() -> None:
    """Strangers are ignored, the first of two answers counts, silence refuses."""
    first, second = entry(href=f"{HREF}/1"), entry(href=f"{HREF}/2")
    stranger = entry(LfsPointer("c" * 64, 1))

    found, missing = read(stranger, first, second, wanted=(POINTER, OTHER))

    assert isinstance(found, Grant)
    assert found.href == f"{HREF}/1"
    assert missing == Refusal(OTHER, 404, "not in upstream's answer")


@pytest.mark.parametrize("size", [11, 9, -10, 10.0, "10", True, None])
def test_another_size_is_refused(size: object) -> None:
    """An object that upstream has at another length is not the pointer's."""
    (answer,) = read(entry() | {"size": size})

    assert isinstance(answer, Refusal)
    assert answer.code == 422


@pytest.mark.parametrize("actions", [None, {}, [], {"upload": {"href": HREF}}])
def test_an_object_without_a_download_is_refused(actions: object) -> None:
    """Neither an error nor an action means that upstream does not give it."""
    (answer,) = read(entry() | {"actions": actions})

    assert isinstance(answer, Refusal)
    assert answer.code == 404


@pytest.mark.parametrize("code", [404, 410, 422, 401, 403, 400, 451, 507, 509])
def test_an_object_may_be_refused(code: int) -> None:
    """The code and upstream's words are kept, shown safely and shortened."""
    error = {"code": code, "message": "gone\x1b[2J" + "x" * 500}
    (answer,) = read(entry() | {"error": error})

    assert isinstance(answer, Refusal)
    assert answer.code == code
    assert answer.reason.isprintable()
    assert len(answer.reason) < 150


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (429, RateLimited),
        (408, RateLimited),
        (500, Unavailable),
        (503, Unavailable),
        (200, ProtocolError),
        (99999, ProtocolError),
        ("404", ProtocolError),
        (None, ProtocolError),
        (True, ProtocolError),
    ],
)
def test_an_error_that_says_nothing_of_the_object_is_raised(
    code: object, kind: type[SyncerError]
) -> None:
    """A server in trouble has not refused anything."""
    with pytest.raises(kind):
        read(entry() | {"error": {"code": code, "message": "trouble"}})


@pytest.mark.parametrize(
    "more",
    [
        {"transfer": "tus"},
        {"transfer": "lfs-standalone-file"},
        {"transfer": ["basic"]},
        {"hash_algo": "md5"},
        {"hash_algo": {}},
        {"objects": None},
        {"objects": {}},
    ],
)
def test_another_kind_of_transfer_is_an_error(more: dict[str, Any]) -> None:
    """What we did not offer is not used."""
    with pytest.raises(ProtocolError):
        read(entry(), **more)


@pytest.mark.parametrize("more", [{}, {"hash_algo": "sha256"}, {"transfer": None}])
def test_what_is_left_out_is_the_usual(more: dict[str, Any]) -> None:
    """Servers of any age are understood."""
    (answer,) = read(entry(), **more)
    assert isinstance(answer, Grant)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[1]",
        b'{"objects": [NaN]}',
        b'{"objects": [' + b"9" * 5000 + b"]}",
        b"[" * 100_000,
        b"\xff\xfe",
        b'{"objects": []',
        b"<html>",
    ],
)
def test_what_is_no_document_is_an_error(body: bytes) -> None:
    """No answer raises anything but our own errors."""
    with pytest.raises(ProtocolError):
        batches.read_reply(body, [POINTER], ASKED)
    assert batches.said(body) is None


@pytest.mark.parametrize(
    ("action", "expires"),
    [
        ({}, None),
        ({"expires_in": 1}, 1001.0),
        ({"expires_in": 2147483647}, 1000.0 + 86400),
        ({"expires_in": 10**30}, 1000.0 + 86400),
        ({"expires_in": -2147483647}, None),
        ({"expires_in": 0}, None),
        ({"expires_in": "60"}, None),
        ({"expires_in": 1.5}, None),
        ({"expires_in": True}, None),
        ({"expires_at": "2026-03-01T12:31:00Z"}, 1060.0),
        ({"expires_at": "2026-03-01T12:31:00.123456789Z"}, 1060.123456),
        ({"expires_at": "2026-03-01T14:31:00+02:00"}, 1060.0),
        ({"expires_at": "2026-03-01T12:31:00"}, 1060.0),
        ({"expires_at": "2026-03-01T12:29:00Z"}, None),
        ({"expires_at": "0001-01-01T00:00:00Z"}, None),
        ({"expires_at": "9999-12-31T23:59:59Z"}, 1000.0 + 86400),
        ({"expires_at": "0001-01-01T00:00:00+23:59"}, None),
        ({"expires_at": "soon"}, None),
        ({"expires_at": 5}, None),
        ({"expires_in": 60, "expires_at": "2026-03-01T13:30:00Z"}, 1060.0),
        ({"expires_in": 0, "expires_at": "2026-03-01T12:31:00Z"}, 1060.0),
    ],
)
def test_a_grant_may_say_when_it_ends(
    action: dict[str, object], expires: float | None
) -> None:
    """Seconds count before a date; what is over or absurd says nothing."""
    found = granted(**action).expires
    assert found == (None if expires is None else pytest.approx(expires))


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "content-LENGTH",
        "Transfer-Encoding",
        "Connection",
        "Cookie",
        "Range",
        "Accept-Encoding",
        "Proxy-Authorization",
        "X-Bad\r\nX-Injected",
        "X Bad",
        "",
        "X-B\N{LATIN SMALL LETTER A WITH DIAERESIS}d",
    ],
)
def test_headers_that_are_ours_are_dropped(name: str) -> None:
    """A grant cannot say whom we ask, what for, or how a message is framed."""
    assert granted(header={name: "x", "X-Good": "yes"}).headers == {"X-Good": "yes"}


@pytest.mark.parametrize("value", ["a\r\nHost: evil", "\x00", "\x7f", "\ud800", "ä"])
def test_values_that_would_break_a_message_are_dropped(value: str) -> None:
    """No header smuggles another one in."""
    assert granted(header={"X-Bad": value, "X-Good": "y"}).headers == {"X-Good": "y"}


@pytest.mark.parametrize(
    "header",
    [
        {f"X-{n}": "" for n in range(21)},
        {"X-Long": "x" * 8192},
        {"X-Number": 1},
        {"X-None": None},
        ["Host"],
        "Host: x",
    ],
)
def test_too_many_headers_are_an_error(header: object) -> None:
    """Nothing of that kind is a real server's answer."""
    with pytest.raises(ProtocolError):
        granted(header=header)


@pytest.mark.parametrize(
    ("status", "message", "over"),
    [
        (403, "This repository is over its data quota.", True),
        (429, "purchase more data packs", True),
        (509, None, True),
        (507, "full", True),
        (403, "no access", False),
        (403, None, False),
        (404, "quota", False),
        (500, "quota", False),
    ],
)
def test_quota_is_known_by_status_and_words(
    status: int, message: str | None, *, over: bool
) -> None:
    """Hosts say it in several ways."""
    assert batches.is_over_quota(status, message) is over


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
    ),
    max_leaves=12,
)
FIELDS = st.fixed_dictionaries(
    {"oid": st.sampled_from([POINTER.oid, OTHER.oid, "x"]) | JSON},
    optional={
        "size": st.sampled_from([10, 20]) | JSON,
        "error": st.fixed_dictionaries({"code": st.integers(), "message": JSON}) | JSON,
        "actions": st.fixed_dictionaries(
            {
                "download": st.fixed_dictionaries(
                    {"href": st.just(HREF) | JSON},
                    optional={
                        "header": st.dictionaries(st.text(), st.text()) | JSON,
                        "expires_in": st.integers() | JSON,
                        "expires_at": st.datetimes().map(str) | JSON,
                    },
                )
                | JSON
            }
        )
        | JSON,
    },
)


@given(st.lists(FIELDS | JSON, max_size=4))
def test_any_reply_is_one_answer_each_or_an_error(objects: list[object]) -> None:
    """Nothing hostile gets through: what is granted was asked for, and is clean."""
    body = json.dumps({"objects": objects}).encode()
    try:
        answers = batches.read_reply(body, (POINTER, OTHER), ASKED)
    except SyncerError:
        return
    assert [answer.pointer for answer in answers] == [POINTER, OTHER]
    for answer in answers:
        if isinstance(answer, Grant):
            assert answer.expires is None or 1000 < answer.expires <= 1000 + 86400
            for name, value in answer.headers.items():
                assert (name + value).isascii()
                assert name.lower() not in {"host", "range", "cookie"}
                assert not {"\r", "\n", "\0"} & set(name + value)
        else:
            assert answer.reason.isprintable()


def test_a_moment_is_compared_with_the_wall_clock() -> None:
    """`expires_at` and `expires_in` of the same moment agree."""
    moment = (NOW + timedelta(hours=1)).isoformat()
    assert granted(expires_at=moment).expires == granted(expires_in=3600).expires
