"""Single objects of a bucket by signed requests: put, look, read, list, delete."""

from __future__ import annotations

import re
from base64 import b64encode
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from html import unescape
from typing import TYPE_CHECKING, NamedTuple

from syncer.errors import NotFound, PermanentError, Truncated, Unavailable
from syncer.store.s3_failures import refusal
from syncer.store.s3_http import Request
from syncer.store.signing import UNSIGNED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from syncer.store.s3_address import S3Address
    from syncer.store.s3_http import Answer, Wire

#: Keys of one answer, as many as S3 gives.
PAGE = 1000
_META = "x-amz-meta-sha256"
_OK, _ABSENT, _THERE, _BEYOND = 200, 404, 412, 416
_SPAN = re.compile(r"bytes ([0-9]+)-")
# What a server may answer that does not take a checksum or a condition.
_UNABLE = {400, 412, 501}
_NO_KEY = {"", "NoSuchKey"}
_ENTRY = re.compile(rb"<Contents>(.*?)</Contents>", re.DOTALL)
_FIELD = re.compile(rb"<(Key|Size|LastModified)>([^<]*)<")
_MORE = re.compile(rb"<IsTruncated>true</IsTruncated>")
_NEXT = re.compile(rb"<NextContinuationToken>([^<]*)</NextContinuationToken>")


class Head(NamedTuple):
    """What a server says of an object; `digest` is what its writer claimed."""

    size: int
    etag: str
    digest: str | None


class Body(NamedTuple):
    """What a request carries, in blocks, and its length in bytes."""

    blocks: Sequence[bytes]
    size: int


class Entry(NamedTuple):
    """An object as it is listed."""

    key: str
    size: int
    modified: str

    @property
    def since(self) -> datetime:
        """When it was written."""
        return datetime.fromisoformat(self.modified)


class Page(NamedTuple):
    """Some of the objects below a prefix, and the way to the next, if any."""

    entries: list[Entry]
    following: str | None


def checksum(digest: str) -> str:
    """Return a digest as S3 writes checksums."""
    return b64encode(bytes.fromhex(digest)).decode()


