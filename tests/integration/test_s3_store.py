"""The S3 store with real servers that fail, die or were visited by others."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import urllib3

from syncer.credentials import Secret
from syncer.errors import (
    AccessDenied,
    IntegrityError,
    Interrupted,
    NoSpace,
    NotFound,
    PermanentError,
    Truncated,
    Unavailable,
)
from syncer.limits import Room
from syncer.model.blobs import Upload, blob_key
from syncer.store import s3_copy, s3_http, s3_objects
from tests.contracts.blob_receive import TICKET, filled, received
from tests.contracts.blob_store import (
    SMALL,
    assert_absent,
    assert_traceless,
    begun,
    blob_of,
    content,
    made,
    sent,
    stored,
)
from tests.fakes_s3 import PART, RESUMABLE, RealClock, S3Rig
from tests.servers import s3_faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncer.ports.blobs import UnnamedWriter
    from tests.servers.s3 import S3Server
    from tests.servers.s3_proxy import S3Proxy

DIRECT = made(PART + 1000, 2)
LARGE = made(RESUMABLE + 1000, 3)
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def rig(minio: S3Server) -> Iterator[S3Rig]:
    """Make a bucket in MinIO."""
    with _rig(minio) as made:
        yield made


@contextmanager
def _rig(server: S3Server) -> Iterator[S3Rig]:
    made = S3Rig(server)
    yield made
    made.close()


@pytest.fixture
def proxied(rig: S3Rig, s3_proxy: S3Proxy) -> S3Rig:
    """Reach it by way of the proxy."""
    rig.address = replace(rig.address, endpoint=s3_proxy.endpoint)
    return rig


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait as long between attempts, nor for an answer, as in earnest."""
    monkeypatch.setattr(s3_http, "FIRST_PAUSE", 0.01)


def uploads(rig: S3Rig, key: str) -> int:
    """Return how many uploads of a key the server keeps."""
    client, bucket = rig.server.client(), rig.address.bucket
    listed = client.list_multipart_uploads(Bucket=bucket, Prefix=key)
    return len(listed.get("Uploads", []))


def wait_for_parts(proxy: S3Proxy, count: int) -> None:
    """Wait until the server has taken so many parts."""
    deadline = time.monotonic() + 60
    while count > sum("partN" in e.line and e.status == 200 for e in proxy.requests):
        assert time.monotonic() < deadline, "the parts do not come"
        time.sleep(0.02)


def begin_elsewhere(rig: S3Rig, key: str) -> None:
    """Begin an upload and forget it, as a killed process does."""
    client, bucket = rig.server.client(), rig.address.bucket
    answer = client.create_multipart_upload(Bucket=bucket, Key=key)
    client.upload_part(
        Bucket=bucket, Key=key, UploadId=answer["UploadId"], PartNumber=1, Body=b"x"
    )


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"bucket": "nowhere"}, NotFound, "there is no bucket nowhere at http://"),
        ({"keys": (Secret("k" * 9), Secret("s" * 9))}, AccessDenied, "refuses our"),
        ({"endpoint": "http://127.0.0.1:1"}, Unavailable, "did not answer"),
        ({"endpoint": "http://nowhere.invalid"}, Unavailable, "did not answer"),
    ],
    ids=["bucket", "keys", "port", "name"],
)
def test_what_is_wrong_is_said_at_once_and_everywhere(
    rig: S3Rig, change: dict[str, object], error: type[Exception], words: str
) -> None:
    """Every method has the same clear error, and shows no key."""
    store = rig.open(replace(rig.address, **change))  # type: ignore[arg-type] # by name
    blob = blob_of(SMALL)

    for action in (
        store.check,
        lambda: store.find(blob.digest),
        store.survey,
        lambda: list(store.blobs()),
        lambda: content(store, blob),
        lambda: stored(store, SMALL),
        lambda: stored(store, DIRECT),
        lambda: stored(store, LARGE),
        lambda: store.remove(blob.digest),
        store.leftovers,
    ):
        with pytest.raises(error, match=words) as caught:
            action()
        assert type(caught.value) is error or error is Unavailable
        assert "kkkkkkkkk" not in str(caught.value)
        assert "sssssssss" not in str(caught.value)
    assert rig.listed() == []


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (s3_faults.unknown_key(), AccessDenied, "refuses our keys"),
        (s3_faults.storage_full(), NoSpace, "is full"),
        (s3_faults.refusal(403, "RequestTimeTooSkewed"), PermanentError, "clock"),
        (s3_faults.refusal(501, "NotImplemented"), PermanentError, "501"),
        (s3_faults.internal_error(), Unavailable, "500, InternalError"),
        (s3_faults.slow_down(), Unavailable, "503, SlowDown"),
        (s3_faults.S3Fault(reset=0), Unavailable, "did not answer"),
    ],
    ids=["keys", "full", "clock", "unable", "500", "503", "reset"],
)
@pytest.mark.parametrize("body", [SMALL, DIRECT], ids=["small", "large"])
def test_a_refusal_is_an_error_of_ours(  # noqa: PLR0913, PLR0917 - one column each
    proxied: S3Rig,
    s3_proxy: S3Proxy,
    fault: s3_faults.S3Fault,
    error: type[Exception],
    words: str,
    body: bytes,
) -> None:
    """What a server answers decides the class; afterwards everything resumes."""
    store = proxied.open()
    s3_proxy.fault("^(PUT|POST)", fault)

    with pytest.raises(error, match=words):
        stored(store, body)

    s3_proxy.heal()
    assert_absent(store, blob_of(body))
    assert stored(store, body) == blob_of(body)
    assert store.leftovers() == []


