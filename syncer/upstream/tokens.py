"""What authenticates us: a host's own token, or those that a GitHub App mints.

An App signs a JSON Web Token with its private key, and exchanges it for a token of
its installation that lasts an hour (docs.github.com/en/apps, "Authenticating as a
GitHub App installation").  That token reads, whatever the App itself may.
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING

from syncer import __version__
from syncer.credentials import Secret
from syncer.errors import (
    AccessDenied,
    ConfigError,
    Interrupted,
    ProtocolError,
    RateLimited,
    SyncerError,
    Unavailable,
)
from syncer.model.names import shown
from syncer.upstream.failures import dated, refusal
from syncer.upstream.json_documents import parse_object

if TYPE_CHECKING:
    from collections.abc import Callable

    from syncer.credentials import GitHubApp
    from syncer.endpoints import Host
    from syncer.ports import Clock
    from syncer.upstream.channel import Answer, Channel

log = logging.getLogger(__name__)

#: A token is renewed so long before its end.
AHEAD = timedelta(minutes=10)
#: What GitHub grants, and the longest that is believed.
LIFETIME = timedelta(hours=1)
#: How long nothing is asked after an attempt that failed.
PAUSE = timedelta(minutes=1)
#: The most that GitHub takes between `iat` and `exp` is ten minutes.
_SIGNED = timedelta(minutes=9)
#: Our clock may be ahead of theirs.
_SKEW = timedelta(minutes=1)

_HEADERS = {
    "Accept": "application/vnd.github+json",
    "Content-Type": "application/json",
    "User-Agent": f"syncer/{__version__}",
    "X-GitHub-Api-Version": "2022-11-28",
}
_BODY = json.dumps({"permissions": {"contents": "read", "metadata": "read"}}).encode()
_LARGEST = 1 << 20
_TOKEN = re.compile(r"[!-~]{1,4096}")
_OK, _CREATED = 200, 201
_DENIED = {
    401: "check app_id, its private key, and this machine's clock",
    403: "the installation may be suspended: look at it on the host",
    404: "check app_installation and `api`: the App is not installed there",
    422: "the App needs the permission to read Contents and Metadata",
}
_INSTALL = 'install it with: pip install "syncer[github-app]"'


@dataclass(frozen=True, slots=True)
class _Minted:
    """A token of an installation, as headers, and until when it counts."""

    basic: Secret
    bearer: Secret
    renew: datetime
    ends: datetime


@dataclass(slots=True)
class _Kept:
    """What is known of one installation; its lock is held while it is asked for."""

    lock: Lock = field(default_factory=Lock)
    minted: _Minted | None = None
    #: Why the last attempt failed, and when, on the monotonic clock, the next is due.
    error: SyncerError | None = None
    next: float = 0.0


class Tokens:
    """The Authorization header of every host.  Thread safe, and asked per request.

    `learn` is told every secret that is made here.
    """

    def __init__(
        self,
        api: Callable[[Host], Channel],
        clock: Clock,
        learn: Callable[[Secret], None] | None = None,
    ) -> None:
        self._api = api
        self._clock = clock
        self._learn = learn
        self._kept: dict[tuple[GitHubApp, str | None], _Kept] = {}

    def basic(self, host: Host) -> Secret | None:
        """Return the header for git and LFS, None where we are nobody.

        Raises:
            AccessDenied: the host does not take our App for what it says it is.
            ConfigError: the App's key is none, or the extra is not installed.
            SyncerError: the host does not answer; see `ForgeApi`.
        """
        if host.app_id is None or (app := host.app) is None:
            return host.authorization()
        return self._minted(host, app).basic

    def bearer(self, host: Host) -> Secret | None:
        """Return the header for the API; see `basic`."""
        if host.app_id is None or (app := host.app) is None:
            return None if host.token is None else _bearer(host.token)
        return self._minted(host, app).bearer

    def _minted(self, host: Host, app: GitHubApp) -> _Minted:
        """Return a token that counts; one thread at a time asks for another."""
        kept = self._kept.setdefault((app, host.api_base), _Kept())
        minted, now = kept.minted, self._clock.now()
        if minted is not None and now < minted.renew:
            return minted
        usable = minted if minted is not None and now < minted.ends else None
        # Who has one that still counts does not wait for who asks for the next.
        if not kept.lock.acquire(blocking=usable is None) and usable is not None:
            return usable
        try:
            return self._renewed(kept, host, app)
        finally:
            kept.lock.release()

    def _renewed(self, kept: _Kept, host: Host, app: GitHubApp) -> _Minted:
        minted, now = kept.minted, self._clock.now()
        if minted is not None and now < minted.renew:
            return minted  # Somebody else has asked meanwhile.
        usable = minted if minted is not None and now < minted.ends else None
        if kept.error is not None and self._clock.monotonic() < kept.next:
            if usable is not None:
                return usable
            raise kept.error.with_traceback(None)
        try:
            kept.minted, kept.error = self._mint(host, app), None
        except Interrupted:
            raise
        except SyncerError as exc:
            kept.error = exc
            kept.next = self._clock.monotonic() + _pause(exc).total_seconds()
            if usable is None:
                raise
            said = {"host": host.name, "error": str(exc), "until": usable.ends}
            msg = "no new token for the GitHub App; the old one is used"
            log.warning(msg, extra=said)
            return usable
        return kept.minted

    def _mint(self, host: Host, app: GitHubApp) -> _Minted:
        now = self._clock.now()
        signed = _signed(app, now)
        self._tell(signed)
        path = f"/app/installations/{app.installation}/access_tokens"
        # With a header of its own, so that nobody asks us for one.
        answer = self._api(host).exchange(
            "POST",
            path,
            headers=_HEADERS | {"Authorization": _bearer(signed).reveal()},
            body=_BODY,
            limit=_LARGEST,
        )
        what = f"a token for GitHub App {app.id}"
        if answer.status not in {_OK, _CREATED}:
            raise _refused(what, host, answer, now)
        token, lifetime = _read(what, answer, now)
        self._tell(token)
        renew = max(lifetime - AHEAD, lifetime / 2)
        return _Minted(host.basic(token), _bearer(token), now + renew, now + lifetime)

    def _tell(self, secret: Secret) -> None:
        if self._learn is not None:
            self._learn(secret)


def _bearer(token: Secret) -> Secret:
    return Secret(f"Bearer {token.reveal()}")


def _pause(error: SyncerError) -> timedelta:
    """Return how long nothing is asked after an error."""
    told = error.retry_after if isinstance(error, RateLimited) else None
    return max(told or PAUSE, PAUSE)


def _signed(app: GitHubApp, now: datetime) -> Secret:
    """Return the App's word, RS256 (RFC 7519), for its API alone."""
    try:
        import jwt  # noqa: PLC0415 - only Apps need it, and it takes long to load
    except ImportError:
        msg = f"GitHub App {app.id} needs the library PyJWT, which is not installed"
        raise ConfigError(msg, hint=_INSTALL) from None
    claims = {"iat": now - _SKEW, "exp": now + _SIGNED, "iss": str(app.id)}
    try:
        return Secret(jwt.encode(claims, app.key.reveal(), algorithm="RS256"))
    except NotImplementedError:  # what it says without `cryptography`
        msg = f"GitHub App {app.id} needs the library cryptography"
        raise ConfigError(msg, hint=_INSTALL) from None
    except (ValueError, TypeError, jwt.PyJWTError):
        # Not what they say of it: that may be a part of the key.
        msg = f"the private key of GitHub App {app.id} is no RSA key"
        hint = "use the .pem file that the App's page generates"
        raise ConfigError(msg, hint=hint) from None


