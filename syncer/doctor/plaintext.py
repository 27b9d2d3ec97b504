"""D15: what leaves this machine that others could read or change on the way."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from syncer.doctor.findings import doubtful, or_fine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncer.doctor.findings import Finding
    from syncer.doctor.site import Site

#: Apprise's names of services that are reached without TLS.
_PLAIN_CHANNELS = {"json", "xml", "form"}


def is_here(host: str) -> bool:
    """Return whether a name is of this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def plaintext(site: Site) -> list[Finding]:
    """Look at every address for one that is not encrypted."""
    found = [*_hosts(site), *_store(site), *_catalog(site), *_proxy(site)]
    web = site.config.syncer.web
    if not web.is_loopback:
        text = "the HTTP face listens off loopback, without TLS"
        token = "" if web.token else " and gives everybody what it shows"
        fix = '[syncer.web] listen = "127.0.0.1:8417", behind a proxy with TLS'
        found.append(doubtful(f"{text}{token}", fix))
    for alert in site.config.alert:
        address = "" if alert.url is None else alert.url.reveal()
        scheme, _, rest = address.partition("://")
        if scheme in _PLAIN_CHANNELS and not is_here(_host_of(rest)):
            text = f"the channel {alert.name} speaks {scheme}://, without TLS"
            found.append(doubtful(text, f"{scheme}s://"))
    return or_fine(found, "nothing leaves this machine without encryption")


def _hosts(site: Site) -> Iterator[Finding]:
    for name in sorted(site.config.hosts):
        host = site.config.target_host(name)
        addresses = {"git": host.base, "api": host.api_base or ""}
        for key, address in addresses.items():
            if _is_plain(address):
                said = ", its token too" if host.is_authorised else ""
                text = f"{name} is reached by http ({key}){said}"
                yield doubtful(text, f'[host."{name}"] {key} = "https://..."')


def _store(site: Site) -> Iterator[Finding]:
    s3 = site.config.syncer.s3
    for key in ("endpoint", "public_endpoint"):
        if _is_plain(getattr(s3, key) or ""):
            text = f"the object store is reached by http ({key})"
            fix = f'[syncer.s3] {key} = "https://...", with `ca` if it has its own'
            yield doubtful(text, fix)


def _catalog(site: Site) -> Iterator[Finding]:
    parts = urlsplit(site.config.catalog_url)
    if not parts.scheme.startswith("postgresql") or is_here(parts.hostname or "::1"):
        return
    mode = parse_qs(parts.query).get("sslmode", [""])[0]
    if mode not in {"verify-full", "verify-ca"}:
        text = f"the catalog's server is not checked to be it (sslmode={mode})"
        yield doubtful(text, "sslmode=verify-full, with sslrootcert")


def _proxy(site: Site) -> Iterator[Finding]:
    parts = urlsplit(site.config.syncer.proxy or "")
    if _is_plain(parts.geturl()) and parts.password:
        text = f"the proxy's password goes to {parts.hostname} by http"
        yield doubtful(text, "a proxy that is reached by https")


def _host_of(rest: str) -> str:
    try:
        return urlsplit(f"//{rest}").hostname or ""
    except ValueError:
        return ""


def _is_plain(address: str) -> bool:
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:
        return False
    return parts.scheme == "http" and not is_here(host)
