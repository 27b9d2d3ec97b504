"""The HTTP face on loopback: who may read, what is answered, and what never waits."""

from __future__ import annotations

import gzip
import http.client
import json
import logging
import socket
import threading
import time
from base64 import b64encode
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha1
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

from syncer.errors import CatalogBusy, ConfigError, SchemaOutdated
from syncer.git.bare import BareStore
from syncer.git.command import GitCommand
from syncer.git.remote import Remote
from syncer.git.repository import Limits
from syncer.listening import Web
from syncer.web import app, connections, health
from syncer.web.desk import Crowded
from syncer.web.face import Face
from tests.fakes_catalog import FakeCatalog
from tests.servers.git_http import GitServer
from tests.servers.repositories import Repository, create, git
from tests.views import Stage, configured, stage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

ANY_PORT = '[syncer.web]\nlisten = "127.0.0.1:0"\n'
TOKEN = {"SYNCER_WEB_TOKEN": "rosebud"}
LIST = "/status/tunasync.json"
DOCUMENTS = ["/", "/metrics", LIST, "/status/mirrorz.json", "/status/manifest.js.gz"]
MANY = [f"acme/tool-{number}" for number in range(20)]


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


def ask(face: Face, path: str, method: str = "GET", **headers: str) -> Answer:
    """Send one request; `_` in the names of headers is `-`."""
    assert face.address is not None
    connection = http.client.HTTPConnection(*face.address, timeout=20)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    with closing(connection):
        connection.request(method, path, headers=sent)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())


@contextmanager
def listening(made: Stage) -> Iterator[Face]:
    """Let a face listen, and end it."""
    face = Face(made.view, made.view.config.syncer.web)
    face.start()
    try:
        yield face
    finally:
        face.stop(0.2)


def prepared(place: Path, keys: str = "", *names: str, **more: Any) -> Stage:  # noqa: ANN401 - of `configured`
    """Return a view whose face listens at any port, and whose scheduler works."""
    made = stage(configured(place, *names, keys=ANY_PORT + keys, **more))
    made.tick()
    return made


@pytest.fixture
def made(tmp_path: Path) -> Stage:
    """Return a view of a few mirrors."""
    return prepared(tmp_path, "", *MANY)


@pytest.fixture
def face(made: Stage) -> Iterator[Face]:
    """Let a face listen that shows them."""
    with listening(made) as found:
        yield found


@pytest.mark.parametrize("path", ["/healthz", "/readyz", *DOCUMENTS])
def test_every_address_answers(face: Face, path: str) -> None:
    """By GET with a body, and by HEAD with the same headers and none."""
    got, head = ask(face, path), ask(face, path, "HEAD")
    assert (got.status, head.status) == (200, 200)
    assert len(got.body) == int(got.headers["Content-Length"]) > 0
    assert head.body == b""
    same = ("Content-Length", "Content-Type", "ETag", "Last-Modified")
    assert [head.headers[name] for name in same] == [got.headers[n] for n in same]


