"""nginx for measurements: it sends files as fast as the machine can.

Its address is known before it runs, so that one site may redirect to another.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_CONFIG = """\
daemon off; worker_processes 1; pid {place}/nginx.pid; error_log stderr error;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; tcp_nodelay on;
  keepalive_requests 1000000; default_type application/octet-stream;
  client_body_temp_path {place}/t1; proxy_temp_path {place}/t2;
  fastcgi_temp_path {place}/t3; uwsgi_temp_path {place}/t4; scgi_temp_path {place}/t5;
  {servers}
}}
"""


class Site(NamedTuple):
    """Something that nginx serves on loopback; with TLS if it has a certificate."""

    port: int
    certificate: Path | None

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"{'https' if self.certificate else 'http'}://127.0.0.1:{self.port}"

    def block(self, body: str) -> str:
        """Return its part of the configuration."""
        tls = ""
        if self.certificate is not None:
            file = self.certificate
            tls = f" ssl; ssl_certificate {file}; ssl_certificate_key {file}"
        return f"server {{ listen 127.0.0.1:{self.port}{tls}; {body} }}"


def site(certificate: Path | None) -> Site:
    """Return one on a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return Site(probe.getsockname()[1], certificate)


def certify(place: Path, *others: Path) -> tuple[Path, Path]:
    """Write what clients trust, `others` included, and a certificate with its key."""
    import trustme  # noqa: PLC0415 - only with TLS

    trusted, certificate = place / "ca.pem", place / "nginx.pem"
    authority = trustme.CA()
    made = authority.issue_cert("127.0.0.1", "localhost")
    made.private_key_and_cert_chain_pem.write_to_path(str(certificate))
    pems = [*(other.read_bytes() for other in others), authority.cert_pem.bytes()]
    trusted.write_bytes(b"".join(pems))
    return trusted, certificate


def require() -> None:
    """End the measurement where there is no nginx."""
    if shutil.which("nginx") is None:
        sys.exit("the measurement needs nginx: apt-get install nginx-light")


@contextmanager
def running(place: Path, sites: Sequence[tuple[Site, str]]) -> Iterator[None]:
    """Serve each site as its body says; its files lie in `place`."""
    blocks = "\n  ".join(each.block(body) for each, body in sites)
    config = place / "nginx.conf"
    config.write_text(_CONFIG.format(place=place, servers=blocks))
    process = subprocess.Popen(["nginx", "-p", str(place), "-c", str(config)])
    try:
        for each, _ in sites:
            _wait(each.port)
        yield
    finally:
        process.terminate()
        process.wait()


def _wait(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit("nginx does not listen")
