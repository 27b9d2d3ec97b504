"""Status requests, as many as the HTTP face answers."""

from __future__ import annotations

import os
import threading
import time
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from deploy.stress.clock import Clock

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from deploy.stress.clock import Row

#: What monitoring and lists of mirrors ask for.
PAGES = ("/healthz", "/readyz", "/metrics", "/status/tunasync.json")
_TICK = os.sysconf("SC_CLK_TCK")
_OK = 200  # RFC 9110


def web(asked: argparse.Namespace) -> Iterable[Row]:
    """Ask for each page from many clients, over connections that stay open."""
    token = asked.token_file.read_text().strip() if asked.token_file else None
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    for page in asked.page or PAGES:
        clock, before = Clock([]), _spent(asked.pid)
        start = time.perf_counter()
        end = start + asked.seconds
        clients = [
            threading.Thread(
                target=_client, args=(asked.url, page, headers, end, clock)
            )
            for _ in range(asked.clients)
        ]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        cost = None
        if before is not None and (after := _spent(asked.pid)) is not None:
            cost = after[0] - before[0], after[1]
        yield clock.row(page, time.perf_counter() - start, cost)


def _client(
    url: str, page: str, headers: dict[str, str], end: float, clock: Clock
) -> None:
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.netloc, timeout=30)

    def ask() -> int:
        connection.request("GET", parts.path.rstrip("/") + page, headers=headers)
        answer = connection.getresponse()
        size = len(answer.read())
        if answer.status != _OK:
            msg = f"{page} was answered by {answer.status}"
            raise HTTPException(msg)
        return size

    while time.perf_counter() < end:
        errors = clock.errors
        clock(ask)
        if clock.errors > errors:
            connection.close()
            time.sleep(0.05)  # what refuses is not asked without end
    connection.close()


def _spent(pid: int | None) -> tuple[float, float] | None:
    """Return a process's seconds of processor time and its peak MiB (proc(5))."""
    if pid is None:
        return None
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = Path(f"/proc/{pid}/status").read_text()
    peak = next(ln.split()[1] for ln in status.splitlines() if ln.startswith("VmHWM"))
    return (int(fields[11]) + int(fields[12])) / _TICK, int(peak) / 1024
