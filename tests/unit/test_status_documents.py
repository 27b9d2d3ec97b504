"""The documents that other programs read, and what they make of our words."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from typing import TYPE_CHECKING, Any

import pytest

from syncer.model.lfs import LfsCounts
from syncer.model.mirrors import Activity, Held
from syncer.model.names import RepoName
from syncer.model.runs import Outcome, Trigger
from syncer.web import health, shown
from syncer.web.front import Front
from syncer.web.manifest import Manifest
from syncer.web.mirrorz import mirrorz, site_url
from syncer.web.tunasync import tunasync
from tests.contracts.git_store import NAME, PATH, mirrored
from tests.fakes import NOW
from tests.fakes_git import FakeGitStore, FakeUpstream
from tests.servers import github_schemas
from tests.views import Stage, configured, stage

if TYPE_CHECKING:
    from pathlib import Path

AGO = NOW - timedelta(minutes=1)
LONG_AGO = NOW - timedelta(days=2)
TS = int(AGO.timestamp())
LATER = datetime(2026, 3, 1, 13, tzinfo=UTC)
#: A host without an API, so that nothing is asked of releases.
FINE = {"last_attempt": AGO, "last_success": AGO, "outcome": Outcome.UNCHANGED}

#: What makes a mirror each of our words, and what becomes of the words.
WORDS: dict[str, tuple[dict[str, Any], str, str]] = {
    "OK": (FINE, "success", f"S{TS}X"),
    "LATE": (FINE | {"behind_since": LONG_AGO}, "success", f"S{TS}X"),
    "PARTIAL": (FINE | {"lfs": LfsCounts(missing=1)}, "failed", f"F{TS}O{TS}X"),
    "HELD": (FINE | {"held": Held("why", AGO)}, "failed", f"F{TS}O{TS}X"),
    "FAIL": (FINE | {"failures": 2}, "failed", f"F{TS}O{TS}X"),
    "PAUSED": (FINE | {"activity": Activity.PAUSED}, "paused", f"P{TS}"),
    "GONE": (FINE | {"outcome": Outcome.GONE}, "disabled", f"P{TS}"),
    "NEW": ({}, "none", f"DN{int(NOW.timestamp())}X"),
}


def of_words(place: Path) -> Stage:
    """Return a view of a mirror in each state; it is called by its word."""
    made = stage(configured(place, *(f"a.test/is/{word}" for word in WORDS)))
    for word, (changes, *_) in WORDS.items():
        made.put(f"a.test/is/{word}", **changes)
    return made


def read(document: bytes, schema: str) -> Any:  # noqa: ANN401 - any JSON
    """Return a document that is as its schema wants it."""
    parsed = json.loads(document)
    github_schemas.check(schema, parsed)
    return parsed


def named(document: list[dict[str, Any]], key: str) -> dict[str, dict[str, Any]]:
    """Return the entries by the last part of their names."""
    return {each[key].rpartition("/")[2]: each for each in document}


def test_every_word_has_one_of_tunasync(tmp_path: Path) -> None:
    """Only what was looked at in full, with a good end, is a success there."""
    made = of_words(tmp_path)
    found = named(read(tunasync(made.view, NOW), "tunasync"), "name")
    assert {word: found[word]["status"] for word in WORDS} == {
        word: status for word, (_, status, _) in WORDS.items()
    }


def test_every_word_has_a_status_of_mirrorz(tmp_path: Path) -> None:
    """The first letter is the state, the next ones say since when and until when."""
    made = of_words(tmp_path)
    document = read(mirrorz(made.view, NOW), "mirrorz")
    found = named(document["mirrors"], "cname")
    for word, (_, _, status) in WORDS.items():
        mine = found[word]["status"]
        assert mine.startswith(status) if status.endswith("X") else mine == status
    assert [word for word in WORDS if found[word].get("disable")] == ["NEW"]


def test_the_words_are_those_of_everybody(tmp_path: Path) -> None:
    """Each mirror of these tests has the word that it is called by."""
    made = of_words(tmp_path)
    found = {each.state.name.name: str(each.word) for each in made.view.fresh(NOW)}
    assert found == {word: word for word in WORDS}


def test_times_are_those_of_tunasync(tmp_path: Path) -> None:
    """As text and as seconds; what never was is the zero time of its language."""
    made = of_words(tmp_path)
    found = named(read(tunasync(made.view, NOW), "tunasync"), "name")
    fine, new = found["OK"], found["NEW"]
    assert fine["last_update"] == "2026-03-01 12:29:00 +0000"
    assert fine["last_update_ts"] == fine["last_ended_ts"] == TS
    assert fine["next_schedule_ts"] > TS
    assert new["last_update"] == "0001-01-01 00:00:00 +0000"
    assert new["last_update_ts"] == -62135596800
    assert found["PAUSED"]["next_schedule_ts"] == -62135596800
    assert found["HELD"]["upstream"] == "https://a.test/is/HELD"
    assert fine["size"] == "unknown"


@pytest.mark.parametrize(
    ("count", "text"),
    [(1, "1"), (1023, "1023"), (1024, "1.0K"), (62_000_000_000, "57.7G")],
)
def test_sizes_are_written_as_rsync_does(count: int, text: str) -> None:
    """One digit after the point, and no blank before the unit."""
    assert shown.size(count) == text


def test_a_mirror_whose_run_is_open_is_syncing(tmp_path: Path) -> None:
    """It ended when it was last equal; the word of before is not repeated."""
    made = stage(configured(tmp_path, "a.test/acme/tool"))
    state = made.put("a.test/acme/tool", **FINE)
    made.catalog.open_run(state, Trigger.SCHEDULE, NOW, observed=NOW)
    (entry,) = read(tunasync(made.view, NOW), "tunasync")
    assert entry["status"] == "syncing"
    assert entry["last_ended_ts"] == TS
    (other,) = read(mirrorz(made.view, NOW), "mirrorz")["mirrors"]
    assert other["status"].startswith("Y")
    assert other["status"].endswith(f"O{TS}")
    assert other["url"] == "/a.test/acme/tool"


@pytest.mark.parametrize(
    ("keys", "url"),
    [
        ('url = "https://mirror.corp/"', "https://mirror.corp"),
        ('listen = "[::1]:80"', "http://[::1]:80"),
        ("", "http://127.0.0.1:8417"),
        ('listen = "off"\nurl = "https://mirror.corp/github"', None),
    ],
)
def test_the_site_is_where_consumers_find_it(
    tmp_path: Path, keys: str, url: str | None
) -> None:
    """What a proxy is known by comes before where we listen."""
    config = configured(tmp_path, keys=f"[syncer.web]\n{keys}")
    assert site_url(config) == (url or "https://mirror.corp/github")


def test_anywhere_is_no_address(tmp_path: Path) -> None:
    """A listener on every address is found by the machine's name."""
    keys = '[syncer.web]\nlisten = "0.0.0.0:80"\nplain_http = true'
    config = configured(tmp_path, keys=keys)
    assert site_url(config) == f"http://{config.machine}:80"


