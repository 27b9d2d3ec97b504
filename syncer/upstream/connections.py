"""Pools of warm connections: to the address that was checked, or by a proxy."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, TypedDict
from urllib.parse import urlsplit

import urllib3

from syncer.errors import ConfigError
from syncer.trust import bundle

if TYPE_CHECKING:
    from pathlib import Path

    from syncer.upstream.egress import Target

#: Seconds: for a connection, and for the next byte.
CONNECT, READ = 10.0, 30.0


class _Settings(TypedDict):
    maxsize: int
    block: bool
    timeout: urllib3.Timeout
    retries: bool


def trust(ca: Path | None) -> ssl.SSLContext:
    """Return what certificates are checked with: the system's, and `ca`.

    One context serves all connections to a host.  (That of `truststore` reads
    the system's certificates again for each of them, 20 ms, and lets only one
    shake hands at a time.)

    Raises:
        ConfigError: `ca` cannot be read.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    system = bundle()
    # For a Python that was built elsewhere and knows none of the system's.
    if system is not None and not context.cert_store_stats()["x509_ca"]:
        context.load_verify_locations(cafile=system)
    if ca is not None:
        try:
            context.load_verify_locations(cafile=ca)
        except OSError as exc:
            msg = f"the certificate authority {ca} cannot be read: {exc}"
            raise ConfigError(msg) from exc
    return context


def connect(
    target: Target, size: int, ca: Path | None, proxy: Proxy | None
) -> urllib3.HTTPConnectionPool:
    """Return at most `size` connections to a target, none of them open yet."""
    settings: _Settings = {
        "maxsize": size,
        "block": True,
        "timeout": urllib3.Timeout(connect=CONNECT, read=READ),
        "retries": False,
    }
    if proxy is not None:
        return proxy.pool(target, trust(ca), settings)
    address = target.address or target.host
    if target.scheme == "http":
        return urllib3.HTTPConnectionPool(address, target.port, **settings)
    return urllib3.HTTPSConnectionPool(
        address,
        target.port,
        ssl_context=trust(ca),
        # Without `assert_hostname` TLS itself checks the certificate against
        # this name, before anything is sent.
        server_hostname=target.host,
        **settings,
    )


class Proxy:
    """An HTTP proxy; what it is told beside addresses is never shown."""

    def __init__(self, address: str) -> None:
        msg = "the proxy is not an address like http://proxy.corp:3128"
        try:
            parts = urlsplit(address)
            port = parts.port or 3128
        except ValueError:
            raise ConfigError(msg) from None
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigError(msg)
        name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self._url = f"{parts.scheme}://{name}:{port}"
        self._headers = None
        if parts.username is not None:
            pair = f"{parts.username}:{parts.password or ''}"
            self._headers = urllib3.make_headers(proxy_basic_auth=pair)

    def pool(
        self, target: Target, context: ssl.SSLContext, settings: _Settings
    ) -> urllib3.HTTPConnectionPool:
        """Return connections to a target by way of the proxy."""
        manager = urllib3.ProxyManager(
            self._url, proxy_headers=self._headers, ssl_context=context, **settings
        )
        return manager.connection_from_host(target.host, target.port, target.scheme)
