"""Where keys stand is found once, and only when somebody asks."""

from __future__ import annotations

from pathlib import Path

from syncer.places import Places, line_numbers, where_of

TEXT = """[syncer]
data = "."

[[repo]]
name = "acme/widget"
[[repo]]
tier = "core"
"""


def test_a_place_is_said_of_its_line() -> None:
    """Whoever asks for a key gets what is said of the line it stands at."""
    places = Places(TEXT, lambda line: f"repos.toml:{line}", {})
    assert places["syncer.data"] == "repos.toml:2"
    assert places["repo.1.tier"] == "repos.toml:7"
    assert set(places) == line_numbers(TEXT).keys()
    assert len(places) == 6


def test_what_is_known_better_counts() -> None:
    """A variable that overrides a key is its place, also where the file has none."""
    others = {"syncer.data": "$SYNCER_DATA", "syncer.git": "$SYNCER_GIT"}
    places = Places(TEXT, str, others)
    assert places["syncer.data"] == "$SYNCER_DATA"
    assert places["syncer.git"] == "$SYNCER_GIT"
    assert places["repo.0.name"] == "5"


def test_lines_are_looked_for_once_and_not_before_they_are_asked_for() -> None:
    """A file of 10,000 repositories is read by every command, and few ask."""
    said: list[int] = []

    def say(line: int) -> str:
        said.append(line)
        return str(line)

    places = Places(TEXT, say, {})
    assert not said
    assert "repo.0.name" in places
    assert places.get("repo.9.name") is None
    assert said == [1, 2, 4, 5, 6, 7]


def test_a_key_that_is_nowhere_is_at_what_is_above_it() -> None:
    """A missing key is told at its table, and what is nowhere at the file."""
    places = Places(TEXT, str, {})
    file = Path("repos.toml")
    assert where_of(file, places, ("repo", 1, "name")) == "6"
    assert where_of(file, places, ("owner", 0)) == "repos.toml"
    assert where_of(None, places, ("owner", 0)) == "environment"
