"""Releases as a person meets them: the command and the daemon, over a whole GitHub."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from syncer.bootstrap import build
from syncer.config import load
from syncer.model.blobs import blob_key
from syncer.outlook import Outlook
from tests.acceptance.command import Inside
from tests.acceptance.running import running, until
from tests.release_store import SECRET, WIDGET, configuration
from tests.servers.github_releases import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncer.bootstrap import App
    from tests.acceptance.command import Command
    from tests.servers.github import GitHubServer
    from tests.servers.github_releases import GitHubAsset
    from tests.servers.github_state import GitHubRepository

_FAST = '[tier.normal]\ninterval = "1s"\ntarget = "1h"\n'


@pytest.fixture
def inside(syncer: Command, monkeypatch: pytest.MonkeyPatch) -> Inside:
    """Provide the command in this process: many short ones are run here."""
    monkeypatch.setenv("SYNCER_GITHUB_TOKEN", SECRET)
    return Inside(syncer.place)


@pytest.fixture
def repository(
    github: GitHubServer, syncer: Command, inside: Inside
) -> GitHubRepository:
    """Provide `acme/widget` with two releases, which is to be mirrored."""
    github.token(SECRET)
    syncer.environ["SYNCER_GITHUB_TOKEN"] = SECRET
    made = github.repository(WIDGET)
    github.git.repository(made).commit()
    made.release("v1").asset("tool.whl", b"the first")
    made.release("v2").asset("tool.whl", b"the second", digest=False)
    syncer.file.write_text(configuration(github, WIDGET))
    assert inside("init").status == 0
    return made


def is_here(syncer: Command, asset: GitHubAsset) -> bool:
    """Return whether the bytes of an asset are in the store."""
    place = syncer.place / "mirror/blobs" / blob_key(digest_of(asset.content))
    return place.exists() and place.read_bytes() == asset.content


def test_releases_are_mirrored_listed_and_pinned(
    inside: Inside, repository: GitHubRepository
) -> None:
    """The way through: sync, show, a release upstream replaced, pin, gc, verify."""
    done = inside("sync")
    assert done.status == 0, done.out + done.err
    assert "2 assets fetched" in done.out
    shown = inside("show", WIDGET)
    assert "1 verified, 1 pinned on first sight" in shown.out
    old = repository.releases[0].assets[0]
    new = old.replace(b"the first, once more")

    done = inside("sync")

    assert done.status == 0, done.out + done.err
    assert is_here(inside, old)
    assert is_here(inside, new)
    assert inside("pin", f"{WIDGET}@v1").status == 0
    assert inside("gc").status == 0
    assert is_here(inside, old)
    assert inside("verify").status == 0
    history = inside("history", "--json").document()
    assert [run["releases"]["fetched"] for run in history["runs"]] == [1, 2]
    assert SECRET not in f"{done.out}{done.err}{shown.out}"


def test_a_limit_is_told_as_a_passing_fault(
    inside: Inside, repository: GitHubRepository, github: GitHubServer
) -> None:
    """Git is mirrored all the same; what the API kept back comes later."""
    github.fail("releases", how="secondary", status=403, times=None)

    done = inside("sync")

    assert done.status != 0
    assert "releases: " in done.out + done.err
    assert "1 ref new" in done.out
    assert not is_here(inside, repository.releases[0].assets[0])
    github.heal()
    assert inside("sync").status == 0
    assert is_here(inside, repository.releases[0].assets[0])


def test_the_daemon_mirrors_an_asset_that_an_old_tag_got(
    syncer: Command, repository: GitHubRepository
) -> None:
    """No ref moves: the releases have a probe of their own, as often as the tier."""
    syncer.file.write_text(f"{_FAST}{syncer.file.read_text()}")
    first = repository.releases[0]
    with running(syncer) as daemon:
        until(lambda: is_here(syncer, first.assets[0]), "the first mirror")
        late = first.asset("late.whl", b"uploaded a year later")
        until(lambda: is_here(syncer, late), "the late asset", within=20)
        daemon.stop()
    shown = syncer("show", WIDGET, "--json").document()
    assert shown["mirror"]["releases"]["present"] == 3
    assert shown["mirror"]["generation"] >= 2


@pytest.fixture
def app(
    syncer: Command, repository: GitHubRepository, github: GitHubServer
) -> Iterator[App]:
    """Provide the program for the owner of `acme/widget` and all it has."""
    del repository
    text = configuration(github)
    syncer.file.write_text(f'{text}[[owner]]\nname = "acme"\nexclude = ["*-old"]\n')
    config = load(syncer.file, {"SYNCER_GITHUB_TOKEN": SECRET})
    with closing(build(config, stop=threading.Event())) as made:
        yield made


def test_a_new_repository_of_an_owner_becomes_a_mirror(
    app: App, github: GitHubServer
) -> None:
    """Found by the hourly look, mirrored with the reload that follows it."""
    now = 0.0
    outlook = Outlook(lambda: now)

    def look() -> list[str]:
        """Let the outlook do what is due, and the daemon reload if it says so."""
        outlook.begin(app, app.catalog.states())
        outlook.join()
        if outlook.has_grown():
            app.reconcile()
        return [str(state.name) for state in app.catalog.states()]

    assert look() == [WIDGET]
    for name in ("gadget", "gadget-old"):
        github.repository(f"acme/{name}")
    assert look() == [WIDGET]
    now = 3600.0
    assert look() == ["acme/gadget", WIDGET]
    github.fail("owned", times=None)
    now = 7200.0
    assert look() == ["acme/gadget", WIDGET]
