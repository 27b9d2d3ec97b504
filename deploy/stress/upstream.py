"""An upstream on loopback, whose repositories grow when told."""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Upstream(ThreadingHTTPServer):
    """Serves the repositories of a directory on loopback: `git http-backend`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.root = root
        self.where = f"127.0.0.1:{self.server_address[1]}"
        said = subprocess.run(
            ["git", "--exec-path"], check=True, capture_output=True, text=True
        )
        self.program = f"{said.stdout.strip()}/git-http-backend"


class Answer(BaseHTTPRequestHandler):
    """One connection; each request is a CGI (RFC 3875)."""

    server: Upstream
    protocol_version = "HTTP/1.1"
    # Head and body leave at once, or the body waits 40 ms for the head's receipt.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Hand a request to git."""
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        told = {
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REMOTE_ADDR": "127.0.0.1",
        }
        done = subprocess.run(
            [self.server.program],
            env=os.environ | told,
            input=body,
            capture_output=True,
            check=False,
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        lines = [line.partition(": ") for line in head.decode().splitlines()]
        status = next((v for k, _, v in lines if k == "Status"), "200")
        self.send_response(int(status.split()[0]))
        for key, _, value in lines:
            if key != "Status":
                self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815 - as http.server calls it

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
        """Say nothing."""


def grow(repository: Path, kib: int) -> None:
    """Add a commit whose file does not compress."""
    if not repository.exists():
        git("init", "--quiet", "--bare", "--initial-branch=main", repository)
    stands = (repository / "refs/heads/main").exists()
    content = secrets.token_bytes(kib * 1024)
    name = secrets.token_hex(8)
    lines = (
        "commit refs/heads/main",
        f"committer stress <stress@localhost> {int(time.time())} +0000",
        "data 1",
        "x",
        *(["from refs/heads/main^0"] if stands else []),
        f"M 100644 inline {name}",
        f"data {len(content)}",
    )
    stream = "".join(f"{line}\n" for line in lines).encode() + content + b"\n"
    git("-C", repository, "fast-import", "--quiet", given=stream)


def git(*words: str | Path, given: bytes | None = None) -> None:
    """Run git to its end."""
    subprocess.run(["git", *words], input=given, check=True, capture_output=True)
