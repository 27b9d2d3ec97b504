"""What git is told on every call, and what its complaints mean.

The configuration is Gitaly's list with our additions; it travels in the
child's environment, where it outranks the repository's own file.
"""

from __future__ import annotations

import re
import signal
from http import HTTPStatus
from typing import TYPE_CHECKING

from syncer.errors import (
    AccessDenied,
    Dangerous,
    GitFailed,
    IntegrityError,
    Moved,
    NoSpace,
    NotFound,
    ProtocolError,
    RateLimited,
    SyncerError,
    TooLarge,
    Unavailable,
)
from syncer.model.content import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Formatting mistakes of old tools that real, trusted repositories carry.
#: They are recorded, not refused.
KNOWN_BAD = (
    "badDate",
    "badDateOverflow",
    "badEmail",
    "badFilemode",
    "badName",
    "badTagName",
    "badTimezone",
    "emptyName",
    "missingEmail",
    "missingNameBeforeEmail",
    "missingSpaceBeforeDate",
    "missingSpaceBeforeEmail",
    "missingTaggerEntry",
    "multipleAuthors",
    "nulInCommit",
    "zeroPaddedDate",
    "zeroPaddedFilemode",
)

BASE: tuple[tuple[str, str], ...] = (
    ("core.fsync", "all"),
    ("core.fsyncMethod", "fsync"),
    ("core.hooksPath", "/dev/null"),
    ("core.useReplaceRefs", "false"),
    ("core.packedRefsTimeout", "10000"),
    ("core.bigFileThreshold", "50m"),
    ("core.alternateRefsCommand", "true"),
    ("core.askPass", "/bin/false"),
    ("credential.helper", ""),
    ("fetch.recurseSubmodules", "no"),
    ("fetch.unpackLimit", "1"),
    ("fetch.writeCommitGraph", "false"),
    ("gc.auto", "0"),
    ("http.followRedirects", "false"),
    ("http.lowSpeedLimit", "1000"),
    ("http.lowSpeedTime", "30"),
    ("init.templateDir", ""),
    ("maintenance.auto", "false"),
    ("protocol.version", "2"),
    ("transfer.bundleURI", "false"),
    ("transfer.credentialsInUrl", "die"),
    ("transfer.fsckObjects", "true"),
    # The three prefixes do not inherit from each other.
    *(
        (f"{prefix}fsck.{check}", "warn")
        for prefix in ("fetch.", "receive.", "")
        for check in KNOWN_BAD
        if not (prefix == "" and check in {"badFilemode", "badName"})
    ),
)

_FSCK = (
    r": (?:object |in \w+ )?(?P<oid>[0-9a-f]{40}): (?P<check>[A-Za-z]+): (?P<text>.*)$"
)
_WARNING = re.compile("^warning" + _FSCK)
_REFUSED = re.compile("^error" + _FSCK)
_STATUS = re.compile(r"The requested URL returned error: (?P<status>\d{3})")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_THEIRS = ("remote: fatal: ", "remote: error: ", "remote: ERROR: ")
_WRONG_HOST = "whoever answers is not in `known_hosts`; nothing was fetched"
_GONE = "gone, private or renamed; the mirror is kept as it is"
_TRANSIENT = (
    "Could not resolve host",
    "Couldn't connect",
    "Failed to connect",
    "Connection refused",
    "Connection reset",
    "Connection timed out",
    "Operation too slow",
    "Operation timed out",
    "early EOF",
    "unexpected disconnect",
    "the remote end hung up",
    "RPC failed",
    "invalid index-pack output",
    "remote did not send all necessary objects",
    "not our ref",
    "Empty reply from server",
    "Recv failure",
    "Send failure",
    "transfer closed with",
    "was not closed cleanly",
    "GnuTLS recv error",
    "SSL_read",
    "expected flush after ref listing",
)
_ROTTEN = ("is corrupt", "bad object", "inflate", "pack checksum mismatch")
_ABSENT = re.compile(r"repository '[^']*' not found")
_NOT_GIT = ("is this a git repository?", "protocol error: bad line length")
_UNPROVEN = ("Authentication failed", "could not read Username", "Permission denied (")


