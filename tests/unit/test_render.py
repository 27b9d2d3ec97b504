"""What a person reads: durations, sizes, tables, names that are not text."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import click
import pytest

from syncer.cli import documents
from syncer.cli.board import Board, line_of, remaining, words_of
from syncer.cli.render import (
    ago,
    changes,
    counted,
    moved,
    printable,
    run_lines,
    stamp,
    summary,
    table,
)
from syncer.cli.verdict import exit_status
from syncer.model.content import ChangeKind, RefChange
from syncer.model.lfs import LfsCounts, LfsTally
from syncer.model.mirrors import RepoState
from syncer.model.names import RepoName
from syncer.model.runs import Outcome, Progress, SyncRun, Trigger, Word
from syncer.units import duration, parse_duration, plural, size, span

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
NAME = RepoName.parse("acme/widget")
RUN = SyncRun(1, 1, NAME, Trigger.COMMAND, NOW, ended=NOW + timedelta(seconds=12))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.42, "0.4s"),
        (12, "12s"),
        (59.9, "59s"),
        (182, "3m02s"),
        (3900, "1h05m"),
        (183_600, "2d03h"),
        (-5, "0s"),
    ],
)
def test_a_duration_is_short(seconds: float, text: str) -> None:
    """Two units are enough to know how long something took."""
    assert duration(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize("text", ["5m", "15m", "2h", "90d", "1h30m", "30s", "0s"])
def test_a_span_is_written_as_it_is_configured(text: str) -> None:
    """What `config show` prints could be put into the file again."""
    assert span(parse_duration(text)) == text
    assert parse_duration(span(timedelta(seconds=0.25))) == timedelta(seconds=0.25)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (155_399_000, "148.2 MiB")],
)
def test_a_size_has_binary_units(count: int, text: str) -> None:
    """Sizes read as `ls -lh` and git show them."""
    assert size(count) == text


def test_an_instant_is_relative_for_people_and_exact_for_programs() -> None:
    """A table says how long ago, JSON says when, in UTC."""
    then = NOW - timedelta(seconds=221)
    assert ago(then, NOW) == "3m41s ago"
    assert ago(None, NOW) == "never"
    assert stamp(then) == "2026-05-04T02:58:20.000Z"
    assert stamp(None) is None


def test_counts_have_their_number() -> None:
    """One mirror, two mirrors, no `mirror(s)`."""
    assert plural(1, "mirror") == "1 mirror"
    assert plural(1200, "mirror") == "1,200 mirrors"
    assert plural(2, "branch", "branches") == "2 branches"


def test_columns_are_aligned_and_numbers_end_together() -> None:
    """A table is read down its columns."""
    lines = table(
        ("NAME", "SIZE", "STATE"),
        [("a", "10", Word.OK), ("longer", "5", Word.LATE)],
        right=("SIZE",),
    )
    plain = [click.unstyle(line) for line in lines]
    assert plain == ["NAME    SIZE  STATE", "a         10  OK", "longer     5  LATE"]


def test_only_a_word_of_ours_has_a_colour() -> None:
    """A repository that is called like a word is not coloured as one."""
    lines = table(("NAME", "STATE"), [("OK", Word.FAIL)])
    assert lines[1].startswith("OK  ")
    assert "\x1b[" in lines[1][4:]


def test_the_last_column_is_cut_where_the_line_ends() -> None:
    """A long error does not break the table, and the cut is visible."""
    lines = table(("NAME", "WHAT"), [("a", "x" * 200)], width=40)
    assert len(lines[1]) == 40
    assert lines[1].endswith("…")


def test_text_of_strangers_cannot_steer_a_terminal() -> None:
    """Escapes, line breaks and bytes that are no text become one mark each."""
    assert printable("a\x1b[2Jb\nc\udcff") == "a\ufffd[2Jb\ufffdc\ufffd"
    assert printable("grün 主") == "grün 主"


def test_a_wide_character_takes_its_two_cells() -> None:
    """A table with Chinese text stays aligned."""
    lines = table(("A", "B"), [("主", "x"), ("ab", "y")])
    assert lines[1] == "主  x"
    assert lines[2] == "ab  y"


def test_a_ref_that_is_not_utf8_keeps_its_bytes_in_json() -> None:
    """JSON shows what can be shown, and beside it what it really is."""
    raw = b"refs/heads/caf\xe9"
    change = RefChange(
        raw.decode("utf-8", "surrogateescape"), None, "1" * 40, ChangeKind.CREATED
    )
    document = documents.change(NOW, 3, change)
    json.dumps(document, ensure_ascii=False).encode()
    assert document["ref"] == "refs/heads/caf\ufffd"
    assert base64.b64decode(document["ref_b64"]) == raw
    assert "ref_b64" not in documents.name_of("ref", "refs/heads/café")


def test_ref_changes_are_counted_by_kind() -> None:
    """A run says what happened to refs without naming each."""
    assert changes({"created": 1}) == "1 ref new"
    assert changes({"moved": 41, "rewound": 1}) == "41 refs moved, 1 rewound"
    assert changes({}) == "0 refs changed"


def test_a_run_is_a_line_with_its_notes_below() -> None:
    """What a person should know of a good run stands under it."""
    run = replace(
        RUN,
        outcome=Outcome.CHANGED,
        counts={"rewound": 1},
        received=2048,
        notes=("refs/heads/dev was force-pushed (1..2), old tip kept",),
    )
    line, note = (click.unstyle(text) for text in run_lines(run, 12))
    assert line == "acme/widget   OK      1 ref rewound  2.0 KiB  12s"
    assert note.strip().startswith("note: refs/heads/dev was force-pushed")


def test_lfs_objects_are_counted_and_never_one_word() -> None:
    """What is here of how many, and what is wrong with the others."""
    assert counted(LfsCounts(4211, 2)) == "4,211/4,213, 2 missing upstream"
    assert counted(LfsCounts(1, 0, 1)) == "1/2, 1 damaged"
    assert counted(LfsCounts(7)) == "7/7"
    assert moved(LfsTally(12, 3, 2)) == (
        "12 LFS objects fetched, 3 linked, 2 missing upstream"
    )
    assert moved(LfsTally(linked=1)) == "1 LFS object linked"
    assert moved(LfsTally()) == ""


def test_a_run_that_brought_lfs_objects_says_so() -> None:
    """Beside its refs, with the bytes of both."""
    run = replace(
        RUN,
        outcome=Outcome.PARTIAL,
        counts={"moved": 1},
        received=1024,
        lfs=LfsTally(fetched=2, missing=1, received=3072),
        notes=("missing upstream: 0123 (404)",),
    )
    line, note = (click.unstyle(text) for text in run_lines(run, 11))
    assert line == (
        "acme/widget  PARTIAL 1 ref moved, 2 LFS objects fetched, "
        "1 missing upstream  4.0 KiB  12s"
    )
    assert note.endswith("note: missing upstream: 0123 (404)")
    assert documents.run(run)["received_bytes"] == 4096
    assert documents.run(run)["lfs"] == {
        "fetched": 2,
        "linked": 0,
        "missing": 1,
        "received_bytes": 3072,
    }


@pytest.mark.parametrize(
    ("outcome", "tally", "text"),
    [
        (Outcome.CHANGED, LfsTally(linked=3), "3 LFS objects linked"),
        (Outcome.CHANGED, LfsTally(), "0 refs changed"),
        (Outcome.UNCHANGED, LfsTally(), "unchanged"),
        (Outcome.PARTIAL, LfsTally(), "unchanged, and not all of it is here"),
    ],
)
def test_a_run_without_refs_tells_of_its_objects(
    outcome: Outcome, tally: LfsTally, text: str
) -> None:
    """A run for LFS alone is no change of refs."""
    assert summary(replace(RUN, outcome=outcome, lfs=tally)) == text


def test_a_failed_run_says_why() -> None:
    """The error stands in the line of the mirror that has it."""
    run = replace(RUN, outcome=Outcome.FAILED, error="upstream answers 404\x07")
    (line,) = run_lines(run, 11)
    assert click.unstyle(line) == "acme/widget  FAIL    upstream answers 404\ufffd"


@pytest.mark.parametrize(
    ("failed", "total", "status"),
    [
        ([], 3, 0),
        ([5, 5, 5], 3, 5),
        ([4, 5], 2, 1),
        ([5], 3, 3),
        ([0], 1, 1),
        ([], 0, 0),
    ],
)
def test_many_ends_become_one_status(
    failed: list[int], total: int, status: int
) -> None:
    """All alike: that status; some well: partial; all, but differently: failed."""
    assert exit_status(failed, total) == status


def test_the_end_of_a_step_is_estimated_from_its_pace() -> None:
    """A quarter in ten seconds leaves thirty; a first glimpse tells nothing."""
    quarter = Progress("receiving objects", 25, 100)
    assert remaining(quarter, 10) == timedelta(seconds=30)
    assert remaining(Progress("receiving objects", 1, 100), 10) is None
    assert remaining(Progress("counting objects", 7), 10) is None


def test_the_end_of_a_transfer_is_told_by_its_rate() -> None:
    """Bytes that were here before came at no pace at all."""
    third = Progress(
        "LFS objects", 1 << 30, 3 << 30, rate=float(64 << 20), items=(412, 900)
    )
    assert remaining(third, 1) == timedelta(seconds=32)
    assert remaining(replace(third, rate=0.0), 1) is None
    assert remaining(replace(third, done=3 << 30), 1) is None
    assert words_of(third, 1) == (
        "LFS objects 412/900, 1.0 GiB of 3.0 GiB, 64.0 MiB/s, eta 32s"
    )


def test_a_line_tells_of_the_mirror_with_the_most_left() -> None:
    """One line for everything, where there is no terminal to draw on."""
    board = Board(3)
    for number, left in ((1, 10), (2, 20)):
        state = RepoState(number, RepoName.parse(f"acme/w{number}"), "p", "core")
        board.on_progress(state, Progress("LFS objects", 0, left, items=(0, 1)))
    state = RepoState(3, NAME, "p", "core")
    board.on_progress(state, Progress("receiving objects", 1, 10**9))

    line = line_of(board, (3, 0))

    assert line == (
        "0 of 3 done, 3 running, 0 waiting; acme/w2: LFS objects 0/1, 0 B of 20 B"
    )
    for number in (1, 2):
        board.leave(number)
    assert line_of(board, (1, 0)) == "2 of 3 done, 1 running, 0 waiting"
    board.on_end(replace(RUN, mirror_id=3))
    assert board.finished.is_set()
