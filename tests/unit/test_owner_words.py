"""What is asked before something is mirrored, and what is said of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NoReturn

import pytest

from syncer.cli.allowances import Load, loads
from syncer.cli.asking import Asker, licence, words_of, words_of_refs
from syncer.cli.output import Output
from syncer.cli.owners import fitting, misfit
from syncer.cli.records import Records
from syncer.config import load
from syncer.errors import Blocked, ConfigError, RateLimited, Unavailable
from syncer.model.content import Ref, RefSnapshot
from syncer.model.mirrors import Activity, RepoState
from syncer.model.names import GITHUB, RepoName
from syncer.model.origin import Facts, OwnerSelection, Standing
from syncer.model.releases import ReleaseCounts, ReleaseState
from tests.fakes import FakeClock
from tests.fakes_api import FakeApi
from tests.fakes_catalog import FakeCatalog
from tests.fakes_forge import FakeForge

if TYPE_CHECKING:
    from pathlib import Path

NAME = RepoName.parse("acme/widget")
FACTS = Facts(7, "R_7", NAME, licence="Apache-2.0", size=3 << 20)
NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


class Upstream:
    """A forge and its API in memory, and who asks them."""

    def __init__(self) -> None:
        clock = FakeClock()
        self.forge, self.api = FakeForge(clock), FakeApi(clock)
        self.ask = Asker(Output(), self.forge, self.api)
        refs = {"refs/heads/main": Ref("1" * 40), "refs/tags/v1": Ref("2" * 40)}
        self.forge.publish(NAME, RefSnapshot(refs, "refs/heads/main"))


@pytest.mark.parametrize(
    "error",
    [
        RateLimited("a limit", retry_after=timedelta(minutes=1)),
        Unavailable("down"),
        ConfigError("odd"),
    ],
)
def test_an_api_that_cannot_say_is_a_warning(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    """Git decides then, and nothing is said of a licence."""
    upstream = Upstream()
    upstream.api.repository("acme/widget")
    upstream.api.fail("describe", error)

    assert upstream.ask(NAME) == NAME

    assert upstream.ask.failed == []
    said = capsys.readouterr().err
    assert said.startswith("warning: the API of github.com does not tell of acme/wid")
    assert said.endswith("found: 1 branch, 1 tag, default branch main\n")


def test_what_may_not_be_given_is_refused_with_the_notice(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Git is not even asked."""
    upstream = Upstream()
    upstream.api.repository("acme/widget").block(url="https://notice.test/1")

    upstream.ask(NAME)

    assert upstream.ask.failed == [Blocked.exit_code]
    assert "nothing was changed\nhint: the notice: https://notice.test/1" in (
        capsys.readouterr().err
    )
    assert upstream.forge.probed == []


