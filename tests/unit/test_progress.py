"""Git's progress lines, read into numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.git.progress import parse
from syncer.model.runs import Progress

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


@pytest.mark.parametrize(
    ("line", "progress"),
    [
        (
            "Receiving objects:  45% (123/456), 1.20 MiB | 3.40 MiB/s\r",
            Progress("receiving objects", 123, 456, int(1.2 * MIB), int(3.4 * MIB)),
        ),
        (
            "Receiving objects: 100% (7/7), 2.10 KiB | 716.00 KiB/s, done.\n",
            Progress("receiving objects", 7, 7, int(2.1 * KIB), 716 * KIB),
        ),
        (
            "Receiving objects: 100% (3/3), 512 bytes | 512.00 KiB/s, done.\n",
            Progress("receiving objects", 3, 3, 512, 512 * KIB),
        ),
        (
            "Receiving objects:   1% (1/100), 1.00 GiB | 2.50 GiB/s\r",
            Progress("receiving objects", 1, 100, GIB, int(2.5 * GIB)),
        ),
        ("Resolving deltas:  50% (1/2)\r", Progress("resolving deltas", 1, 2)),
        (
            "remote: Enumerating objects: 5, done.\n",
            Progress("enumerating objects", 5),
        ),
        (
            "remote: Compressing objects: 100% (2/2), done.        \n",
            Progress("compressing objects", 2, 2),
        ),
    ],
)
def test_lines_are_read(line: str, progress: Progress) -> None:
    """Steps, counts, bytes and rates are what git printed."""
    assert parse(line) == progress


@pytest.mark.parametrize(
    "line",
    [
        "",
        "fatal: early EOF\n",
        "warning: object 1234: badTimezone: odd\n",
        "Cloning into bare repository 'first.git'...\n",
        "remote: Welcome to our server\n",
    ],
)
def test_other_lines_are_no_progress(line: str) -> None:
    """What git says otherwise is not taken for numbers."""
    assert parse(line) is None


@given(
    st.one_of(
        st.text(max_size=200),
        st.from_regex(
            r"Receiving objects: [0-9]{1,40}% \([0-9]{1,40}/[0-9]{1,40}\)"
            r", [0-9.]{1,20} (bytes|KiB|MiB|GiB) \| [0-9.]{1,20} MiB/s"
        ),
    )
)
def test_any_line_is_progress_or_not(line: str) -> None:
    """Reading what upstream sends never raises."""
    found = parse(line)

    assert found is None or (found.done >= 0 and found.received >= 0)
