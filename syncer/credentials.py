"""Secrets: where they come from, and a type that never shows them."""

from __future__ import annotations

import re
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from syncer.errors import ConfigError
from syncer.model.names import GITHUB

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_MAX_SECRET = 64 * 1024


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


def token_of(
    name: str, token_file: Path | None, environ: Mapping[str, str]
) -> Secret | None:
    """Read a host's token: credential directory, file, environment, in this order."""
    credential = "github-token" if name == GITHUB else f"token-{name}"
    directory = environ.get("CREDENTIALS_DIRECTORY")
    if directory and (Path(directory) / credential).is_file():
        return _secret_file(Path(directory) / credential)
    if token_file is not None:
        return _secret_file(token_file)
    variable = "SYNCER_TOKEN_" + re.sub(r"[^A-Z0-9]", "_", name.upper())
    names = [variable]
    if name == GITHUB:
        names = ["SYNCER_GITHUB_TOKEN", "GH_TOKEN", "GITHUB_TOKEN", variable]
    value = next((environ[n].strip() for n in names if environ.get(n)), "")
    return _checked_secret(value, "the environment") if value else None


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


def _named_secret(
    credential: str, file: Path | None, environ: Mapping[str, str]
) -> Secret | None:
    directory = environ.get("CREDENTIALS_DIRECTORY")
    if directory and (Path(directory) / credential).is_file():
        return _secret_file(Path(directory) / credential)
    if file is not None:
        return _secret_file(file)
    variable = f"SYNCER_{credential.upper().replace('-', '_')}"
    value = environ.get(variable, "").strip()
    return _checked_secret(value, f"${variable}") if value else None


def _secret_file(path: Path) -> Secret:
    try:
        with path.open(encoding="utf-8") as file:
            return _checked_secret(file.read(_MAX_SECRET).strip(), str(path))
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
        self.learn(secrets)

    def learn(self, secrets: Iterable[Secret]) -> None:
        """Redact these too, from here on."""
        for secret in secrets:
            value = secret.reveal()
            pairs = [f"{user}:{value}" for user in ("x-access-token", "oauth2")]
            encoded = [b64encode(text.encode()).decode() for text in (value, *pairs)]
            for form in (*encoded, value, quote(value, safe="")):
                if form not in self._forms:
                    self._forms.append(form)

    def clean(self, text: str) -> str:
        """Return `text` without any secret."""
        for form in self._forms:
            text = text.replace(form, "********")
        return text