@pytest.mark.parametrize("times", [1, 3])
def test_a_passing_refusal_is_not_noticed(
    proxied: S3Rig, s3_proxy: S3Proxy, times: int
) -> None:
    """Three refusals of one request are waited out."""
    store = proxied.open()
    store.check()
    stored(store, b"the server is known")
    s3_proxy.fault("^PUT", s3_faults.slow_down(), times=times)
    s3_proxy.fault("^GET", s3_faults.internal_error(), times=times)

    blob = stored(store, SMALL)

    assert content(store, blob) == SMALL


def test_a_server_says_how_long_to_stay_away(proxied: S3Rig, s3_proxy: S3Proxy) -> None:
    """`Retry-After` is heeded."""
    store = proxied.open()
    store.check()
    s3_proxy.forget()
    s3_proxy.fault("^HEAD", s3_faults.slow_down(retry_after=1), times=1)

    store.find("0" * 64)

    first, second = (each.request.time for each in s3_proxy.requests)
    assert second - first >= 1


def test_a_stop_ends_the_waiting(proxied: S3Rig, s3_proxy: S3Proxy) -> None:
    """Who is asked to stop does not try again."""
    store = proxied.open()
    s3_proxy.fault(".", s3_faults.slow_down())
    proxied.stop.set()

    with pytest.raises(Interrupted):
        store.find("0" * 64)

    assert len(s3_proxy.requests) == 1


@pytest.mark.parametrize("body", [SMALL, DIRECT, LARGE], ids=["put", "direct", "stage"])
def test_a_lost_answer_does_no_harm(
    proxied: S3Rig, s3_proxy: S3Proxy, body: bytes
) -> None:
    """The server has acted, and nobody heard of it: what is there is looked at."""
    store = proxied.open()
    stored(store, b"the server is known")
    match = "^PUT" if body is SMALL else "^POST .*uploadId"
    s3_proxy.fault(match, s3_faults.lost_answer(), times=1)

    assert stored(store, body) == blob_of(body)

    assert content(store, blob_of(body)) == body
    assert store.leftovers() == []


