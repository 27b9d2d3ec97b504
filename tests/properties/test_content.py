"""What holds for ref states and their differences, also in git's own eyes."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.errors import InvalidName
from syncer.model.content import (
    DEFAULT_SCOPE,
    KEEP,
    ChangeKind,
    Ref,
    RefChange,
    RefSnapshot,
    check_scope,
    diff,
    expired_keeps,
    keep_lost,
)
from syncer.model.names import check_ref

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

oids = st.integers(0, 5).map(lambda number: f"{number:040x}")
ref_names = st.builds(
    "refs/{}/{}".format,
    st.sampled_from(["heads", "tags", "notes", "syncer/keep/2026-01-01"]),
    st.text("abc/-._é\udcff漢", min_size=1, max_size=6),
)


def _is_ref(name: str) -> bool:
    try:
        return check_ref(name) == name
    except InvalidName:
        return False


states = st.dictionaries(
    ref_names.filter(_is_ref), st.builds(Ref, oids, st.none() | oids), max_size=8
)


def apply(changes: Iterable[RefChange], old: Mapping[str, str]) -> dict[str, str]:
    """Return the refs after `changes`, each of which must fit what is there."""
    refs = dict(old)
    for change in changes:
        assert refs.get(change.ref) == change.old
        if change.new is None:
            del refs[change.ref]
        else:
            refs[change.ref] = change.new
    return refs


def tips(refs: Mapping[str, Ref]) -> dict[str, str]:
    """Return the refs without what they peel to."""
    return {name: ref.oid for name, ref in refs.items()}


@given(states, states)
def test_a_difference_leads_from_one_state_to_the_other(
    old: dict[str, Ref], new: dict[str, Ref]
) -> None:
    """Applied to the old state, it makes the new one; the kinds say how."""
    changes = diff(old, new)
    assert apply(changes, tips(old)) == tips(new)
    assert [c.ref for c in changes] == sorted({c.ref for c in changes})
    for change in changes:
        assert (change.kind is ChangeKind.CREATED) == (change.old is None)
        assert (change.kind is ChangeKind.DELETED) == (change.new is None)


@given(states)
def test_a_state_does_not_differ_from_itself(refs: dict[str, Ref]) -> None:
    """Nothing changed means no change, whatever the order of the refs."""
    assert diff(refs, dict(reversed(refs.items()))) == []


@given(states, states)
def test_a_fingerprint_tells_states_apart(
    one: dict[str, Ref], two: dict[str, Ref]
) -> None:
    """Equal states have equal fingerprints, others do not."""
    same = RefSnapshot(one).fingerprint == RefSnapshot(two).fingerprint
    assert same == (one == two)


@given(states)
def test_ours_and_upstreams_refs_are_told_apart(refs: dict[str, Ref]) -> None:
    """Every ref is one or the other."""
    snapshot = RefSnapshot(refs)
    assert {**snapshot.upstream, **snapshot.kept} == refs
    assert all(name.startswith(KEEP) for name in snapshot.kept)


@given(states, states)
def test_every_lost_tip_is_kept(old: dict[str, Ref], new: dict[str, Ref]) -> None:
    """What was deleted, and the old place of every tag, has a keep-ref after."""
    upstream = RefSnapshot(old).upstream
    kept = keep_lost({}, diff(upstream, RefSnapshot(new).upstream), "2026-03-01")
    held = {ref.oid for ref in kept.values()}
    for name, ref in upstream.items():
        moved = name in new and new[name].oid != ref.oid
        if name not in new or (moved and name.startswith("refs/tags/")):
            assert ref.oid in held
    assert all(check_ref(name) for name in kept)


@pytest.mark.parametrize(
    ("date", "expired"), [("2026-01-01", []), ("2026-01-02", ["2026-01-01"])]
)
def test_tags_are_kept_for_ever(date: str, expired: list[str]) -> None:
    """Only keep-refs with a date before the oldest one to keep expire."""
    kept = [f"{KEEP}2026-01-01/{'1' * 40}", f"{KEEP}tags/{'2' * 40}"]
    assert [name.split("/")[3] for name in expired_keeps(kept, date)] == expired


@pytest.mark.parametrize(
    "scope", [DEFAULT_SCOPE, ("refs/heads/",), ("refs/pull/", "refs/heads/release/")]
)
def test_a_scope_is_any_set_of_prefixes(scope: tuple[str, ...]) -> None:
    """Heads, tags and notes by default; others where they are asked for."""
    assert check_scope(scope) == scope


@pytest.mark.parametrize(
    ("scope", "sentence"),
    [
        ((), "name at least one prefix"),
        (("refs/",), "is not a prefix of refs"),
        (("refs/heads",), "is not a prefix of refs"),
        (("heads/",), "is not a prefix of refs"),
        (("refs/heads/*/",), "is not a prefix of refs"),
        (("refs/../",), "is not a prefix of refs"),
        (("refs/syncer/",), "is never mirrored"),
        (("refs/syncer/keep/",), "is never mirrored"),
        (("refs/replace/",), "is never mirrored"),
        (("refs/heads/", "refs/heads/"), "cover the same refs"),
        (("refs/tags/", "refs/heads/a/", "refs/heads/"), "cover the same refs"),
    ],
)
def test_a_scope_that_cannot_be_mirrored_is_refused(
    scope: tuple[str, ...], sentence: str
) -> None:
    """The sentence names the prefix."""
    with pytest.raises(ValueError, match=sentence):
        check_scope(scope)


def git(repository: Path, *args: str, text: str = "") -> str:
    """Run git in a repository, without anybody's configuration."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(repository),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@example.com",
        "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@example.com",
        "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z",
    }
    result = subprocess.run(
        ["git", "-C", str(repository), *args],
        input=text.encode("utf-8", "surrogateescape"),
        capture_output=True,
        check=True,
        env=environment,
    )
    return result.stdout.decode("utf-8", "surrogateescape")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with a commit, a tag of it and a tag of the tag."""
    path = tmp_path_factory.mktemp("repository")
    git(path, "init", "-q", "--bare", "-b", "main")
    tree = git(path, "mktree").strip()
    commit = git(path, "commit-tree", "-m", "one", tree).strip()
    git(path, "tag", "-a", "-m", "one", "v1", commit)
    git(path, "tag", "-a", "-m", "two", "v2", "v1")
    return path


NAMES = [
    "refs/heads/main",
    "refs/heads/a",
    "refs/heads/a-b",
    "refs/heads/a.b",
    "refs/heads/a/b",
    "refs/heads/é",
    "refs/heads/漢字",
    "refs/heads/\udcff",
    "refs/heads/\U0001f600",
    "refs/heads/\uffee",
    "refs/notes/commits",
    f"{KEEP}2026-01-01/x",
]


def test_git_reads_what_we_pack(repository: Path) -> None:
    """`git for-each-ref` and `show-ref -d` see the refs and what they peel to."""
    commit, first, second = git(
        repository, "rev-parse", "v1^{commit}", "v1", "v2"
    ).split()
    refs = {name: Ref(commit) for name in NAMES if name != "refs/heads/a"}
    refs["refs/tags/v1"] = Ref(first, commit)
    refs["refs/tags/v2"] = Ref(second, commit)
    for loose in ("v1", "v2"):
        (repository / "refs/tags" / loose).unlink(missing_ok=True)
    snapshot = RefSnapshot(refs, head="refs/heads/main")
    (repository / "packed-refs").write_bytes(snapshot.packed)

    listed = git(repository, "for-each-ref", "--format=%(objectname) %(refname)")
    seen = dict(line.split(" ", 1)[::-1] for line in listed.splitlines())
    assert seen == tips(refs)
    assert list(seen) == [
        line.split(" ", 1)[1]
        for line in snapshot.packed.decode("utf-8", "surrogateescape").splitlines()
        if line[0] not in "#^"
    ]
    for name, ref in refs.items():  # by binary search, which needs git's order
        assert git(repository, "rev-parse", "--verify", name).strip() == ref.oid


def test_we_pack_as_git_does(repository: Path) -> None:
    """Byte for byte what `git pack-refs --all` leaves."""
    commit, first = git(repository, "rev-parse", "v1^{commit}", "v1").split()
    refs = {"refs/heads/main": Ref(commit), "refs/tags/v1": Ref(first, commit)}
    refs |= {f"refs/heads/b/{number}": Ref(commit) for number in range(12)}
    (repository / "packed-refs").unlink(missing_ok=True)
    orders = "".join(f"create {name} {ref.oid}\n" for name, ref in refs.items())
    git(repository, "update-ref", "--stdin", text=orders)
    git(repository, "pack-refs", "--all", "--prune")
    assert (repository / "packed-refs").read_bytes() == RefSnapshot(refs).packed
