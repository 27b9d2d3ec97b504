"""What is said of releases, assets, and who a repository is."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO

import click
import pytest
from rich.console import Console
from rich.table import Table

from syncer.cli import documents, origins
from syncer.cli.activity import check_identity
from syncer.cli.board import words_of as progress_of
from syncer.cli.progress import rows_of
from syncer.cli.releases import (
    asset_table,
    of_tag,
    release_table,
    state_of,
    words_of,
)
from syncer.cli.remedy import accepting, remedy
from syncer.cli.render import released, run_lines, summary
from syncer.errors import PermanentError
from syncer.model.mirrors import Held, RepoState
from syncer.model.names import RepoName
from syncer.model.origin import UNKNOWN, Facts, Origin, Standing
from syncer.model.releases import (
    Asset,
    AssetRecord,
    AssetState,
    Author,
    Departure,
    Pin,
    Proof,
    Release,
    ReleaseCounts,
    ReleaseRecord,
    ReleaseState,
    ReleaseTally,
)
from syncer.model.runs import Outcome, Progress, SyncRun, Trigger, Word
from syncer.schedule.lag import Freshness

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
NAME = RepoName.parse("acme/widget")
MIB = 1 << 20


def asset(number: int, state: AssetState, **known: object) -> AssetRecord:
    """Return an asset of one MiB; what is here has a blob."""
    here = state in {AssetState.PRESENT, AssetState.DAMAGED}
    digest = f"{number:064x}"
    shown = Asset(number, f"RA_{number}", f"file-{number}.bin", MIB, digest)
    record = AssetRecord(shown, state, digest if here else None)
    return replace(record, **known)  # type: ignore[arg-type]  # fields of a record


VERIFIED = asset(1, AssetState.PRESENT, proof=Proof.VERIFIED)
PINNED = asset(2, AssetState.PRESENT, proof=Proof.PINNED, attestation="a" * 64)
MISSING = asset(
    3,
    AssetState.MISSING,
    reason="upstream answers 500\x1b[2J",
    tries=2,
    retry_at=NOW + timedelta(hours=1),
)
DAMAGED = asset(4, AssetState.DAMAGED, reason="lost", retry_at=NOW)
REPLACED = asset(
    5,
    AssetState.PRESENT,
    proof=Proof.VERIFIED,
    gone=NOW - timedelta(days=2),
    departure=Departure.REPLACED,
)
EXPIRED = asset(
    6, AssetState.EXPIRED, gone=NOW - timedelta(days=99), departure=Departure.DELETED
)
UNWANTED = asset(7, AssetState.UNWANTED)
RELEASE = Release(
    11,
    "RE_11",
    "v1.0",
    title="One",
    author=Author(1, "ada"),
    immutable=True,
    published=NOW - timedelta(days=3),
)
RECORD = ReleaseRecord(
    RELEASE, (VERIFIED, PINNED, MISSING, DAMAGED, REPLACED, EXPIRED, UNWANTED)
)
BETA = ReleaseRecord(
    replace(RELEASE, id=12, tag="v2.0-rc", prerelease=True, immutable=False),
    (VERIFIED,),
    selected=False,
)
GONE = ReleaseRecord(
    replace(RELEASE, id=10, tag="v0.9", draft=True, immutable=False, published=None),
    (),
    gone=NOW,
)


def test_releases_are_counted_with_how_sure_their_assets_are() -> None:
    """What left, is left out or is not selected is none of the count."""
    assert words_of([RECORD, BETA, GONE]) == (
        "1 (2/4 assets: 1 verified, 1 pinned on first sight, 1 missing, 1 damaged), "
        "2.0 MiB"
    )
    assert words_of([ReleaseRecord(RELEASE)]) == "1, no assets"
    assert words_of([]) == "0, no assets"


def test_a_release_is_a_line() -> None:
    """Tag, day, assets, bytes, and a word for whatever is special."""
    lines = release_table([BETA, RECORD, GONE], {"v1.0"})

    assert [line.split() for line in lines] == [
        ["TAG", "PUBLISHED", "ASSETS", "SIZE", "FLAGS"],
        ["v2.0-rc", "2026-05-01", "1/1", "1.0", "MiB", "pre,", "unselected"],
        ["v1.0", "2026-05-01", "2/4", "2.0", "MiB", "immutable,", "pinned"],
        ["v0.9", "-", "-", "-", "draft,", "gone"],
    ]


def test_an_asset_is_a_line_with_its_state() -> None:
    """Every asset that is known has one, with the reason if it is not here."""
    assert [state_of(each) for each in RECORD.assets] == [
        "verified",
        "pinned",
        "missing",
        "damaged",
        "replaced",
        "expired",
        "unwanted",
    ]
    lines = asset_table(RECORD, NOW)
    assert len(lines) == 1 + len(RECORD.assets)
    assert lines[2].endswith("000000000000  attested")
    assert lines[3].endswith(
        "upstream answers 500\ufffd[2J; asked 2 times; asked for again in 1h00m"
    )
    assert lines[4].endswith("lost; asked for again by the next run")
    assert lines[5].endswith("left 2d00h ago, bytes kept")
    assert lines[6].endswith("left 99d00h ago")
    assert asset_table(GONE, NOW) == ["v0.9 has no assets"]


def test_a_tag_is_found_or_said_to_be_unknown() -> None:
    """A slip in a tag does not show another release."""
    assert of_tag([BETA, RECORD], "v1.0") == [RECORD]
    with pytest.raises(PermanentError, match="no release of the tag v9"):
        of_tag([BETA, RECORD], "v9")


def test_a_release_is_json_with_every_asset() -> None:
    """Programs get what people are not shown: ids, dates, digests, reasons."""
    document = documents.release(RECORD)
    json.dumps(document)

    assert (document["tag"], document["immutable"], document["gone"]) == (
        "v1.0",
        True,
        None,
    )
    assert document["author"] == {"id": 1, "login": "ada"}
    one, _, missing, *_, replaced, expired, _ = document["assets"]
    assert (one["proof"], one["sha256"]) == ("verified", f"{1:064x}")
    assert (missing["state"], missing["sha256"]) == ("missing", None)
    assert missing["reason"] == "upstream answers 500\ufffd[2J"
    assert (replaced["departure"], expired["state"]) == ("replaced", "expired")
    pin = documents.pin(Pin("v1.0", NOW, "cli@here"))
    assert pin == {"tag": "v1.0", "at": "2026-05-04T03:02:01.000Z", "actor": "cli@here"}


def test_the_assets_of_all_mirrors_are_added_up() -> None:
    """The first that is asked for again says when."""
    soon = NOW + timedelta(minutes=1)
    counts = [
        ReleaseCounts(7, 1, 0, 9 * MIB, NOW + timedelta(hours=1), releases=3),
        ReleaseCounts(0, 0, 2, 0, soon, releases=1),
        ReleaseCounts(),
    ]

    whole = ReleaseCounts.summed(counts)
    assert whole == ReleaseCounts(7, 1, 2, 9 * MIB, soon, releases=4)


RUN = SyncRun(1, 1, NAME, Trigger.COMMAND, NOW, ended=NOW + timedelta(seconds=12))


@pytest.mark.parametrize(
    ("outcome", "tally", "text"),
    [
        (Outcome.CHANGED, ReleaseTally(fetched=2, linked=1), "2 assets fetched, 1 l"),
        (Outcome.PARTIAL, ReleaseTally(missing=1), "1 asset missing"),
        (Outcome.CHANGED, ReleaseTally(changed=3), "3 changes of releases"),
        (Outcome.CHANGED, ReleaseTally(), "0 refs changed"),
        (Outcome.UNCHANGED, ReleaseTally(), "unchanged"),
    ],
)
def test_a_run_tells_of_its_assets(
    outcome: Outcome, tally: ReleaseTally, text: str
) -> None:
    """A run for releases alone is no change of refs."""
    assert summary(replace(RUN, outcome=outcome, releases=tally)).startswith(text)


def test_a_run_counts_the_bytes_of_assets() -> None:
    """Beside what its refs brought."""
    tally = ReleaseTally(fetched=1, received=MIB, changed=2)
    run = replace(RUN, outcome=Outcome.CHANGED, counts={"moved": 1}, releases=tally)

    (line,) = map(click.unstyle, run_lines(run, 11))

    assert line == "acme/widget  OK      1 ref moved, 1 asset fetched  1.0 MiB  12s"
    assert documents.run(run)["received_bytes"] == MIB
    assert documents.run(run)["releases"]["changed"] == 2
    assert released(ReleaseTally()) == ""


def test_assets_on_their_way_are_shown_by_tag_and_name() -> None:
    """The name is upstream's: it can be long, and is never markup."""
    name = "v1.0/[bold]" + "x" * 60 + "model.safetensors"
    moving = Progress(
        "assets",
        MIB,
        3 * MIB,
        rate=float(MIB),
        items=(4, 9),
        current=(name, 1 << 30, 4 << 30),
    )
    grid = Table.grid(padding=(0, 1))
    for row in rows_of("acme/widget", moving, 1):
        grid.add_row(*row)
    console = Console(file=StringIO(), width=160)
    console.print(grid)
    text = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO

    assert "assets" in text
    assert "xmodel.safetensors " in text
    assert "…" in text
    short = rows_of("a/b", replace(moving, current=("v1/[b]x", 1, 1 << 30)), 1)
    assert str(short[1][0]) == "  v1/[b]x"
    assert progress_of(moving, 1) == (
        "assets 4/9, 1.0 MiB of 3.0 MiB, 1.0 MiB/s, eta 2s"
    )