@pytest.mark.parametrize("body", [DIRECT, LARGE], ids=["direct", "staged"])
@pytest.mark.parametrize("acts", [False, True])
def test_an_error_inside_a_200_is_one(
    proxied: S3Rig, s3_proxy: S3Proxy, body: bytes, *, acts: bool
) -> None:
    """CompleteMultipartUpload answers 200 before it knows; the body counts."""
    store = proxied.open()
    fault = s3_faults.failed_completion(acts=acts)
    s3_proxy.fault("^POST .*uploadId", fault)

    if acts:
        assert stored(store, body) == blob_of(body)
    else:
        with pytest.raises(Unavailable):
            stored(store, body)
        assert_absent(store, blob_of(body))
        s3_proxy.heal()
        assert stored(store, body) == blob_of(body)

    assert content(store, blob_of(body)) == body
    assert store.leftovers() == []


@pytest.mark.parametrize("at", [0, 1, 5_000_000, len(LARGE) - 1])
def test_a_truncated_read_is_noticed(
    proxied: S3Rig, s3_proxy: S3Proxy, at: int
) -> None:
    """A body that ends early is not taken for the blob."""
    store = proxied.open()
    blob = stored(store, LARGE)
    s3_proxy.fault("^GET", s3_faults.S3Fault(truncate=at))

    with pytest.raises(Truncated):
        content(store, blob)

    s3_proxy.fault("^GET", s3_faults.S3Fault(reset=at))
    with pytest.raises((Truncated, Unavailable)):
        content(store, blob)


def test_what_was_cut_on_its_way_is_sent_again(
    proxied: S3Rig, s3_proxy: S3Proxy
) -> None:
    """A connection that ends within a body costs one more request."""
    store = proxied.open()
    stored(store, b"the server is known")
    s3_proxy.fault("^PUT", s3_faults.S3Fault(cut=1000), times=1)
    s3_proxy.fault("^PUT .*partNumber=2", s3_faults.S3Fault(cut=10), times=1)

    assert content(store, stored(store, SMALL)) == SMALL
    assert content(store, stored(store, DIRECT)) == DIRECT


