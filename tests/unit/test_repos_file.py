"""Edits of `repos.toml`: what is asked for, and not one byte more."""

from __future__ import annotations

import errno
import os
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.catalog.repos_file import add, add_owner, remove, remove_owner
from syncer.catalog.text_file import edit
from syncer.errors import ConfigError, NoSpace, PermanentError, UnknownMirror
from syncer.model.names import OwnerName, RepoName

GIT = RepoName.parse("git/git")
QWEN = RepoName.parse("QwenLM/Qwen-Image")
CORP = RepoName.parse("ghe.corp/team/tools/app")

LISTED = dedent("""\
    # What we mirror.
    [syncer]
    data = "./mirror"

    # The reason why we are here.
    [[repo]]
    name = "QwenLM/Qwen-Image"
    tier = "core"      # asked for by the training team
    # refs = ["refs/heads/"]

    # Our own.
    # (Ask Ada.)
    [[repo]]
    name = "ghe.corp/team/tools/app"

    # How to reach the others.
    [host."ghe.corp"]
    private = true

    # The end.
    """)


def names(text: str) -> list[str]:
    """Return the listed names."""
    return [repo["name"] for repo in tomllib.loads(text).get("repo", [])]


class TestAdd:
    """`add`."""

    def test_it_goes_below_the_last_repository(self) -> None:
        """Not to the end of the file, and with a blank line on each side."""
        assert add(LISTED, [(GIT, None)]) == LISTED.replace(
            'name = "ghe.corp/team/tools/app"\n',
            'name = "ghe.corp/team/tools/app"\n\n[[repo]]\nname = "git/git"\n',
        )

    def test_it_goes_above_the_last_comment(self) -> None:
        """A comment that closes the file still closes it."""
        text = '[[repo]]\nname = "a/b"\n\n# vim: ft=toml\n'
        assert add(text, [(GIT, "core")]) == (
            '[[repo]]\nname = "a/b"\n\n[[repo]]\nname = "git/git"\ntier = "core"\n'
            "\n# vim: ft=toml\n"
        )

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("", '[[repo]]\nname = "git/git"\n'),
            ("# Mirrors:\n", '# Mirrors:\n\n[[repo]]\nname = "git/git"\n'),
            ("# Mirrors:\n\n", '# Mirrors:\n\n[[repo]]\nname = "git/git"\n'),
            ("[syncer]", '[syncer]\n\n[[repo]]\nname = "git/git"\n'),
            ("[syncer]\r\n", '[syncer]\r\n\r\n[[repo]]\r\nname = "git/git"\r\n'),
        ],
    )
    def test_the_first_one_goes_to_the_end(self, text: str, expected: str) -> None:
        """With the file's own line ends, whether or not it ended in one."""
        assert add(text, [(GIT, None)]) == expected

    def test_a_comment_of_the_next_table_stays_with_it(self) -> None:
        """It is told by the missing gap."""
        text = '[[repo]]\nname = "a/b"\n# The host:\n[host."ghe.corp"]\n'
        assert add(text, [(GIT, None)]) == (
            '[[repo]]\nname = "a/b"\n\n[[repo]]\nname = "git/git"\n'
            '\n# The host:\n[host."ghe.corp"]\n'
        )

    def test_an_array_stays_an_array(self) -> None:
        """Who writes the list in one line wants it there."""
        text = 'repo = [\n  { name = "a/b" },  # ours\n]\n[syncer]\n'
        after = add(text, [(GIT, "core")])

        assert tomllib.loads(after)["repo"] == [
            {"name": "a/b"},
            {"name": "git/git", "tier": "core"},
        ]
        assert "# ours" in after

    def test_several_are_added_in_order(self) -> None:
        """In one edit."""
        after = add(LISTED, [(GIT, None), (RepoName.parse("a/b"), "core")])
        assert names(after)[2:] == ["git/git", "a/b"]

    @pytest.mark.parametrize("text", [LISTED, 'repo = [{name = "qwenlm/qwen-image"}]'])
    def test_a_duplicate_is_refused(self, text: str) -> None:
        """In any spelling; the sentence shows the one that is there."""
        other = RepoName.parse("https://github.com/QWENLM/qwen-image.git")
        with pytest.raises(ConfigError, match=r"(?i)already, as QwenLM/Qwen-Image"):
            add(text, [(GIT, None), (other, None)])

    def test_the_same_name_twice_is_refused(self) -> None:
        """Also when both are new."""
        with pytest.raises(ConfigError, match="already"):
            add("", [(GIT, None), (RepoName.parse("GIT/git"), None)])

    @pytest.mark.parametrize("text", ["[syncer", "repo = 1\n", "[repo]\n"])
    def test_what_is_no_list_is_not_edited(self, text: str) -> None:
        """The sentence says so."""
        with pytest.raises(ConfigError, match="not edited"):
            add(text, [(GIT, None)])

    def test_a_text_that_looks_like_a_table_is_not_taken_for_one(self) -> None:
        """Better no edit than one in the middle of somebody's words."""
        text = '[syncer]\nproxy = """\n[[repo]]\n"""\n[[repo]]\nname = "a/b"\n'
        with pytest.raises(ConfigError, match="not edited"):
            add(text, [(GIT, None)])
        with pytest.raises(ConfigError, match="not edited"):
            remove(text, RepoName.parse("a/b"))

    @pytest.mark.parametrize("line", ['["refs/tags/"]', "[refs]"])
    def test_a_layout_that_is_not_understood_is_not_edited(self, line: str) -> None:
        """The result is read again before anybody gets it."""
        text = f'[[repo]]\nname = "a/b"\nx = """\n{line}\n"""\n'
        with pytest.raises(ConfigError, match="not understood"):
            add(text, [(GIT, None)])

    def test_a_value_over_several_lines_is_left_whole(self) -> None:
        """Its lines are no headers, although they start with a bracket."""
        text = '[[repo]]\nname = "a/b"\nx = [\n  ["y"],\n]\n\n[[repo]]\n'
        text += 'name = "c/d"\nrefs = [\n"refs/tags/"\n]\n'
        after = add(text, [(GIT, None)])

        assert after == text + '\n[[repo]]\nname = "git/git"\n'
        assert remove(after, RepoName.parse("a/b")) == after.partition("\n\n")[2]


