"""The proxy that goes wrong in front of a real S3 server."""

from __future__ import annotations

import http.client
import os
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    HTTPClientError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from tests.servers.s3 import connected
from tests.servers.s3_faults import (
    S3Fault,
    failed_completion,
    internal_error,
    lost_answer,
    slow_down,
    storage_full,
    unknown_key,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from tests.servers.s3 import S3Server
    from tests.servers.s3_proxy import S3Proxy

_DATA = os.urandom(1_000_000)


@pytest.fixture
def bucket(minio: S3Server) -> str:
    """Make a bucket behind the proxy."""
    return minio.bucket()


@pytest.fixture
def client(s3_proxy: S3Proxy) -> S3Client:
    """Hand out a client that goes through the proxy."""
    return s3_proxy.client()


def _keys(minio: S3Server, bucket: str) -> list[str]:
    listed = minio.client().list_objects_v2(Bucket=bucket).get("Contents", [])
    return [entry["Key"] for entry in listed]


def _upload(client: S3Client, bucket: str, key: str) -> Any:  # noqa: ANN401  the request of CompleteMultipartUpload
    named: Any = {"Bucket": bucket, "Key": key}
    named |= {"UploadId": client.create_multipart_upload(**named)["UploadId"]}
    tag = client.upload_part(**named, PartNumber=1, Body=_DATA)["ETag"]
    return named | {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": tag}]}}


def test_what_goes_right_is_as_without_it(
    s3_proxy: S3Proxy, client: S3Client, bucket: str
) -> None:
    """Objects, parts, odd keys and errors pass; the log has every request."""
    client.put_object(Bucket=bucket, Key="a/ü +", Body=_DATA)
    client.complete_multipart_upload(**_upload(client, bucket, "big"))

    assert client.head_object(Bucket=bucket, Key="big")["ContentLength"] == len(_DATA)
    with client.get_object(Bucket=bucket, Key="a/ü +")["Body"] as body:
        assert body.read() == _DATA
    with pytest.raises(client.exceptions.NoSuchKey):
        client.get_object(Bucket=bucket, Key="none")
    client.delete_object(Bucket=bucket, Key="big")
    log = s3_proxy.requests
    assert [(each.method, each.status) for each in log] == [
        *(("PUT", 200), ("POST", 200), ("PUT", 200), ("POST", 200), ("HEAD", 200)),
        *(("GET", 200), ("GET", 404), ("DELETE", 204)),
    ]
    assert (log[0].path, log[0].received) == (f"/{bucket}/a/%C3%BC%20%2B", len(_DATA))
    assert "partNumber=1" in log[2].query.split("&")
    s3_proxy.forget()
    assert s3_proxy.requests == []


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (slow_down(retry_after=7), 503, "SlowDown"),
        (internal_error(), 500, "InternalError"),
        (unknown_key(), 403, "InvalidAccessKeyId"),
        (storage_full(), 507, "XMinioStorageFull"),
    ],
)
def test_a_refusal_is_in_the_words_of_s3(
    s3_proxy: S3Proxy, bucket: str, fault: S3Fault, status: int, code: str
) -> None:
    """A client reads the error; the server was not asked; the next time works."""
    client, minio = s3_proxy.client(), s3_proxy.server
    s3_proxy.fault("PUT .*/a$", fault, times=1)

    with pytest.raises(ClientError) as refused:
        client.put_object(Bucket=bucket, Key="a", Body=_DATA)

    answer = refused.value.response
    metadata = answer["ResponseMetadata"]
    assert (metadata["HTTPStatusCode"], answer["Error"]["Code"]) == (status, code)
    assert metadata["HTTPHeaders"].get("retry-after") == fault.headers.get(
        "Retry-After"
    )
    assert _keys(minio, bucket) == []
    client.put_object(Bucket=bucket, Key="a", Body=_DATA)
    assert _keys(minio, bucket) == ["a"]


def test_a_request_is_cut_short(
    s3_proxy: S3Proxy, client: S3Client, minio: S3Server, bucket: str
) -> None:
    """The connection is reset within the body, of which nothing is stored."""
    s3_proxy.fault("^PUT", S3Fault(cut=100_000))

    with pytest.raises((ConnectionClosedError, HTTPClientError)):
        client.put_object(Bucket=bucket, Key="a", Body=_DATA)

    assert [(each.received, each.status) for each in s3_proxy.requests] == [
        (100_000, None)
    ]
    assert _keys(minio, bucket) == []