def hidden(place: Path, keys: str = "", environ: dict[str, str] | None = None) -> Stage:
    """Return a view of a public, a private and a repository nobody described."""
    names = ("acme/open", "acme/secret", "acme/unknown", "a.test/acme/other")
    made = stage(configured(place, *names, keys=keys, environ=environ))
    made.describe("acme/open", private=False)
    made.describe("acme/secret", private=True)
    return made


def listed(made: Stage) -> list[str]:
    """Return which mirrors are shown, the same in all documents."""
    names = [each["name"] for each in read(tunasync(made.view, NOW), "tunasync")]
    site = read(mirrorz(made.view, NOW), "mirrorz")
    assert [each["cname"] for each in site["mirrors"]] == names
    assert f"{len(names)} mirrors" in Front(())(made.view, NOW).decode()
    return names


def test_private_repositories_are_not_listed(tmp_path: Path) -> None:
    """What upstream says is private, readers without a token do not hear of."""
    made = hidden(tmp_path)
    assert listed(made) == ["a.test/acme/other", "acme/open", "acme/unknown"]


def test_what_our_token_may_have_opened_is_not_listed(tmp_path: Path) -> None:
    """With a token for its host, only what upstream says is public is shown."""
    made = hidden(tmp_path, environ={"GITHUB_TOKEN": "x"})
    assert listed(made) == ["a.test/acme/other", "acme/open"]


def test_what_comes_by_ssh_is_not_listed(tmp_path: Path) -> None:
    """A key opens private repositories as a token does."""
    place = tmp_path / "key"
    place.write_text("")
    keys = f'[host."a.test"]\nprotocol = "ssh"\nssh_key = "{place}"\n'
    keys += f'known_hosts = "{place}"\n'
    assert listed(hidden(tmp_path, keys=keys)) == ["acme/open", "acme/unknown"]


def test_whoever_shows_the_token_sees_everything(tmp_path: Path) -> None:
    """Where readers need a token, private repositories are listed, too."""
    made = hidden(tmp_path, environ={"SYNCER_WEB_TOKEN": "x", "GITHUB_TOKEN": "y"})
    assert "acme/secret" in listed(made)
    assert len(listed(made)) == 4


def manifest(made: Stage, build: Manifest) -> dict[str, Any]:
    """Return the manifest as grokmirror reads it."""
    parsed: dict[str, Any] = json.loads(gzip.decompress(build(made.view, NOW)))
    return parsed


