"""What `verify` and `gc` say, and the status they end with."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import click
import pytest
from rich.console import Console
from rich.table import Table

from syncer.cli.care import expired, words_of
from syncer.cli.progress import rows_of
from syncer.cli.verified import document, lines_of, word_of
from syncer.cli.verify import Findings, parse_share, status_of
from syncer.errors import Locked, Unavailable
from syncer.model.blobs import Blob, Leftover
from syncer.model.care import Damage, Swept, VerifyReport
from syncer.model.names import RepoName
from syncer.model.releases import (
    Asset,
    AssetRecord,
    AssetState,
    Departure,
    ReleaseCounts,
)
from syncer.model.runs import Progress, Word

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
NAME = RepoName.parse("acme/widget")
WHOLE = VerifyReport(NAME, pointers=3, present=3)
MISSING = VerifyReport(NAME, pointers=3, present=2, missing=1)
DAMAGED = VerifyReport(
    NAME, pointers=3, present=2, damaged=(Damage("0" * 64, 2048, "lost\x1b[2J"),)
)
UNLINKED = VerifyReport(NAME, pointers=3, present=3, unlinked=1)
ABSENT = VerifyReport(NAME, pointers=3, present=2)
ASSETS = VerifyReport(NAME, lfs=False, assets=ReleaseCounts(7, size=70, releases=2))
AWAITED = VerifyReport(NAME, assets=ReleaseCounts(6, missing=1, releases=2))
COMMAND = click.Command("verify")
CONTEXT = click.Context(COMMAND)
OPTION = click.Option(["--sample"])


def test_a_share_is_a_percentage() -> None:
    """Of nothing there is nothing to read, and of more there is nothing either."""
    assert parse_share(CONTEXT, OPTION, None) is None
    assert parse_share(CONTEXT, OPTION, "5%") == pytest.approx(0.05)
    assert parse_share(CONTEXT, OPTION, " 0.5% ") == pytest.approx(0.005)
    assert parse_share(CONTEXT, OPTION, "100%") == 1.0
    for text in ("0%", "101%", "5", "0.05", "-5%", "x%", "%", "nan%", ""):
        with pytest.raises(click.BadParameter, match="like 5%"):
            parse_share(CONTEXT, OPTION, text)


@pytest.mark.parametrize(
    ("report", "word", "repaired"),
    [
        (WHOLE, Word.OK, Word.OK),
        (MISSING, Word.PARTIAL, Word.PARTIAL),
        (DAMAGED, Word.FAIL, Word.FAIL),
        (UNLINKED, Word.PARTIAL, Word.OK),
        (ABSENT, Word.PARTIAL, Word.PARTIAL),
        (ASSETS, Word.OK, Word.OK),
        (AWAITED, Word.PARTIAL, Word.PARTIAL),
    ],
)
def test_what_was_found_of_a_mirror_is_one_word(
    report: VerifyReport, word: Word, repaired: Word
) -> None:
    """Damage first; an object that was only unknown is there after a repair."""
    assert word_of(report, repair=False) is word
    assert word_of(report, repair=True) is repaired


@pytest.mark.parametrize(
    ("findings", "status"),
    [
        (Findings(0), 0),
        (Findings(1, [WHOLE]), 0),
        (Findings(2, [WHOLE, MISSING]), 3),
        (Findings(2, [ASSETS, AWAITED]), 3),
        (Findings(2, [MISSING, DAMAGED]), 7),
        (Findings(2, [DAMAGED], [(NAME, Unavailable("down"))]), 7),
        (Findings(1, [], [(NAME, Unavailable("down"))]), 5),
        (Findings(2, [WHOLE], [(NAME, Locked("busy"))]), 3),
        (Findings(2, [DAMAGED], signal=2), 130),
    ],
)
def test_a_verification_ends_with_the_worst_of_it(
    findings: Findings, status: int
) -> None:
    """A signal, then damage, then what failed, then what upstream does not give."""
    assert status_of(findings, repair=False) == status


def test_a_damaged_object_is_named_with_its_reason() -> None:
    """The whole digest, so that it can be looked for."""
    report = replace(DAMAGED, repaired=2, read=3, read_bytes=4096)
    line, damage = map(click.unstyle, lines_of(report, repair=True))
    assert line == (
        "acme/widget  FAIL  3 objects, 2 present; 1 damaged, 2 repaired, "
        "3 read (4.0 KiB)"
    )
    assert damage == f"  damaged: {'0' * 64} (2.0 KiB): lost\ufffd[2J"
    many = replace(DAMAGED, damaged=DAMAGED.damaged * 25)
    assert lines_of(many, repair=False)[-1] == "  and 5 more: --json has all"
    assert len(lines_of(many, repair=False)) == 22


def test_objects_and_assets_are_counted_apart() -> None:
    """What is not mirrored is not counted; a damaged asset is told by its names."""

    def told(report: VerifyReport) -> list[str]:
        return [click.unstyle(line) for line in lines_of(report, repair=False)]

    assert told(ASSETS) == ["acme/widget  OK  7 assets, 7 present"]
    assert told(VerifyReport(NAME)) == ["acme/widget  OK  0 objects, 0 present"]
    assert told(VerifyReport(NAME, lfs=False)) == ["acme/widget  OK  nothing is here"]
    names = tuple(f"v{number}/a\x1b.whl" for number in range(5))
    lost = Damage("0" * 64, 2048, "lost", names)
    both = replace(
        MISSING, assets=replace(AWAITED.assets, damaged=1), damaged=(lost,), unlinked=1
    )
    line, damage = told(both)
    assert line == (
        "acme/widget  FAIL  3 objects, 2 present, 1 missing upstream, "
        "1 not known before; 8 assets, 6 present, 1 missing; 1 damaged"
    )
    assert damage == (
        "  damaged: v0/a\ufffd.whl, v1/a\ufffd.whl, v2/a\ufffd.whl and 2 more "
        "(2.0 KiB): lost"
    )
    written: Any = document(both, repair=False)
    assert written["assets"] == {"total": 8, "present": 6, "missing": 1, "damaged": 1}
    assert written["damaged"][0]["assets"][0] == "v0/a\ufffd.whl"
    assert (written["lfs"], written["missing"], written["state"]) == (True, 1, "FAIL")


def test_what_is_given_up_says_how_it_left() -> None:
    """Deleted and replaced by upstream, or left out by the selection; with its size."""

    def left(size: int, departure: Departure | None) -> tuple[str, AssetRecord]:
        asset = Asset(size, f"RA_{size}", "a.whl", size)
        state = AssetState.UNWANTED if departure is None else AssetState.PRESENT
        return "v1", AssetRecord(asset, state, "0" * 64, departure=departure)

    assets = [
        left(1024, Departure.DELETED),
        left(1025, Departure.DELETED),
        left(5, Departure.REPLACED),
        left(6, None),
    ]
    assert expired([], NOW, dry_run=False) == []
    assert expired(assets[:3], NOW, dry_run=False) == [
        "gave up 2 assets deleted upstream before 2026-05-04 (2.0 KiB)",
        "gave up 1 asset replaced upstream before 2026-05-04 (5 B)",
    ]
    assert expired(assets[3:], NOW, dry_run=True) == [
        "would give up 1 asset not selected since before 2026-05-04 (6 B)"
    ]


def test_what_was_swept_is_counted_in_bytes() -> None:
    """Each kind by itself, and a dry run says that it did nothing."""
    swept = Swept(
        condemned=(Blob("0" * 64, 1024), Blob("1" * 64, 1024)),
        removed=(Blob("2" * 64, 5),),
        aborted=(Leftover("part", "3" * 64, 2048, NOW),),
        adopted=(Blob("4" * 64, 1),),
    )
    assert words_of(swept, dry_run=False) == (
        "2 blobs condemned (2.0 KiB), 1 blob removed (5 B), "
        "1 unrecorded blob condemned (1 B), 1 unfinished transfer removed (2.0 KiB)"
    )
    only = Swept(removed=swept.removed)
    assert words_of(only, dry_run=True) == "1 blob would be removed (5 B)"
    assert not Swept()
    assert only


def drawn(progress: Progress) -> list[str]:
    """Return what a terminal shows of one mirror that moves."""
    grid = Table.grid(padding=(0, 2))
    for row in rows_of("acme/widget", progress, 10):
        grid.add_row(*row)
    console = Console(file=StringIO(), width=140, force_terminal=False)
    with console.capture() as capture:
        console.print(grid)
    return [" ".join(line.split()) for line in capture.get().splitlines()]


def test_a_transfer_shows_bytes_objects_and_the_large_one_on_its_way() -> None:
    """A bar over the bytes; small objects come and go too fast for a line."""
    moving = Progress(
        "LFS objects",
        1 << 30,
        3 << 30,
        rate=float(64 << 20),
        items=(412, 900),
        current=("0123456789abcdef", 1 << 30, 4 << 30),
    )
    line, large = drawn(moving)
    assert line.startswith("acme/widget LFS objects ")
    assert line.endswith("412/900 1.0 GiB/3.0 GiB 64.0 MiB/s eta 32s")
    assert large.startswith("0123456789ab ")
    assert large.endswith("25% 1.0 GiB/4.0 GiB")
    small = replace(moving, current=("0123456789abcdef", 1, 4096))
    assert drawn(small) == [line]
    (packs,) = drawn(Progress("receiving objects", 25, 100, 2048, 1024.0))
    assert packs.endswith("25/100 2.0 KiB 1.0 KiB/s eta 30s")
