"""Planted secrets, and a search for them through everything that was written."""

from __future__ import annotations

import gzip
import re
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, quote_plus

import psycopg
import pytest
import urllib3
from psycopg import sql

from tests.acceptance.blob_places import in_bucket
from tests.acceptance.command import Inside
from tests.acceptance.running import running
from tests.release_store import configuration
from tests.servers import postgres
from tests.servers.http_faults import Fault, redirect
from tests.servers.pointers import pointer_file
from tests.servers.repositories import git
from tests.servers.systemd import Manager

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.acceptance.command import Command
    from tests.servers.github import GitHubServer
    from tests.servers.s3 import S3Server

GOOD, LACKING = "acme/good", "acme/lacking"
#: Repositories that fail, each in its own way, with our own words in the answer.
FAILING = ("acme/body", "acme/denied", "acme/moved", "acme/err", "acme/api")
TOKEN = "ghp_planted/Token+42"  # noqa: S105 - made up, as all of these are
WEB = "planted-web-token-77"
ALERT = "planted+channel/secret"
PASSWORD = "planted password 91"  # noqa: S105 - what is looked for
COMMANDS = (
    "status",
    "status --json",
    "list --json",
    "lag",
    "history --json",
    "audit --json",
    f"show {LACKING}",
    f"show {GOOD} --json",
    "config show",
    "config show --json",
    "config validate",
    "report --since 1d --format html",
    "report --since 1d --json",
    "alert list",
    "alert test ops",
    "db check",
    "verify",
    "gc --dry-run",
    "-v sync --json",
    "-vv sync acme/body acme/api acme/lacking",
)
SETTINGS = """
[tier.normal]
interval = "1s"
target = "1h"
[[alert]]
name = "ops"
"""
#: What the HTTP face shows, to who has its token.
PAGES = (
    *("/", "/metrics", "/readyz", "/nowhere"),
    *("/status/tunasync.json", "/status/mirrorz.json", "/status/manifest.js.gz"),
)
#: Tells what git is given, and is new enough whatever the machine has.
WRAPPER = """\
#!/bin/sh
printf '%s\\n' "$@" >> '{}'
[ "$1" = version ] && echo "git version 2.50.1" && exit
exec git "$@"
"""


class Planted(NamedTuple):
    """A place with secrets in its environment, and where else they might be."""

    secrets: tuple[str, ...]
    #: The address of a Postgres catalog, if it is not below the place.
    catalog: str | None


def forms(secret: str) -> dict[str, bytes]:
    """Return what a secret can look like: as it is, quoted, in base64, in hex."""
    plain = secret.encode()
    found = {
        "plain": plain,
        "quoted": quote(secret, safe="").encode(),
        "as a form": quote_plus(secret).encode(),
        "hex": plain.hex().encode(),
        "its beginning": plain[:12],
        "UTF-16": secret.encode("utf-16-le"),
    }
    for shift in range(3):  # behind a user name of any length, or in a document
        text = b64encode(b"\0" * shift + plain).rstrip(b"=")
        found[f"base64, {shift}"] = text[(8 * shift + 5) // 6 : -1]
    return found


def shown(secrets: tuple[str, ...], data: bytes, where: object) -> list[str]:
    """Return where which secret is seen in bytes, and how it is written."""
    return [
        f"{secret} in {where} as {kind}"
        for secret in secrets
        for kind, form in forms(secret).items()
        if form in data
    ]


def rows(url: str) -> Iterator[tuple[str, bytes]]:
    """Yield each table of a Postgres catalog as text."""
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall()
        assert len(tables) > 10
        for (table,) in tables:
            every = sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(table))
            found = connection.execute(every).fetchall()
            yield table, "\n".join(row for (row,) in found).encode()


