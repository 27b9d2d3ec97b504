"""The load script: small loads, real ones."""

from __future__ import annotations

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from deploy.stress.__main__ import main
from deploy.stress.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.s3 import S3Server


class Pages(BaseHTTPRequestHandler):
    """Answers one page, and refuses all others."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer."""
        right = self.headers.get("Authorization") == "Bearer letmein"
        found = self.path == "/healthz" and right
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"ok\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name
        """Say nothing."""


@pytest.fixture
def face() -> Iterator[str]:
    """Serve them on loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def rows(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> Any:  # noqa: ANN401  JSON may be anything
    """Run a load and return its rows by name."""
    assert main([*words, "--json"]) == status
    told = json.loads(capsys.readouterr().out)
    assert told["schema"] == "syncer.stress/v1"
    return {row["what"]: row for row in told["rows"]}


def test_it_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` names every load."""
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    for load in ("web", "mirrors", "objects"):
        assert load in out


def test_percentiles_are_of_what_succeeded() -> None:
    """Half, nineteen of twenty and all but one of a hundred are in milliseconds."""
    clock = Clock([n / 1000 for n in range(1, 101)])
    clock.bytes = 5_000_000
    row = clock.row("it", 2.0, (1.0, 64.0))
    assert (row.p50, row.p95, row.p99) == (51.0, 96.0, 100.0)
    assert (row.per_second, row.mb_per_second) == (50.0, 2.5)
    assert (row.cpu, row.rss_mib) == (0.5, 64.0)


def test_status_requests_are_counted(
    capsys: pytest.CaptureFixture[str], face: str, tmp_path: Path
) -> None:
    """Answers count with their time, refusals as errors, the server with its cost."""
    (tmp_path / "token").write_text("letmein\n")
    found = rows(
        capsys,
        *("web", face, "--seconds", "0.3", "--clients", "2", "--pid", str(os.getpid())),
        *("--token-file", str(tmp_path / "token")),
        *("--page", "/healthz", "--page", "/absent"),
        status=1,
    )
    good, bad = found["/healthz"], found["/absent"]
    assert good["count"] > 4
    assert good["errors"] == 0
    assert 0 < good["p50"] <= good["p99"]
    assert good["cpu"] > 0
    assert good["rss_mib"] > 10
    assert bad["count"] == 0
    assert bad["errors"] > 2


def test_mirrors_are_made_and_changed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """First runs, quiet ones and a storm go well, and the clones have the bytes."""
    found = rows(
        capsys,
        *("mirrors", "--count", "2", "--kib", "64", "--dir", str(tmp_path)),
    )
    assert list(found) == ["first runs", "nothing new", "all changed", "clones by path"]
    for row in found.values():
        assert (row["count"], row["errors"]) == (2, 0)
        assert row["per_second"] > 0
    assert found["first runs"]["mb_per_second"] > 0
    assert found["first runs"]["cpu"] > 0
    assert found["clones by path"]["mb_per_second"] > 0
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_objects_are_written_and_removed(
    capsys: pytest.CaptureFixture[str],
    minio: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was written is read and removed, at the store that a configuration names."""
    file = tmp_path / "repos.toml"
    bucket = minio.bucket()
    file.write_text(
        f'[syncer]\nblobs = "s3://{bucket}/blobs/"\n'
        f'[syncer.s3]\nendpoint = "{minio.endpoint}"\n'
    )
    monkeypatch.setenv("SYNCER_S3_ACCESS_KEY", minio.access_key)
    monkeypatch.setenv("SYNCER_S3_SECRET_KEY", minio.secret_key)
    found = rows(
        capsys, *("objects", "--config", str(file), "--count", "4", "--kib", "64")
    )
    assert list(found) == ["PUT 64 KiB", "GET 64 KiB", "DELETE 64 KiB"]
    assert all((row["count"], row["errors"]) == (4, 0) for row in found.values())
    assert found["GET 64 KiB"]["mb_per_second"] > 0
    assert "Contents" not in minio.client().list_objects_v2(Bucket=bucket)
