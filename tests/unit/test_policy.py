"""What git is told, and what its words mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    Unavailable,
)
from syncer.git.policy import BASE, KNOWN_BAD, failure, findings, printable
from syncer.model.content import Finding
from tests.servers.repositories import git

OID = "a1" * 20
RETURNED = "The requested URL returned error: "


@pytest.mark.parametrize(
    ("stderr", "kind", "said"),
    [
        (f"fatal: unable to access 'u': {RETURNED}301", Moved, "301"),
        (f"fatal: unable to access 'u': {RETURNED}302", Moved, "kept as it is"),
        (f"error: RPC failed; HTTP 308 curl 22 {RETURNED}308", Moved, "308"),
        (f"fatal: unable to access 'u': {RETURNED}403", AccessDenied, "private"),
        (f"fatal: unable to access 'u': {RETURNED}410", NotFound, "410"),
        (f"fatal: unable to access 'u': {RETURNED}429", RateLimited, "429"),
        (f"fatal: unable to access 'u': {RETURNED}502", Unavailable, "502"),
        ("fatal: repository 'http://h/a/b.git/' not found", NotFound, "404"),
        ("fatal: Authentication failed for 'http://h/a/b'", AccessDenied, "private"),
        (
            "fatal: could not read Username\nfatal: the remote end hung up",
            AccessDenied,
            "credentials",
        ),
        ("git@h: Permission denied (publickey).", AccessDenied, "credentials"),
        ("fatal: Could not resolve host: h", Unavailable, "resolve"),
        ("fatal: Failed to connect to h port 443", Unavailable, "connect"),
        ("Operation too slow. Less than 1000 bytes/sec", Unavailable, "slow"),
        ("fatal: early EOF\nfatal: fetch-pack: invalid index-pack output",
         Unavailable, "index-pack"),
        ("fatal: remote error: upload-pack: not our ref " + OID, Unavailable, OID),
        ("fatal: http://h/info/refs not valid: is this a git repository?",
         ProtocolError, "not valid"),
        ("fatal: protocol error: bad line length character: <!DO",
         ProtocolError, "bad line"),
        ("fatal: write error: No space left on device", NoSpace, "full"),
        ("fatal: write error: Disk quota exceeded", NoSpace, "full"),
        ("fatal: write error: File too large", GitFailed, "max_file"),
        ("error: inflate: data stream error", IntegrityError, "inflate"),
        (f"fatal: bad object {OID}", IntegrityError, OID),
        ("fatal: something new", GitFailed, "something new"),
        ("", GitFailed, "said nothing"),
    ],
)  # fmt: skip
def test_words_become_errors(stderr: str, kind: type[SyncerError], said: str) -> None:
    """Each failure has the class that decides what follows, and a sentence."""
    error = failure("git fetch", 128, stderr)

    assert type(error) is kind
    assert said in str(error)
    assert any(
        promise in str(error) for promise in ("unchanged", "kept as it is", "nothing")
    )


@pytest.mark.parametrize("where", ["object", "in tree", "in tag"])
def test_a_refusal_names_the_object(where: str) -> None:
    """What fsck refuses can be looked at and accepted, by its id."""
    stderr = (
        "remote: Total 3\n"
        f"warning: object {'b' * 40}: badTimezone: odd\n"
        f"error: {where} {OID}: hasDotgit: contains '.git'\n"
        "fatal: fsck error in packed object\n"
        "fatal: fetch-pack: invalid index-pack output\n"
    )

    error = failure("git fetch", 128, stderr)

    assert isinstance(error, Dangerous)
    assert (error.oid, error.check) == (OID, "hasDotgit")
    assert "published refs are unchanged" in str(error)


def test_upstream_cannot_name_an_object() -> None:
    """What a server prints comes with a prefix, and is not fsck's word."""
    stderr = f"remote: error: object {OID}: hasDotgit: accept me\nfatal: no\n"

    assert type(failure("git fetch", 128, stderr)) is GitFailed


def test_warnings_are_findings_once_each() -> None:
    """Each object and check is told once, in order."""
    line = f"warning: object {OID}: badTimezone: odd\n"
    other = f"warning: object {OID}: badDate: odder\x1b[31m\n"

    assert findings(f"{line}{line}{other}noise\n") == (
        Finding(OID, "badDate", "odder[31m"),
        Finding(OID, "badTimezone", "odd"),
    )


@given(st.text(), st.integers(min_value=-64, max_value=255))
def test_any_failure_is_one_printable_error(stderr: str, status: int) -> None:
    """No words of git's or of upstream's can break or steer what is shown."""
    error = failure("git fetch", status, stderr)

    assert isinstance(error, SyncerError)
    assert printable(str(error)) == str(error)
    assert "\n" not in str(error)


def test_the_policy_is_sure_of_itself() -> None:
    """What matters most is set, and nothing is set twice."""
    keys = [key.lower() for key, _ in BASE]

    assert len(keys) == len(set(keys))
    told = dict(BASE)
    assert told["http.followRedirects"] == "false"
    assert told["transfer.fsckObjects"] == "true"
    assert told["core.hooksPath"] == "/dev/null"
    assert told["credential.helper"] == ""
    dangerous = ("gitmodules", "hasDot", "nulInHeader", "duplicate", "treeNotSorted")
    assert not [check for check in KNOWN_BAD if check.startswith(dangerous)]


def test_git_takes_every_setting() -> None:
    """No name of a check or a key is one that this git does not know."""
    words = [part for key, value in BASE for part in ("-c", f"{key}={value}")]

    said = git(*words, "config", "--list")

    assert said.decode().count("fsck.badtimezone=warn") == 3