STATE = RepoState(1, NAME, "p", "core")
FACTS = Facts(7, "R_7", NAME, licence="Apache-2.0")


@pytest.mark.parametrize(
    ("state", "origin", "aliases", "told"),
    [
        (STATE, UNKNOWN, [], []),
        (STATE, Origin(FACTS), ["github.com/acme/widget"], [("licence", "Apache-2.0")]),
        (
            replace(STATE, upstream=RepoName.parse("new/widget")),
            Origin(replace(FACTS, licence=None, private=True, archived=True)),
            ["github.com/new/widget", "github.com/old/widget"],
            [
                ("renamed", "upstream calls it new/widget now"),
                ("licence", "no licence, private"),
                ("also", "known as github.com/old/widget"),
            ],
        ),
        (
            STATE,
            Origin(standing=Standing.BLOCKED, since=NOW, notice="https://n/\x1b"),
            [],
            [
                ("standing", "blocked upstream for legal reasons, since 2026-05-04"),
                ("notice", "https://n/\ufffd"),
            ],
        ),
        (
            STATE,
            Origin(standing=Standing.GONE, sightings=4),
            [],
            [("standing", "gone upstream, confirmed, found so 4 times in a row")],
        ),
    ],
)
def test_an_origin_is_told_where_it_is_unusual(
    state: RepoState, origin: Origin, aliases: list[str], told: list[tuple[str, str]]
) -> None:
    """A name, standing and licence that go without saying are not said."""
    assert origins.facts(state, origin, aliases) == told


