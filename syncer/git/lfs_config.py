"""Which LFS server a repository's own `.lfsconfig` names (git-lfs-config(5)).

The file is upstream's: git parses it, and nothing that it includes is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncer.git.command import Call
from syncer.git.policy import failure

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from syncer.git.command import GitCommand, Holder

#: Characters of an address; a longer one is nobody's.
MAX_URL = 2_000
_MAX_BYTES = 4 * MAX_URL + 1  # a character has four bytes in UTF-8, at most
#: No such key or file, and a file that git cannot parse, over its versions.
_UNSET = (1, 3, 128)


def url(
    git: GitCommand,
    repository: Path,
    environment: Mapping[str, str],
    holder: Holder,
    commit: str,
) -> str | None:
    """Return `lfs.url` as the `.lfsconfig` of a commit sets it, None if it does not.

    A file with an error in it sets nothing, nor does a value that is no text or
    has control characters in it.

    Raises:
        GitFailed: git could not look.
    """
    said = bytearray()
    file = f"--blob={commit}:.lfsconfig"
    done = git.run(
        Call(
            ["config", file, "--no-includes", "--null", "--get", "lfs.url"],
            repository=repository,
            env=environment,
            holder=holder,
            on_stdout=lambda data: said.extend(data[: _MAX_BYTES - len(said)]),
            check=False,
        )
    )
    if done.status in _UNSET or "bad config" in done.stderr:
        return None
    if done.status != 0:
        what = "git config"
        raise failure(what, done.status, done.stderr)
    return _text(bytes(said.removesuffix(b"\0")))


def _text(raw: bytes) -> str | None:
    text = raw.decode("utf-8", "replace")
    plain = text.isprintable() and "\N{REPLACEMENT CHARACTER}" not in text
    return text if plain and 0 < len(text) <= MAX_URL else None
