"""`repos.toml`, the environment and credential files become one frozen `Config`.

Read once, whole: every problem is reported at once, with file, line and key.
One of the two modules that may see the environment (`git/command.py` is the
other).
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from syncer import toml
from syncer.alerting import Alert
from syncer.checks import consistency
from syncer.credentials import Secret, catalog_of
from syncer.endpoints import S3, Host, Model
from syncer.errors import ConfigError
from syncer.listening import Web
from syncer.places import Places, dotted, where_of
from syncer.settings import DEFAULT_TIERS, Config, Syncer, Tier, settled
from syncer.wanted import Owner, Repo

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "Config",
    "Host",
    "Owner",
    "Repo",
    "Secret",
    "Syncer",
    "Tier",
    "environment",
    "load",
    "locate",
    "search_path",
]


def load(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Read the configuration: the file, then `SYNCER_*`, which wins.

    Raises:
        ConfigError: with every problem found, each with file, line and key.
    """
    raw, text = _read(path)
    overridden = _override(raw, environ)
    places = Places(text, lambda line: f"{path}:{line}", overridden)
    origins = Places(text, lambda _: str(path), overridden)
    try:
        config = Config.model_validate(_with_default_tiers(raw))
    except ValidationError as exc:
        problems = tuple(_describe(error, path, places) for error in exc.errors())
        raise _refused(path, problems) from None
    problems = consistency(config, path, places, environ)
    if "syncer.catalog" not in overridden:
        problems += _secret_problems(raw, path, places)
    if problems:
        raise _refused(path, problems)
    base = path.resolve().parent if path is not None else Path.cwd()
    return settled(config, path=path, base=base, origins=origins, environ=environ)


def locate(explicit: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Return the configuration file to use, None when there is none.

    Order: `--config`, `$SYNCER_CONFIG`, `./repos.toml`,
    `$XDG_CONFIG_HOME/syncer/repos.toml`, `/etc/syncer/repos.toml`.
    """
    named = explicit or (
        Path(environ["SYNCER_CONFIG"]) if environ.get("SYNCER_CONFIG") else None
    )
    if named is not None:
        return named
    places = search_path(environ)
    found = next((path for path in places if os.path.isfile(path)), None)  # noqa: PTH113 - pathlib raises where a directory is closed
    # Who reads one that we may not look at says so.
    return found or next((path for path in places if _is_closed(path)), None)


def _is_closed(path: Path) -> bool:
    try:
        path.stat()
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def search_path(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return where a configuration is looked for when none is named."""
    home = environ.get("XDG_CONFIG_HOME") or str(
        Path(environ.get("HOME", "/")) / ".config"
    )
    return (
        Path("repos.toml"),
        Path(home) / "syncer" / "repos.toml",
        Path("/etc/syncer/repos.toml"),
    )


def environment() -> dict[str, str]:
    """Return a copy of this process's environment."""
    return dict(os.environ)


def _read(path: Path | None) -> tuple[dict[str, Any], str]:
    if path is None:
        return {}, ""
    try:
        text = path.read_text(encoding="utf-8")
        return toml.loads(text), text
    except FileNotFoundError:
        msg = f"there is no {path}"
        raise ConfigError(msg, hint="create one: syncer init") from None
    except OSError as exc:
        msg = f"{path} cannot be read: {exc.strerror}"
        raise ConfigError(msg) from None
    except UnicodeDecodeError:
        msg = f"{path} is not UTF-8 text"
        raise ConfigError(msg) from None
    except tomllib.TOMLDecodeError as exc:
        raise _refused(path, (f"{path}: not TOML: {exc}",)) from None


def _override(raw: dict[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """Lay `SYNCER_<KEY>` over `[syncer]`, `SYNCER_S3_<KEY>` over `[syncer.s3]`, ...

    Return which keys come from where.  A proxy may come from HTTPS_PROXY.
    """
    section = raw.setdefault("syncer", {})
    if not isinstance(section, dict):
        return {}
    origins = _lay_over(section, "syncer", Syncer, environ)
    catalog = catalog_of(environ)
    if catalog is not None:
        section["catalog"] = catalog.reveal()
        origins["syncer.catalog"] = "the credential `catalog`"
    inner: dict[str, type[Model]] = {"s3": S3, "web": Web}
    for name, model in inner.items():
        keys = section.get(name, {})
        if isinstance(keys, dict):
            found = _lay_over(keys, f"syncer.{name}", model, environ)
            if found:
                section[name] = keys
            origins |= found
    proxy = environ.get("HTTPS_PROXY") or environ.get("https_proxy")
    if proxy and "proxy" not in section:
        section["proxy"] = proxy
        origins["syncer.proxy"] = "$HTTPS_PROXY"
    return origins


def _lay_over(
    section: dict[str, Any], where: str, model: type[Model], environ: Mapping[str, str]
) -> dict[str, str]:
    """Put variables into a section; return where its keys come from."""
    origins: dict[str, str] = {}
    for key in model.model_fields.keys() - {"s3", "web"}:  # sections, not keys
        variable = f"{where}.{key}".replace(".", "_").upper()
        value = environ.get(variable)
        if value:
            section[key] = int(value) if value.isdecimal() else value
            origins[f"{where}.{key}"] = f"${variable}"
    return origins


def _with_default_tiers(raw: dict[str, Any]) -> dict[str, Any]:
    tiers = raw.get("tier", {})
    if isinstance(tiers, dict):
        tiers = {**DEFAULT_TIERS, **tiers}
    return {**raw, "tier": tiers}


def _secret_problems(
    raw: dict[str, Any], path: Path | None, places: Mapping[str, str]
) -> tuple[str, ...]:
    url = raw.get("syncer", {}).get("catalog", "")
    if re.match(r"[^:/]+://[^/@]*:[^/@]*@", str(url)):
        at = where_of(path, places, ("syncer", "catalog"))
        said = "a password does not belong in this file"
        return (f"{at}: {said}; use $SYNCER_CATALOG or a pgpass file",)
    return ()


def _refused(path: Path | None, problems: Sequence[str]) -> ConfigError:
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    msg = f"{path or 'the environment'} has {count}; nothing was changed"
    return ConfigError(msg, problems=tuple(problems))


def _describe(
    error: Mapping[str, Any], path: Path | None, places: Mapping[str, str]
) -> str:
    location: tuple[str | int, ...] = tuple(error["loc"])
    where = where_of(path, places, location)
    key = dotted(location)
    if error["type"] == "extra_forbidden":
        return f"{where}: unknown key `{key}`{_suggestion(location)}"
    if error["type"] == "missing":
        return f"{where}: `{key}` is missing"
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{where}: {key}: {message}"


def _suggestion(location: tuple[str | int, ...]) -> str:
    models: dict[str, type[BaseModel]] = {
        "syncer": Syncer,
        "tier": Tier,
        "host": Host,
        "repo": Repo,
        "owner": Owner,
        "alert": Alert,
    }
    top = str(location[0])
    model = models.get(top, Config) if len(location) > 1 else Config
    if top == "syncer" and len(location) > 2:  # noqa: PLR2004 - a key of an inner section
        inner: dict[str, type[BaseModel]] = {"s3": S3, "web": Web}
        model = inner.get(str(location[1]), model)
    from difflib import get_close_matches  # noqa: PLC0415 - only on this error

    near = get_close_matches(str(location[-1]), model.model_fields, n=1, cutoff=0.5)
    if near:
        return f"; did you mean `{near[0]}`?"
    return f"; known: {', '.join(model.model_fields)}"