class Objects:
    """The objects of one bucket."""

    def __init__(self, address: S3Address, wire: Wire) -> None:
        self.address = address
        self._wire = wire
        self._bucket_seen = False

    def head(self, key: str) -> Head | None:
        """Return what is known of an object, None when it is not there."""
        answer = self._wire.ask(Request("HEAD", key), accept={_ABSENT, 400, 403})
        if answer.status == _ABSENT:
            self._need_bucket()
            return None
        if answer.status != _OK:
            # An answer to HEAD has no words; the same keys hear them elsewhere.
            self.page("", limit=1)
            raise refusal(self.address, answer.status, answer.code)
        self._bucket_seen = True
        size = int(answer.headers["content-length"])
        etag = answer.headers.get("etag", "")
        return Head(size, etag, answer.headers.get(_META))

    def put(self, key: str, body: Body, digest: str, *, fresh: bool = True) -> bool:
        """Store an object whose digest is known; False if one is there already.

        With `fresh` it is stored only where none is, on servers that honour
        that.  The server is told the digest and may check it again.
        """
        request = _putting(key, body, digest, fresh=fresh)
        answer = self._wire.ask(request, accept={_THERE} if fresh else ())
        self._bucket_seen = True
        return answer.status != _THERE

    def try_put(self, key: str, body: Body, digest: str, *, fresh: bool) -> Answer:
        """Store an object below a digest that may be wrong; return what came."""
        request = _putting(key, body, digest, fresh=fresh)
        return self._wire.ask(request, accept=_UNABLE)

    def put_part(self, key: str, upload: str, number: int, body: Body, crc: str) -> str:
        """Upload one part; return its tag."""
        query = (("partNumber", str(number)), ("uploadId", upload))
        headers = {"x-amz-checksum-crc32": crc}
        answer = self._wire.ask(Request("PUT", key, query, headers, *body, UNSIGNED))
        return answer.headers.get("etag", "")

    @contextmanager
    def read(
        self, key: str, offset: int = 0, etag: str | None = None
    ) -> Iterator[Iterator[bytes]]:
        """Open an object's bytes from `offset` on; with `etag`, of that version.

        Raises:
            NotFound: it is not there, or not in that version.
            Truncated: less came than the object has, also while it is read.
        """
        headers = {"range": f"bytes={offset}-"} if offset else {}
        if etag:
            headers["if-match"] = etag
        request = Request("GET", key, (), headers)
        accept = {_ABSENT, _THERE, _BEYOND}
        with self._wire.stream(request, accept) as (answer, blocks):
            if answer.status in {_ABSENT, _THERE}:
                self._need_key(answer)
                msg = f"{key} is not in the bucket {self.address.bucket}"
                raise NotFound(msg)
            if answer.status == _BEYOND:
                self._need_size(key, offset)
                yield iter(())
            else:
                yield self._counted(key, answer, blocks, offset)

    def hash(self, key: str, etag: str | None = None) -> str:
        """Read an object back and return its digest; errors as `read`."""
        found = sha256()
        with self.read(key, etag=etag) as blocks:
            for block in blocks:
                found.update(block)
        return found.hexdigest()

    def delete(self, key: str) -> None:
        """Remove an object; that it is not there is no error."""
        answer = self._wire.ask(Request("DELETE", key), accept={_ABSENT})
        self._need_key(answer)

    def page(
        self, prefix: str, following: str | None = None, limit: int | None = None
    ) -> Page:
        """Return some of the objects below a prefix, in the order of their keys."""
        query = [
            ("list-type", "2"),
            ("max-keys", str(limit or PAGE)),
            ("prefix", prefix),
        ]
        if following is not None:
            query.append(("continuation-token", following))
        answer = self._wire.ask(Request("GET", "", tuple(query)))
        self._bucket_seen = True
        entries = []
        for text in _ENTRY.findall(answer.body):
            fields = dict(_FIELD.findall(text))
            key, size = _text(fields[b"Key"]), int(fields[b"Size"])
            entries.append(Entry(key, size, _text(fields[b"LastModified"])))
        token = _NEXT.search(answer.body)
        if token is None and _MORE.search(answer.body):
            msg = f"the object store at {self.address.origin} lists without an end"
            raise PermanentError(msg)
        return Page(entries, None if token is None else _text(token[1]))

    def listed(self, prefix: str) -> Iterator[Entry]:
        """Yield all objects below a prefix, in the order of their keys."""
        following = None
        while True:
            page = self.page(prefix, following)
            yield from page.entries
            following = page.following
            if following is None:
                return

    def _need_bucket(self) -> None:
        """Raise NotFound where it is the bucket that is not there."""
        if not self._bucket_seen:
            self.page("", limit=1)

    def _need_key(self, answer: Answer) -> None:
        """Raise where more is missing than the key that was asked for."""
        if answer.status == _ABSENT and answer.code not in _NO_KEY:
            raise refusal(self.address, answer.status, answer.code)

    def _need_size(self, key: str, offset: int) -> None:
        head = self.head(key)
        if head is None or head.size < offset:
            msg = f"{key} has fewer than {offset} bytes"
            raise Truncated(msg)

    def _counted(
        self, key: str, answer: Answer, blocks: Iterator[bytes], offset: int
    ) -> Iterator[bytes]:
        # Some servers answer a range with 200: what they say of it counts.
        length = answer.headers.get("content-length", "")
        said = answer.headers.get("content-range", "" if offset else "bytes 0-")
        match = _SPAN.match(said)
        if match is None or int(match[1]) != offset or not length.isdecimal():
            msg = f"the object store answers {key} with another range than was asked"
            raise Unavailable(msg)
        left = int(length)
        for block in blocks:
            left -= len(block)
            yield block
        if left:
            msg = f"{key} ended {left} bytes early"
            raise Truncated(msg)


def _putting(key: str, body: Body, digest: str, *, fresh: bool) -> Request:
    headers = {_META: digest, "x-amz-checksum-sha256": checksum(digest)}
    if fresh:
        headers["if-none-match"] = "*"
    # The digest is known before anything is sent: signing it costs no second hash.
    return Request("PUT", key, (), headers, *body, digest)


def _text(raw: bytes) -> str:
    return unescape(raw.decode("utf-8", "replace"))
