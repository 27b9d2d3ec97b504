"""Log lines: one an event, and no secret in any of them."""

from __future__ import annotations

import json
import logging
import threading
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from apscheduler.events import EVENT_JOB_MAX_INSTANCES
from apscheduler.schedulers.background import BackgroundScheduler

from syncer.credentials import Redactor, Secret
from syncer.logs import configure, learn_brief, run_ended
from syncer.model.lfs import LfsTally
from syncer.model.names import RepoName
from syncer.model.runs import Outcome, SyncRun, Trigger
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


def test_a_tick_that_is_left_out_is_no_news(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One that takes long leaves out those after it: not worth a line each time."""
    configure({}, [])
    enough = threading.Event()
    scheduler = BackgroundScheduler()
    left_out = threading.Event()
    scheduler.add_listener(lambda _: left_out.set(), EVENT_JOB_MAX_INSTANCES)
    scheduler.add_job(enough.wait, "interval", seconds=0.02, max_instances=1)
    scheduler.start()
    try:
        assert left_out.wait(5)
    finally:
        enough.set()
        scheduler.shutdown(wait=True)
    assert capsys.readouterr().err == ""


def test_a_token_that_is_minted_later_is_not_logged(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whoever mints one tells the log before anybody can say it."""
    configure({}, [])
    learn_brief(Secret(TOKEN))

    logging.getLogger("syncer.test").info("about %s", TOKEN)

    assert TOKEN not in "\n".join(said(capsys))


STARTED = datetime(2026, 1, 2, tzinfo=UTC)


def ended(outcome: Outcome, **facts: Any) -> SyncRun:  # noqa: ANN401 - a run's own fields
    """Return a run that ended so, after a second and a half."""
    return SyncRun(
        7,
        1,
        RepoName.parse("acme/widget"),
        Trigger.SCHEDULE,
        STARTED,
        outcome=outcome,
        ended=STARTED + timedelta(seconds=1.5),
        **facts,
    )


@pytest.mark.parametrize(
    ("outcome", "status", "level"),
    [
        (Outcome.CHANGED, 0, "info"),
        (Outcome.PARTIAL, 3, "warning"),
        (Outcome.HELD, 1, "warning"),
        (Outcome.GONE, 4, "warning"),
        (Outcome.FAILED, 5, "warning"),
        (Outcome.FAILED, 130, "info"),  # we ended it ourselves
    ],
)
def test_a_run_is_one_line(
    capsys: pytest.CaptureFixture[str], outcome: Outcome, status: int, level: str
) -> None:
    """However it ended; a person is called only where one is needed."""
    configure({"SYNCER_LOG": "json"}, [])
    run = ended(
        outcome,
        exit_code=status,
        counts={"created": 2, "moved": 1},
        received=1000,
        lfs=LfsTally(received=24, missing=1),
        generation=4,
        machine="a",
    )

    run_ended(run)

    (line,) = said(capsys)
    facts = json.loads(line)
    del facts["timestamp"]
    assert facts == {
        "event": "sync run ended",
        "level": level,
        "repo": "acme/widget",
        "outcome": str(outcome),
        "trigger": "schedule",
        "run": 7,
        "machine": "a",
        "seconds": 1.5,
        "bytes": 1024,
        "refs": 3,
        "refs_created": 2,
        "refs_moved": 1,
        "generation": 4,
        "missing": 1,
    }


def test_an_unchanged_mirror_is_no_run(capsys: pytest.CaptureFixture[str]) -> None:
    """There are a hundred probes for each run, and none has news."""
    configure({}, [])
    run_ended(ended(Outcome.UNCHANGED))
    assert said(capsys) == []


def test_a_failure_says_why_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    """As key=value, and without what it has not."""
    configure({"JOURNAL_STREAM": "8:1"}, [])
    run_ended(ended(Outcome.FAILED, error="upstream is down", hint="wait"))
    (line,) = said(capsys)
    assert line.startswith("<4>")
    assert 'error="upstream is down"' in line
    assert "hint=wait" in line
    assert "generation" not in line
    assert "machine" not in line


def test_what_a_run_noted_is_told_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Each note is a warning of its own: a rewritten branch asks for a person."""
    configure({}, [])
    run_ended(ended(Outcome.CHANGED, notes=("main was force-pushed",)))
    first, second = said(capsys)
    assert "level=info" in first
    assert "level=warning" in second
    assert 'note="main was force-pushed"' in second
    assert "repo=acme/widget" in second