class TestRemove:
    """`remove`."""

    def test_the_comment_above_goes_with_it(self) -> None:
        """And its own comments, but not those of the next table."""
        assert remove(LISTED, QWEN) == LISTED.replace(
            dedent("""\
                # The reason why we are here.
                [[repo]]
                name = "QwenLM/Qwen-Image"
                tier = "core"      # asked for by the training team
                # refs = ["refs/heads/"]

                """),
            "",
        )

    def test_the_comment_below_stays(self) -> None:
        """It belongs to what follows."""
        after = remove(LISTED, CORP)

        assert "Ask Ada" not in after
        assert '\n\n# How to reach the others.\n[host."ghe.corp"]\n' in after
        assert "\n\n\n" not in after

    def test_the_last_table_takes_its_gap_along(self) -> None:
        """The file ends as it did before."""
        text = '[syncer]\n\n[[repo]]\nname = "git/git"\n'
        assert remove(text, GIT) == "[syncer]\n"

    def test_tables_within_go_with_it(self) -> None:
        """Dotted tables are part of the repository above them."""
        text = '[[repo]]\nname = "git/git"\n[repo.extra]\nx = 1\n\n[syncer]\n'
        with_extra = tomllib.loads(text)["repo"][0]["extra"]
        assert with_extra == {"x": 1}
        assert remove(text, GIT) == "[syncer]\n"

    def test_any_spelling_removes_all_spellings(self) -> None:
        """A list with a duplicate has none left."""
        text = '[[repo]]\nname = "git/git"\n\n[[repo]]\nname = "github.com/Git/Git"\n'
        assert remove(text, RepoName.parse("GIT/GIT")) == ""

    def test_an_array_loses_one_entry(self) -> None:
        """The others keep their comments."""
        text = 'repo = [\n  { name = "a/b" },  # ours\n  { name = "git/git" },\n]\n'
        after = remove(text, GIT)

        assert names(after) == ["a/b"]
        assert "# ours" in after

    def test_what_is_not_listed_cannot_be_removed(self) -> None:
        """Entries that are no names do not get in the way."""
        with pytest.raises(UnknownMirror, match="nothing was removed"):
            remove(LISTED + '[[repo]]\nname = "-"\n', GIT)

    @given(
        letters=st.lists(st.sampled_from("abcdef"), unique=True, min_size=1),
        text=st.sampled_from([LISTED, "# Ours.\n[syncer]\n", ""]),
    )
    def test_removing_what_was_added_restores_the_file(
        self, letters: list[str], text: str
    ) -> None:
        """Byte for byte."""
        entries: list[tuple[RepoName, Any]] = [
            (RepoName.parse(f"{letter}/{letter}"), None) for letter in letters
        ]
        after = add(text, entries)
        for name, _ in entries:
            after = remove(after, name)
        assert after == text