def test_every_standing_has_words() -> None:
    """Also those that upstream gives once in a year."""
    for standing in Standing:
        said = origins.standing(Origin(standing=standing))
        assert (said != standing.value) == (standing is not Standing.NORMAL)


def test_pins_are_told_by_their_tags() -> None:
    """The first few; `--json` has all."""
    pins = [Pin(f"v{number}", NOW, "ada") for number in range(7)]
    assert origins.pinned([]) == []
    assert origins.pinned(pins) == [("pinned", "v0, v1, v2, v3, v4 and 2 more")]


def test_another_identity_is_accepted_by_its_own_flag_alone() -> None:
    """Nobody lets a stranger's repository in by habit."""
    other = Held("another repository", NOW, identity=9)
    usual = Held("300 refs gone", NOW)

    check_identity(NAME, other, asked=True)
    check_identity(NAME, usual, asked=False)
    check_identity(NAME, None, asked=False)
    with pytest.raises(PermanentError, match="nothing was changed") as caught:
        check_identity(NAME, other, asked=False)
    assert "--identity" in str(caught.value.hint)
    for held in (usual, None):
        with pytest.raises(PermanentError, match="no other repository"):
            check_identity(NAME, held, asked=True)
    assert accepting(other) == " --identity"
    assert accepting(replace(usual, oid="1" * 40)) == f" --object {'1' * 40}"
    assert accepting(usual) == ""


def test_what_is_damaged_is_repaired_first() -> None:
    """Of LFS objects and of assets alike."""
    counts = ReleaseCounts(damaged=1)
    state = replace(STATE, releases=ReleaseState(counts=counts))
    none = timedelta()
    fresh = Freshness(state, Word.PARTIAL, none, none, timedelta(hours=1))

    assert remedy(fresh) == "syncer verify acme/widget --repair"
    assert remedy(replace(fresh, state=STATE)) == "syncer show acme/widget"
