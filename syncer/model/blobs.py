"""Blobs: the bytes of LFS objects and release assets, named by their sha256."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from syncer.errors import InvalidName
from syncer.model.names import shown

#: A removal from the store that lasts longer is dead, and others take over.
REMOVAL = timedelta(hours=1)
#: When a blob was last verified that nobody has read: it was only seen.
NEVER = datetime(1970, 1, 1, tzinfo=UTC)

_DIGEST = re.compile(r"[0-9a-f]{64}")
_KEY = re.compile(r"([0-9a-f]{2})/([0-9a-f]{2})/([0-9a-f]{60})")


def is_digest(text: str) -> bool:
    """Return whether `text` is a sha256 in lower-case hexadecimal."""
    return _DIGEST.fullmatch(text) is not None


def check_digest(text: str) -> str:
    """Return a digest if it is one: it becomes part of paths and keys.

    Raises:
        InvalidName: it is not 64 lower-case hexadecimal digits.
    """
    if not is_digest(text):
        msg = f"{shown(text)} is not a sha256"
        raise InvalidName(msg)
    return text


def blob_key(digest: str) -> str:
    """Return where a blob lies below a store's root: `ab/cd/<60 digits>`.

    Gitea's layout of LFS objects, so that one bucket can serve both.
    """
    return f"{digest[:2]}/{digest[2:4]}/{digest[4:]}"


def digest_of(key: str) -> str | None:
    """Return the digest that a key stands for, None for a foreign key."""
    match = _KEY.fullmatch(key)
    return None if match is None else "".join(match.groups())


class Blob(NamedTuple):
    """A blob's digest and its length in bytes."""

    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Leftover:
    """Bytes of an unfinished write: a part file, or a multipart upload.

    `place` names it for its store; `since` is when it was last added to.
    """

    place: str
    digest: str
    size: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart upload that was begun below `key` and not seen to end."""

    key: str
    digest: str
    size: int
    started: datetime


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """What the catalog knows of a blob in the store."""

    blob: Blob
    stored: datetime
    #: When its bytes were last read and found right.
    verified: datetime
    #: Who it was first received from, like `github.com/owner/name`.
    provenance: str = ""
    #: When nothing was found to need it; it is removed a grace period later.
    condemned: datetime | None = None
    #: When it was found lost or wrong; it counts as absent until it is replaced.
    damaged: datetime | None = None
