"""The real Prometheus takes our metrics, our rules and what the dashboard asks."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from urllib.request import urlopen

import pytest
import yaml

from syncer.web.exposition import CONTENT_TYPE
from tests.exposed import PROMETHEUS, RULE_TESTS, RULES, busy, exposed, expressions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Read when the tests are collected: while one runs, its environment is bare.
_PATH = os.environ.get("PATH", os.defpath)
#: Seconds that a start and a scrape may take on a busy machine.
_PATIENCE = 30.0


def _program(name: str) -> str:
    """Return the path of one of Prometheus' programs; skip where there is none."""
    found = shutil.which(name, path=_PATH)
    if found is None:
        reason = "Prometheus is not installed: apt-get install prometheus"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def _promtool(*arguments: str | Path, given: str = "") -> None:
    """Run promtool; it has to be content, and to have nothing to remark."""
    command = [_program("promtool"), *map(str, arguments)]
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lint" not in done.stderr


@pytest.fixture
def text(tmp_path: Path) -> str:
    """Return metrics of mirrors in many states."""
    return exposed(busy(tmp_path)).text


def test_promtool_has_nothing_to_remark_on_metrics(text: str) -> None:
    """Names, units, types and help are as Prometheus' authors want them."""
    _promtool("check", "metrics", given=text)


def test_promtool_sees_what_is_wrong_with_metrics(text: str) -> None:
    """The test above is one that fails."""
    with pytest.raises(AssertionError):
        _promtool("check", "metrics", given=text.replace("_bytes", "_bits"))
    with pytest.raises(AssertionError):
        _promtool("check", "metrics", given=text + text)


def test_every_alert_fires_and_stays_silent() -> None:
    """The rules do what their own tests say."""
    _promtool("test", "rules", *RULE_TESTS)


def test_prometheus_takes_the_configuration() -> None:
    """The example and its rules are free of mistakes."""
    _promtool("check", "config", PROMETHEUS / "prometheus.yml")


def test_what_the_dashboard_asks_is_a_question(tmp_path: Path) -> None:
    """Every expression of a panel is PromQL, and what is not would be found."""
    _promtool("check", "rules", _asking(tmp_path, expressions()))
    with pytest.raises(AssertionError):
        _promtool("check", "rules", _asking(tmp_path, [*expressions(), "sum(x"]))


def _asking(place: Path, those: list[str]) -> Path:
    """Return a file of rules that ask for expressions."""
    asked = [{"record": f"asked:{n}", "expr": each} for n, each in enumerate(those)]
    file = place / "asked.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": asked}]}))
    return file


class _Metrics(BaseHTTPRequestHandler):
    """Answers every request with the same metrics."""

    text = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(self.text)))
        self.end_headers()
        self.wfile.write(self.text)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


@contextmanager
def _served(text: str) -> Iterator[str]:
    """Serve metrics and yield where: HOST:PORT."""
    handler = type("Handler", (_Metrics,), {"text": text.encode()})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _prometheus(place: Path, target: str) -> Iterator[str]:
    """Run Prometheus with our rules and yield its address."""
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    (job,) = (each for each in config["scrape_configs"] if each["job_name"] == "syncer")
    job["static_configs"] = [{"targets": [target]}]
    config["scrape_configs"] = [job]
    config["rule_files"] = [str(RULES)]
    config["global"] = dict.fromkeys(
        ("scrape_interval", "evaluation_interval"), "200ms"
    )
    file = place / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{_free_port()}"
    command = [
        *("setpriv", "--pdeathsig=KILL", "--", _program("prometheus")),
        *(f"--config.file={file}", f"--storage.tsdb.path={place / 'tsdb'}"),
        f"--web.listen-address={address}",
    ]
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=place, stdout=log, stderr=log)
    try:
        yield f"http://{address}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(_PATIENCE)


def _asked(address: str, expression: str) -> dict[str, float]:
    """Return what a query is answered with, by repository; nothing before a start."""
    query = f"{address}/api/v1/query?query={quote(expression)}"
    try:
        with urlopen(query, timeout=_PATIENCE) as answer:  # noqa: S310 - our own loopback
            document: Any = json.load(answer)
    except OSError:
        return {}
    found = document["data"]["result"]
    return {each["metric"].get("repo", ""): float(each["value"][1]) for each in found}


def test_prometheus_scrapes_and_answers(text: str, tmp_path: Path) -> None:
    """A real scrape brings what we wrote, and rules are evaluated on it."""
    questions = (
        'ALERTS{alertname="SyncerLag"}',
        "syncer_repo_lag_seconds > syncer_repo_target_seconds",
        "syncer:mirrors_within_target:ratio",
    )
    with _served(text) as target, _prometheus(tmp_path, target) as address:
        deadline = time.monotonic() + _PATIENCE
        # Each group of rules is evaluated in its own time.
        while not all(found := [_asked(address, each) for each in questions]):
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.1)
    # One of four is late; those that are paused or gone do not count.
    assert found == [
        {"a/late": 1},
        {"a/late": 10_800, "a/gone": 345_600},
        {"": 0.75},
    ]