class Counted(FakeGitStore):
    """A store that counts how often refs are read."""

    reads = 0
    #: Whether what is published has no refs.
    bare = False

    def show_refs(self, path: str) -> bytes:
        """Return them, and count."""
        self.reads += 1
        return b"" if self.bare else super().show_refs(path)


def mirroring(place: Path) -> tuple[Stage, Counted, FakeUpstream]:
    """Return a view of one mirror and one that was never mirrored."""
    names = (NAME.short, "acme/never")
    upstream = FakeUpstream()
    upstream.commit()
    store = Counted({NAME.identity: upstream}, timedelta())
    made = stage(configured(place, *names), store)
    made.put(NAME.short, head="refs/heads/main", last_change=AGO)
    return made, store, upstream


def test_the_manifest_has_what_grokmirror_wants(tmp_path: Path) -> None:
    """The path, HEAD, and the sha1 of the refs that a clone has."""
    made, store, upstream = mirroring(tmp_path)
    mirrored(store, upstream.snapshot())
    lines = f"{upstream.refs['refs/heads/main']} refs/heads/main\n"
    assert manifest(made, Manifest()) == {
        f"/{PATH}": {
            "description": f"mirror of {NAME.short}",
            "head": "ref: refs/heads/main",
            "reference": None,
            "modified": TS,
            "fingerprint": sha1(lines.encode(), usedforsecurity=False).hexdigest(),
        }
    }


def test_the_manifest_reads_what_changed_and_nothing_else(tmp_path: Path) -> None:
    """While nothing is published no refs are read, and the bytes are the same."""
    made, store, upstream = mirroring(tmp_path)
    mirrored(store, upstream.snapshot())
    build = Manifest()
    first = build(made.view, NOW)
    assert build(made.view, LATER) == first
    assert store.reads == 1
    upstream.commit()
    mirrored(store, upstream.snapshot())
    assert build(made.view, LATER) != first
    assert store.reads == 2


def test_a_repository_without_refs_is_not_in_the_manifest(tmp_path: Path) -> None:
    """Clients take such an entry for damage; there is nothing to be fetched."""
    made, store, upstream = mirroring(tmp_path)
    mirrored(store, upstream.snapshot())
    store.bare = True
    assert manifest(made, Manifest()) == {}
    assert store.reads == 1


def test_the_manifest_keeps_private_paths_to_itself(tmp_path: Path) -> None:
    """A path names a repository as a list does."""
    made, store, upstream = mirroring(tmp_path)
    mirrored(store, upstream.snapshot())
    made.describe(NAME.short, private=True)
    assert manifest(made, Manifest()) == {}


def test_the_page_escapes_what_it_is_given(tmp_path: Path) -> None:
    """The site's name cannot become markup, and there is no script."""
    made = stage(configured(tmp_path, keys='[syncer.web]\nname = "<b>&\\"x"'))
    page = Front(())(made.view, NOW).decode()
    assert "<h1>&lt;b&gt;&amp;&quot;x</h1>" in page
    assert "<b>" not in page
    assert "<script" not in page


def test_the_page_counts_the_words(tmp_path: Path) -> None:
    """Each word that a mirror has is there, with how many have it."""
    page = Front(())(of_words(tmp_path).view, NOW).decode()
    counts = Counter(word for word in WORDS if f"<strong>{word}</strong> 1<" in page)
    assert counts.keys() == WORDS.keys()


@pytest.mark.parametrize(
    ("ago", "own", "leader", "ready"),
    [
        (60, True, False, True),
        (61, True, True, False),
        (5, False, True, True),
        (5, False, False, False),
        (-30, True, False, True),
    ],
)
def test_somebody_has_to_decide_who_is_due(
    tmp_path: Path, ago: int, *, own: bool, leader: bool, ready: bool
) -> None:
    """We, or the machine that was elected; and not longer ago than a minute."""
    made = stage(configured(tmp_path))
    name = None if own else "another"
    made.tick(timedelta(seconds=ago), name=name, leader=leader)
    expected = () if ready else (health.SCHEDULER,)
    assert health.problems(made.view, None) == expected


def test_a_renamed_repository_is_listed_by_the_name_upstream(tmp_path: Path) -> None:
    """`upstream` leads to where the repository is now, `name` is the configured."""
    made = stage(configured(tmp_path, "a.test/acme/tool"))
    made.put("a.test/acme/tool", upstream=RepoName.parse("a.test/new/place"))
    (entry,) = read(tunasync(made.view, NOW), "tunasync")
    assert entry["name"] == "a.test/acme/tool"
    assert entry["upstream"] == "https://a.test/new/place"
