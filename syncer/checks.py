"""What no single key can tell of a configuration: whether the keys fit together."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from syncer.credentials import alert_place
from syncer.endpoints import GITHUB_API, app_problems
from syncer.model.names import GITHUB
from syncer.places import where_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from syncer.alerting import Alert
    from syncer.endpoints import S3, Host
    from syncer.settings import Config
    from syncer.wanted import Owner, Repo


def consistency(
    config: Config,
    path: Path | None,
    places: Mapping[str, str],
    environ: Mapping[str, str],
) -> tuple[str, ...]:
    """Return what is wrong that no single key can tell: each with where it stands."""
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
        found += [
            f"{where_of(path, places, ('host', name))}: {said}"
            for said in _host_problems(name, host, environ)
        ]
    found += _owner_problems(config, path, places)
    found += _store_problems(config.syncer.s3, path, places)
    found += _face_problems(config, path, places)
    found += _alert_problems(config, path, places, environ)
    return (*found, *_cluster_problems(config, path, places))


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
        scheme, host = _scheme_and_host(getattr(s3, key) or "https://aws")
        if scheme not in {"https", "http"} or not host:
            said = "write an address like https://s3.corp:9000"
        elif scheme == "http" and not (s3.plain_http or _is_loopback(host)):
            said = "off this machine http needs plain_http = true"
        else:
            continue
        # Asked for only now: to find where keys stand takes a while.
        yield f"{where_of(path, places, ('syncer', 's3', key))}: {said}"


def _face_problems(
    config: Config, path: Path | None, places: Mapping[str, str]
) -> Iterator[str]:
    """Yield what is wrong with where the HTTP face listens."""
    web = config.syncer.web
    if not (web.is_loopback or web.plain_http):
        at = where_of(path, places, ("syncer", "web", "listen"))
        yield f"{at}: off this machine the face needs plain_http = true"


def _alert_problems(
    config: Config,
    path: Path | None,
    places: Mapping[str, str],
    environ: Mapping[str, str],
) -> Iterator[str]:
    """Yield what is wrong with whom to tell of what."""
    seen: list[str] = []
    for index, alert in enumerate(config.alert):
        for said in _channel_problems(config, alert, seen, environ):
            yield f"{where_of(path, places, ('alert', index, 'name'))}: {said}"
        seen.append(alert.name)


def _channel_problems(
    config: Config, alert: Alert, seen: Collection[str], environ: Mapping[str, str]
) -> Iterator[str]:
    """Yield what is wrong with a channel that comes after those of some names."""
    if alert.name in seen:
        yield f"there are two channels named {alert.name!r}"
    for tier in alert.tiers:
        if tier not in config.tier:
            known = ", ".join(sorted(config.tier))
            yield f"there is no tier {tier!r}; known: {known}"
    if alert_place(alert.name, alert.url_file, environ) is None:
        variable = f"$SYNCER_ALERT_{alert.name.upper().replace('-', '_')}"
        credential = f"the credential alert-{alert.name}"
        yield f"its address is missing: {credential}, url_file or {variable}"


def _cluster_problems(
    config: Config, path: Path | None, places: Mapping[str, str]
) -> Iterator[str]:
    """Yield what several machines need that one does not."""
    if not config.is_cluster:
        return
    at = where_of(path, places, ("syncer", "host"))
    if config.syncer.catalog is None or config.syncer.catalog.startswith("sqlite"):
        yield f"{at}: several machines need a Postgres catalog, for one drop `host`"
    if isinstance(config.blobs_place, Path):
        yield f'{at}: several machines need one object store: blobs = "s3://..."'


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
