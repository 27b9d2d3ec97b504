"""TOML of many repositories is read as `tomllib` reads it, only faster."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer import toml

if TYPE_CHECKING:
    from collections.abc import Callable

PLAIN = '[[repo]]\nname = "acme/widget"\ntier = "core"\n'

#: Pieces that mean something else next to each other than alone.
PIECES = (
    PLAIN,
    '[[repo]]\nname = "acme/gadget"\n\n# the next ones\n',
    '[[repo]]\nname="a/b"\t \n',
    "[[repo]]\n",
    '[[repo]]\r\nname = "a/b"\r\n',
    '[[repo]]\nname = "a/b"\nlfs = false\n',
    '[[repo]]\nname = "a/\\u0062"\n',
    '[[repo]]\nname = "a/b"\nname = "a/c"\n',
    '[[repo]]\nname = "a/b"\n# name = "a/c"\n',
    '[[repo]]\n"name" = "a/b"\n',
    '[[repo]] # why\nname = "a/b"\n',
    '[[repo]]\nname = "a/b" # why\n',
    '[[repo]]\nname = "a/\x01b"\n',
    '[[repo]]\nname = "a/b"\n# \x01\n',
    ' [[ repo ]]\nname = "a/b"\n',
    '[[repo]]\nname = "a/b"',
    "[repo.more]\nx = 1\n",
    "[repo]\n",
    "repo = []\n",
    '[[owner]]\nname = "acme"\n',
    "[syncer]\nworkers = 2\n",
    'x = """\n',
    "x = '''\n",
    '"""\n',
    "x = [\n",
    "[1]\n",
    "]\n",
    "# a comment\n",
    "\n",
    "y = 1\n",
    "y =\n",
)


def read(text: str, by: Callable[[str], dict[str, Any]]) -> object:
    """Return what a document says, or what is wrong with it."""
    try:
        return by(text)
    except tomllib.TOMLDecodeError as exc:
        return str(exc)


@given(st.lists(st.sampled_from(PIECES), max_size=6))
def test_a_document_means_what_tomllib_says(pieces: list[str]) -> None:
    """Whatever is put together is the same document, or the same mistake."""
    text = "".join(pieces)
    assert read(text, toml.loads) == read(text, tomllib.loads)


@pytest.mark.parametrize("one", PIECES)
def test_next_to_plain_tables_it_means_the_same(one: str) -> None:
    """What stands before or after plain tables changes nothing unnoticed."""
    for other in PIECES:
        text = one + PLAIN + PLAIN + other
        assert read(text, toml.loads) == read(text, tomllib.loads)


def test_plain_tables_do_not_go_through_tomllib() -> None:
    """That would take five times as long, for every command."""
    head, tail = '# mine\n[syncer]\ndata = "."\n\n', "\n[tier.core]\n"
    with patch("tomllib.loads", wraps=tomllib.loads) as asked:
        found = toml.loads(head + PLAIN * 3 + tail)
    assert found["repo"] == [{"name": "acme/widget", "tier": "core"}] * 3
    assert all("[[repo]]" not in call.args[0] for call in asked.call_args_list)
