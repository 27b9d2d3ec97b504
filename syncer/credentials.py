"""Secrets: where they come from, and a type that never shows them."""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections import deque
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, unquote, urlsplit

from syncer.errors import ConfigError
from syncer.model.names import GITHUB

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Secrets of an hour that are redacted; some hosts mint one an hour.
BRIEF = 64

_MAX_SECRET = 64 * 1024
#: Characters of what is taken for a key in an address.
_LEAST_KEY = 8
#: What systemd puts before the names of files of a directory that it was given as
#: `LoadCredential=syncer:DIR`; see systemd.exec(5).
_LOADED = "syncer_"
#: A shorter password would be taken out of ordinary words, which would tell it.
_LEAST_PASSWORD = 8
_STARS = "********"
#: What stands where a text was cut, also in JSON.
_CUTS = ("…", "\\u2026")
#: So much of a secret before a cut gives it away.
_LEAST_PART = 6
_PRIVATE_KEY = re.compile(
    r"-----BEGIN (?P<kind>(?:RSA )?PRIVATE KEY)-----"
    r"[A-Za-z0-9+/=\s]+-----END (?P=kind)-----"
)


class Secret:
    """A value that is never shown: its `repr` and `str` are stars."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value; call it only where it leaves for its own host."""
        return self._value

    def __repr__(self) -> str:
        return "Secret('********')"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)


@dataclass(frozen=True, slots=True)
class GitHubApp:
    """A GitHub App that acts for us, where it is installed; `key` is PEM."""

    id: int
    installation: int
    key: Secret


def token_of(
    name: str, token_file: Path | None, environ: Mapping[str, str]
) -> Secret | None:
    """Read a host's token: credential directory, file, environment, in this order."""
    place = token_place(name, token_file, environ)
    return None if place is None else _read(place, environ)


def token_place(
    name: str, token_file: Path | None, environ: Mapping[str, str]
) -> Path | str | None:
    """Return where a host's token is: a file, or the name of a variable."""
    variables = [f"SYNCER_TOKEN_{_variable(name)}"]
    credential = f"token-{name}"
    if name == GITHUB:
        variables = ["SYNCER_GITHUB_TOKEN", "GH_TOKEN", "GITHUB_TOKEN", *variables]
        credential = "github-token"
    return _place(credential, token_file, variables, environ)


def app_key_of(
    name: str, key_file: Path | None, environ: Mapping[str, str]
) -> Secret | None:
    """Read the private key of a host's GitHub App, PEM; in the order of `token_of`.

    Raises:
        ConfigError: it cannot be read, or is no private key.
    """
    place = app_key_place(name, key_file, environ)
    if place is None:
        return None
    text = _text(place) if isinstance(place, Path) else environ[place]
    # A variable that was written in one line has its line breaks spelled out.
    text = text.replace("\\n", "\n").strip()
    if _PRIVATE_KEY.fullmatch(text) is None:
        msg = f"the credential from {_named(place)} is no private key in PEM"
        raise ConfigError(msg, hint="use the .pem file that the App's page generates")
    return Secret(f"{text}\n")


def app_key_place(
    name: str, key_file: Path | None, environ: Mapping[str, str]
) -> Path | str | None:
    """Return where the key of a host's App is: a file, or the name of a variable."""
    if name == GITHUB:
        found = "github-app-key", ["SYNCER_GITHUB_APP_KEY"]
    else:
        found = f"app-key-{name}", [f"SYNCER_APP_KEY_{_variable(name)}"]
    credential, variables = found
    return _place(credential, key_file, variables, environ)


def s3_keys_of(
    files: tuple[Path | None, Path | None], environ: Mapping[str, str]
) -> tuple[Secret | None, Secret | None]:
    """Read the object store's two keys: credential directory, files, environment.

    Both or none: with one of them alone every request would fail.

    Raises:
        ConfigError: one is there without the other, or cannot be read.
    """
    names = ("s3-access-key", "s3-secret-key")
    access, secret = (
        _named_secret(name, file, environ)
        for name, file in zip(names, files, strict=True)
    )
    if (access is None) != (secret is None):
        absent = names[0] if access is None else names[1]
        msg = f"the credential {absent} is missing; the object store needs both keys"
        raise ConfigError(msg)
    return access, secret


def web_token_of(file: Path | None, environ: Mapping[str, str]) -> Secret | None:
    """Read what readers of the HTTP face have to show, if they have to."""
    return _named_secret("web-token", file, environ)


def alert_url_of(
    name: str, file: Path | None, environ: Mapping[str, str]
) -> Secret | None:
    """Read where a channel of alerts leads; it usually has a secret in it."""
    return _named_secret(f"alert-{name}", file, environ)


