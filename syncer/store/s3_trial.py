"""Objects that belong to no blob: to see what a server does, and how fast.

They lie below `probe/`, where no blob can be, and are removed by who made them.
"""

from __future__ import annotations

import secrets
import zlib
from base64 import b64encode
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from syncer.errors import PermanentError, SyncerError
from syncer.store.s3_client import Begun, Part
from syncer.store.s3_http import Request
from syncer.store.s3_objects import Body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from syncer.store.s3_bucket import Bucket
    from syncer.store.s3_http import Wire

_TEXT = b"what does this server do?\n"


class Ability(NamedTuple):
    """Something a server does or does not; blobs need it if `needed`."""

    what: str
    needed: bool
    #: Why not; empty when it does.
    reason: str = ""

    @property
    def is_there(self) -> bool:
        """Whether the server does it."""
        return not self.reason


class Scratch:
    """Objects of one bucket that are nobody's blobs.  Usable from many threads."""

    def __init__(self, bucket: Bucket, wire: Wire) -> None:
        self._bucket = bucket
        self._wire = wire

    @property
    def origin(self) -> str:
        """The address that requests go to."""
        return self._bucket.address.origin

    def headers(self) -> Mapping[str, str]:
        """Return the headers of an answer of the bucket's: its date is among them."""
        query = (("list-type", "2"), ("max-keys", "1"), ("prefix", ""))
        return self._wire.ask(Request("GET", "", query)).headers

    def key(self) -> str:
        """Return a key that nobody has."""
        return f"{self._bucket.address.prefix}probe/{secrets.token_hex(8)}"

    def put(self, key: str, blocks: Sequence[bytes], digest: str) -> None:
        """Store an object by one request, as blobs are stored."""
        body = Body(blocks, sum(map(len, blocks)))
        self._bucket.objects.put(key, body, digest, fresh=False)

    def get(self, key: str) -> int:
        """Read an object and return its length."""
        with self._bucket.objects.read(key) as blocks:
            return sum(map(len, blocks))

    def delete(self, key: str) -> None:
        """Remove an object; that it is not there is no error."""
        self._bucket.objects.delete(key)

    def abilities(self) -> Iterator[Ability]:
        """Yield what the server does of what we ask of servers.

        Raises:
            SyncerError: it takes no object at all.
        """
        key, digest = self.key(), sha256(_TEXT).hexdigest()
        try:
            self.put(key, [_TEXT], digest)
            yield Ability("put", needed=True)
            yield _tried("metadata", lambda: self._look(key, digest))
            yield _tried("range", lambda: self._range(key))
            yield _tried("list", lambda: self._listed(key))
            yield _tried("multipart", self._multipart)
            yield _tried("copy", lambda: self._copy(key, digest))
        finally:
            self.delete(key)
        yield _tried("delete", lambda: self._gone(key))
        found = self._bucket.capabilities()
        yield _optional("conditional put", is_there=found.conditional)
        yield _optional("checksum refused", is_there=found.checks_bodies)

    def _look(self, key: str, digest: str) -> None:
        head = self._bucket.objects.head(key)
        if head is None or head.size != len(_TEXT) or head.digest != digest:
            _fail("HEAD does not show what was put")

    def _range(self, key: str) -> None:
        with self._bucket.objects.read(key, 5) as blocks:
            if b"".join(blocks) != _TEXT[5:]:
                _fail("a range has other bytes")

    def _listed(self, key: str) -> None:
        if all(each.key != key for each in self._bucket.objects.page(key).entries):
            _fail("what was put is not listed")

    def _multipart(self) -> None:
        """Put an object together of one part, and abort another."""
        key, digest = self.key(), sha256(_TEXT).hexdigest()
        multipart = self._bucket.multipart
        crc = b64encode(zlib.crc32(_TEXT).to_bytes(4, "big")).decode()
        begun: list[Begun] = []
        try:
            begun.append(Begun(key, first := multipart.begin(key, digest)))
            begun.append(Begun(key, multipart.begin(key, digest)))
            body = Body([_TEXT], len(_TEXT))
            etag = self._bucket.objects.put_part(key, first, 1, body, crc)
            part = Part(1, len(_TEXT), etag, crc)
            multipart.complete(key, first, [part], fresh=False)
            self._look(key, digest)
        finally:
            for each in begun:
                with suppress(SyncerError):
                    multipart.abort(each)
            self.delete(key)

    def _copy(self, key: str, digest: str) -> None:
        head, target = self._bucket.objects.head(key), self.key()
        try:
            self._bucket.multipart.copy(key, head.etag if head else "", target, digest)
            self._look(target, digest)
        finally:
            self.delete(target)

    def _gone(self, key: str) -> None:
        if self._bucket.objects.head(key) is not None:
            _fail("what was deleted is still there")


def _tried(what: str, step: Callable[[], object]) -> Ability:
    try:
        step()
    except SyncerError as exc:
        return Ability(what, needed=True, reason=str(exc))
    return Ability(what, needed=True)


def _optional(what: str, *, is_there: bool) -> Ability:
    return Ability(what, needed=False, reason="" if is_there else "not done")


def _fail(why: str) -> None:
    raise PermanentError(why)
