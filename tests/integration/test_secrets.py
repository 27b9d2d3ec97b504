"""A token goes to its own host, and shows nowhere on the way."""

from __future__ import annotations

import logging
import os
import threading
import time
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from syncer import logs
from syncer.config import load
from syncer.errors import AccessDenied, Unavailable
from syncer.git.command import Call, GitCommand, environment
from syncer.git.remote import ls_remote
from syncer.model.names import RepoName
from syncer.model.runs import Outcome
from syncer.remotes import Remotes
from syncer.upstream.egress import Egress
from syncer.upstream.session import Session
from tests.fakes_forge import host
from tests.sandbox import Sandbox
from tests.servers.git_http import GitServer
from tests.servers.http_faults import Fault, redirect, status
from tests.servers.scripted import Said, ScriptedServer, document
from tests.unit.test_tokens import pem, rsa_key
from tests.upstream_client import RealClock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncer.credentials import Secret

TOKEN = "ghp_verySecretToken42"  # noqa: S105 - made up
WRONG = "ghp_wrongSecretToken99"
FETCH = "command=fetch"


def header(token: str) -> str:
    """Return the value of the header that carries a token."""
    value = host("upstream.test", token=token).authorization()
    assert value is not None
    return value.reveal()


def authenticated(server: GitServer, root: Path, token: str = TOKEN) -> Sandbox:
    """Return a mirror whose git has a token for the server, as bootstrap gives it."""
    pair = (f"http.{server.url}/.extraHeader", f"Authorization: {header(token)}")
    return Sandbox(server, root, config=[pair])


@pytest.fixture
def box(git_server: GitServer, tmp_path: Path) -> Sandbox:
    """Return a mirror of a private repository, and its right token."""
    git_server.require_token = TOKEN
    made = authenticated(git_server, tmp_path / "git")
    made.upstream.commit()
    return made


def forms(token: str) -> list[bytes]:
    """Return what a token may look like where it must not be."""
    plain = token.encode()
    return [plain, b64encode(plain), header(token).removeprefix("Basic ").encode()]


def shows(data: bytes, token: str = TOKEN) -> bool:
    """Return whether bytes have a token in them, in any form."""
    return any(form in data for form in forms(token))


def files(root: Path) -> Iterator[Path]:
    """Yield every file of a store."""
    yield from (path for path in root.rglob("*") if path.is_file())


class Watch:
    """Looks at every process that git started, as often as it can."""

    def __init__(self, marker: Path) -> None:
        self._marker = str(marker).encode()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.arguments: set[bytes] = set()
        self.environments: set[bytes] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.is_set():
            for entry in Path("/proc").glob("[0-9]*"):
                if int(entry.name) != os.getpid():
                    self._note(entry)
            time.sleep(0.01)

    def _note(self, entry: Path) -> None:
        try:
            arguments = (entry / "cmdline").read_bytes()
            environ = (entry / "environ").read_bytes()
        except OSError:
            return
        if self._marker in arguments + environ:
            self.arguments.add(arguments)
            self.environments.add(environ)


def test_every_request_carries_the_token(box: Sandbox) -> None:
    """From the first one on: nothing is tried without it before."""
    assert box.sync().outcome is Outcome.CHANGED
    box.upstream.commit()
    assert box.sync().outcome is Outcome.CHANGED

    carried = {r.headers.get("authorization") for r in box.server.requests}
    assert carried == {header(TOKEN)}
    assert box.agrees()


def test_no_argument_and_no_file_has_the_token(box: Sandbox) -> None:
    """While git works it is in the environment alone, afterwards nowhere."""
    box.sync()
    box.upstream.commit()
    box.server.fault(FETCH, Fault(drip=(200, 0.05)))

    with Watch(box.mirror) as watch:
        assert box.sync().outcome is Outcome.CHANGED

    assert any(b"remote-http" in arguments for arguments in watch.arguments)
    assert not [a for a in watch.arguments if shows(a)]
    assert any(shows(environ) for environ in watch.environments)
    assert not [path for path in files(box.root) if shows(path.read_bytes())]


def test_a_first_mirror_keeps_no_address_and_no_token(box: Sandbox) -> None:
    """Its configuration is ours, without what `git clone` writes there."""
    box.sync()

    config = (box.mirror / "config").read_text()

    assert box.server.url not in config
    assert "[remote" not in config
    assert "extraHeader" not in config
    assert not [path for path in files(box.root) if shows(path.read_bytes())]