@pytest.mark.parametrize("path", ["/", "/healthz", "/nowhere", LIST])
def test_every_answer_tells_browsers_to_be_careful(face: Face, path: str) -> None:
    """Nothing is guessed, loaded or framed, and no program or version is named."""
    headers = ask(face, path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "Server" not in headers
    assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_it_is_read_only(face: Face, method: str) -> None:
    """Another method is told which ones there are."""
    answer = ask(face, LIST, method)
    assert answer.status == 405
    assert set(answer.headers["Allow"].split(",")) == {"GET", "HEAD"}
    assert ask(face, "/status/", method).status == 404


@pytest.mark.parametrize(
    "request_", [b"\x16\x03\x01\x02", b"GET / HTTP/9\r\n\r\n", b"GET /" + b"x" * 9000]
)
def test_nonsense_is_answered_in_a_word(
    face: Face, request_: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """What is no HTTP gets 400, nothing of it comes back, and it is no event."""
    assert face.address is not None
    with (
        caplog.at_level(logging.INFO),
        socket.create_connection(face.address, 10) as link,
    ):
        link.sendall(request_ + b"\r\n\r\n")
        answer = b"".join(iter(lambda: link.recv(4096), b""))
    assert answer.splitlines()[0].endswith(b" 400 Bad Request")
    assert answer.endswith(b"\r\n\r\nBad Request\n")
    assert b"aiohttp" not in answer
    assert "Python" not in answer.decode()
    assert caplog.messages == []


def test_large_documents_are_sent_small(face: Face) -> None:
    """By gzip where the reader takes it, and only there."""
    plain = ask(face, LIST)
    packed = ask(face, LIST, Accept_Encoding="br, gzip;q=0.5")
    refused = ask(face, LIST, Accept_Encoding="gzip;q=0")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert len(packed.body) < len(plain.body) / 4
    assert gzip.decompress(packed.body) == plain.body == refused.body
    assert plain.headers["Vary"] == "Accept-Encoding"
    assert "Content-Encoding" not in plain.headers


def test_the_manifest_is_a_file_that_is_compressed(face: Face) -> None:
    """Not a coding of the transfer: clients would unpack it twice."""
    answer = ask(face, "/status/manifest.js.gz", Accept_Encoding="gzip")
    assert "Content-Encoding" not in answer.headers
    assert answer.headers["Content-Type"] == "application/gzip"
    assert json.loads(gzip.decompress(answer.body)) == {}


@pytest.mark.parametrize("path", ["/status/manifest.js.gz", LIST])
def test_what_a_reader_has_is_not_sent_again(face: Face, path: str) -> None:
    """Its validator, or its date where it has no other, is enough."""
    first = ask(face, path)
    etag, date = first.headers["ETag"], first.headers["Last-Modified"]
    for headers in (
        {"If_None_Match": etag},
        {"If_None_Match": f'"other", {etag}', "If_Modified_Since": "nonsense"},
        {"If_Modified_Since": date},
    ):
        again = ask(face, path, **headers)
        assert (again.status, again.body) == (304, b"")
        assert again.headers["ETag"] == etag
    later = "Fri, 01 Jan 2100 00:00:00 GMT"
    assert ask(face, path, If_Modified_Since=later).status == 200
    stale = {"If_None_Match": '"other"', "If_Modified_Since": date}
    assert ask(face, path, **stale).status == 200


def test_two_versions_never_share_a_date(made: Stage, face: Face) -> None:
    """Also within a second: whoever asks by date gets the second one."""
    first = ask(face, LIST)
    for count in (1, 2):
        made.put(MANY[0], size=count * 1000)
        face.use(replace(made.view))
        again = ask(face, LIST, If_Modified_Since=first.headers["Last-Modified"])
        assert again.status == 200
        assert again.body != first.body
        first = again


class Slow(FakeCatalog):
    """A catalog that does not answer before it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.entered = threading.Event()
        self.go = threading.Event()

    def states(self) -> list[Any]:
        """Wait, and answer."""
        self.asked += 1
        self.entered.set()
        assert self.go.wait(20)
        return super().states()


def test_a_catalog_that_hangs_keeps_no_probe_waiting(made: Stage) -> None:
    """Health is answered at once; readers share one question to the catalog."""
    slow = Slow()
    hung = replace(made, view=replace(made.view, catalog=slow))
    answers: list[int] = []
    with listening(hung) as face:
        readers = [
            threading.Thread(target=lambda: answers.append(ask(face, LIST).status))
            for _ in range(8)
        ]
        for reader in readers:
            reader.start()
        assert slow.entered.wait(10)
        began = time.monotonic()
        assert ask(face, "/healthz").body == b"ok\n"
        assert ask(face, "/readyz").status == 200
        assert time.monotonic() - began < 2
        assert face.responsive
        slow.go.set()
        for reader in readers:
            reader.join(10)
    assert answers == [200] * 8
    assert slow.asked == 1


def test_who_waits_too_long_is_asked_to_come_back(made: Stage) -> None:
    """What was begun goes on, and the next reader finds it."""
    slow = Slow()
    hung = replace(made, view=replace(made.view, catalog=slow))
    with patch.object(app, "_DEADLINE", 0.05), listening(hung) as face:
        late = ask(face, LIST)
        assert late.status == 503
        assert int(late.headers["Retry-After"]) > 0
        slow.go.set()
        assert any(ask(face, LIST).status == 200 for _ in range(50))
    assert slow.asked == 1


def test_nobody_waits_behind_a_full_queue() -> None:
    """What cannot be begun soon is refused at once."""
    desks = app.Desks()
    go = threading.Event()
    try:
        for _ in range(17):
            desks.documents.submit(go.wait, 20)
            time.sleep(0.002)  # the first one is taken up
        with pytest.raises(Crowded):
            desks.documents.submit(go.wait, 20)
    finally:
        go.set()
        desks.close()


def test_an_answer_is_kept_for_seconds(made: Stage, face: Face) -> None:
    """Ten readers a second cost the catalog one question in ten seconds."""
    first = ask(face, LIST).body
    made.put(MANY[0], size=4711)
    assert ask(face, LIST).body == first
    face.use(replace(made.view))
    assert b"4.6K" in ask(face, LIST).body


@pytest.mark.parametrize(
    ("failure", "status"),
    [(CatalogBusy("db.corp is down"), 503), (RuntimeError("db.corp"), 500)],
)
def test_a_failure_is_logged_and_not_shown(
    made: Stage,
    face: Face,
    caplog: pytest.LogCaptureFixture,
    failure: Exception,
    status: int,
) -> None:
    """The reader gets a sentence, the operator the reason; the next one is right."""
    with patch.object(made.catalog, "states", side_effect=failure):
        answer = ask(face, LIST)
    assert answer.status == status
    assert b"db.corp" not in answer.body
    assert b"Traceback" not in answer.body
    assert ("Retry-After" in answer.headers) == (status == 503)
    assert len(caplog.messages) == 1
    assert ask(face, LIST).status == 200


def not_ready(face: Face) -> list[str]:
    """Return what keeps it from being ready, in JSON, and hold it against text."""
    answer = ask(face, "/readyz", Accept="application/json")
    document = json.loads(answer.body)
    assert document["ready"] == (answer.status == 200) == (not document["problems"])
    lines = ask(face, "/readyz").body.decode().splitlines()
    problems: list[str] = document["problems"]
    assert lines == (problems or ["ready"])
    return problems


def test_it_is_ready_when_all_that_it_needs_is_there(
    made: Stage, face: Face, caplog: pytest.LogCaptureFixture
) -> None:
    """A full store and a scheduler that hangs are named; that they are over is told."""
    with caplog.at_level(logging.INFO, health.__name__):
        assert not_ready(face) == []
        made.store.full = True
        made.clock.advance(timedelta(minutes=2))
        face.use(replace(made.view))
        assert not_ready(face) == [health.SCHEDULER, health.SPACE]
        made.store.full = False
        made.tick()
        face.use(replace(made.view))
        assert not_ready(face) == []
    assert caplog.messages == ["not ready", "ready again"]


@pytest.mark.parametrize(
    ("error", "problem"),
    [(CatalogBusy("x"), health.CATALOG), (SchemaOutdated("x"), health.SCHEMA)],
)
def test_a_catalog_that_is_not_ours_is_named(
    made: Stage, error: Exception, problem: str
) -> None:
    """It does not answer, or another version has changed it."""

    def check() -> None:
        raise error

    ill = replace(made, view=replace(made.view, check_schema=check))
    with listening(ill) as face:
        assert not_ready(face) == [problem]
        assert ask(face, "/healthz").status == 200


def basic(user: str, password: str) -> str:
    """Return the header that browsers send."""
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


def test_a_token_is_asked_for_by_everything_but_health(tmp_path: Path) -> None:
    """Also on loopback, also where there is nothing; and by either scheme."""
    with listening(prepared(tmp_path, environ=TOKEN)) as face:
        assert ask(face, "/healthz").status == ask(face, "/readyz").status == 200
        for path in (*DOCUMENTS, "/nowhere"):
            refused = ask(face, path)
            assert refused.status == 401
            schemes = refused.headers.get_all("WWW-Authenticate", [])
            assert [each.split()[0] for each in schemes] == ["Bearer", "Basic"]
        wrongs = ["Bearer", "Bearer rose", "Bearer rosebud2", "Token rosebud"]
        wrongs += [basic("rosebud", "x"), "Basic rosebud", "Bearer caf\xe9"]
        for wrong in wrongs:
            assert ask(face, LIST, Authorization=wrong).status == 401
        for right in ("Bearer rosebud", "bearer rosebud", basic("any", "rosebud")):
            assert ask(face, LIST, Authorization=right).status == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8417", 200),
        ("127.0.0.1", 200),
        ("[::1]:8417", 200),
        ("Mirror.Corp", 200),
        ("mirror.corp.evil.test", 421),
        ("evil.test:8417", 421),
        ("127.0.0.1.evil.test", 421),
        ("[::1", 421),
        ("10.0.0.1", 421),
    ],
)
def test_no_other_name_leads_here(tmp_path: Path, host: str, status: int) -> None:
    """A web page whose name was made to mean this machine reads nothing."""
    with listening(prepared(tmp_path, 'url = "https://mirror.corp"\n')) as face:
        assert ask(face, LIST, Host=host).status == status
        assert ask(face, "/healthz", Host=host).status == 200


def test_off_loopback_any_name_may_be_ours(tmp_path: Path) -> None:
    """There the configuration has said that whoever reaches the port may read."""
    made = stage(configured(tmp_path))
    face = Face(made.view, Web(listen="127.0.0.1:0"))
    open_ = Web(listen="0.0.0.0:0", plain_http=True)
    syncer = made.view.config.syncer.model_copy(update={"web": open_})
    config = made.view.config.model_copy(update={"syncer": syncer})
    face.use(replace(made.view, config=config))
    face.start()
    try:
        assert ask(face, LIST, Host="mirror.corp").status == 200
    finally:
        face.stop(0.2)


def test_a_reload_changes_what_is_shown(tmp_path: Path, face: Face) -> None:
    """Mirrors and the token are those of the new configuration at once."""
    assert len(json.loads(ask(face, LIST).body)) == len(MANY)
    other = prepared(tmp_path, "", "acme/only", environ=TOKEN)
    face.use(other.view)
    assert ask(face, LIST).status == 401
    answer = ask(face, LIST, Authorization="Bearer rosebud")
    assert [each["name"] for each in json.loads(answer.body)] == ["acme/only"]


def test_a_chosen_address_that_is_taken_is_an_error(tmp_path: Path, face: Face) -> None:
    """Nobody should believe that it is there."""
    assert face.address is not None
    taken = Web(listen=f"127.0.0.1:{face.address[1]}")
    second = Face(stage(configured(tmp_path)).view, taken)
    with pytest.raises(ConfigError, match="cannot listen at") as caught:
        second.start()
    assert "listen" in str(caught.value.hint)
    assert caught.value.exit_code == 2
    with pytest.raises(ConfigError, match="nowhere"):
        Face(second._view, Web(listen="nowhere.invalid:1")).start()  # noqa: SLF001 - the same view


def test_the_default_address_may_be_taken(
    tmp_path: Path, face: Face, caplog: pytest.LogCaptureFixture
) -> None:
    """Then there is no face, a warning, and the mirrors are kept fresh all the same."""
    assert face.address is not None
    default = f"127.0.0.1:{face.address[1]}"
    with patch("syncer.listening.DEFAULT_LISTEN", default):
        second = Face(stage(configured(tmp_path)).view, Web())
        assert second.start() is None
    assert second.address is None
    assert second.url is None
    assert second.responsive
    assert caplog.messages == ["the HTTP face does not listen"]
    second.stop()


def test_it_listens_nowhere_if_so_configured(tmp_path: Path) -> None:
    """`off` is no address."""
    face = Face(stage(configured(tmp_path)).view, Web(listen="off"))
    assert face.start() is None
    assert face.responsive


def test_the_address_is_told_as_a_browser_takes_it(tmp_path: Path) -> None:
    """IPv6 has brackets."""
    keys = '[syncer.web]\nlisten = "[::1]:0"\n'
    with listening(stage(configured(tmp_path, keys=keys))) as face:
        assert face.address is not None
        assert face.url == f"http://[::1]:{face.address[1]}"
        assert ask(face, "/healthz").status == 200


def test_it_stops_at_once_when_nobody_is_answered(made: Stage) -> None:
    """Connections that are kept alive keep nothing, and the port is free again."""
    with listening(made) as face:
        address = face.address
        assert address is not None
        with socket.create_connection(address, 10) as link:
            link.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert link.recv(4096).startswith(b"HTTP/1.1 200")
            began = time.monotonic()
            face.stop(5)
            assert time.monotonic() - began < 2
            assert link.recv(4096) == b""
        socket.create_server(address).close()
    threads = [each.name for each in threading.enumerate()]
    assert "web" not in threads


def test_an_answer_on_its_way_ends(made: Stage) -> None:
    """Whoever asked before the end is answered; who hangs keeps nobody."""
    slow = Slow()
    hung = replace(made, view=replace(made.view, catalog=slow))
    answers: list[int] = []
    with listening(hung) as face:
        reader = threading.Thread(target=lambda: answers.append(ask(face, "/").status))
        reader.start()
        assert slow.entered.wait(10)
        threading.Timer(0.2, slow.go.set).start()
        face.stop(8)
        reader.join(10)
    assert answers == [200]


def test_more_connections_than_there_may_be_are_refused(
    face: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are there go on; who comes too late is told to come back."""
    monkeypatch.setattr(connections, "MOST", 2)
    assert face.address is not None
    held = [socket.create_connection(face.address, 10) for _ in range(2)]
    try:
        for link in held:
            link.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert link.recv(4096).startswith(b"HTTP/1.1 200")
        assert ask(face, "/healthz").status == 503
    finally:
        for link in held:
            link.close()
    assert any(ask(face, "/healthz").status == 200 for _ in range(50))


def test_a_request_is_logged_for_whoever_looks_for_it(
    face: Face, caplog: pytest.LogCaptureFixture
) -> None:
    """At debug alone, with what was asked as it was sent, and no token."""
    with caplog.at_level(logging.DEBUG, app.__name__):
        ask(face, "/x%0Ay?z", Authorization="Bearer rosebud")
        end = time.monotonic() + 5
        while not caplog.records and time.monotonic() < end:
            time.sleep(0.001)  # it is logged once the answer is sent
    (record,) = (each for each in caplog.records if each.name == app.__name__)
    facts = record.__dict__
    assert (facts["method"], facts["path"], facts["status"]) == ("GET", "/x%0Ay?z", 404)
    assert record.levelno == logging.DEBUG
    assert "rosebud" not in str(facts)


def test_the_manifest_has_the_fingerprint_of_a_clone(tmp_path: Path) -> None:
    """The sha1 of what `git show-ref` prints in a mirror that was cloned from ours."""
    root = tmp_path / "git"
    command = GitCommand("git", max_file=1 << 30, stop=threading.Event())
    limits = Limits(timedelta(minutes=1), timedelta())
    store = BareStore(root, command, lambda _: Remote(""), limits)
    create(root / "a.test/acme/tool.git")
    ours = Repository(root / "a.test/acme/tool.git")
    ours.commit("main", {"README": "x\n"}, "one")
    ours.branch("caf\u00e9/\u2603")
    ours.tag("v1")
    ours.git("update-ref", "refs/syncer/keep/2026-01-01/x", "main")
    ours.git("config", "transfer.hideRefs", "refs/syncer/")
    ours.git("pack-refs", "--all")
    clone = tmp_path / "clone.git"
    with GitServer(root) as server:
        git("clone", "-q", "--mirror", server.address("a.test/acme/tool"), clone)
    lines = git("show-ref", at=clone)
    assert lines.count(b"\n") == 3
    assert store.show_refs("a.test/acme/tool.git") == lines
    made = stage(configured(tmp_path, "a.test/acme/tool", keys=ANY_PORT))
    real = replace(made, view=replace(made.view, store=store))
    with listening(real) as face:
        answer = ask(face, "/status/manifest.js.gz")
    entry = json.loads(gzip.decompress(answer.body))["/a.test/acme/tool.git"]
    assert entry["fingerprint"] == sha1(lines, usedforsecurity=False).hexdigest()
