"""Who asks, and how much more may be asked: tokens, Apps, allowances.

See docs.github.com/en/rest, "Rate limits for the REST API" and "Generating a JSON
Web Token (JWT) for a GitHub App".
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_HOUR = timedelta(hours=1)
#: What the description allows an App's JWT to last, and its clock to be ahead.
_LONGEST_JWT = 600
_AHEAD = 60
#: What `/rate_limit` tells of, and how much of it there is with a token.
RESOURCES = {"core": 5000, "graphql": 5000, "search": 30}


@dataclass(eq=False, slots=True)
class Credential:
    """Somebody who asks: a token, an installation, or an address without any."""

    #: Whose allowance is spent, as refusals name it.
    account: str
    token: str | None = field(default=None, repr=False)
    #: What this one is granted an hour, by resource.
    limits: dict[str, int] = field(default_factory=dict)
    #: Whether drafts and private repositories are shown.
    may_see: bool = True
    #: The header `x-github-sso`: what is asked for is refused with it.
    sso: str | None = None
    expires: datetime | None = None
    revoked: bool = False

    @property
    def authorised(self) -> bool:
        """Whether it is anybody at all."""
        return self.token is not None


class App(NamedTuple):
    """A GitHub App with one installation; the key is PEM."""

    id: int
    installation: int
    private_key: str


class Refused(Exception):
    """A credential that is none: 401, in GitHub's words."""


@dataclass(slots=True)
class _Window:
    limit: int
    used: int
    reset: datetime


class Limits:
    """The credentials of a server, and their windows of an hour."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        #: What an address without a token is granted an hour; may be changed.
        self.anonymous = Credential("127.0.0.1", None, {"core": 60}, may_see=False)
        self._now = now
        self._tokens: dict[str, Credential] = {}
        self._apps: dict[int, tuple[App, str]] = {}
        self._windows: dict[tuple[str, str], _Window] = {}
        self._numbers = count(1)
        self._lock = threading.Lock()

    def token(self, value: str, **fields: Any) -> Credential:  # noqa: ANN401 - any field
        """Let a token count, with 5,000 requests an hour unless it says otherwise."""
        account = f"user ID {next(self._numbers)}"
        made = Credential(**({"account": account} | fields), token=value)
        self._tokens[value] = made
        return made

    def app(self) -> App:
        """Register an App with a key of its own, installed once."""
        private, public = _keys()
        app = App(next(self._numbers) + 1000, next(self._numbers) + 50_000, private)
        self._apps[app.id] = (app, public)
        return app

    def credential(self, authorization: str | None) -> Credential:
        """Return who asks, by the header.

        Raises:
            Refused: with GitHub's words.
        """
        if authorization is None:
            return self.anonymous
        scheme, _, value = authorization.partition(" ")
        found = self._tokens.get(value)
        if scheme.lower() not in {"bearer", "token"} or found is None or found.revoked:
            msg = "Bad credentials"
            raise Refused(msg)
        if found.expires is not None and found.expires <= self._now():
            msg = "Bad credentials"
            raise Refused(msg)
        return found

    def mint(self, authorization: str | None, installation: int) -> Credential | None:
        """Return a new installation token; None if there is no such installation.

        Raises:
            Refused: the JWT is not one of an App that we know.
        """
        scheme, _, value = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            msg = "A JSON web token could not be decoded"
            raise Refused(msg)
        app = self._signed_by(value)
        if app.installation != installation:
            return None
        return self.token(
            f"ghs_{next(self._numbers):036d}",
            account=f"installation {installation}",
            expires=self._now().replace(microsecond=0) + _HOUR,
        )

    def _signed_by(self, encoded: str) -> App:
        import jwt  # noqa: PLC0415 - only Apps pay for the import

        try:
            loose = jwt.decode(encoded, options={"verify_signature": False})
            app, public = self._apps[int(loose["iss"])]
            # Times are held against our own clock below.
            claims = jwt.decode(
                encoded,
                public,
                algorithms=["RS256"],
                options={"verify_exp": False, "verify_iat": False},
            )
            issued, expires = int(claims["iat"]), int(claims["exp"])
        except (jwt.InvalidTokenError, KeyError, TypeError, ValueError):
            msg = "A JSON web token could not be decoded"
            raise Refused(msg) from None
        self._check_times(issued, expires)
        return app

    def _check_times(self, issued: int, expires: int) -> None:
        now = self._now().timestamp()
        if expires <= now:
            msg = (
                "'Expiration time' claim ('exp') must be a numeric value in the future"
            )
            raise Refused(msg)
        if expires > now + _LONGEST_JWT:
            msg = "'Expiration time' claim ('exp') is too far in the future"
            raise Refused(msg)
        if issued > now + _AHEAD:
            msg = "'Issued at' claim ('iat') must be an Integer in the past"
            raise Refused(msg)

    def spend(self, who: Credential, resource: str) -> bool:
        """Take one request from an allowance; False if there is none left."""
        with self._lock:
            window = self._window(who, resource)
            if window.used >= window.limit:
                return False
            window.used += 1
            return True

    def refund(self, who: Credential, resource: str) -> None:
        """Give one back: it was a 304 and authorised."""
        with self._lock:
            self._window(who, resource).used -= 1

    def exhaust(self, who: Credential, resource: str = "core", left: int = 0) -> None:
        """Let so much be left until the window ends."""
        with self._lock:
            window = self._window(who, resource)
            window.used = window.limit - left

    def headers(self, who: Credential, resource: str) -> Mapping[str, str]:
        """Return the headers that every answer has."""
        said = self.document(who, resource)
        headers = {f"x-ratelimit-{name}": str(value) for name, value in said.items()}
        return headers | {"x-ratelimit-resource": resource}

    def document(self, who: Credential, resource: str) -> dict[str, int]:
        """Return what is left, as `/rate_limit` says it."""
        with self._lock:
            window = self._window(who, resource)
            return {
                "limit": window.limit,
                "used": window.used,
                "remaining": window.limit - window.used,
                "reset": int(window.reset.timestamp()),
            }

    def _window(self, who: Credential, resource: str) -> _Window:
        now = self._now()
        granted = who.limits.get(resource, RESOURCES[resource])
        if not who.authorised and resource == "graphql":
            granted = 0
        key = (who.account, resource)
        known = self._windows.get(key)
        if known is None or known.reset <= now:
            known = _Window(granted, 0, now + _HOUR)
            self._windows[key] = known
        known.limit = granted
        return known


def _keys() -> tuple[str, str]:
    """Return a private and its public key, PEM."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415 - as above

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public.decode()
