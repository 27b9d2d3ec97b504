"""What a person is told of releases, and does about them: `show`, `pin`, `add org:`."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from syncer.catalog.database import connect
from syncer.catalog.index import SqlBlobIndex
from syncer.catalog.release_index import SqlReleaseIndex
from syncer.catalog.sql import SqlCatalog
from syncer.model.blobs import Blob, StoredBlob
from syncer.model.mirrors import Held
from syncer.model.names import RepoName
from syncer.model.origin import Facts, Origin, Standing
from syncer.model.releases import (
    Asset,
    AssetRecord,
    AssetState,
    Proof,
    Release,
    ReleaseChanges,
    ReleaseRecord,
    ReleaseTally,
)
from syncer.model.runs import Outcome, SyncRun, Trigger
from tests.acceptance.command import Command, Inside, name_on
from tests.servers.http_faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers.git_http import GitServer
    from tests.servers.github import GitHubServer
    from tests.servers.repositories import Repository

    Upstream = Callable[[str], Repository]

NAME = RepoName.parse("acme/widget")
NOW = datetime.now(UTC).replace(microsecond=0)


def asset(number: int, *, here: bool) -> AssetRecord:
    """Return an asset of 1,000 bytes, each with a digest of its own."""
    digest = sha256(b"%d" % number).hexdigest()
    shown = Asset(number, f"RA_{number}", f"part-{number}.bin", 1000, digest)
    if here:
        proof = Proof.PINNED if number % 2 else Proof.VERIFIED
        return AssetRecord(shown, AssetState.PRESENT, digest, proof, since=NOW)
    soon = NOW + timedelta(hours=1)
    why = "upstream answers 404"
    return AssetRecord(
        shown, AssetState.MISSING, reason=why, since=NOW, retry_at=soon, tries=1
    )


def releases(count: int) -> list[ReleaseRecord]:
    """Return releases, a day apart, of two assets; one of the last is missing."""
    return [
        ReleaseRecord(
            Release(
                number, f"RE_{number}", f"v{number}", published=NOW - timedelta(number)
            ),
            (asset(2 * number, here=True), asset(2 * number + 1, here=number < count)),
        )
        for number in range(1, count + 1)
    ]


@pytest.fixture
def syncer(syncer: Command) -> Command:
    """Provide the command in this process: many short ones are run here."""
    return Inside(syncer.place)


@pytest.fixture
def catalog(syncer: Command) -> Iterator[SqlCatalog]:
    """One mirror with twelve releases, as a run would have published them."""
    syncer.file.write_text('[[repo]]\nname = "acme/widget"\n')
    assert syncer("init").status == 0
    engine = connect(f"sqlite:///{syncer.place}/mirror/catalog.db")
    catalog = SqlCatalog(engine)
    catalog.reconcile([(NAME, "normal")], NOW)
    state = catalog.state(NAME)
    records = releases(12)
    there = [a.asset for r in records for a in r.assets if a.blob]
    blobs = [Blob(str(each.digest), each.size) for each in there]
    index = SqlBlobIndex(engine)
    index.stored([StoredBlob(blob, NOW, NOW) for blob in blobs])
    run_id = catalog.open_run(state, Trigger.COMMAND, NOW, observed=NOW)
    run = SyncRun(run_id, state.id, NAME, Trigger.COMMAND, NOW)
    tally = ReleaseTally(fetched=23, missing=1, received=23_000, changed=12)
    run = replace(run, outcome=Outcome.PARTIAL, ended=NOW, releases=tally)
    changes = ReleaseChanges(tuple(records), (), "asked", NOW)
    catalog.publish_releases(run, changes, [])
    facts = Facts(7, "R_7", RepoName.parse("new/widget"), licence="MIT")
    origin = Origin(facts, Standing.ARCHIVED, since=NOW, described=NOW)
    SqlReleaseIndex(engine).describe(state.id, origin, (), NOW)
    yield catalog
    catalog.close()


@pytest.mark.usefixtures("catalog")
def test_show_tells_of_releases_and_who_upstream_is(syncer: Command) -> None:
    """The newest ten, how sure their assets are, the name of today, the licence."""
    done = syncer("show", "acme/widget")

    assert done.status == 0, done.err
    assert (
        "releases  12 (23/24 assets: 12 verified, 11 pinned on first sight, 1 missing)"
    ) in done.out
    assert re.search(r"asked for again in \d+m", done.out)
    assert "renamed   upstream calls it new/widget now\n" in done.out
    assert "standing  archived: read-only upstream, since " in done.out
    assert "licence   MIT\n" in done.out
    assert "https://github.com/new/widget.git" in done.out
    lines = [line.split() for line in done.out.splitlines()]
    assert ["v10", f"{NOW - timedelta(10):%Y-%m-%d}", "2/2", "2.0", "KiB"] in lines
    assert "and 2 older releases: --all has them" in done.out
    assert "23 assets fetched, 1 missing" in done.out
    every = syncer("show", "acme/widget", "--all")
    assert "v12 " in every.out
    assert "older releases" not in every.out
    by_new_name = syncer("show", "new/widget")
    assert by_new_name.out.startswith("acme/widget ")


@pytest.mark.usefixtures("catalog")
def test_show_tells_of_single_assets(syncer: Command) -> None:
    """Of one tag, or of the newest; programs get all of them."""
    done = syncer("show", "acme/widget", "--assets", "v12")

    _, first, second = [line.split() for line in done.out.splitlines()]
    digest = sha256(b"24").hexdigest()[:12]
    assert first == ["part-24.bin", "1000", "B", "verified", digest]
    assert second[:4] == ["part-25.bin", "1000", "B", "missing"]
    assert "upstream answers 404; asked 1 time; asked for again" in done.out
    newest = syncer("show", "acme/widget", "--assets")
    assert newest.out.count("ASSET") == 10
    unknown = syncer("show", "acme/widget", "--assets", "v99")
    assert (unknown.status, unknown.out) == (1, "")
    document = syncer("show", "acme/widget", "--json").document()
    assert [len(each["assets"]) for each in document["releases"]] == [2] * 12
    assert document["origin"]["facts"]["licence"] == "MIT"
    assert document["mirror"]["releases"]["present"] == 23


@pytest.mark.usefixtures("catalog")
def test_list_and_status_count_assets(syncer: Command) -> None:
    """Beside LFS objects, and with what the looks at them need of the API."""
    listed = syncer("list").out.splitlines()
    assert listed[0].split()[4:7] == ["REFS", "LFS", "ASSETS"]
    assert "23/24" in listed[1].split()

    status = syncer("status")

    assert "assets    23/24, 1 missing   22.5 KiB   of 12 releases" in (status.out)
    assert "github.com: releases take 0 of 54 requests an hour" in status.out
    document = syncer("status", "--json").document()
    assert document["releases"]["missing"] == 1
    assert document["api"][0]["allowed_per_hour"] == 54.0
    assert not document["api"][0]["authorised"]


def test_a_pin_is_kept_listed_and_taken_back(
    syncer: Command, catalog: SqlCatalog
) -> None:
    """Of a tag that there is; nothing is pinned by a slip."""
    done = syncer("pin", "acme/widget@v3", "acme/widget@v4")
    assert done.status == 0, done.err
    assert "v3 of acme/widget is pinned\nv4 of acme/widget is pinned\n" in done.err
    assert "pinned already" in syncer("pin", "ACME/widget@v3").err
    slip = syncer("pin", "acme/widget@v5", "acme/widget@v99")
    assert slip.status == 1
    assert "no tag v99 here; nothing was pinned" in slip.err

    shown = syncer("show", "acme/widget")
    assert "pinned    v3, v4\n" in shown.out
    (line,) = [each for each in shown.out.splitlines() if each.startswith("v3 ")]
    assert line.endswith("pinned")
    assert [e.detail for e in catalog.audit_events(5) if e.action == "pin"] == [
        "v4",
        "v3",
    ]

    assert syncer("unpin", "acme/widget@v3").status == 0
    assert syncer("unpin", "acme/widget@v3").status == 1
    pins = syncer("show", "acme/widget", "--json").document()["pins"]
    assert [pin["tag"] for pin in pins] == ["v4"]
    for words in ("acme/widget", "acme/widget@", "acme/widget@a..b"):
        assert syncer("pin", words).status == 2
    assert syncer("pin", "acme/wodget@v3").status == 12


def test_another_identity_needs_its_own_word(
    syncer: Command, catalog: SqlCatalog
) -> None:
    """A plain `accept` names the flag, and the flag is for nothing else."""
    refused = syncer("accept", "acme/widget", "--identity")
    assert refused.status == 1
    assert "no other repository has the name" in refused.err
    state = catalog.state(NAME)
    run_id = catalog.open_run(state, Trigger.COMMAND, NOW, observed=None)
    run = SyncRun(run_id, state.id, NAME, Trigger.COMMAND, NOW)
    held = Held("acme/widget is another repository now", NOW, identity=9)
    done = replace(run, outcome=Outcome.HELD, ended=NOW, error="held")
    catalog.close_run(done, held=held)

    assert "syncer accept acme/widget --identity" in syncer("status").out
    plain = syncer("accept", "acme/widget")
    assert plain.status == 1
    assert "accept acme/widget --identity" in plain.err
    accepted = syncer("accept", "acme/widget", "--identity", "--json").document()

    assert accepted["held"]["accepted"]
    assert accepted["held"]["identity"] == 9
    (event,) = [e for e in catalog.audit_events(5) if e.action == "accept"]
    assert event.detail == "--identity"


@pytest.fixture
def host(syncer: Command, git_server: GitServer, github: GitHubServer) -> str:
    """Provide a host with git and an API, of which nothing is mirrored yet."""
    name = name_on(git_server, "x").removesuffix("/x")
    syncer.file.write_text(
        f'[host."{name}"]\ngit = "{git_server.url}"\napi = "{github.api}"\n'
        "private = true\n"
    )
    assert syncer("init").status == 0
    return name


def test_add_tells_what_the_api_knows(
    syncer: Command, host: str, github: GitHubServer, upstream: Upstream
) -> None:
    """The licence, what is unusual, and the name of today, which is what is added."""
    upstream("acme/widget")
    repository = github.repository("acme/old", archived=True, size=2048)
    repository.rename("acme/widget")

    done = syncer("add", f"{host}/acme/old")

    assert done.status == 0, done.err
    assert f"{host}/acme/old has moved upstream: it is {host}/acme/widget" in done.err
    assert "default branch main; licence Apache-2.0, archived, 2.0 MiB" in done.err
    assert f'name = "{host}/acme/widget"\n' in syncer.file.read_text()
    assert "acme/old" not in syncer.file.read_text()
    again = syncer("add", f"{host}/acme/old")
    assert f"{host}/acme/widget is listed already" in again.err
    assert syncer.file.read_text().count("[[repo]]") == 1


def test_an_api_that_is_down_keeps_nobody_from_adding(
    syncer: Command, host: str, github: GitHubServer, upstream: Upstream
) -> None:
    """Git says whether the repository is there; what the API denies is refused."""
    upstream("acme/widget")

    absent = syncer("add", f"{host}/acme/widget")
    assert absent.status == 1
    assert "upstream does not show" in absent.err
    github.repository("acme/widget")
    github.fail("*", status=503, times=None)
    done = syncer("add", f"{host}/acme/widget")

    assert done.status == 0, done.err
    assert "warning: the API of " in done.err
    assert "1 branch, 0 tags, default branch main\n" in done.err


def test_a_host_that_repeats_our_token_shows_it_to_nobody(
    syncer: Command,
    host: str,
    github: GitHubServer,
    upstream: Upstream,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Upstream's words are quoted, without what it must not say."""
    upstream("acme/widget")
    variable = "SYNCER_TOKEN_" + re.sub(r"[^A-Z0-9]", "_", host.upper())
    secret = "gh" + "o_secret"
    body = f'{{"message": "Bad credentials: {secret}"}}'
    github.fault("/repos/", Fault(status=401, body=body))

    monkeypatch.setenv(variable, secret)
    done = syncer("add", f"{host}/acme/widget")

    assert done.status == 0, done.err
    assert "Bad credentials: ********" in done.err
    assert secret not in done.err + done.out


