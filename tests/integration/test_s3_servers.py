"""The S3 servers that other tests stand on, seen by plain boto3."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
from base64 import b64encode
from contextlib import closing
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from tests.servers import programs
from tests.servers.s3 import S3Server, connected
from tests.servers.s3_kinds import MINIO, Kind
from tests.servers.s3_process import NotStarted

if TYPE_CHECKING:
    from pathlib import Path

    from mypy_boto3_s3 import S3Client

_PART = 5 << 20  # bytes, the least that a part but the last may have
_WRONG = "f" * 32


def _digest(data: bytes) -> str:
    return b64encode(sha256(data).digest()).decode()


def _body(client: S3Client, bucket: str, key: str) -> bytes:
    with client.get_object(Bucket=bucket, Key=key)["Body"] as body:
        data: bytes = body.read()
        return data


def _keys(client: S3Client, bucket: str) -> list[str]:
    listed = client.list_objects_v2(Bucket=bucket).get("Contents", [])
    return [entry["Key"] for entry in listed]


def _code(refused: pytest.ExceptionInfo[ClientError]) -> str:
    return refused.value.response["Error"]["Code"]


def _uploaded(client: S3Client, bucket: str, key: str, body: bytes) -> Any:  # noqa: ANN401  the request of CompleteMultipartUpload
    """Upload one part, and return what completes the upload."""
    named: Any = {"Bucket": bucket, "Key": key}
    upload = client.create_multipart_upload(**named)["UploadId"]
    named |= {"UploadId": upload}
    tag = client.upload_part(**named, PartNumber=1, Body=body)["ETag"]
    return named | {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": tag}]}}


def test_an_object_is_what_was_put(s3_server: S3Server) -> None:
    """A body and its metadata come back, whole and by ranges."""
    client, bucket = s3_server.client(), s3_server.bucket()
    data = os.urandom(100_000)

    client.put_object(Bucket=bucket, Key="a/b", Body=data, Metadata={"sha256": "x"})

    assert _keys(client, bucket) == ["a/b"]
    assert _body(client, bucket, "a/b") == data
    head = client.head_object(Bucket=bucket, Key="a/b")
    assert head["ContentLength"] == len(data)
    # The names are a header's: not every server leaves their case alone.
    named = {name.lower(): text for name, text in head["Metadata"].items()}
    assert named == {"sha256": "x"}
    part = client.get_object(Bucket=bucket, Key="a/b", Range="bytes=99990-")
    with part["Body"] as body:
        assert body.read() == data[-10:]


def test_an_upload_in_parts_is_an_object_when_complete(s3_server: S3Server) -> None:
    """Nothing is listed before the upload is completed, and then all of it."""
    client, bucket = s3_server.client(), s3_server.bucket()
    data = os.urandom(_PART)

    request = _uploaded(client, bucket, "big", data)
    before = _keys(client, bucket)
    client.complete_multipart_upload(**request)

    assert before == []
    assert _body(client, bucket, "big") == data


def test_a_wrong_checksum_is_refused_or_not(s3_server: S3Server) -> None:
    """What a kind says of bodies with another's checksum is so."""
    client, bucket = s3_server.client(), s3_server.bucket()
    wrong: Any = {"Body": b"right", "ChecksumSHA256": _digest(b"wrong")}

    if s3_server.kind.checks_bodies:
        with pytest.raises(ClientError) as refused:
            client.put_object(Bucket=bucket, Key="a", **wrong)
        assert _code(refused) in {"XAmzContentChecksumMismatch", "BadDigest"}
        assert _keys(client, bucket) == []
    else:
        client.put_object(Bucket=bucket, Key="a", **wrong)
        assert _body(client, bucket, "a") == b"right"


def test_a_second_put_is_refused_or_not(s3_server: S3Server) -> None:
    """`If-None-Match: *` protects what is there, where a kind says so."""
    client, bucket = s3_server.client(), s3_server.bucket()
    client.put_object(Bucket=bucket, Key="a", Body=b"first", IfNoneMatch="*")

    if s3_server.kind.conditional:
        with pytest.raises(ClientError) as refused:
            client.put_object(Bucket=bucket, Key="a", Body=b"other", IfNoneMatch="*")
        assert _code(refused) == "PreconditionFailed"
        assert _body(client, bucket, "a") == b"first"
    else:
        client.put_object(Bucket=bucket, Key="a", Body=b"other", IfNoneMatch="*")
        assert _body(client, bucket, "a") == b"other"


def test_a_second_completion_is_refused_or_not(s3_server: S3Server) -> None:
    """`If-None-Match: *` protects from uploads in parts as well."""
    client, bucket = s3_server.client(), s3_server.bucket()
    client.put_object(Bucket=bucket, Key="a", Body=b"first")
    request = _uploaded(client, bucket, "a", b"other")

    if s3_server.kind.conditional:
        with pytest.raises(ClientError) as refused:
            client.complete_multipart_upload(**request, IfNoneMatch="*")
        assert _code(refused) == "PreconditionFailed"
        assert _body(client, bucket, "a") == b"first"
    else:
        client.complete_multipart_upload(**request, IfNoneMatch="*")
        assert _body(client, bucket, "a") == b"other"


