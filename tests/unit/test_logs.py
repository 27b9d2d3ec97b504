"""Log lines: one an event, and no secret in any of them."""

from __future__ import annotations

import json
import logging
from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from syncer.credentials import Redactor, Secret
from syncer.logs import configure, learn_brief
from tests.fakes_forge import host

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "ghp_very/Secret+42"  # noqa: S105 - made up


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Give the root logger back as it was."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines that were logged."""
    out, err = capsys.readouterr()
    assert out == ""
    return err.splitlines()


def test_an_event_is_one_line_of_facts(capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence is constant; what differs are fields."""
    configure({}, [])

    logging.getLogger("syncer.test").info(
        "sync run ended", extra={"repo": "acme/widget", "objects": 7}
    )

    (line,) = said(capsys)
    assert "level=info" in line
    assert 'event="sync run ended"' in line
    assert "repo=acme/widget" in line
    assert "objects=7" in line
    assert line.startswith("timestamp=")


def test_json_is_one_document_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """`SYNCER_LOG=json` is for machines."""
    configure({"SYNCER_LOG": "json"}, [])

    logging.getLogger("syncer.test").warning("odd", extra={"swept": ["a", "b"]})

    (line,) = said(capsys)
    document = json.loads(line)
    assert document["event"] == "odd"
    assert document["level"] == "warning"
    assert document["swept"] == ["a", "b"]


def test_journald_gets_priorities(capsys: pytest.CaptureFixture[str]) -> None:
    """Under journald a line begins with its syslog priority, and has no time."""
    configure({"JOURNAL_STREAM": "8:1"}, [])

    log = logging.getLogger("syncer.test")
    log.info("one")
    log.error("two")

    first, second = said(capsys)
    assert first.startswith("<6>")
    assert second.startswith("<3>")
    assert "timestamp" not in first


@pytest.mark.parametrize(
    "environ", [{}, {"SYNCER_LOG": "json"}, {"JOURNAL_STREAM": "1"}]
)
def test_no_form_of_a_secret_is_logged(
    capsys: pytest.CaptureFixture[str], environ: dict[str, str]
) -> None:
    """Not in messages, fields, arguments or tracebacks, plain or encoded."""
    header = host("github.com", token=TOKEN).authorization()
    assert header is not None
    forms = [
        TOKEN,
        quote(TOKEN, safe=""),
        b64encode(TOKEN.encode()).decode(),
        header.reveal().removeprefix("Basic "),
    ]
    configure(environ, [Secret(TOKEN)])
    log = logging.getLogger("syncer.test")

    for form in forms:
        log.info("about %s", form)
        log.info("a fact", extra={"header": form, "more": [form], "deep": {"x": form}})
        log.error("a defect", exc_info=ValueError(form))

    text = "\n".join(said(capsys))
    assert "********" in text
    for form in forms:
        assert form not in text
        assert json.dumps(form)[1:-1] not in text


def test_a_redactor_learns() -> None:
    """A token that comes with a reload is redacted from then on."""
    redactor = Redactor([Secret("first")])
    assert redactor.clean("first second") == "******** second"

    redactor.learn([Secret("second")])

    assert redactor.clean("first second") == "******** ********"


def test_a_traceback_is_part_of_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A defect is logged with where it was, and other lines stay whole."""
    configure({}, [])
    log = logging.getLogger("syncer.test")

    log.error("a defect", exc_info=ZeroDivisionError("by zero"))
    log.info("after")

    text = "\n".join(said(capsys))
    assert "ZeroDivisionError" in text
    assert 'event="a defect"' in text


def test_noisy_libraries_are_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    """What other packages say below a warning is not ours to tell."""
    configure({}, [])

    logging.getLogger("urllib3.connectionpool").info("starting a connection")
    logging.getLogger("alembic").info("context")

    assert said(capsys) == []


def test_a_token_that_is_minted_later_is_not_logged(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whoever mints one tells the log before anybody can say it."""
    configure({}, [])
    learn_brief(Secret(TOKEN))

    logging.getLogger("syncer.test").info("about %s", TOKEN)

    assert TOKEN not in "\n".join(said(capsys))