@pytest.mark.parametrize("where", ["info/refs", FETCH])
@pytest.mark.parametrize("fault", [status(401), status(403), status(500)])
def test_no_error_tells_the_token(
    box: Sandbox, caplog: pytest.LogCaptureFixture, where: str, fault: Fault
) -> None:
    """Neither the run nor the log, whatever upstream complains of."""
    box.sync()
    box.upstream.commit()
    box.server.fault(where, fault)

    with caplog.at_level("DEBUG"):
        run = box.sync()

    assert run.outcome is Outcome.FAILED
    assert not shows(repr(run).encode())
    assert not shows(caplog.text.encode())


def test_a_wrong_token_is_not_told(git_server: GitServer, tmp_path: Path) -> None:
    """What upstream refuses is said without what was refused."""
    git_server.require_token = TOKEN
    box = authenticated(git_server, tmp_path / "git", WRONG)
    box.upstream.commit()

    run = box.sync()

    assert (run.outcome, run.exit_code) == (Outcome.FAILED, 4)
    assert not shows(repr(run).encode(), WRONG)


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("where", ["info/refs", FETCH])
def test_a_redirect_gets_nobody_the_token(box: Sandbox, where: str, code: int) -> None:
    """The host that upstream points to hears nothing."""
    box.sync()
    box.upstream.commit()
    with GitServer() as other:
        query = "/info/refs?service=git-upload-pack" if where != FETCH else ""
        target = f"{other.url}/acme/widget.git{query}"
        box.server.fault(where, redirect(target, code))

        run = box.sync()

        assert run.outcome is Outcome.FAILED
        assert str(code) in str(run.error)
        assert other.requests == []


def test_another_host_gets_no_token(box: Sandbox, tmp_path: Path) -> None:
    """The header is bound to its origin: host and port."""
    with GitServer() as other:
        pair = (
            f"http.{box.server.url}/.extraHeader",
            f"Authorization: {header(TOKEN)}",
        )
        elsewhere = Sandbox(other, tmp_path / "other", config=[pair])
        elsewhere.upstream.commit()

        assert elsewhere.sync().outcome is Outcome.CHANGED

        assert other.requests
        assert not [r for r in other.requests if "authorization" in r.headers]


