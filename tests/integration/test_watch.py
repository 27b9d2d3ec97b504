"""The daemon's watch: from a mirror's state to a message at a webhook, and back."""

from __future__ import annotations

import json
import time
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

from syncer.bootstrap import App, build
from syncer.catalog import database
from syncer.config import load
from syncer.errors import AccessDenied, CatalogBusy, ConfigError
from syncer.model.incidents import Kind
from syncer.model.machines import Machine, Role
from syncer.model.mirrors import Held, RepoState
from syncer.model.releases import ReleaseState
from syncer.model.runs import AuditEvent, Outcome, SyncRun, Trigger
from syncer.model.storage import StorageSample, Usage
from syncer.notify import words
from syncer.watch import LOOK, Watch, channels_of
from tests.fakes import NOW, FakeClock
from tests.servers.hook import Hook

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from syncer.config import Config

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
FILE = """
[syncer.web]
name = "lab"
[[repo]]
name = "acme/one"
tier = "core"
[[repo]]
name = "acme/two"
tier = "core"
[[alert]]
name = "ops"
"""


@dataclass
class Site:
    """A program whose time stands still, and where its alerts go."""

    app: App
    hook: Hook
    clock: FakeClock
    watch: Watch

    def state(self, name: str, **changes: Any) -> RepoState:  # noqa: ANN401 - any field
        """Return a mirror that is fresh but for the changes."""
        found = {state.name.name: state for state in self.app.catalog.states()}
        now = self.clock.now()
        fresh = replace(
            found[name],
            outcome=Outcome.UNCHANGED,
            generation=1,
            last_attempt=now,
            last_success=now,
            releases=ReleaseState(checked=now),
        )
        return replace(fresh, **changes)

    def look(self, *states: RepoState, leads: bool = True) -> None:
        """Let the watch look once, half a minute later."""
        self.clock.advance(timedelta(seconds=30))
        self.watch.begin(self.app, states, leads=leads)
        if self.watch.thread is not None:
            self.watch.thread.join(20)

    def restart(self) -> None:
        """Begin anew, as a process that was restarted."""
        self.watch = Watch(self.clock.monotonic, self.clock.now())

    @property
    def titles(self) -> list[str]:
        """The titles of what the webhook got."""
        return [json.loads(body)["title"] for _, body in self.hook.got]

    def kinds(self) -> list[Kind]:
        """Return the kinds of what lasts."""
        return [each.kind for each in self.app.operations.open_incidents()]


def configured(tmp_path: Path, text: str, address: str) -> Config:
    """Return a configuration, its catalog migrated."""
    file = tmp_path / "repos.toml"
    file.write_text(text)
    config = load(file, {"SYNCER_ALERT_OPS": address})
    config.data.mkdir(exist_ok=True)
    database.upgrade(config.catalog_url)
    return config


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Yield a program with two mirrors and a webhook."""
    hook, clock = Hook(), FakeClock()
    with hook.listening() as authority:
        address = f"json://{authority}/?cto=2&rto=2"
        config = configured(tmp_path, FILE, address)
        with closing(build(config)) as app:
            app.clock = clock  # type: ignore[assignment]  # a clock all the same
            app.reconcile()
            yield Site(app, hook, clock, Watch(clock.monotonic, NOW - HOUR))


def test_a_missed_target_is_told_and_so_is_its_end(site: Site) -> None:
    """Since the moment it was missed; once each, whatever is restarted."""
    seen = site.clock.now() - 20 * MINUTE
    for _ in range(4):
        site.look(site.state("one", last_success=seen), site.state("two"))
    assert site.titles == ["lab: LATE: acme/one"]
    (late,) = site.app.operations.open_incidents()
    assert late.began == seen + 15 * MINUTE
    site.restart()
    for _ in range(22):
        site.look(site.state("one"), site.state("two"))
    assert site.titles == ["lab: LATE: acme/one", "lab: over: LATE: acme/one"]
    assert site.kinds() == []


def test_it_looks_now_and_then_and_not_at_every_tick(site: Site) -> None:
    """A tick costs a comparison."""
    site.look(site.state("one"))
    first = site.watch.thread
    site.watch.begin(site.app, [site.state("one")])
    assert site.watch.thread is first
    site.clock.advance(timedelta(seconds=LOOK))
    site.watch.begin(site.app, [site.state("one")])
    assert site.watch.thread is not first
    site.watch.join()


def test_a_refused_credential_is_told_at_once(site: Site) -> None:
    """After one run; a hiccup after one run is not."""
    for name, code in (("one", AccessDenied.exit_code), ("two", 5)):
        state = site.state(name)
        run = SyncRun(0, state.id, state.name, Trigger.SCHEDULE, NOW)
        ended = replace(run, outcome=Outcome.FAILED, error="401", ended=NOW)
        site.app.catalog.close_run(replace(ended, exit_code=code))
    states = site.app.catalog.states()
    assert {state.failures for state in states} == {1}
    site.look(*(replace(state, last_success=site.clock.now()) for state in states))
    assert site.titles == ["lab: FAIL: acme/one"]


def test_what_holds_and_what_is_lost_is_told(site: Site) -> None:
    """A mirror that waits for a person, a disk that is full."""
    sample = StorageSample(site.clock.now(), "a", 1 << 30, 100 << 30, Usage())
    site.app.operations.sampled(sample)
    held = Held("the default branch is gone", NOW)
    site.look(site.state("one", held=held), site.state("two"))
    assert sorted(site.titles) == ["lab: DISK: a", "lab: HELD: acme/one"]
    body = next(b for _, b in site.hook.got if b"HELD" in b)
    assert "the default branch is gone" in json.loads(body)["message"]


def test_what_upstream_did_is_told_once_and_what_is_old_is_not(site: Site) -> None:
    """An event is an incident with no end; that of last week is on record only."""
    for days, action in ((7, "renamed"), (0, "licence"), (0, "licence")):
        at = NOW - timedelta(days=days)
        event = AuditEvent(at, "upstream", action, "acme/one", "x", alarming=True)
        site.app.catalog.audit(event)
    for _ in range(3):
        site.look(site.state("one"))
        site.restart()
    assert site.titles == ["lab: LICENCE: acme/one"] * 2
    found = site.app.operations.incidents(NOW - timedelta(days=9))
    assert [each.kind for each in found] == [Kind.UPSTREAM, Kind.LICENCE, Kind.LICENCE]
    assert all(each.mirror_id for each in found)


def test_a_host_that_is_down_is_one_message(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all of its mirrors."""
    states = [site.state(name, failures=3, error="down") for name in ("one", "two")]
    monkeypatch.setattr(words, "BURST", 1)
    site.look(*states)
    assert site.titles == ["lab: FAIL: 2 mirrors of github.com"]