class TestOwners:
    """`add_owner` and `remove_owner`, which edit a list of its own."""

    def test_an_owner_is_added_with_its_keys(self) -> None:
        """Below the last owner, or at the end; the repositories stay as they are."""
        name, keys = OwnerName.parse("QwenLM"), {"exclude": ["*-old"], "forks": True}
        table = '[[owner]]\nname = "QwenLM"\nexclude = ["*-old"]\nforks = true\n'

        assert add_owner(LISTED, name, keys) == f"{LISTED}\n{table}"
        other = add_owner(f"{table}\n# The end.\n", OwnerName.parse("h.corp/a"), {})
        assert other == f'{table}\n[[owner]]\nname = "h.corp/a"\n\n# The end.\n'

    def test_an_owner_is_removed_alone(self) -> None:
        """With the comment above it, in any spelling, and nothing else."""
        name = OwnerName.parse("QwenLM")
        text = f'{LISTED}\n# All of theirs.\n[[owner]]\nname = "org:qwenlm"\n'

        assert remove_owner(text, name) == LISTED
        array = 'owner = [{ name = "QwenLM" }, { name = "acme" }]\n'
        left = tomllib.loads(remove_owner(array, name))["owner"]
        assert left == [{"name": "acme"}]

    def test_a_list_has_each_owner_once(self) -> None:
        """And none that it has not."""
        name = OwnerName.parse("qwenlm")
        with pytest.raises(ConfigError, match="already, as QwenLM"):
            add_owner('owner = [{ name = "QwenLM" }]\n', name, {})
        with pytest.raises(UnknownMirror, match="nothing was removed"):
            remove_owner(LISTED, name)
        with pytest.raises(ConfigError, match="`owner` is not a list") as caught:
            add_owner("owner = 3\n", name, {})
        assert "[[owner]]" in str(caught.value.hint)

    @given(
        globs=st.lists(st.text(min_size=1, max_size=9), max_size=3),
        text=st.sampled_from([LISTED, "# Ours.\n[syncer]\n", ""]),
    )
    def test_an_owner_comes_and_goes_without_a_trace(
        self, globs: list[str], text: str
    ) -> None:
        """Whatever its globs hold."""
        name = OwnerName.parse("QwenLM")
        after = add_owner(text, name, {"include": globs})

        assert tomllib.loads(after)["owner"] == [{"name": "QwenLM", "include": globs}]
        assert remove_owner(after, name) == text


class TestEdit:
    """`edit`, which writes the file."""

    def test_mode_and_owner_stay(self, tmp_path: Path) -> None:
        """And no other file remains."""
        file = tmp_path / "repos.toml"
        file.write_text("before")
        file.chmod(0o640)
        if os.geteuid() == 0:
            os.chown(file, 12345, 23456)
        was = file.stat()
        edit(file, lambda text: f"{text}, after")

        now = file.stat()
        assert file.read_text() == "before, after"
        assert now.st_mode == was.st_mode
        assert (now.st_uid, now.st_gid) == (was.st_uid, was.st_gid)
        assert list(tmp_path.glob(".*")) == []

    def test_a_link_stays_a_link(self, tmp_path: Path) -> None:
        """What it leads to is edited: a checkout, for example."""
        (tmp_path / "checkout").mkdir()
        real, link = tmp_path / "checkout" / "ours.toml", tmp_path / "repos.toml"
        real.write_text("before")
        link.symlink_to(Path("checkout") / "ours.toml")
        edit(link, lambda _: "after")

        assert link.is_symlink()
        assert real.read_text() == "after"

    def test_line_ends_are_not_touched(self, tmp_path: Path) -> None:
        """Nor is anything else that the change does not name."""
        file = tmp_path / "repos.toml"
        file.write_bytes(b"a\r\nb\n")
        edit(file, lambda text: f"{text}c\r\n")

        assert file.read_bytes() == b"a\r\nb\nc\r\n"

    def test_edits_at_once_wait_for_each_other(self, tmp_path: Path) -> None:
        """None is lost."""
        file = tmp_path / "repos.toml"
        file.write_text("")

        def one(number: int) -> None:
            name = RepoName.parse(f"a/{number}")
            edit(file, lambda text: add(text, [(name, None)]))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(one, range(24)))
        assert len(names(file.read_text())) == 24

    @pytest.mark.parametrize(
        ("call", "number", "kind"),
        [
            ("os.fsync", errno.ENOSPC, NoSpace),
            ("os.fsync", errno.EIO, PermanentError),
            ("os.fchmod", errno.EPERM, PermanentError),
            ("pathlib.Path.replace", errno.EDQUOT, NoSpace),
            ("pathlib.Path.replace", errno.EROFS, PermanentError),
        ],
    )
    def test_an_edit_that_fails_leaves_the_file(
        self, tmp_path: Path, call: str, number: int, kind: type[PermanentError]
    ) -> None:
        """As it was, with nothing beside it."""
        file = tmp_path / "repos.toml"
        file.write_text("before")
        problem = OSError(number, os.strerror(number))
        with mock.patch(call, side_effect=problem), pytest.raises(kind) as caught:
            edit(file, lambda _: "after")

        assert "as it was" in str(caught.value)
        assert file.read_text() == "before"
        assert list(tmp_path.glob(".*")) == []

    def test_a_missing_file_is_an_error(self, tmp_path: Path) -> None:
        """`syncer init` writes the first one."""
        with pytest.raises(PermanentError, match="No such file"):
            edit(tmp_path / "repos.toml", lambda text: text)

    def test_bytes_that_are_no_text_are_an_error(self, tmp_path: Path) -> None:
        """TOML is UTF-8."""
        file = tmp_path / "repos.toml"
        file.write_bytes(b"\xff")
        with pytest.raises(ConfigError, match="not UTF-8"):
            edit(file, lambda _: "")

    def test_a_refused_change_leaves_the_file(self, tmp_path: Path) -> None:
        """The error of the change is the caller's to see."""
        file = tmp_path / "repos.toml"
        file.write_text(LISTED)
        with pytest.raises(ConfigError):
            edit(file, lambda text: add(text, [(QWEN, None)]))

        assert file.read_text() == LISTED
