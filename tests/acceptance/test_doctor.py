"""`doctor` as a person runs it: what it says, what it ends with, what it leaves."""

from __future__ import annotations

import signal
import socket
from typing import TYPE_CHECKING

import pytest

from syncer.doctor import aside
from tests.acceptance.blob_places import in_bucket
from tests.acceptance.command import Command, Ended, Inside
from tests.acceptance.running import until
from tests.release_store import SECRET, WIDGET, configuration
from tests.servers.github import GitHubServer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.s3 import S3Server


@pytest.fixture
def inside(tmp_path: Path) -> Command:
    """Provide the command without a process of its own, in an empty directory."""
    place = tmp_path / "here"
    place.mkdir()
    return Inside(place)


def levels(done: Ended) -> dict[str, set[str]]:
    """Return the levels of what was found, by code."""
    found: dict[str, set[str]] = {}
    for each in done.document()["checks"]:
        found.setdefault(each["code"], set()).add(each["level"])
    return found


def said(done: Ended, code: str) -> str:
    """Return all that a check said."""
    checks = done.document()["checks"]
    return " ".join(each["text"] for each in checks if each["code"] == code)


def tree(place: Path) -> set[str]:
    """Return every path below a directory but what SQLite keeps beside its file."""
    found = {path.relative_to(place).as_posix() for path in place.rglob("*")}
    return {each for each in found if not each.endswith(("-wal", "-shm"))}


def test_a_store_and_its_upstream_are_examined(syncer: Command) -> None:
    """Each check has its code, the token is taken and shown nowhere, nothing stays."""
    with GitHubServer() as server:
        server.token(SECRET)
        server.repository(WIDGET)
        syncer.file.write_text(configuration(server, WIDGET))
        syncer.environ["SYNCER_GITHUB_TOKEN"] = SECRET
        assert syncer("init").status == 0
        before = tree(syncer.place)
        done = syncer("doctor")
        document = syncer("doctor", "--json")
    assert tree(syncer.place) == before
    for code in ("D01", "D04", "D05", "D08", "D10", "D12"):
        assert levels(document)[code] == {"OK"}, said(document, code)
    assert "requests an hour" in said(document, "D10")
    assert "FAIL" not in done.out, done.out
    assert done.status == document.status == 0
    assert "Next:  syncer status" in done.err
    assert SECRET not in done.out + done.err + document.out
    last = done.out.splitlines()[-1]
    counts = document.document()["counts"]
    assert f"{counts['ok']} passed" in last
    assert f"{counts['warn']} warning" in last