def test_nothing_of_our_environment_reaches_git(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not variables of the daemon's, and none of those git would obey."""
    ours = {
        "SYNCER_GITHUB_TOKEN": TOKEN,
        "MARKER_OF_THE_TEST": "seen",
        "GIT_TRACE": "1",
        "GIT_DIR": "/elsewhere",
        "GIT_CONFIG_PARAMETERS": "'core.hooksPath=/tmp'",
        "GIT_SSL_NO_VERIFY": "1",
        "LD_PRELOAD_X": "1",
        "HTTPS_PROXY": "http://proxy.test:1",
        "XDG_CONFIG_HOME": "/elsewhere",
    }
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    program = tmp_path / "git"
    program.write_text("#!/bin/sh\nexec /usr/bin/env -0\n")
    program.chmod(0o755)

    call = Call(["version"], env={"GIT_ALLOW_PROTOCOL": "https"})
    said = GitCommand(str(program)).run(call).stdout.decode()

    seen = dict(line.split("=", 1) for line in said.split("\0") if line)
    shell = {"PWD", "OLDPWD", "SHLVL", "_"}  # What `sh` itself sets.
    assert seen.keys() - shell == environment(call, str(program)).keys()
    assert seen["GIT_ALLOW_PROTOCOL"] == "https"
    assert not seen.keys() & ours.keys()
    assert TOKEN not in said


def test_only_the_remotes_protocol_is_allowed(box: Sandbox) -> None:
    """Git refuses every other one, wherever an address may come from."""
    for address in (f"file://{box.upstream.path}", "ext::sh -c true", "ssh://h/a"):
        done = box.git.run(
            Call(
                ["ls-remote", "--end-of-options", address],
                env={"GIT_ALLOW_PROTOCOL": "https"},
                check=False,
            )
        )
        assert done.status == 128
        assert "not allowed" in done.stderr


def test_what_git_runs_is_what_we_chose(
    box: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Configuration of the user's or of the repository's changes nothing."""
    marker = tmp_path / "ran"
    home = tmp_path / "user"
    home.mkdir()
    hook = f"[core]\n\thooksPath = {tmp_path}\n\tfsmonitor = touch {marker}\n"
    (home / ".gitconfig").write_text(hook)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(home / ".gitconfig"))
    box.sync()
    hooks = box.mirror / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("reference-transaction", "post-update", "pre-auto-gc"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {marker}\n")
        (hooks / name).chmod(0o755)
    box.upstream.commit()
    # A loose ref makes git itself move refs, which is when it would run a hook.
    loose = box.mirror / "refs" / "heads" / "loose"
    loose.parent.mkdir(parents=True, exist_ok=True)
    loose.write_text(f"{box.published().refs['refs/heads/main'].oid}\n")

    assert box.sync().outcome is Outcome.CHANGED
    box.pipeline.maintain(box.state, idle=True)

    assert not loose.exists()
    assert not marker.exists()


class AppWorld:
    """A git host with an API that grants tokens to a GitHub App, and its client."""

    name = RepoName("forge.corp", "acme", "widget")

    def __init__(self, server: GitServer, api: ScriptedServer, root: Path) -> None:
        self.api = api
        file = root / "repos.toml"
        file.write_text(
            f'[syncer]\ndata = "data"\n[host."{self.name.host}"]\n'
            f'git = "{server.url}"\napi = "{api.url}"\nprivate = true\n'
            "app_id = 12\napp_installation = 34\n"
        )
        key = pem(rsa_key())
        config = load(file, {"SYNCER_APP_KEY_FORGE_CORP": key})
        entry = config.target_host(self.name.host)
        assert entry.app is not None
        assert entry.app.key.reveal() == key
        self.made: list[Secret] = []
        clock = RealClock()
        egress = Egress(clock)
        self.redactor = logs.configure({}, [entry.app.key])
        self.session = Session(egress, clock=clock, learn=self._learn)
        self.remotes = Remotes(config, egress, self.session.tokens.basic)
        self.git = GitCommand()

    def _learn(self, secret: Secret) -> None:
        self.made.append(secret)
        logs.learn_brief(secret)

    def refs(self) -> bytes:
        """Ask for the refs, as git does."""
        return ls_remote(self.git, self.remotes.remote(self.name))

    def shown(self, text: str) -> list[str]:
        """Return the secrets that a text has in it."""
        secrets = [pem(rsa_key()), *(secret.reveal() for secret in self.made)]
        return [
            secret for secret in secrets if secret in text or header(secret) in text
        ]


@pytest.fixture
def app_world(
    git_server: GitServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[AppWorld]:
    """Yield a client that is a GitHub App, whose token is `TOKEN`."""
    del capsys  # The log goes to the standard error that it reads.
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    ends = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    git_server.require_token = TOKEN
    git_server.repository("acme/widget").commit()
    with ScriptedServer() as api:
        granted = document({"token": TOKEN, "expires_at": ends}, 201)
        api.on("/app/installations/34/access_tokens", granted)
        made = AppWorld(git_server, api, tmp_path)
        yield made
        made.session.close()
    root.handlers[:] = before
    root.setLevel(level)


def test_git_has_the_token_that_an_app_minted(
    app_world: AppWorld, git_server: GitServer
) -> None:
    """The App's own word goes to the API and nowhere else, its key to nobody."""
    assert b"refs/heads/main" in app_world.refs()
    assert b"refs/heads/main" in app_world.refs()

    pair = b64encode(f"x-access-token:{TOKEN}".encode()).decode()
    carried = {r.headers.get("authorization") for r in git_server.requests}
    assert carried == {f"Basic {pair}"}
    (asked,) = app_world.api.asked
    word, token = app_world.made
    assert asked.headers["authorization"] == f"Bearer {word.reveal()}"
    assert token.reveal() == TOKEN
    assert word.reveal() not in str(git_server.requests)
    assert pem(rsa_key()) not in f"{git_server.requests}{app_world.api.asked}"


@pytest.mark.parametrize("code", [401, 404, 500])
def test_no_error_tells_what_an_app_has(
    app_world: AppWorld, capsys: pytest.CaptureFixture[str], code: int
) -> None:
    """Neither its key, nor its word, nor the token, whatever the host repeats."""

    def answer(asked: object) -> Said:
        return document({"message": str(asked)[-3000:]}, code)

    app_world.api.on("/app/installations/34/access_tokens", answer)

    with pytest.raises((AccessDenied, Unavailable)) as caught:
        app_world.refs()
    logging.getLogger("syncer.test").error("it failed", exc_info=caught.value)

    assert app_world.made
    assert app_world.shown(f"{caught.value!r}{caught.value.hint}") == []
    said = capsys.readouterr().err
    assert "it failed" in said
    assert app_world.shown(said) == []