def test_uploads_under_way_are_listed(s3_server: S3Server) -> None:
    """By their exact key always, by a prefix where a kind says so."""
    client, bucket = s3_server.client(), s3_server.bucket()
    client.create_multipart_upload(Bucket=bucket, Key="incoming/one")

    def listed(prefix: str) -> list[str]:
        found = client.list_multipart_uploads(Bucket=bucket, Prefix=prefix)
        return [entry["Key"] for entry in found.get("Uploads", [])]

    assert listed("incoming/one") == ["incoming/one"]
    by_prefix = ["incoming/one"] if s3_server.kind.lists_uploads else []
    assert listed("incoming/") == by_prefix


def test_a_connection_is_kept_or_not(s3_server: S3Server) -> None:
    """What a kind says of connections after an answer is so."""
    port = s3_server.place.port
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as wire:
        wire.request("GET", "/")
        wire.getresponse().read()
        assert (wire.sock is not None) == s3_server.kind.keeps_alive


@pytest.mark.parametrize("wrong", ["id", "secret"])
def test_wrong_keys_are_refused(s3_server: S3Server, wrong: str) -> None:
    """Only those with the right pair of keys get in."""
    bucket, keys = s3_server.bucket(), (s3_server.access_key, s3_server.secret_key)
    given = (_WRONG, keys[1]) if wrong == "id" else (keys[0], _WRONG)
    other = connected(s3_server, keys=given)

    with closing(other), pytest.raises(ClientError) as refused:
        other.list_objects_v2(Bucket=bucket)

    unknown = {"InvalidAccessKeyId", "XAdminUserNotFound"}
    assert _code(refused) in (unknown if wrong == "id" else {"SignatureDoesNotMatch"})
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] in {403, 404}


def test_data_outlive_a_restart_and_a_crash(s3_server: S3Server) -> None:
    """The same address serves the same objects, whichever way it ended."""
    client, bucket = s3_server.client(), s3_server.bucket()
    client.put_object(Bucket=bucket, Key="a", Body=b"data")
    first = s3_server.pid

    s3_server.restart()
    second = s3_server.pid
    assert _body(client, bucket, "a") == b"data"
    s3_server.kill()
    s3_server.start()

    assert len({first, second, s3_server.pid}) == 3
    assert _body(client, bucket, "a") == b"data"


def test_nobody_listens_while_it_is_stopped(minio: S3Server) -> None:
    """What is stopped refuses connections, and then takes them again."""
    client, bucket = minio.client(), minio.bucket()

    with minio.stopped(), pytest.raises(EndpointConnectionError):
        client.head_bucket(Bucket=bucket)

    assert _keys(client, bucket) == []


def test_a_paused_server_answers_nothing(minio: S3Server) -> None:
    """What is paused takes a request and lets it wait."""
    client, bucket = connected(minio, read_timeout=0.3), minio.bucket()
    with closing(client):
        with minio.paused(), pytest.raises(ReadTimeoutError):
            client.head_bucket(Bucket=bucket)

        assert _keys(minio.client(), bucket) == []


def test_buckets_go_with_all_that_is_in_them(s3_server: S3Server) -> None:
    """Objects and uploads of one test are nowhere in the next."""
    client, bucket = s3_server.client(), s3_server.bucket()
    client.put_object(Bucket=bucket, Key="a/b", Body=b"data")
    client.create_multipart_upload(Bucket=bucket, Key="big")
    client.delete_bucket(Bucket=s3_server.bucket())

    s3_server.clear()

    # One of them lists what was there for some minutes more, from its memory.
    assert not (s3_server.place.data / bucket).exists()
    assert s3_server.bucket() != bucket


def test_tls_is_trusted_with_the_authority_alone(s3_server: S3Server) -> None:
    """A client with the authority gets in; another one turns away."""
    with S3Server(s3_server.kind, tls=True) as server:
        client, bucket = server.client(), server.bucket()
        client.put_object(Bucket=bucket, Key="a", Body=b"data")
        assert _body(client, bucket, "a") == b"data"

        context = ssl.create_default_context()
        wire = http.client.HTTPSConnection(
            "127.0.0.1", server.place.port, timeout=10, context=context
        )
        with closing(wire), pytest.raises(ssl.SSLCertVerificationError):
            wire.request("GET", "/")


def test_nothing_of_a_server_remains(s3_server: S3Server) -> None:
    """Its process, its port and its files are gone with it."""
    with S3Server(s3_server.kind) as server:
        server.bucket()
        process, place = server.pid, server.place

    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", place.port), timeout=5).close()
    assert not place.directory.exists()


def test_a_server_that_ends_at_once_says_why(tmp_path: Path) -> None:
    """The last words of what could not start are in the message."""
    program = tmp_path / "broken"
    program.write_text("#!/bin/sh\necho out of paper\nexit 3\n")
    program.chmod(0o755)
    kind = Kind("broken", lambda _: [str(program)], lambda _: {})

    with pytest.raises(NotStarted, match="out of paper"), S3Server(kind):
        pass


def test_what_was_not_built_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server whose program is missing says which, and what to type."""
    monkeypatch.setattr(programs, "CACHE", tmp_path)

    with (
        pytest.raises(programs.Missing, match=r"minio v.* make servers"),
        S3Server(MINIO),
    ):
        pass
