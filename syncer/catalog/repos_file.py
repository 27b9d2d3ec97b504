"""Edits `repos.toml` as a careful person would: nothing else of it changes.

A list written as `[[repo]]` tables is edited by whole lines, because tomlkit
counts a comment as part of the table above it: it would add below the file's
last comment, and take the next table's comment away with a removed one.
Where the file's lines cannot be told apart for sure, the edit is refused.
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any, NamedTuple

import tomlkit
from tomlkit.exceptions import TOMLKitError

from syncer.errors import ConfigError, InvalidName, UnknownMirror
from syncer.model.names import OwnerName, RepoName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_HEADER = re.compile(r"\s*\[")
_COMMENT = re.compile(r"\s*#")
_BY_HAND = "edit the file by hand"


class _List(NamedTuple):
    """One of the lists in the file: its key, and how its names are read."""

    key: str
    noun: str
    parse: Callable[[str], RepoName | OwnerName]
    header: re.Pattern[str]
    part: re.Pattern[str]

    @classmethod
    def of(
        cls, key: str, noun: str, parse: Callable[[str], RepoName | OwnerName]
    ) -> _List:
        quoted = rf"""["']?{key}["']?"""
        header = re.compile(rf"\s*\[\[\s*{quoted}\s*\]\]")
        return cls(key, noun, parse, header, re.compile(rf"\s*\[+\s*{quoted}\s*\."))

    def identity(self, entry: object) -> str | None:
        """Return an entry's identity; None if its name is not one."""
        if not isinstance(entry, dict):
            return None
        try:
            return self.parse(str(entry.get("name", ""))).identity
        except InvalidName:
            return None

    def entries(self, text: str) -> list[Any]:
        """Return what the file lists.

        Raises:
            ConfigError: the text is not TOML, or has something else there.
        """
        try:
            entries = tomllib.loads(text).get(self.key, [])
        except tomllib.TOMLDecodeError as exc:
            msg = f"the file is not TOML, and was not edited: {exc}"
            raise ConfigError(msg) from exc
        if not isinstance(entries, list):
            msg = f"`{self.key}` is not a list of tables; the file was not edited"
            hint = f"every {self.noun} starts with [[{self.key}]]"
            raise ConfigError(msg, hint=hint)
        return entries


_REPOS = _List.of("repo", "repository", RepoName.parse)
_OWNERS = _List.of("owner", "owner", OwnerName.parse)


def add(text: str, entries: Iterable[tuple[RepoName, str | None]]) -> str:
    """Return `text` with (name, tier) entries added below the last one.

    A tier of None leaves it to the default.

    Raises:
        ConfigError: the text is not TOML, or lists one of them already.
    """
    added = [
        (name, {"name": name.short} | ({} if tier is None else {"tier": tier}))
        for name, tier in entries
    ]
    return _add(text, _REPOS, added)


def remove(text: str, name: RepoName) -> str:
    """Return `text` without a repository, and without the comment above it.

    Raises:
        ConfigError: the text is not TOML.
        UnknownMirror: it does not list the repository.
    """
    return _remove(text, _REPOS, name, "`syncer list` shows what is")


def add_owner(text: str, name: OwnerName, keys: Mapping[str, object]) -> str:
    """Return `text` with an owner added below the last one, with these keys.

    Raises:
        ConfigError: the text is not TOML, or lists the owner already.
    """
    return _add(text, _OWNERS, [(name, {"name": str(name), **keys})])


def remove_owner(text: str, name: OwnerName) -> str:
    """Return `text` without an owner, and without the comment above it.

    Raises:
        ConfigError: the text is not TOML.
        UnknownMirror: it does not list the owner.
    """
    return _remove(text, _OWNERS, name, "`syncer config show` shows what is")


def _add(
    text: str,
    kind: _List,
    added: Sequence[tuple[RepoName | OwnerName, dict[str, Any]]],
) -> str:
    listed = kind.entries(text)
    _refuse_duplicates(kind, listed, [name for name, _ in added])
    new = [entry for _, entry in added]
    if not _is_tables(text, kind, listed):
        edited = _add_to_array(text, kind, new)
    else:
        edited = _add_tables(text, kind, new)
    return _checked(edited, kind, [*listed, *new])


def _remove(text: str, kind: _List, name: RepoName | OwnerName, hint: str) -> str:
    listed = kind.entries(text)
    gone = [i for i, each in enumerate(listed) if kind.identity(each) == name.identity]
    if not gone:
        msg = f"{name} is not in the list; nothing was removed"
        raise UnknownMirror(msg, hint=hint)
    edited = text
    for index in reversed(gone):
        if _is_tables(edited, kind, listed):
            edited = _remove_table(edited, kind, index)
        else:
            edited = _remove_from_array(edited, kind, index)
        del listed[index]
    return _checked(edited, kind, listed)


def _refuse_duplicates(
    kind: _List, entries: list[Any], names: list[RepoName | OwnerName]
) -> None:
    identities = [(kind.identity(each), each) for each in entries]
    listed = {identity: each["name"] for identity, each in identities if identity}
    for name in names:
        if name.identity in listed:
            known = listed[name.identity]
            msg = f"{name} is in the list already, as {known}; nothing was added"
            raise ConfigError(msg)
        listed[name.identity] = str(name)


def _is_tables(text: str, kind: _List, entries: list[Any]) -> bool:
    """Tell `[[repo]]` tables from `repo = [...]`; no list at all will be tables.

    Raises:
        ConfigError: a line looks like a table and is none.
    """
    headers = sum(1 for line in text.splitlines() if kind.header.match(line))
    if headers == len(entries) and (headers or kind.key not in tomllib.loads(text)):
        return True
    if headers == 0:
        return False
    msg = f"the file has a line like `[[{kind.key}]]` within a text; it was not edited"
    raise ConfigError(msg, hint=_BY_HAND)


def _add_tables(text: str, kind: _List, added: list[dict[str, Any]]) -> str:
    end = "\r\n" if "\r\n" in text else "\n"
    lines = text.splitlines(keepends=True)
    starts = [i for i, line in enumerate(lines) if kind.header.match(line)]
    at = _end_of(lines, kind, starts[-1]) if starts else len(lines)
    if at and not lines[at - 1].endswith("\n"):
        lines[at - 1] += end
    new: list[str] = []
    for entry in added:
        new += [end, f"[[{kind.key}]]{end}"]
        new += [f"{key} = {tomlkit.item(entry[key]).as_string()}{end}" for key in entry]
    if not at or not lines[at - 1].strip():
        del new[0]
    if at < len(lines) and lines[at].strip():
        new.append(end)
    return "".join([*lines[:at], *new, *lines[at:]])


def _remove_table(text: str, kind: _List, index: int) -> str:
    lines = text.splitlines(keepends=True)
    start = [i for i, line in enumerate(lines) if kind.header.match(line)][index]
    stop = _end_of(lines, kind, start)
    while start and _COMMENT.match(lines[start - 1]):
        start -= 1
    # One of the two gaps around the table goes with it.
    while stop < len(lines) and not lines[stop].strip():
        stop += 1
    if stop == len(lines):
        while start and not lines[start - 1].strip():
            start -= 1
    return "".join([*lines[:start], *lines[stop:]])


def _end_of(lines: list[str], kind: _List, start: int) -> int:
    """Return the line after the table whose header is at `start`.

    Comments right below its last value are its own, unless the next header
    follows them without a gap.
    """
    stop = start + 1
    for i in range(start + 1, len(lines)):
        line = lines[i]
        if _HEADER.match(line) and not kind.part.match(line) and _is_header(line):
            break
        if line.strip() and not _COMMENT.match(line):
            stop = i + 1
    below = stop
    while below < len(lines) and _COMMENT.match(lines[below]):
        below += 1
    attached = below < len(lines) and _HEADER.match(lines[below])
    return stop if attached else below


def _is_header(line: str) -> bool:
    """Tell a table's header from an array within a value."""
    try:
        tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _add_to_array(text: str, kind: _List, added: list[dict[str, Any]]) -> str:
    document = _parsed(text)
    for entry in added:
        table = tomlkit.inline_table()
        table.update(entry)
        document[kind.key].append(table)
    return tomlkit.dumps(document)


def _remove_from_array(text: str, kind: _List, index: int) -> str:
    document = _parsed(text)
    del document[kind.key][index]
    return tomlkit.dumps(document)


def _parsed(text: str) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(text)
    except TOMLKitError as exc:
        msg = f"the file is not TOML, and was not edited: {exc}"
        raise ConfigError(msg) from exc


def _checked(edited: str, kind: _List, expected: list[Any]) -> str:
    """Return the text if it lists what it has to, and nothing else."""
    try:
        found = tomllib.loads(edited).get(kind.key, [])
    except tomllib.TOMLDecodeError:
        found = None
    if found != expected:
        msg = "the file is laid out in a way that is not understood; it was not edited"
        raise ConfigError(msg, hint=_BY_HAND)
    return edited