def _refused(what: str, host: Host, answer: Answer, now: datetime) -> SyncerError:
    """Return the error that an answer without a token stands for.

    None of them says anything about a repository.
    """
    status, words = answer.status, _message(answer.body)
    error = refusal(what, "", status, answer.headers, now)
    if isinstance(error, (RateLimited, Unavailable)):
        return error
    msg = f"{host.name} answers {status} for {what}{words}; nothing was changed"
    if status in _DENIED:
        return AccessDenied(msg, hint=_DENIED[status])
    return ProtocolError(msg)


def _message(body: bytes) -> str:
    """Return what the host says of it, safe to show."""
    message = (parse_object(body) or {}).get("message")
    return f": {shown(message)}" if isinstance(message, str) and message else ""


def _read(what: str, answer: Answer, now: datetime) -> tuple[Secret, timedelta]:
    """Return a token, and how long it counts.

    Measured by the host's own clock: ours may be another.

    Raises:
        ProtocolError: the answer has no token that could be sent in a header, or
            one that is over.
    """
    document = parse_object(answer.body) or {}
    token, moment = document.get("token"), document.get("expires_at")
    if not isinstance(token, str) or _TOKEN.fullmatch(token) is None:
        msg = f"upstream answers {answer.status} with something that is not {what}"
        raise ProtocolError(msg)
    ends = _instant(moment) if isinstance(moment, str) else None
    started = dated(answer.headers) or now
    lifetime = LIFETIME if ends is None else min(ends - started, LIFETIME)
    if lifetime <= timedelta():
        msg = f"upstream answers with {what} that is over; is this machine's clock off?"
        raise ProtocolError(msg)
    return Secret(token), lifetime


def _instant(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