def test_an_owner_is_looked_at_added_and_removed(
    syncer: Command, host: str, github: GitHubServer
) -> None:
    """A dry run shows all and writes nothing; what fits is mirrored from then on."""
    for name, known in (
        ("one", {"size": 1024}),
        ("two", {"licence": None, "archived": True}),
        ("two-fork", {"fork": True}),
        ("hidden-old", {}),
    ):
        github.repository(f"acme/{name}", **known)
    before = syncer.file.read_bytes()

    plan = syncer("add", f"org:{host}/acme", "--exclude", "*-old", "--dry-run")

    assert plan.status == 0, plan.err
    rows = [line.split() for line in plan.out.splitlines()]
    assert [f"{host}/acme/one", "Apache-2.0", "1.0", "MiB"] in rows
    assert [f"{host}/acme/two", "none", "0", "B", "archived"] in rows
    assert "2 repositories, 1.0 MiB of git by upstream's count" in plan.out
    assert "left out: 1 by name, 1 by fork" in plan.out
    assert '+exclude = ["*-old"]' in plan.out
    assert f"syncer add org:{host}/acme --exclude '*-old'" in plan.err
    assert syncer.file.read_bytes() == before
    assert syncer("list", "--json").document()["mirrors"] == []

    done = syncer("add", f"org:{host}/acme", "--exclude", "*-old", "--tier", "core")

    assert done.status == 0, done.err
    assert syncer.file.read_text().endswith(
        f'[[owner]]\nname = "{host}/acme"\nexclude = ["*-old"]\ntier = "core"\n'
    )
    mirrors = syncer("list", "--json").document()["mirrors"]
    assert [(each["name"], each["tier"]) for each in mirrors] == [
        ("one", "core"),
        ("two", "core"),
    ]
    one = syncer("remove", f"{host}/acme/one")
    assert one.status == 2
    assert 'exclude = ["one"]' in one.err
    assert "listed already" in syncer("add", f"user:{host}/ACME").err
    listed = syncer("add", f"org:{host}/acme", "-n", "--json").document()
    assert (len(listed["repositories"]), listed["diff"]) == (2, [])

    gone = syncer("remove", f"org:{host}/acme")
    assert gone.status == 0, gone.err
    assert "2 repositories are not mirrored from now on" in gone.err
    assert syncer.file.read_bytes() == before
    assert syncer("list", "--json").document()["mirrors"] == []


def test_what_cannot_be_an_owner_is_refused(syncer: Command, host: str) -> None:
    """Before anything is written."""
    before = syncer.file.read_bytes()
    for words, status, said in (
        ((f"org:{host}/nobody",), 1, "does not show an owner"),
        (("org:other.corp/acme",), 2, "no API of other.corp is known"),
        (("org:acme", "a/b"), 2, "name org:acme alone"),
        (("org:a/b/c/",), 2, "is not an owner"),
        (("acme/widget", "--forks"), 2, "--forks is for org:OWNER"),
        (("acme/widget", "--json"), 2, "--json is for"),
        ((f"org:{host}/x", "--include", ""), 2, "cannot be listed so"),
    ):
        done = syncer("add", *words)
        assert (done.status, said in done.err) == (status, True), done.err
    assert syncer("remove", "org:nobody").status == 12
    assert syncer.file.read_bytes() == before