def test_a_token_that_is_refused_and_a_host_that_hangs(
    inside: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are failures with what to do, and the others are examined all the same."""
    monkeypatch.setattr(aside, "PATIENCE", 1.0)
    with GitHubServer() as server, socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        server.repository(WIDGET)
        hanging = f"http://127.0.0.1:{port}"
        text = configuration(server, WIDGET)
        text += f'[host."silent.corp"]\ngit = "{hanging}"\nprivate = true\n'
        inside.file.write_text(text)
        token = inside.place / "token"
        token.write_text("ghp_nobody_knows_this")
        inside.file.write_text(
            text.replace("private", f'token_file = "{token}"\nprivate', 1)
        )
        assert inside("init").status == 0
        done = inside("doctor", "--check", "D10,d12,D04", "--json")
    assert done.status == 1
    assert set(levels(done)) == {"D04", "D10", "D12"}
    assert "does not take our token" in said(done, "D10")
    assert "ghp_nobody" not in done.out
    assert "silent.corp: no answer within 1 s" in said(done, "D12")
    assert "github.com answers in" in said(done, "D12")
    assert levels(done)["D04"] == {"OK"}


def test_a_broken_configuration_is_one_finding(inside: Command) -> None:
    """All its problems stand in it, what needs none is examined, nothing crashes."""
    inside.file.write_text('[syncer]\nwrokers = 4\n[[repo]]\nname = "no name"\n')
    done = inside("doctor", "--json")
    assert done.status == 1
    found = levels(done)
    assert found["D03"] == {"FAIL"}
    assert "did you mean `workers`?" in said(done, "D03")
    assert "repo.0.name" in said(done, "D03") or "no name" in said(done, "D03")
    assert found["D05"] == found["D10"] == {"SKIP"}
    assert found["D01"] == {"OK"}
    assert "Traceback" not in done.err
    asked = inside("doctor", "--check", "D05", "--json")
    assert (asked.status, set(levels(asked))) == (1, {"D03", "D05"})


def test_without_a_configuration_or_a_store(inside: Command) -> None:
    """It says where to begin, and creates nothing."""
    nothing = inside("doctor")
    assert nothing.status == 1
    assert "syncer init" in nothing.out
    assert tree(inside.place) == set()
    inside.file.write_text('[[repo]]\nname = "acme/widget"\n')
    done = inside("doctor", "--offline", "--json")
    assert done.status == 1
    assert levels(done)["D04"] == {"FAIL"}
    assert levels(done)["D18"] == levels(done)["D12"] == {"SKIP"}
    assert tree(inside.place) == {"repos.toml"}
    asked = inside("doctor", "--check", "D18", "--json")
    assert (asked.status, levels(asked)["D04"]) == (1, {"FAIL"})
    wrong = inside("doctor", "--check", "D99")
    assert wrong.status == 2
    assert "there is no check D99; known: D01" in wrong.err


def test_an_object_store_is_tried(inside: Command, minio: S3Server) -> None:
    """What it does is listed, and the bucket is as it was; wrong keys are told."""
    bucket = minio.bucket()
    inside.file.write_text(
        f'[syncer]\nblobs = "s3://{bucket}"\n[syncer.s3]\n'
        f'endpoint = "{minio.endpoint}"\naccess_key_file = "a"\nsecret_key_file = "b"\n'
    )
    keys = {"a": minio.access_key, "b": minio.secret_key}
    for name, key in keys.items():
        (inside.place / name).write_text(key)
    assert inside("init").status == 0
    done = inside("doctor", "--check", "D08,D09", "--json")
    assert done.status == 0, done.out
    for word in ("multipart", "range", "conditional put", "checksum refused", "copy"):
        assert word in said(done, "D08")
    assert "not:" not in said(done, "D08")
    listed = minio.client().list_objects_v2(Bucket=bucket)
    assert listed["KeyCount"] == 0
    (inside.place / "b").write_text("not-its-key")
    refused = inside("doctor", "--check", "D08", "--json")
    assert refused.status == 1
    assert "refuses our keys" in said(refused, "D08")
    assert all(each["fix"] for each in refused.document()["checks"])


def test_a_measurement_that_is_ended_leaves_nothing(syncer: Command) -> None:
    """SIGTERM in its middle: files are gone, and so is what lay beside them."""
    syncer.file.write_text('[[repo]]\nname = "acme/widget"\n')
    assert syncer("init").status == 0
    before = tree(syncer.place)
    process = syncer.start("doctor", "--bench-store", "--size", "4M")
    try:
        store = syncer.place / "mirror"
        until(lambda: list(store.glob(".doctor-*")), "the measurement")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, out + err
    assert "is removed" in err
    assert tree(syncer.place) == before


@pytest.mark.long
def test_a_store_is_measured(syncer: Command, minio: S3Server) -> None:
    """Disk and bucket, each figure against its target; both are empty afterwards."""
    bucket = minio.bucket()
    syncer.file.write_text("")
    in_bucket(syncer, minio, bucket)
    assert syncer("init").status == 0
    process = syncer.start("doctor", "--bench-store", "--size", "64M", "--json")
    try:
        out, err = process.communicate(timeout=300)
    finally:
        process.kill()
        process.wait()
    done = Ended(process.returncode, out, err)
    assert done.status in {0, 1}, done.err
    figures = done.document()["figures"]
    assert [each["what"] for each in figures] == [
        *("write", "read", "random writes", "random reads", "publications"),
        *("put", "get", "small puts", "small gets"),
    ]
    assert all(each["value"] > 0 for each in figures)
    assert done.status == (0 if all(each["met"] for each in figures) else 1)
    listed = minio.client().list_objects_v2(Bucket=bucket)
    assert listed["KeyCount"] == 0
    assert not [path for path in tree(syncer.place) if ".doctor" in path]