def test_a_channel_that_was_down_hears_it_later(site: Site) -> None:
    """Nothing is lost, and nothing is told twice."""
    site.hook.status = 503
    failing = {"failures": 3, "error": "down"}
    site.look(site.state("one", **failing))
    assert len(site.hook.got) == 1
    site.hook.status = 200
    site.hook.got.clear()
    for _ in range(4):
        site.look(site.state("one", **failing))
    assert site.titles == ["lab: FAIL: acme/one"]


def test_without_channels_incidents_are_on_record(site: Site, tmp_path: Path) -> None:
    """Reports and pages tell of them; Apprise is not even loaded."""
    site.app.config = configured(tmp_path, FILE.partition("[[alert]]")[0], "")
    site.look(site.state("one", failures=3))
    assert site.kinds() == [Kind.FAILING]
    assert site.hook.got == []


def test_another_machine_watches_the_scheduler_alone(site: Site) -> None:
    """It tells that nobody decides; the next scheduler, that it is over."""
    machine = Machine("a", "1", (Role.SCHEDULER,), NOW, NOW, leader=True)
    site.app.operations.seen(machine)
    site.restart()
    failing = site.state("one", failures=9)
    for _ in range(9):
        site.look(failing, leads=False)
    assert site.kinds() == []
    for _ in range(4):
        site.look(failing, leads=False)
    assert site.kinds() == [Kind.SCHEDULER]
    assert site.titles == ["lab: SCHEDULER: mirrors"]
    site.restart()
    for _ in range(30):
        site.look(site.state("one"))
    assert site.kinds() == []
    assert site.titles[1:] == ["lab: over: SCHEDULER: mirrors"]


def test_a_catalog_that_is_busy_is_said_once(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """The daemon goes on, and so does the watch."""
    busy = CatalogBusy("the database is locked")
    with patch.object(type(site.app.operations), "open_incidents", side_effect=busy):
        for _ in range(3):
            site.look(site.state("one", failures=3))
    assert caplog.text.count("watching failed") == 1
    site.look(site.state("one", failures=3))
    assert site.kinds() == [Kind.FAILING]


def test_an_address_that_cannot_be_used_is_told_before_the_start(
    tmp_path: Path,
) -> None:
    """Where it leads is not repeated."""
    config = configured(tmp_path, FILE, "nowhere://sEcReT0123")
    with pytest.raises(ConfigError) as caught:
        channels_of(config)
    assert caught.value.problems == (
        "alert ops: its address (nowhere://) is not one Apprise can use",
    )
    assert channels_of(load(None, {})) == {}


def test_the_end_waits_for_no_channel(site: Site) -> None:
    """One that accepts and says nothing is left alone."""
    import socket  # noqa: PLC0415 - a port that never answers, only here

    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        address = f"json://127.0.0.1:{port}/"
        site.app.config = configured(site.app.config.data.parent, FILE, address)
        site.watch.begin(site.app, [site.state("one", failures=3)])
        began = time.monotonic()
        site.watch.join()
    assert time.monotonic() - began < 4


def test_ten_thousand_mirrors_take_a_moment(site: Site) -> None:
    """A look must not starve the tick, which shares the interpreter with it."""
    from syncer import freshness  # noqa: PLC0415 - what the look is made of
    from syncer.notify import conditions  # noqa: PLC0415 - as above

    one = site.state("one", last_success=NOW - HOUR)
    states = [replace(one, id=index) for index in range(1, 10_001)]
    began = time.process_time()
    found = freshness.fresh(site.app.config, states, site.clock.now())
    holding = list(conditions.of_mirrors(found, set(), set(), site.clock.now()))
    assert len(holding) == 10_000
    assert time.process_time() - began < 1.5