def test_a_host_without_an_api_is_asked_by_git_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As every host was before."""
    upstream = Upstream()
    name = RepoName.parse("ghe.corp/acme/widget")
    upstream.forge.publish(name, RefSnapshot({}, None))

    assert upstream.ask(name) == name

    assert capsys.readouterr().err == "ghe.corp/acme/widget ... found: it is empty\n"
    assert upstream.api.asked == []


def test_upstreams_spelling_is_kept() -> None:
    """Whatever was typed."""
    upstream = Upstream()
    upstream.api.repository("acme/widget")

    assert upstream.ask(RepoName.parse("ACME/Widget")) == NAME


def test_a_repository_is_told_in_few_words() -> None:
    """Its licence first: that is what a mirror may be refused for."""
    assert words_of(FACTS) == "licence Apache-2.0, 3.0 MiB"
    odd = replace(FACTS, licence=None, private=True, archived=True, fork=True, size=0)
    assert words_of(odd) == "no licence, private, archived, fork"
    assert words_of(replace(odd, disabled=True)).endswith("disabled by its host, fork")
    assert licence("NOASSERTION") == "a licence that is not recognised"
    assert licence("MIT\x1b") == "licence MIT\ufffd"
    assert words_of_refs(RefSnapshot({"refs/heads/a": Ref("1" * 40)}, None)) == (
        "1 branch, 0 tags, default branch none"
    )


@pytest.mark.parametrize(
    ("facts", "selection", "reason"),
    [
        (FACTS, OwnerSelection(), None),
        (FACTS, OwnerSelection(include=("gadget*",)), "name"),
        (FACTS, OwnerSelection(exclude=("WID*",)), "name"),
        (replace(FACTS, fork=True), OwnerSelection(), "fork"),
        (replace(FACTS, fork=True), OwnerSelection(forks=True), None),
        (replace(FACTS, archived=True), OwnerSelection(archived=False), "archived"),
        (replace(FACTS, private=True), OwnerSelection(), "visibility"),
        (FACTS, OwnerSelection(topics=("ai",)), "topics"),
        (FACTS, OwnerSelection(languages=("Rust",)), "language"),
        (replace(FACTS, disabled=True), OwnerSelection(), "disabled"),
        (replace(FACTS, fork=True), OwnerSelection(include=("x",)), "name"),
    ],
)
def test_the_first_criterion_that_fails_is_named(
    facts: Facts, selection: OwnerSelection, reason: str | None
) -> None:
    """The same criteria decide what is mirrored."""
    assert misfit(facts, selection) == reason


def test_what_fits_is_counted_and_so_is_what_does_not() -> None:
    """By name, with the bytes that upstream tells."""
    other = replace(FACTS, name=RepoName.parse("acme/apple"), size=1)
    forks = [replace(FACTS, fork=True)] * 2

    found = fitting([FACTS, *forks, other], OwnerSelection())

    assert [each.name.name for each in found.repositories] == ["apple", "widget"]
    assert found.size == (3 << 20) + 1
    assert found.left_out == {"fork": 2}


def records(file: Path, environ: dict[str, str]) -> Records:
    """Return what a command that only reads works with."""
    catalog = FakeCatalog()
    config = load(file, environ)
    return Records(config, catalog, NOW, _unused, _unused, _unused)


def _unused() -> NoReturn:
    raise AssertionError


def test_what_releases_need_of_an_api_is_told(tmp_path: Path) -> None:
    """By host, for mirrors that are in the schedule and have releases at all."""
    file = tmp_path / "repos.toml"
    file.write_text(
        '[host."github.com"]\napi_reserve = "50%"\n'
        '[[repo]]\nname = "a/b"\ntier = "core"\n'
        '[[repo]]\nname = "a/off"\nreleases = "off"\n'
        '[[repo]]\nname = "ghe.corp/a/b"\n'
    )
    many = ReleaseState(counts=ReleaseCounts(releases=250))
    states = [
        RepoState(1, RepoName.parse("a/b"), "p", "core", releases=many),
        RepoState(2, RepoName.parse("a/off"), "p", "core"),
        RepoState(3, RepoName.parse("ghe.corp/a/b"), "p", "core"),
        RepoState(4, RepoName.parse("a/c"), "p", "core", Activity.PAUSED),
    ]

    (anonymous,) = loads(records(file, {}), states)
    (known,) = loads(records(file, {"GH_TOKEN": "made-up"}), states)

    assert anonymous == Load(GITHUB, 48.0, 30.0, authorised=False)
    assert not anonymous.is_met
    assert "a token" in anonymous.remedy
    assert str(anonymous) == "github.com: releases take 48 of 30 requests an hour"
    assert known == Load(GITHUB, 36.0, 2500.0, authorised=True)
    assert known.is_met
    assert "GitHub App" in known.remedy
    quiet = replace(states[0], standing=Standing.ARCHIVED)
    (rare,) = loads(records(file, {}), [quiet])
    assert rare.needed == pytest.approx(4 / 24)


def test_releases_that_are_late_make_a_mirror_late(tmp_path: Path) -> None:
    """Its refs may be as fresh as they can be; switched off, they ask nothing."""
    file = tmp_path / "repos.toml"
    file.write_text('[[repo]]\nname = "acme/widget"\n')
    read = records(file, {})
    catalog = read.catalog
    catalog.reconcile([(NAME, "normal")], NOW - timedelta(days=2))

    assert read.has_releases(catalog.state(NAME))
    (fresh,) = read.freshness()
    assert {each.name for each in fresh.components} == {"refs", "releases"}
    file.write_text('[[repo]]\nname = "acme/widget"\nreleases = "off"\n')
    off = replace(records(file, {}), catalog=catalog)
    (fresh,) = off.freshness()
    assert [each.name for each in fresh.components] == ["refs"]
