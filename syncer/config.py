"""`repos.toml`, the environment and credential files become one frozen `Config`.

Read once, whole: every problem is reported at once, with file, line and key.
One of the two modules that may see the environment (`git/command.py` is the
other).
"""

from __future__ import annotations

import os
import re
import tomllib
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from syncer.credentials import Secret
from syncer.endpoints import GITHUB_API, S3, Host, Model, app_problems
from syncer.errors import ConfigError
from syncer.model.names import GITHUB
from syncer.places import dotted, line_numbers, where_of
from syncer.settings import DEFAULT_TIERS, Config, Syncer, Tier, settled
from syncer.wanted import Owner, Repo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

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
    places = {key: f"{path}:{n}" for key, n in line_numbers(text).items()}
    origins = dict.fromkeys(places, str(path))
    overridden = _override(raw, environ)
    origins |= overridden
    places |= overridden
    try:
        config = Config.model_validate(_with_default_tiers(raw))
    except ValidationError as exc:
        problems = tuple(_describe(error, path, places) for error in exc.errors())
        raise _refused(path, problems) from None
    problems = _problems(config, path, places, environ)
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
    return next((path for path in search_path(environ) if path.is_file()), None)


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
        return tomllib.loads(text), text
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
    """Lay `SYNCER_<KEY>` over `[syncer]`, `SYNCER_S3_<KEY>` over `[syncer.s3]`.

    Return which keys come from where.  A proxy may come from HTTPS_PROXY.
    """
    section = raw.setdefault("syncer", {})
    if not isinstance(section, dict):
        return {}
    origins = _lay_over(section, "syncer", Syncer, environ)
    store = section.get("s3", {})
    if isinstance(store, dict):
        found = _lay_over(store, "syncer.s3", S3, environ)
        if found:
            section["s3"] = store
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
    for key in model.model_fields.keys() - {"s3"}:  # a section, not a key
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


def _problems(
    config: Config,
    path: Path | None,
    places: Mapping[str, str],
    environ: Mapping[str, str],
) -> tuple[str, ...]:
    """Check what no single key can: tiers exist, names are unique, hosts make sense."""
    found: list[str] = []
    lists: dict[str, Sequence[Repo | Owner]]
    lists = {"repo": config.repo, "owner": config.owner}
    for kind, entries in lists.items():
        seen: dict[str, int] = {}
        for index, entry in enumerate(entries):
            first = seen.setdefault(entry.name.identity, index)
            if first != index:
                where = where_of(path, places, (kind, index, "name"))
                found.append(f"{where}: {entry.name} is listed twice")
            if entry.tier not in config.tier:
                at = where_of(path, places, (kind, index, "tier"))
                known = ", ".join(sorted(config.tier))
                found.append(f"{at}: there is no tier {entry.tier!r}; known: {known}")
    for name, host in config.host.items():
        at = where_of(path, places, ("host", name))
        found += [f"{at}: {said}" for said in _host_problems(name, host, environ)]
    found += _owner_problems(config, path, places)
    return (*found, *_store_problems(config.syncer.s3, path, places))


def _host_problems(name: str, host: Host, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield what is wrong with how a host is reached."""
    if host.git and host.git.startswith("ssh:") and host.protocol != "ssh":
        yield 'an ssh address needs protocol = "ssh"'
    if name == GITHUB and host.protocol == "ssh":
        yield "github.com is always fetched by https"
    if host.protocol == "ssh" and not (host.ssh_key and host.known_hosts):
        yield 'protocol = "ssh" needs ssh_key and known_hosts'
    scheme, api = _scheme_and_host(host.api or GITHUB_API)
    if not api:
        yield "`api` is no address: write one like https://ghe.corp/api/v3"
    elif scheme == "http" and not (host.private or _is_loopback(api)):
        # A token goes with every request.
        yield "an `api` that is reached by http needs private = true"
    yield from app_problems(name, host, environ)


def _owner_problems(
    config: Config, path: Path | None, places: Mapping[str, str]
) -> Iterator[str]:
    """Yield what is wrong with the globs of owners, and with their hosts."""
    for index, owner in enumerate(config.owner):
        if "" in owner.exclude:
            at = where_of(path, places, ("owner", index, "exclude"))
            yield f"{at}: a glob is empty; leave it out"
        host = owner.name.host
        api = config.host[host].api if host in config.host else None
        if api is None and host != GITHUB:
            at = where_of(path, places, ("owner", index, "name"))
            said = f"what {owner.name} has is told by an API"
            yield f'{at}: {said}: name it, [host."{host}"] api = "https://..."'


def _store_problems(
    s3: S3, path: Path | None, places: Mapping[str, str]
) -> Iterator[str]:
    """Yield what is wrong with the object store's addresses."""
    for key in ("endpoint", "public_endpoint"):
        at = where_of(path, places, ("syncer", "s3", key))
        scheme, host = _scheme_and_host(getattr(s3, key) or "https://aws")
        if scheme not in {"https", "http"} or not host:
            yield f"{at}: write an address like https://s3.corp:9000"
        elif scheme == "http" and not (s3.plain_http or _is_loopback(host)):
            yield f"{at}: off this machine http needs plain_http = true"


def _scheme_and_host(address: str) -> tuple[str, str]:
    try:
        parts = urlsplit(address)
    except ValueError:  # half an IPv6 address
        return "", ""
    return parts.scheme, parts.hostname or ""


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


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
    }
    top = str(location[0])
    model = models.get(top, Config) if len(location) > 1 else Config
    if location[:2] == ("syncer", "s3") and len(location) > 2:  # noqa: PLR2004 - a key below it
        model = S3
    from difflib import get_close_matches  # noqa: PLC0415 - only on this error

    near = get_close_matches(str(location[-1]), model.model_fields, n=1, cutoff=0.5)
    if near:
        return f"; did you mean `{near[0]}`?"
    return f"; known: {', '.join(model.model_fields)}"
