"""The composition root: a configuration becomes a program, or one clear error."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from syncer.bootstrap import SystemClock, build
from syncer.catalog import database
from syncer.config import load
from syncer.errors import ConfigError, NotInitialised
from syncer.model.mirrors import Activity
from syncer.model.names import RepoName
from syncer.model.runs import ProbeResult

if TYPE_CHECKING:
    from pathlib import Path

    from syncer.config import Config

TWO = """
[host."a.test"]
connections = 2
[host."b.test"]
connections = 3
[[repo]]
name = "a.test/acme/one"
refs = ["refs/heads/"]
[[repo]]
name = "b.test/acme/two"
"""


def configured(tmp_path: Path, text: str = TWO, *, catalog: bool = True) -> Config:
    """Return a configuration whose store is there."""
    file = tmp_path / "repos.toml"
    file.write_text(text)
    config = load(file, {})
    config.data.mkdir()
    if catalog:
        database.upgrade(config.catalog_url)
    return config


def test_without_a_catalog_nothing_is_built(tmp_path: Path) -> None:
    """The error names the way to one, and none is made by the way."""
    config = configured(tmp_path, catalog=False)
    with pytest.raises(NotInitialised, match="no catalog here yet") as caught:
        build(config)
    assert "syncer init" in str(caught.value.hint)
    assert list(config.data.iterdir()) == []


def test_a_proxy_that_is_none_is_refused(tmp_path: Path) -> None:
    """What the address of the proxy holds is not repeated."""
    config = configured(tmp_path, '[syncer]\nproxy = "socks://u:secret@proxy"\n')
    with pytest.raises(ConfigError) as caught:
        build(config)
    assert "secret" not in str(caught.value)


def test_the_catalog_follows_the_configuration(tmp_path: Path) -> None:
    """What is configured is active, what no longer is was removed."""
    config = configured(tmp_path)
    with closing(build(config)) as app:
        app.reconcile()
        states = app.catalog.states()
        assert {str(state.name) for state in states} == {
            "a.test/acme/one",
            "b.test/acme/two",
        }
        assert app.world.selection(states[0].name).refs == ("refs/heads/",)
        assert app.actor().startswith("cli@")
    (tmp_path / "repos.toml").write_text(TWO.rpartition("[[repo]]")[0])
    with closing(build(load(tmp_path / "repos.toml", {}))) as app:
        app.reconcile()
        gone = app.catalog.state(RepoName.parse("b.test/acme/two"))
        assert gone.activity is Activity.REMOVED


def test_what_was_probed_is_stored_at_the_end(tmp_path: Path) -> None:
    """Closing forgets nothing that was learnt since the last commit."""
    config = configured(tmp_path)
    with closing(build(config)) as app:
        app.reconcile()
        state = app.catalog.states()[0]
        now = app.clock.now()
        app.probes.add(ProbeResult(state.id, now))
    with closing(build(config)) as app:
        assert app.catalog.state(state.name).last_attempt == now


def test_stop_is_one_event_for_everything(tmp_path: Path) -> None:
    """Who sets it ends git, and the waiting for a budget or a lease."""
    stop = threading.Event()
    with closing(build(configured(tmp_path), stop=stop)) as app:
        assert app.stop is stop
        assert app.git.stop is stop


def test_the_clock_is_in_utc_and_never_goes_back() -> None:
    """Instants have their zone, and durations are measured apart from them."""
    clock = SystemClock()
    assert clock.now().tzname() == "UTC"
    assert clock.monotonic() <= clock.monotonic()


def test_workers_of_an_empty_configuration_are_there(tmp_path: Path) -> None:
    """Without any repository a daemon still has workers, which have nothing to do."""
    with closing(build(configured(tmp_path, ""))) as app:
        workers = app.workers(on_end=print, ahead=4)
        assert workers.busy() == set()
        workers.close()