def objects(place: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield all that the repositories below a place hold, unpacked."""
    for config in place.rglob("*.git/config"):
        words = ("cat-file", "--batch-all-objects", "--batch", "--unordered")
        yield config.parent, git(*words, at=config.parent)


@pytest.fixture(params=["embedded", "outside"])
def planted(
    request: pytest.FixtureRequest, syncer: Command, github: GitHubServer
) -> Iterator[Planted]:
    """Plant secrets: with everything in one directory, or with Postgres and S3."""
    github.token(TOKEN)
    secrets = [TOKEN, WEB, ALERT]
    syncer.environ |= {
        "SYNCER_GITHUB_TOKEN": TOKEN,
        "SYNCER_WEB_TOKEN": WEB,
        "SYNCER_WEB_LISTEN": "127.0.0.1:0",
        # A channel that nobody answers at: the failure must not tell the address.
        "SYNCER_ALERT_OPS": f"json://127.0.0.1:9/{quote(ALERT, safe='')}",
    }
    program = syncer.place / "wrapper"
    program.write_text(WRAPPER.format(syncer.place / "arguments"))
    program.chmod(0o755)
    text = configuration(github, GOOD, LACKING, *FAILING)
    text = text.replace("[syncer]\n", f'[syncer]\ngit = "{program}"\n', 1)
    syncer.file.write_text(f"{text}{SETTINGS}")
    if request.param == "embedded":
        yield Planted(tuple(secrets), None)
        return
    minio: S3Server = request.getfixturevalue("minio")
    in_bucket(syncer, minio, minio.bucket())
    with postgres.shared(request.config).migrated() as url:
        address = url.replace("@", f":{quote(PASSWORD)}@")
        syncer.environ["SYNCER_CATALOG"] = address
        yield Planted((*secrets, minio.secret_key, PASSWORD), url)


def asked(url: str) -> bytes:
    """Return all that the face answers, unpacked, with its headers."""
    answer = urllib3.request(
        "GET", url, headers={"Authorization": f"Bearer {WEB}"}, retries=False
    )
    body = answer.data
    if body.startswith(b"\x1f\x8b"):
        body = gzip.decompress(body)
    return f"{answer.headers}".encode() + body


def hostile(github: GitHubServer) -> None:
    """Hold repositories that work, and some that say our secrets back to us."""
    basic = b64encode(f"x-access-token:{TOKEN}".encode()).decode()
    echo = (
        f"denied: Authorization: Basic {basic}, Bearer {TOKEN} {quote(TOKEN, safe='')}"
    )
    line = f"ERR {echo}\n"
    for name in (GOOD, LACKING, *FAILING):
        made = github.repository(name)
        repository = github.git.repository(made)
        pointer = github.git.lfs.add(name, f"large of {name}".encode())
        repository.commit("main", {"large.bin": pointer_file(pointer)})
        made.release("v1").asset("tool.whl", f"asset of {name}".encode())
        if name == LACKING:
            github.git.lfs.refusals[pointer.oid] = (404, echo)
    faults = {
        "body": Fault(status=500, body=echo),
        "denied": Fault(status=403, body=echo, headers={"X-Echo": echo}),
        "moved": redirect(f"{github.url}/{TOKEN}/{basic}"),
        "err": Fault(status=200, body=f"{len(line) + 4:04x}{line}"),
    }
    for kind, fault in faults.items():
        github.fault(rf"acme/{kind}\.git/", fault)
    github.fault(
        "repos/acme/api/releases",
        Fault(status=500, body=f'{{"message": "{echo}"}}', headers={"X-Echo": echo}),
    )


def test_no_secret_is_written_anywhere(
    syncer: Command,
    planted: Planted,
    github: GitHubServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not by the daemon, by a command, to systemd, to git, or into the store.

    Though upstreams repeat in their errors what they were sent.
    """
    hostile(github)
    assert syncer("init").status == 0
    with Manager(str(tmp_path / "notify"), watchdog=60) as manager:
        syncer.environ |= manager.environ
        with running(syncer) as daemon:
            for name in ("body", "denied", "moved", "err"):
                daemon.tells("sync run ended", repo=f"acme/{name}", outcome="failed")
            daemon.tells("sync run ended", repo=LACKING, outcome="partial")
            daemon.tells("sync run ended", repo=GOOD, outcome="changed")
            words = Path(f"/proc/{daemon.process.pid}/cmdline").read_bytes()
            found = shown(planted.secrets, words, "the daemon's arguments")
            address = str(daemon.tells("the HTTP face listens")["address"])
            for page in PAGES:
                found += shown(planted.secrets, asked(f"{address}{page}"), page)
            daemon.stop()
        said = "\n".join(manager.heard())
    assert "STATUS=7 repos" in said
    found += shown(planted.secrets, said.encode(), "what systemd was told")
    for name, value in syncer.environ.items():
        monkeypatch.setenv(name, value)
    stars = 0
    for command in COMMANDS:
        done = Inside(syncer.place)(*command.split())
        assert "defect" not in done.err, (command, done.err)
        stars += f"{done.out}{done.err}".count("********")
        found += shown(planted.secrets, f"{done.out}{done.err}".encode(), command)

    for path in (path for path in syncer.place.rglob("*") if path.is_file()):
        found += shown(planted.secrets, path.read_bytes(), path)
        found += shown(planted.secrets, str(path).encode(), "the name of a file")
    for path, data in objects(syncer.place):
        assert b"large of" not in data  # a pointer, not the object
        assert b"oid sha256:" in data
        found += shown(planted.secrets, data, path)
    for table, data in rows(planted.catalog) if planted.catalog else ():
        found += shown(planted.secrets, data, f"table {table}")

    assert found == []
    assert stars > 3  # they were said, and taken out
    assert "********" in daemon.output
    assert "\nclone\n" in (syncer.place / "arguments").read_text()


def test_the_search_finds_what_it_looks_for(tmp_path: Path) -> None:
    """Each way of writing a secret is seen; so the other test can fail."""
    ways = {
        "plain": TOKEN,
        "quoted": quote(TOKEN, safe=""),
        "a form": quote_plus(TOKEN),
        "hex": TOKEN.encode().hex(),
        "basic": b64encode(f"x-access-token:{TOKEN}".encode()).decode(),
        "another user": b64encode(f"ab:{TOKEN}".encode()).decode(),
        "alone": b64encode(TOKEN.encode()).decode(),
        "in a document": b64encode(f'{{"t": "{TOKEN}"}}'.encode()).decode(),
    }
    for way, text in ways.items():
        assert shown((TOKEN,), f"x {text} y".encode(), way), way
    assert shown((TOKEN,), re.sub("planted", "another", TOKEN).encode(), "-") == []
    file = tmp_path / "utf-16"
    file.write_bytes(f"\0{TOKEN}".encode("utf-16-le"))
    assert shown((TOKEN,), file.read_bytes(), file)