def test_an_answer_is_lost(
    s3_proxy: S3Proxy, client: S3Client, minio: S3Server, bucket: str
) -> None:
    """The client learns nothing, though the server has acted."""
    s3_proxy.fault("^PUT", lost_answer())

    with pytest.raises((ConnectionClosedError, HTTPClientError)):
        client.put_object(Bucket=bucket, Key="a", Body=_DATA)

    assert [(each.received, each.status) for each in s3_proxy.requests] == [
        (len(_DATA), None)
    ]
    assert _keys(minio, bucket) == ["a"]


@pytest.mark.parametrize("acts", [False, True])
def test_a_completion_fails_with_200(
    s3_proxy: S3Proxy, client: S3Client, minio: S3Server, bucket: str, *, acts: bool
) -> None:
    """The status says yes and the body no, whether the server has acted or not."""
    request = _upload(client, bucket, "big")
    s3_proxy.fault("^POST .*uploadId=", failed_completion(acts=acts))

    with pytest.raises(ClientError, match="InternalError"):
        client.complete_multipart_upload(**request)

    assert s3_proxy.requests[-1].status is not None
    assert _keys(minio, bucket) == (["big"] if acts else [])


@pytest.mark.parametrize("fault", [S3Fault(truncate=5000), S3Fault(reset=5000)])
def test_a_body_ends_early(
    s3_proxy: S3Proxy, client: S3Client, bucket: str, fault: S3Fault
) -> None:
    """The headers promise the whole body; so many bytes of it arrive."""
    client.put_object(Bucket=bucket, Key="a", Body=_DATA)
    s3_proxy.fault("^GET", fault)

    answer = client.get_object(Bucket=bucket, Key="a")

    assert answer["ContentLength"] == len(_DATA)
    with closing(answer["Body"]) as body, pytest.raises(ResponseStreamingError):
        body.read()


def test_a_body_is_changed(s3_proxy: S3Proxy, client: S3Client, bucket: str) -> None:
    """One bit of what the server sent arrives as another."""
    client.put_object(Bucket=bucket, Key="a", Body=_DATA)
    s3_proxy.fault("^GET", S3Fault(flip=500_000))

    with client.get_object(Bucket=bucket, Key="a")["Body"] as body:
        data = body.read()

    differing = [n for n in range(len(_DATA)) if data[n] != _DATA[n]]
    assert differing == [500_000]


def test_an_answer_is_late_or_never_comes(
    s3_proxy: S3Proxy, minio: S3Server, bucket: str
) -> None:
    """A patient client gets it after the delay, and waits in vain for a hang."""
    s3_proxy.fault("^HEAD", S3Fault(delay=0.3), times=1)
    s3_proxy.fault("^HEAD", S3Fault(hang="accept"))

    with closing(connected(minio, s3_proxy.endpoint, read_timeout=1)) as client:
        began = time.monotonic()
        client.head_bucket(Bucket=bucket)
        assert 0.3 <= time.monotonic() - began < 1
        with pytest.raises(ReadTimeoutError):
            client.head_bucket(Bucket=bucket)


def test_only_some_requests_are_spoiled(
    s3_proxy: S3Proxy, client: S3Client, bucket: str
) -> None:
    """A fault strikes after the first `skip`, `times` times, until healed."""
    s3_proxy.fault("^HEAD", internal_error(), times=1, skip=1)

    def status() -> int:
        wire = http.client.HTTPConnection(
            s3_proxy.endpoint.removeprefix("http://"), timeout=10
        )
        with closing(wire):
            wire.request("HEAD", f"/{bucket}")
            return wire.getresponse().status

    assert [status() for _ in range(3)] == [403, 500, 403]
    s3_proxy.fault("^HEAD", internal_error())
    s3_proxy.heal()
    assert status() == 403
    client.head_bucket(Bucket=bucket)


def test_a_test_waits_for_what_others_ask(
    s3_proxy: S3Proxy, client: S3Client, bucket: str
) -> None:
    """`wait_for` returns when the request has come, and gives up in the end."""
    late = threading.Timer(0.2, client.head_bucket, kwargs={"Bucket": bucket})
    late.start()

    s3_proxy.wait_for(1, "HEAD")

    late.join()
    with pytest.raises(TimeoutError):
        s3_proxy.wait_for(2, "HEAD", within=0.05)
