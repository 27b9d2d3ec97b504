"""What holds for names whatever text comes in."""

from __future__ import annotations

import random
import subprocess
from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncer.errors import InvalidName
from syncer.model.names import RepoName, check_ref, check_refs

owners = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,20}", fullmatch=True)
names = st.from_regex(r"[A-Za-z0-9_.][A-Za-z0-9_.-]{0,20}", fullmatch=True).filter(
    lambda name: name not in {".", ".."} and not name.lower().endswith(".git")
)
hosts = st.sampled_from(
    ["github.com", "git.corp", "gitbox", "localhost", "10.0.0.1:8080"]
)
# Made of the pieces that names and attacks on them are made of.
pieces = st.sampled_from(
    [
        *("a", "B", "-", "--", ".", "..", "/", "//", ".git", ".lock", ":", "@"),
        *("github.com", "https://", "ssh://", "git@", "?", "#", "%2e", "\\"),
        *(" ", "\n", "\x00", "ü", "~"),
    ]
)
texts = st.text(max_size=40) | st.lists(pieces, max_size=12).map("".join)


@st.composite
def repositories(draw: st.DrawFn) -> RepoName:
    """Draw a repository as some host may have it."""
    host = draw(hosts)
    groups = 1 if host == "github.com" else draw(st.integers(1, 4))
    owner = "/".join(draw(owners) for _ in range(groups))
    return RepoName(host, owner, draw(names))


@given(repositories())
def test_what_is_rendered_is_parsed_back(name: RepoName) -> None:
    """Every form we write is a form we read, as the same name."""
    full = f"{name.owner}/{name.name}"
    assert RepoName.parse(name.short) == name
    assert RepoName.parse(f"https://{name.host}/{full}.git") == name
    assert RepoName.parse(f"ssh://git@{name.host}/{full}") == name
    assert RepoName.parse(str(name)).identity == name.identity


@settings(max_examples=500)
@given(texts)
def test_any_text_is_a_name_or_refused(text: str) -> None:
    """Parsing raises one error only, and what it accepts it can write again."""
    try:
        name = RepoName.parse(text)
    except InvalidName as error:
        refusal = str(error)
    else:
        refusal = ""
        assert RepoName.parse(name.short) == name
    assert refusal.isprintable()


@settings(max_examples=500)
@given(texts)
def test_no_name_leads_out_of_the_store(text: str) -> None:
    """A mirror's directory lies below the root, and is no other mirror's part."""
    try:
        name = RepoName.parse(text)
    except InvalidName:
        return
    path = PurePosixPath(name.path)
    assert not path.is_absolute()
    assert set(path.parts).isdisjoint({"", ".", ".."})
    assert not any(part.startswith("-") for part in path.parts)
    assert not any(part.lower().endswith(".git") for part in path.parts[:-1])
    assert name.path.isprintable()
    assert name.path.isascii()
    assert max(map(len, path.parts)) < 255


@given(repositories(), repositories())
def test_two_mirrors_never_share_a_directory(one: RepoName, two: RepoName) -> None:
    """Different identities have different directories, and none inside another."""
    if one.identity != two.identity:
        paths = PurePosixPath(one.path), PurePosixPath(two.path)
        assert not paths[0].is_relative_to(paths[1])
        assert not paths[1].is_relative_to(paths[0])


ref_pieces = [
    *("a", "Z", "0", "-", "@", "{", "}", ".", "..", "/", "lock", ".lock", "é"),
    *"~^:?*[\\ \t\n\x01\x7f!\"#$%&'()+,;<=>]_`|",
    *("\udcff", "\x80"),
]
refs = st.lists(st.sampled_from(ref_pieces), max_size=8).map(
    lambda parts: "refs/heads/" + "".join(parts)
)


@given(st.lists(refs, max_size=5))
def test_many_refs_are_checked_as_one_is(many: list[str]) -> None:
    """The fast way and the thorough way agree."""

    def refused(each: str) -> bool:
        try:
            check_ref(each)
        except InvalidName:
            return True
        return False

    if any(map(refused, many)):
        with pytest.raises(InvalidName):
            check_refs(many)
    else:
        check_refs(many)


@given(st.text(max_size=30))
def test_a_ref_that_is_accepted_can_be_written(text: str) -> None:
    """One line of `packed-refs`, and a path below the repository."""
    try:
        name = check_ref(f"refs/heads/{text}")
    except InvalidName:
        return
    line = name.encode("utf-8", "surrogateescape")
    assert b"\n" not in line
    assert b" " not in line
    assert b"\x00" not in line
    assert ".." not in PurePosixPath(name).parts


def test_git_agrees_on_what_a_ref_is() -> None:
    """`git check-ref-format` and we accept the same names, made up by the hundred."""
    lot = random.Random(20260301)  # noqa: S311 - the same names each time
    samples = {
        lot.choice(["refs/heads/", "refs/", "refs/x/", "refs/tags"])
        + "".join(lot.choices(ref_pieces, k=lot.randint(1, 5)))
        for _ in range(400)
    }
    good = [name for name in sorted(samples, key=ascii) if _accepted(name)]
    bad = sorted(samples.difference(good), key=ascii)
    assert min(len(good), len(bad)) > 50
    # One process for all: a shell asks git about each, and prints the verdicts.
    script = 'for name; do git check-ref-format "$name" && echo 1 || echo 0; done'
    verdicts = subprocess.run(
        ["sh", "-c", script, "sh", *(_raw(name) for name in [*good, *bad])],
        capture_output=True,
        check=True,
    ).stdout.split()
    expected = [b"1"] * len(good) + [b"0"] * len(bad)
    wrong = [
        name
        for name, said, ours in zip([*good, *bad], verdicts, expected, strict=True)
        # `refs/stash` has no kind between; git knows one such ref, we mirror none.
        if said != ours and name.count("/") > 1
    ]
    assert wrong == []


def _accepted(name: str) -> bool:
    try:
        return check_ref(name) == name
    except InvalidName:
        return False


def _raw(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
