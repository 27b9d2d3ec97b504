"""Edits `repos.toml` as a careful person would: nothing else of it changes.

A list written as `[[repo]]` tables is edited by whole lines, because tomlkit
counts a comment as part of the table above it: it would add below the file's
last comment, and take the next table's comment away with a removed one.
Where the file's lines cannot be told apart for sure, the edit is refused.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import tempfile
import tomllib
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from syncer.errors import (
    ConfigError,
    InvalidName,
    NoSpace,
    PermanentError,
    UnknownMirror,
)
from syncer.model.names import RepoName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_HEADER = re.compile(r"\s*\[")
_REPO = re.compile(r"""\s*\[\[\s*["']?repo["']?\s*\]\]""")
_REPO_PART = re.compile(r"""\s*\[+\s*["']?repo["']?\s*\.""")
_COMMENT = re.compile(r"\s*#")
_BY_HAND = "edit the file by hand"


def add(text: str, entries: Iterable[tuple[RepoName, str | None]]) -> str:
    """Return `text` with (name, tier) entries added below the last one.

    A tier of None leaves it to the default.

    Raises:
        ConfigError: the text is not TOML, or lists one of them already.
    """
    entries = list(entries)
    repos = _repos(text)
    _refuse_duplicates(repos, entries)
    added = [
        {"name": name.short} | ({} if tier is None else {"tier": tier})
        for name, tier in entries
    ]
    if not _is_tables(text, repos):
        edited = _add_to_array(text, added)
    else:
        edited = _add_tables(text, added)
    return _checked(edited, [*repos, *added])


def remove(text: str, name: RepoName) -> str:
    """Return `text` without a repository, and without the comment above it.

    Raises:
        ConfigError: the text is not TOML.
        UnknownMirror: it does not list the repository.
    """
    repos = _repos(text)
    gone = [i for i, repo in enumerate(repos) if _identity(repo) == name.identity]
    if not gone:
        msg = f"{name} is not in the list; nothing was removed"
        raise UnknownMirror(msg, hint="`syncer list` shows what is")
    edited = text
    for index in reversed(gone):
        if _is_tables(edited, repos):
            edited = _remove_table(edited, index)
        else:
            edited = _remove_from_array(edited, index)
        del repos[index]
    return _checked(edited, repos)


def edit(path: Path, change: Callable[[str], str]) -> None:
    """Replace a file's text by what `change` makes of it, whole or not at all.

    A symbolic link is followed; mode and owner stay.  Another `edit` at the
    same time waits for this one.

    Raises:
        NoSpace: there is no room; the file is as it was.
        PermanentError: it cannot be read or written, and is as it was.
    """
    target = Path(os.path.realpath(path))
    try:
        with _held(target) as descriptor:
            before = _decoded(target.read_bytes(), path)
            after = change(before)
            if after != before:
                _replace(target, after.encode(), os.fstat(descriptor))
    except OSError as exc:
        kind = NoSpace if exc.errno in {errno.ENOSPC, errno.EDQUOT} else PermanentError
        msg = f"{path} cannot be edited, and is as it was: {exc.strerror}"
        raise kind(msg) from exc


def _repos(text: str) -> list[Any]:
    try:
        repos = tomllib.loads(text).get("repo", [])
    except tomllib.TOMLDecodeError as exc:
        msg = f"the file is not TOML, and was not edited: {exc}"
        raise ConfigError(msg) from exc
    if not isinstance(repos, list):
        msg = "`repo` is not a list of tables; the file was not edited"
        raise ConfigError(msg, hint="every repository starts with [[repo]]")
    return repos


def _identity(repo: object) -> str | None:
    """Return a listed repository's identity; None if its name is not one."""
    if not isinstance(repo, dict):
        return None
    try:
        return RepoName.parse(str(repo.get("name", ""))).identity
    except InvalidName:
        return None


def _refuse_duplicates(
    repos: list[Any], entries: list[tuple[RepoName, str | None]]
) -> None:
    listed = {_identity(repo): repo["name"] for repo in repos if _identity(repo)}
    for name, _ in entries:
        if name.identity in listed:
            known = listed[name.identity]
            msg = f"{name} is in the list already, as {known}; nothing was added"
            raise ConfigError(msg)
        listed[name.identity] = name.short


def _is_tables(text: str, repos: list[Any]) -> bool:
    """Tell `[[repo]]` tables from `repo = [...]`; no list at all will be tables.

    Raises:
        ConfigError: a line looks like a table and is none.
    """
    headers = sum(1 for line in text.splitlines() if _REPO.match(line))
    if headers == len(repos) and (headers or "repo" not in tomllib.loads(text)):
        return True
    if headers == 0:
        return False
    msg = "the file has a line like `[[repo]]` within a text; it was not edited"
    raise ConfigError(msg, hint=_BY_HAND)


def _add_tables(text: str, added: list[dict[str, str]]) -> str:
    end = "\r\n" if "\r\n" in text else "\n"
    lines = text.splitlines(keepends=True)
    starts = [i for i, line in enumerate(lines) if _REPO.match(line)]
    at = _end_of(lines, starts[-1]) if starts else len(lines)
    if at and not lines[at - 1].endswith("\n"):
        lines[at - 1] += end
    new: list[str] = []
    for entry in added:
        new += [end, f"[[repo]]{end}"]
        new += [f"{key} = {tomlkit.item(entry[key]).as_string()}{end}" for key in entry]
    if not at or not lines[at - 1].strip():
        del new[0]
    if at < len(lines) and lines[at].strip():
        new.append(end)
    return "".join([*lines[:at], *new, *lines[at:]])


def _remove_table(text: str, index: int) -> str:
    lines = text.splitlines(keepends=True)
    start = [i for i, line in enumerate(lines) if _REPO.match(line)][index]
    stop = _end_of(lines, start)
    while start and _COMMENT.match(lines[start - 1]):
        start -= 1
    # One of the two gaps around the table goes with it.
    while stop < len(lines) and not lines[stop].strip():
        stop += 1
    if stop == len(lines):
        while start and not lines[start - 1].strip():
            start -= 1
    return "".join([*lines[:start], *lines[stop:]])


def _end_of(lines: list[str], start: int) -> int:
    """Return the line after the table whose header is at `start`.

    Comments right below its last value are its own, unless the next header
    follows them without a gap.
    """
    stop = start + 1
    for i in range(start + 1, len(lines)):
        line = lines[i]
        if _HEADER.match(line) and not _REPO_PART.match(line) and _is_header(line):
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


def _add_to_array(text: str, added: list[dict[str, str]]) -> str:
    document = _parsed(text)
    for entry in added:
        table = tomlkit.inline_table()
        table.update(entry)
        document["repo"].append(table)
    return tomlkit.dumps(document)


def _remove_from_array(text: str, index: int) -> str:
    document = _parsed(text)
    del document["repo"][index]
    return tomlkit.dumps(document)


def _parsed(text: str) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(text)
    except TOMLKitError as exc:
        msg = f"the file is not TOML, and was not edited: {exc}"
        raise ConfigError(msg) from exc


def _checked(edited: str, expected: list[Any]) -> str:
    """Return the text if it lists what it has to, and nothing else."""
    try:
        found = tomllib.loads(edited).get("repo", [])
    except tomllib.TOMLDecodeError:
        found = None
    if found != expected:
        msg = "the file is laid out in a way that is not understood; it was not edited"
        raise ConfigError(msg, hint=_BY_HAND)
    return edited


def _decoded(content: bytes, path: Path) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as exc:
        msg = f"{path} is not UTF-8, and was not edited"
        raise ConfigError(msg) from exc


@contextmanager
def _held(target: Path) -> Iterator[int]:
    """Hold a file against other edits: the one that has its name when we do."""
    while True:
        with target.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(file.fileno()), target.stat()):
                yield file.fileno()
                return


def _replace(target: Path, content: bytes, like: os.stat_result) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
            file.write(content)
            file.flush()
            if (like.st_uid, like.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(descriptor, like.st_uid, like.st_gid)
            os.fchmod(descriptor, like.st_mode & 0o7777)
            os.fsync(descriptor)
        Path(name).replace(target)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise
    directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