def parts_of(address: Secret) -> tuple[Secret, ...]:
    """Return what of an address may be a secret by itself: keys, a password.

    The name of a host is none, nor are short words, which logs are full of; whether
    a word without a dot in its place is a host or a key, only the service knows.
    """
    _, _, rest = address.reveal().partition("://")
    where, _, path = rest.partition("/")
    login, _, host = where.rpartition("@")
    user, _, password = login.partition(":")
    words = re.split(r"[/?&=]", path)
    keys = [
        password or user,
        host if re.fullmatch(r"(?!localhost$)[^.:]*", host) else "",
        *words,
    ]
    found = {each for key in keys for each in (key, unquote(key))}
    return tuple(Secret(each) for each in sorted(found) if len(each) >= _LEAST_KEY)


def alert_place(
    name: str, file: Path | None, environ: Mapping[str, str]
) -> Path | str | None:
    """Return where the address of a channel is: a file, or the name of a variable."""
    credential = f"alert-{name}"
    return _place(credential, file, [f"SYNCER_{_variable(credential)}"], environ)


def catalog_of(environ: Mapping[str, str]) -> Secret | None:
    """Read the catalog's address, which may hold a password, from its credential."""
    place = _place("catalog", None, (), environ)
    return None if place is None else _read(place, environ)


def passwords_of(address: str) -> list[Secret]:
    """Return the passwords in a catalog's address, for redaction."""
    try:
        parts = urlsplit(address)
        found = [
            unquote(parts.password or ""),
            *parse_qs(parts.query).get("password", ()),
        ]
    except ValueError:
        return []  # not an address; who connects to it says so
    return [Secret(each) for each in found if len(each) >= _LEAST_PASSWORD]


def _named_secret(
    credential: str, file: Path | None, environ: Mapping[str, str]
) -> Secret | None:
    variable = f"SYNCER_{_variable(credential)}"
    place = _place(credential, file, [variable], environ)
    return None if place is None else _read(place, environ)


def _place(
    credential: str,
    file: Path | None,
    variables: Iterable[str],
    environ: Mapping[str, str],
) -> Path | str | None:
    """Return where a secret is: credential directory, file, environment."""
    directory = environ.get("CREDENTIALS_DIRECTORY")
    for name in (credential, f"{_LOADED}{credential}") if directory else ():
        path = Path(directory or "", name)
        # pathlib raises where the directory is closed to us.
        if os.path.isfile(path):  # noqa: PTH113 - pathlib raises for what may not be seen
            return path
    if file is not None:
        return file
    return next((v for v in variables if environ.get(v, "").strip()), None)


def _variable(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", name.upper())


def _named(place: Path | str) -> str:
    return str(place) if isinstance(place, Path) else f"${place}"


def _read(place: Path | str, environ: Mapping[str, str]) -> Secret:
    text = _text(place) if isinstance(place, Path) else environ[place]
    return _checked_secret(text.strip(), _named(place))


def _text(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(_MAX_SECRET)
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not text"
        msg = f"the credential {path} cannot be read: {reason}"
        raise ConfigError(msg) from None


def _checked_secret(value: str, source: str) -> Secret:
    # A line break would end the header and start one of its own.
    if not value or not value.isprintable():
        msg = f"the credential from {source} is empty or has control characters"
        raise ConfigError(msg)
    return Secret(value)


class Redactor:
    """Replaces every loaded secret, in the forms in which it could appear."""

    def __init__(self, secrets: Iterable[Secret]) -> None:
        self._forms: list[str] = []
        self._brief: deque[list[str]] = deque(maxlen=BRIEF)
        self.learn(secrets)

    def learn(self, secrets: Iterable[Secret]) -> None:
        """Redact these too, from here on."""
        for secret in secrets:
            for form in _forms(secret):
                if form not in self._forms:
                    self._forms.append(form)

    def learn_brief(self, secret: Secret) -> None:
        """Redact a secret of an hour: until `BRIEF` younger ones are known.

        A daemon of many months would else look for thousands in every line.
        """
        self._brief.append(_forms(secret))

    def clean(self, text: str) -> str:
        """Return `text` without any secret."""
        # A copy: another thread may learn one meanwhile.
        forms = list(chain(self._forms, *self._brief.copy()))
        for form in forms:
            text = text.replace(form, _STARS)
        for cut in _CUTS:
            *before, last = text.split(cut)
            text = cut.join([*(_without_part(each, forms) for each in before), last])
        return text


def _without_part(text: str, forms: Iterable[str]) -> str:
    """Return a text that was cut at its end, without the beginning of a secret."""
    for form in forms:
        start = text.rfind(form[:_LEAST_PART])
        if start >= 0 and form.startswith(text[start:]):
            return f"{text[:start]}{_STARS}"
    return text


def _forms(secret: Secret) -> list[str]:
    """Return what a secret looks like in a header, an address, or as it is."""
    value = secret.reveal()
    pairs = [f"{user}:{value}" for user in ("x-access-token", "oauth2")]
    encoded = [b64encode(text.encode()).decode() for text in (value, *pairs)]
    # Not everybody writes what fills it up.
    plain = [*encoded, *(each.rstrip("=") for each in encoded), value]
    return list(dict.fromkeys([*plain, *(quote(each, safe="") for each in plain)]))
