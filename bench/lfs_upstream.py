"""An upstream of LFS objects for measurements: git and batches, nginx for bytes.

In a process of its own, so that it shares no lock with what is measured.  The
bytes come by nginx from files, as fast as the machine sends them.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.harness import ROOT
from tests.servers.lfs import STORAGE, Generated
from tests.servers.pointers import pointer_file
from tests.servers.repositories import Repository

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NAME = "o/weights"
_PER_COMMIT = 500
_SEED = 1

_NGINX = """\
daemon off; worker_processes 1; pid {place}/nginx.pid; error_log stderr error;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; tcp_nodelay on;
  keepalive_requests 1000000; default_type application/octet-stream;
  client_body_temp_path {place}/t1; proxy_temp_path {place}/t2;
  fastcgi_temp_path {place}/t3; uwsgi_temp_path {place}/t4; scgi_temp_path {place}/t5;
  server {{ listen 127.0.0.1:{port}{tls}; root {place}/objects; }}
}}
"""


@dataclass(frozen=True)
class LfsUpstream:
    """Where git and the objects are, and the authority of both; None without TLS."""

    url: str
    storage: str
    ca: Path | None


def build(place: Path, sizes: Sequence[int]) -> None:
    """Make the repository below `place/up` and the files of its objects."""
    repository = Repository(place / "up" / f"{NAME}.git")
    storage = place / "objects" / STORAGE.strip("/") / NAME
    storage.mkdir(parents=True)
    place.chmod(0o755)  # nginx, started by root, reads as another user
    # Another length is another object, from the same noise.
    contents = [Generated(_SEED, size + n) for n, size in enumerate(sizes)]
    for start in range(0, len(contents), _PER_COMMIT):
        few = contents[start : start + _PER_COMMIT]
        repository.commit(
            "main", {f"large/{c.size}": pointer_file(c.pointer) for c in few}
        )
    for content in contents:
        with (storage / content.pointer.oid).open("wb") as file:
            file.writelines(content.blocks())
    (place / "sizes.json").write_text(json.dumps([c.size for c in contents]))


@contextmanager
def serve(place: Path, *, tls: bool) -> Iterator[LfsUpstream]:
    """Serve what `build` made."""
    if shutil.which("nginx") is None:
        sys.exit("the measurement needs nginx: apt-get install nginx-light")
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.lfs_upstream", str(place), str(int(tls))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        if process.stdout is None:
            sys.exit("the upstream has no pipes")
        url, storage, *ca = process.stdout.readline().split()
        yield LfsUpstream(url, storage, Path(ca[0]) if ca else None)
    finally:
        process.communicate(timeout=30)  # the end of its stdin stops it


def _main(place: Path, *, tls: bool) -> None:
    from tests.servers.git_http import GitServer  # noqa: PLC0415 - the child only

    with GitServer(place / "up", tls=tls) as server:
        for size in json.loads((place / "sizes.json").read_text()):
            server.lfs.generate(NAME, _SEED, size)
        trusted, certificate = None, None
        if tls:
            trusted, certificate = place / "ca.pem", place / "nginx.pem"
            _certify(trusted, certificate, server.ca_pem)
        with _nginx(place, certificate) as storage:
            server.lfs.storage = storage
            print(server.url, storage, trusted or "", flush=True)
            sys.stdin.read()


def _certify(trusted: Path, certificate: Path, other: Path) -> None:
    """Write a certificate for nginx, and the authorities of both servers."""
    import trustme  # noqa: PLC0415 - only with TLS

    authority = trustme.CA()
    made = authority.issue_cert("127.0.0.1", "localhost")
    made.private_key_and_cert_chain_pem.write_to_path(str(certificate))
    trusted.write_bytes(other.read_bytes() + authority.cert_pem.bytes())


@contextmanager
def _nginx(place: Path, certificate: Path | None) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    tls = ""
    if certificate is not None:
        tls = f" ssl; ssl_certificate {certificate}; ssl_certificate_key {certificate}"
    config = place / "nginx.conf"
    config.write_text(_NGINX.format(place=place, port=port, tls=tls))
    process = subprocess.Popen(["nginx", "-p", str(place), "-c", str(config)])
    try:
        _wait(port)
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{port}"
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


if __name__ == "__main__":
    os.environ.pop("PYTHONWARNINGS", None)
    _main(Path(sys.argv[1]), tls=sys.argv[2] == "1")