def printable(text: str) -> str:
    """Strip what could steer a terminal from text that upstream chose."""
    return _CONTROL.sub("", text)


def findings(stderr: str) -> tuple[Finding, ...]:
    """Return what fsck warned of, once each."""
    found = {
        Finding(m["oid"], m["check"], printable(m["text"]))
        for m in map(_WARNING.match, stderr.splitlines())
        if m is not None
    }
    return tuple(sorted(found, key=lambda f: (f.oid, f.check)))


def failure(
    what: str, status: int, stderr: str, *, room: int | None = None
) -> SyncerError:
    """Translate a failed git command into the error that decides what follows.

    With `room` the files that it wrote were limited to so many bytes.
    """
    lines = [printable(line) for line in stderr.splitlines()]
    for line in lines:
        refused = _REFUSED.match(line)
        if refused is not None:
            return _dangerous(refused)
        http = _STATUS.search(line)
        if http is not None:
            return _http_failure(int(http["status"]))
    if "Host key verification failed" in stderr:
        msg = f"Host key verification failed: {_WRONG_HOST}"
        return AccessDenied(msg, hint="put the host's key into its `known_hosts` file")
    if room is not None and _is_too_large(status, stderr):
        msg = f"{what}: it is larger than the room left; nothing was published"
        return TooLarge(msg, size=room + 1)
    said = f"{what}: {_said(lines)}; published refs are unchanged"
    return _storage_failure(what, status, stderr) or _by_words(said, status, stderr)


def _dangerous(refused: re.Match[str]) -> Dangerous:
    msg = (
        f"object {refused['oid']} is dangerous ({refused['check']}: "
        f"{refused['text']}); published refs are unchanged"
    )
    hint = "look at the object, then: syncer accept REPO --object OID"
    return Dangerous(msg, oid=refused["oid"], check=refused["check"], hint=hint)


def _storage_failure(what: str, status: int, stderr: str) -> SyncerError | None:
    if "No space left on device" in stderr or "Disk quota exceeded" in stderr:
        return NoSpace(f"{what}: the disk is full; published refs are unchanged")
    if _is_too_large(status, stderr):
        msg = f"{what}: a file would be larger than `max_file`; nothing was published"
        return GitFailed(msg, status=status, stderr=stderr)
    return None


def _is_too_large(status: int, stderr: str) -> bool:
    # SIGXFSZ ends git itself, or its index-pack, which then says so.
    return "File too large" in stderr or -status == signal.SIGXFSZ


def _by_words(said: str, status: int, stderr: str) -> SyncerError:
    # What upstream said of itself first: git then adds that it hung up.
    if any(sign in stderr for sign in _UNPROVEN):
        return AccessDenied(f"upstream wants other credentials: {_GONE}")
    if _ABSENT.search(stderr):
        return NotFound(f"upstream answered 404: {_GONE}")
    if any(sign in stderr for sign in _NOT_GIT):
        return ProtocolError(said)
    if any(sign in stderr for sign in _TRANSIENT):
        return Unavailable(said)
    if any(sign in stderr for sign in _ROTTEN):
        return IntegrityError(said)
    return GitFailed(said, status=status, stderr=stderr)


def _http_failure(status: int) -> SyncerError:
    said = f"upstream answered {status}"
    if status in {301, 302, 303, 307, 308}:
        return Moved(f"{said}: {_GONE}")
    if status in {401, 403}:
        return AccessDenied(f"{said}: {_GONE}")
    if status in {404, 410, 451}:
        return NotFound(f"{said}: {_GONE}")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        msg = f"{said}: too many requests; published refs are unchanged"
        return RateLimited(msg, retry_after=None)
    return Unavailable(f"{said}; published refs are unchanged")


def _said(lines: Iterable[str]) -> str:
    """Return the reason: upstream's own, else git's last `fatal:` or `error:`."""
    told = [line.strip() for line in lines if line.strip()]
    theirs = [line for line in told if line.startswith(_THEIRS)]
    if theirs:
        return f"upstream's git says: {theirs[0].partition(': ')[2]}"
    loud = [line for line in told if line.startswith(("fatal: ", "error: "))]
    last = (loud or told or ["git said nothing"])[-1]
    return last.removeprefix("fatal: ").removeprefix("error: ")