def test_a_killed_write_is_continued_by_another_process(
    proxied: S3Rig, s3_proxy: S3Proxy
) -> None:
    """After SIGKILL only what was not yet a whole part is sent again."""
    script = ROOT / "tests" / "servers" / "s3_writer.py"
    address = proxied.address
    assert address.keys is not None
    names = [address.endpoint or "", address.bucket, address.prefix]
    keys = [key.reveal() for key in address.keys]
    body = made(4 * PART + 1000)
    blob = blob_of(body)
    with subprocess.Popen(
        [sys.executable, str(script), *names, *keys, *map(str, blob)],
        stdin=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as child:
        assert child.stdin is not None
        child.stdin.write(body[: 2 * PART + 1000])
        child.stdin.flush()
        wait_for_parts(s3_proxy, 2)
        child.send_signal(signal.SIGKILL)
    s3_proxy.forget()
    store = proxied.open()

    assert_absent(store, blob)
    with store.write(*blob) as writer:
        assert writer.offset == 2 * PART
        writer.write(body[writer.offset :])
        writer.commit()

    assert content(store, blob) == body
    sent_again = [each.received for each in s3_proxy.requests if "partN" in each.line]
    assert sum(sent_again) == 2 * PART + 1000
    assert store.leftovers() == []


@pytest.mark.parametrize("is_right", [True, False])
def test_a_write_may_die_between_completion_and_copy(
    proxied: S3Rig, s3_proxy: S3Proxy, *, is_right: bool
) -> None:
    """What is complete and not yet visible is read back before it becomes so."""
    store = proxied.open()
    body = LARGE if is_right else b"!" + LARGE[1:]
    blob = blob_of(LARGE)
    place = f"incoming/{blob.digest}"
    proxied.plant(place, body)

    (left,) = store.leftovers()
    assert (left.digest, left.size) == blob
    if is_right:
        assert sent(store, blob, LARGE) == blob
        assert content(store, blob) == LARGE
        assert not any("partNumber" in each.line for each in s3_proxy.requests)
    else:
        with pytest.raises(IntegrityError):
            sent(store, blob, LARGE)
        assert_traceless(store, blob)

    assert store.leftovers() == []


def test_a_completed_upload_is_not_sent_again(
    proxied: S3Rig, s3_proxy: S3Proxy
) -> None:
    """A copy that is refused costs the next run no upload."""
    store = proxied.open()
    blob = blob_of(LARGE)
    s3_proxy.fault(f"^PUT .*{blob_key(blob.digest)}", s3_faults.storage_full())
    with pytest.raises(NoSpace):
        stored(store, LARGE)
    assert_absent(store, blob)
    s3_proxy.heal()
    s3_proxy.forget()

    with store.write(*blob) as writer:
        assert writer.offset == blob.size
        writer.commit()

    assert not any("partNumber" in each.line for each in s3_proxy.requests)
    assert content(store, blob) == LARGE
    assert store.leftovers() == []


def test_what_was_named_once_is_not_received_again(
    proxied: S3Rig, s3_proxy: S3Proxy
) -> None:
    """A copy that is refused costs the next run a look at the bytes, no upload."""
    store = proxied.open()
    blob = blob_of(DIRECT)
    s3_proxy.fault(f"^PUT .*{blob_key(blob.digest)}", s3_faults.storage_full())
    with pytest.raises(NoSpace):
        received(store, DIRECT)
    assert_absent(store, blob)
    assert proxied.listed() == [proxied.address.staging_key(TICKET)]
    s3_proxy.heal()
    s3_proxy.forget()

    with proxied.open().receive(TICKET, blob.size) as writer:
        assert writer.offset == blob.size
        assert writer.seal() == blob.digest
        assert writer.commit() == blob

    assert not any("partNumber" in each.line for each in s3_proxy.requests)
    assert content(store, blob) == DIRECT
    assert store.leftovers() == []


@pytest.mark.parametrize("body", [SMALL, DIRECT], ids=["put", "stage"])
def test_a_lost_answer_does_no_harm_to_what_is_received(
    proxied: S3Rig, s3_proxy: S3Proxy, body: bytes
) -> None:
    """What the server has put together is read back where nobody heard of it."""
    store = proxied.open()
    stored(store, b"the server is known")
    match = "^PUT" if body is SMALL else "^POST .*uploadId"
    s3_proxy.fault(match, s3_faults.lost_answer(), times=1)

    assert received(store, body) == blob_of(body)

    reads = f"GET /{proxied.address.bucket}/{proxied.address.staging_key(TICKET)}"
    looked = [each.line for each in s3_proxy.requests if each.line == reads]
    assert len(looked) == (body is DIRECT)
    assert content(store, blob_of(body)) == body
    assert store.leftovers() == []
    assert proxied.log.rows == {}


@pytest.mark.parametrize("size", [2 << 20, PART + 1000], ids=["put", "stage"])
def test_what_was_damaged_is_replaced_by_what_is_received(
    rig: S3Rig, size: int
) -> None:
    """That our mark is on what lies below the digest says nothing of its bytes."""
    body = made(size)
    blob = blob_of(body)
    rig.server.client().put_object(
        Bucket=rig.address.bucket,
        Key=rig.address.key(blob.digest),
        Body=b"!" + body[1:],
        Metadata={"sha256": blob.digest},
    )
    store = rig.open()
    assert store.find(blob.digest) == blob

    assert received(store, body) == blob

    assert content(store, blob) == body


def test_what_changes_after_its_digest_was_told_is_not_named(rig: S3Rig) -> None:
    """The copy is of the version that was hashed, or it is none."""
    store = rig.open()
    blob = blob_of(DIRECT)

    with store.receive(TICKET, blob.size) as writer:
        assert filled(writer, DIRECT).seal() == blob.digest
        rig.plant(f"incoming/{TICKET}", b"!" * blob.size)
        with pytest.raises(Unavailable):
            writer.commit()

    assert list(store.blobs()) == []


def test_an_upload_that_was_swept_is_told(rig: S3Rig) -> None:
    """A transfer that somebody discards ends by an error, and the next begins anew."""
    store = rig.open()
    blob = blob_of(LARGE)

    with pytest.raises(Unavailable), store.receive(TICKET, blob.size) as writer:
        swept(rig, writer)

    assert list(store.blobs()) == []
    with store.receive(TICKET, blob.size) as writer:
        assert writer.offset == 0


def swept(rig: S3Rig, writer: UnnamedWriter) -> None:
    """Go on with a transfer whose upload is discarded half-way."""
    writer.write(LARGE[:PART])
    other = rig.open()
    (left,) = other.leftovers()
    assert (left.digest, left.size) == (TICKET, PART)
    other.discard(left)
    filled(writer, LARGE).seal()


def test_a_refused_part_keeps_what_came_before(
    proxied: S3Rig, s3_proxy: S3Proxy
) -> None:
    """The next writer goes on after the last part that the server took."""
    store = proxied.open()
    s3_proxy.fault("^PUT .*partNumber=2", s3_faults.storage_full())

    with pytest.raises(NoSpace):
        received(store, LARGE)

    s3_proxy.heal()
    with store.receive(TICKET, len(LARGE)) as writer:
        assert writer.offset == PART
        assert filled(writer, LARGE).seal() == blob_of(LARGE).digest
        writer.commit()
    assert content(store, blob_of(LARGE)) == LARGE
    assert store.leftovers() == []


@pytest.mark.parametrize("whole", [0, 1 << 30])
def test_a_large_object_is_copied_in_ranges(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, whole: int
) -> None:
    """By ranges or at once; a server that cannot do one does the other."""
    monkeypatch.setattr(s3_copy, "WHOLE", whole)
    monkeypatch.setattr(s3_copy, "RANGE", PART)
    with _rig(s3_server) as rig:
        store = rig.open()

        blob = stored(store, LARGE)

        assert store.find(blob.digest) == blob
        assert content(store, blob) == LARGE
        assert store.leftovers() == []
        assert rig.log.rows == {}


def test_a_dead_upload_of_the_final_key_is_aborted(rig: S3Rig) -> None:
    """What is not continued starts over, and leaves nothing behind."""
    store = rig.open()
    blob = blob_of(DIRECT)
    key = rig.address.key(blob.digest)
    begin_elsewhere(rig, key)
    assert uploads(rig, key) == 1

    stored(store, DIRECT)

    assert uploads(rig, key) == 0
    assert content(store, blob) == DIRECT


def test_an_upload_that_only_the_log_knows_is_swept(rig: S3Rig) -> None:
    """MinIO does not list it; the log does, also when nothing was begun after all."""
    store = rig.open()
    clock = RealClock()
    blob = blob_of(DIRECT)
    key = rig.address.key(blob.digest)
    begin_elsewhere(rig, key)
    unknown = rig.address.key("f" * 64)
    then = clock.now() - timedelta(days=2)
    rig.log.begin_upload(Upload(key, *blob, then))
    rig.log.begin_upload(Upload(unknown, "f" * 64, 5, then))
    rig.log.begin_upload(Upload("another/prefix", "f" * 64, 5, then))

    found = store.leftovers()

    assert [(each.place, each.size) for each in found] == sorted(
        [(key, 1), (unknown, 0)]
    )
    since = {each.place: each.since for each in found}
    assert since[unknown] == then
    assert clock.now() - since[key] < timedelta(minutes=1)
    for left in found:
        store.discard(left)
    assert store.leftovers() == []
    assert uploads(rig, key) == 0
    assert list(rig.log.rows) == ["another/prefix"]


def test_discarding_never_removes_a_blob(rig: S3Rig) -> None:
    """A dead upload of a blob that is there goes alone."""
    store = rig.open()
    blob = stored(store, DIRECT)
    rig.log.begin_upload(Upload(rig.address.key(blob.digest), *blob, RealClock().now()))
    (left,) = store.leftovers()

    store.discard(left)

    assert store.leftovers() == []
    assert content(store, blob) == DIRECT


def test_an_upload_is_noted_before_it_is_begun(
    proxied: S3Rig, s3_proxy: S3Proxy
) -> None:
    """A process that dies at the moment of beginning leaves a note."""
    store = proxied.open()
    s3_proxy.fault("^POST .*uploads", s3_faults.unknown_key())

    with pytest.raises(AccessDenied):
        stored(store, LARGE)

    assert proxied.log.noted == [proxied.address.staging_key(blob_of(LARGE).digest)]


@pytest.mark.parametrize("free", [0, PART, 10 * PART])
def test_room_is_given_back(rig: S3Rig, free: int) -> None:
    """With room for another part or without it, the same is stored."""
    rig.room = Room(free)
    store = rig.open()

    assert content(store, stored(store, LARGE)) == LARGE

    begun(store, blob_of(DIRECT), DIRECT[:-1])
    assert rig.room.try_take(free)


def test_the_server_is_tried_once(
    proxied: S3Rig, s3_proxy: S3Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    """By the first who writes, for all; nothing of the trial stays."""
    caplog.set_level(logging.INFO)
    store = proxied.open()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: stored(store, f"{n}".encode()), range(20)))

    assert (
        len([e for e in s3_proxy.requests if "PUT" in e.line and "probe" in e.line])
        == 3
    )
    assert not [key for key in proxied.listed() if "probe" in key]
    (record,) = [r for r in caplog.records if r.message == "the object store was tried"]
    assert record.__dict__["checks_bodies"] is True
    assert record.__dict__["conditional"] is True


def test_a_foreign_object_is_read_once_and_believed(
    proxied: S3Rig, s3_proxy: S3Proxy
) -> None:
    """Another program's blob has no mark of ours; its bytes decide."""
    store = proxied.open()
    right, wrong = blob_of(SMALL), blob_of(b"something else")
    proxied.plant(blob_key(right.digest), SMALL)
    proxied.plant(blob_key(wrong.digest), SMALL)

    for _ in range(3):
        assert store.find(right.digest) == right
        assert store.find(wrong.digest) is None

    assert len([each for each in s3_proxy.requests if each.method == "GET"]) == 2


def test_many_blobs_are_listed_page_by_page(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them, in order; one page is the survey, or there is none."""
    with _rig(s3_server) as rig:
        store = rig.open()
        blobs = sorted(stored(store, f"{number}".encode()) for number in range(7))
        rig.plant("ab/cd/a & b <c>", b"foreign")
        assert store.survey() == frozenset(blob.digest for blob in blobs)

        monkeypatch.setattr(s3_objects, "PAGE", 3)

        assert list(store.blobs()) == blobs
        assert store.survey() is None


def test_a_blob_is_read_by_a_presigned_address(rig: S3Rig) -> None:
    """At the address that consumers know the server by, without any key."""
    public = rig.server.endpoint.replace("127.0.0.1", "localhost")
    store = rig.open(replace(rig.address, public_endpoint=public))
    blob = stored(store, SMALL)

    url = store.presign_get(blob.digest, 60)

    assert url.startswith(f"{public}/{rig.address.bucket}/blobs/")
    with urllib3.PoolManager() as pool:
        assert pool.request("GET", url).data == SMALL
        assert pool.request("GET", url.replace(blob.digest[-9:], "0" * 9)).status == 403


def test_small_blobs_need_no_boto3(rig: S3Rig) -> None:
    """A run that moves nothing large does not pay for the import."""
    address = rig.address
    assert address.keys is not None
    keys = [key.reveal() for key in address.keys]
    names = [address.endpoint or "", address.bucket, address.prefix]
    digest = sha256(SMALL).hexdigest()
    child = subprocess.run(
        [
            sys.executable,
            str(ROOT / "tests" / "servers" / "s3_writer.py"),
            *(*names, *keys, digest, str(len(SMALL))),
        ],
        input=SMALL,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )

    assert child.stdout == b"stored without boto3\n"
    assert content(rig.open(), blob_of(SMALL)) == SMALL


def test_keys_are_found_where_boto3_looks(
    rig: S3Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without keys of ours those of the environment count; none is an error."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert rig.address.keys is not None
    access, secret = rig.address.keys
    address = replace(rig.address, keys=None)
    with pytest.raises(AccessDenied, match="there are no keys"):
        rig.open(address).check()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", access.reveal())
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret.reveal())

    store = rig.open(address)

    assert content(store, stored(store, DIRECT)) == DIRECT
