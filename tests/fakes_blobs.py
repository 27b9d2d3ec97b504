"""Blobs in memory: a store that passes the contract, and an LFS upstream."""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING

from syncer.errors import (
    Expired,
    IntegrityError,
    NotFound,
    Truncated,
)
from syncer.model.blobs import Blob, Leftover, blob_key, check_digest, digest_of
from syncer.model.lfs import BATCH, Grant, LfsEndpoint, LfsPointer, Refusal
from tests.fakes import FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from syncer.errors import SyncerError
    from syncer.model.lfs import BatchReply
    from syncer.model.names import RepoName

_BLOCK = 1 << 16


def digest_for(body: bytes) -> str:
    """Return the name of some bytes."""
    return sha256(body).hexdigest()


def pointer_to(body: bytes) -> LfsPointer:
    """Return the pointer that stands for some bytes in a repository."""
    return LfsPointer(digest_for(body), len(body))


@dataclass
class Disk:
    """What outlives a store in memory: its bodies by key, and its parts."""

    bodies: dict[str, bytes] = field(default_factory=dict)
    parts: dict[str, tuple[bytes, datetime]] = field(default_factory=dict)
    #: Keys of parts that somebody is adding to.
    busy: set[str] = field(default_factory=set)
    lock: Lock = field(default_factory=Lock)


class FakeBlobStore:
    """A `BlobStore` over a `Disk`, which other stores may share.

    `errors` holds, by method (a writer's are `block`, `seal` and `commit`), errors
    that the next calls raise, one each.  `journal` names each call and its digest:
    the ticket, of what is received, up to its commit.
    """

    def __init__(
        self, disk: Disk | None = None, clock: FakeClock | None = None
    ) -> None:
        self.disk = disk or Disk()
        self.errors: dict[str, list[SyncerError]] = {}
        self.journal: list[tuple[str, str]] = []
        #: Whether `survey` knows all digests; a real directory does not.
        self.surveyed = True
        self._clock = clock or FakeClock()

    def put(self, body: bytes) -> Blob:
        """Store some bytes at once, and return their blob."""
        digest = digest_for(body)
        self.disk.bodies[blob_key(digest)] = body
        return Blob(digest, len(body))

    def body(self, digest: str) -> bytes:
        """Return what is stored below a digest."""
        return self.disk.bodies[blob_key(digest)]

    def called(self, method: str) -> list[str]:
        """Return the digests that a method was called with."""
        return [digest for name, digest in self.journal if name == method]

    def check(self) -> None:
        """Raise what `errors` holds for it."""
        self._called("check")

    def find(self, digest: str) -> Blob | None:
        """Return a blob that is there and right."""
        self._called("find", digest)
        body = self.disk.bodies.get(blob_key(check_digest(digest)))
        if body is None or digest_for(body) != digest:
            return None
        return Blob(digest, len(body))

    def survey(self) -> frozenset[str] | None:
        """Return all digests, if it is to."""
        self._called("survey")
        if not self.surveyed:
            return None
        return frozenset(blob.digest for blob in self._visible())

    @contextmanager
    def write(
        self, digest: str, size: int, *, replace: bool = False
    ) -> Iterator[_Writer]:
        """Open a writer; it continues a part that nobody else adds to."""
        self._called("write", check_digest(digest))
        writer = _Writer(self, Blob(digest, size))
        with self._filled(writer, digest, replace=replace):
            yield writer

    @contextmanager
    def receive(self, ticket: str, size: int) -> Iterator[_UnnamedWriter]:
        """Open a writer; it continues a part of the same ticket and size."""
        self._called("receive", check_digest(ticket))
        writer = _UnnamedWriter(self, Blob(ticket, size))
        with self._filled(writer, f"{ticket} of {size}"):
            yield writer

    @contextmanager
    def _filled(
        self, writer: _Writer, key: str, *, replace: bool = False
    ) -> Iterator[None]:
        """Give a writer what is kept below a key, and keep what it leaves."""
        with self.disk.lock:
            alone = key not in self.disk.busy
            self.disk.busy.add(key)
            kept = self.disk.parts.pop(key, None) if alone else None
        if kept is not None and len(kept[0]) <= writer.size and not replace:
            writer.buffer += kept[0]
        try:
            yield
        except IntegrityError:
            writer.ended = True
            raise
        finally:
            with self.disk.lock:
                if alone:
                    self.disk.busy.discard(key)
                    if writer.buffer and not writer.ended:
                        part = (bytes(writer.buffer), self._clock.now())
                        self.disk.parts[key] = part

    @contextmanager
    def read(self, digest: str, *, offset: int = 0) -> Iterator[Iterator[bytes]]:
        """Open a blob's bytes from `offset` on."""
        self._called("read", digest)
        body = self.disk.bodies.get(blob_key(check_digest(digest)))
        if body is None:
            msg = f"blob {digest} is not in the store"
            raise NotFound(msg)
        yield _sliced(body, offset)

    def remove(self, digest: str) -> None:
        """Remove a blob."""
        self._called("remove", digest)
        self.disk.bodies.pop(blob_key(check_digest(digest)), None)

    def blobs(self) -> Iterator[Blob]:
        """Yield every blob, in the order of the digests."""
        self._called("blobs")
        yield from self._visible()

    def leftovers(self) -> list[Leftover]:
        """Return the parts."""
        self._called("leftovers")
        with self.disk.lock:
            return [
                Leftover(key, key[:64], len(body), since)
                for key, (body, since) in sorted(self.disk.parts.items())
            ]

    def discard(self, leftover: Leftover) -> None:
        """Remove a part."""
        self._called("discard", leftover.digest)
        with self.disk.lock:
            self.disk.parts.pop(leftover.place, None)

    def footprint(self, size: int) -> int:
        """Return what a store with parts of 64 MiB would hold."""
        return max(1, min(size, 64 << 20))

    def _visible(self) -> list[Blob]:
        with self.disk.lock:
            found = [(digest_of(k), len(b)) for k, b in self.disk.bodies.items()]
        return sorted(Blob(d, size) for d, size in found if d is not None)

    def _called(self, method: str, digest: str = "") -> None:
        self.journal.append((method, digest))
        waiting = self.errors.get(method)
        if waiting:
            raise waiting.pop(0)


class _Writer:
    """A `BlobWriter` into memory."""

    def __init__(self, store: FakeBlobStore, blob: Blob) -> None:
        self._store = store
        self._blob = blob
        self.buffer = bytearray()
        #: Visible, or wrong: there is nothing to continue.
        self.ended = False

    @property
    def offset(self) -> int:
        """Bytes that are here."""
        return len(self.buffer)

    @property
    def size(self) -> int:
        """Bytes that were declared."""
        return self._blob.size

    def write(self, block: bytes) -> None:
        """Add a block."""
        self._store._called("block", self._blob.digest)  # noqa: SLF001 - its own store
        if len(self.buffer) + len(block) > self._blob.size:
            self.ended = True
            msg = f"blob {self._blob.digest}: more came than was declared"
            raise IntegrityError(msg)
        self.buffer += block

    def commit(self) -> Blob:
        """Make the blob visible."""
        self._store._called("commit", self._blob.digest)  # noqa: SLF001 - as above
        body = bytes(self.buffer)
        if self.ended or Blob(digest_for(body), len(body)) != self._blob:
            self.ended = True
            msg = f"blob {self._blob.digest}: the bytes are wrong"
            raise IntegrityError(msg)
        self.ended = True
        self._store.disk.bodies[blob_key(self._blob.digest)] = body
        return self._blob


class _UnnamedWriter(_Writer):
    """An `UnnamedWriter` into memory."""

    def seal(self) -> str:
        """Return the digest of what is here, once all bytes are."""
        self._store._called("seal", self._blob.digest)  # noqa: SLF001 - as above
        return self._found()

    def commit(self) -> Blob:
        """Make the blob visible below its digest."""
        digest = self._found()
        self._store._called("commit", digest)  # noqa: SLF001 - as above
        self.ended = True
        return self._store.put(bytes(self.buffer))

    def _found(self) -> str:
        if self.ended or len(self.buffer) != self.size:
            self.ended = True
            msg = f"{self._blob.digest}: {len(self.buffer)} of {self.size} bytes came"
            raise IntegrityError(msg)
        return digest_for(bytes(self.buffer))


def _sliced(body: bytes, offset: int, block: int = _BLOCK) -> Iterator[bytes]:
    for begin in range(offset, len(body), block):
        yield body[begin : begin + block]


@dataclass(frozen=True)
class Cut:
    """A download that fails after some bytes, counted from its own beginning."""

    after: int
    error: SyncerError


class FakeLfsSource:
    """An `LfsSource` over `objects`, by oid; what is not there is refused.

    `bodies` replaces what is sent for an oid.  `cuts` and `batch_errors` hold
    what the next downloads of an oid, or the next batches, come to: one each.
    With `lifetime` (seconds), grants expire and are refused then.
    """

    def __init__(self, *bodies: bytes, clock: FakeClock | None = None) -> None:
        self.objects = {digest_for(body): body for body in bodies}
        self.bodies: dict[str, bytes] = {}
        self.refusals: dict[str, Refusal] = {}
        self.cuts: dict[str, deque[Cut]] = {}
        self.batch_errors: deque[SyncerError] = deque()
        self.lifetime: float | None = None
        self.block = _BLOCK
        #: What was asked for, in order.
        self.batches: list[list[LfsPointer]] = []
        self.opened: list[tuple[str, int]] = []
        self.open_now = 0
        self.most_open = 0
        self._clock = clock or FakeClock()
        self._lock = Lock()

    def add(self, body: bytes) -> LfsPointer:
        """Have an object, and return its pointer."""
        pointer = pointer_to(body)
        self.objects[pointer.oid] = body
        return pointer

    def cut(self, oid: str, after: int, error: SyncerError, times: int = 1) -> None:
        """Let the next downloads of an object fail after some bytes."""
        self.cuts.setdefault(oid, deque()).extend([Cut(after, error)] * times)

    def endpoint(self, name: RepoName, configured: str | None) -> LfsEndpoint:
        """Return the default place, with a note about any other."""
        note = f"{configured} is not asked" if configured is not None else None
        url = f"https://{name.host}/{name.owner}/{name.name}.git/info/lfs"
        return LfsEndpoint(url, note)

    def batch(
        self, name: RepoName, endpoint: LfsEndpoint, wanted: Sequence[LfsPointer]
    ) -> BatchReply:
        """Grant what is there at the size that is asked for, refuse the rest."""
        assert f"/{name.owner}/{name.name}.git" in endpoint.url
        assert 0 < len(wanted) <= BATCH
        with self._lock:
            self.batches.append(list(wanted))
            if self.batch_errors:
                raise self.batch_errors.popleft()
        return [self._answer(pointer) for pointer in wanted]

    def _answer(self, pointer: LfsPointer) -> Grant | Refusal:
        refusal = self.refusals.get(pointer.oid)
        if refusal is not None:
            return refusal
        body = self.objects.get(pointer.oid)
        if body is None:
            return Refusal(pointer, 404, "Object does not exist")
        if len(body) != pointer.size:
            return Refusal(pointer, 422, "Object has another size")
        expires = None
        if self.lifetime is not None:
            expires = self._clock.monotonic() + self.lifetime
        href = f"https://objects.test/{pointer.oid}"
        return Grant(pointer, href, {}, expires)

    @contextmanager
    def open(
        self, name: RepoName, grant: Grant, offset: int
    ) -> Iterator[Iterator[bytes]]:
        """Open an object's bytes from `offset` on."""
        assert name.host
        pointer = grant.pointer
        with self._lock:
            self.opened.append((pointer.oid, offset))
            cuts = self.cuts.get(pointer.oid)
            cut = cuts.popleft() if cuts else None
            self.open_now += 1
            self.most_open = max(self.most_open, self.open_now)
        try:
            yield self._sent(grant, offset, cut)
        finally:
            with self._lock:
                self.open_now -= 1

    def _sent(self, grant: Grant, offset: int, cut: Cut | None) -> Iterator[bytes]:
        """Return the blocks; what is refused before the first raises here."""
        oid, size = grant.pointer
        if offset == size:
            return iter(())  # nothing is left to ask for
        if grant.expires is not None and grant.expires < self._clock.monotonic():
            msg = "the grant has expired"
            raise Expired(msg)
        if cut is not None and cut.after == 0:
            raise cut.error
        body = self.bodies.get(oid, self.objects.get(oid))
        if body is None:
            msg = "the object's address says 404"
            raise NotFound(msg)
        return self._blocks(body, offset, size, cut)

    def _blocks(
        self, body: bytes, offset: int, size: int, cut: Cut | None
    ) -> Iterator[bytes]:
        end = size if cut is None else min(size, offset + cut.after)
        yield from _sliced(body[:end], offset, self.block)
        if cut is not None:
            raise cut.error
        if len(body) < size:
            msg = f"{len(body)} of {size} bytes came"
            raise Truncated(msg)
        if len(body) > size:
            msg = f"more than {size} bytes came"
            raise IntegrityError(msg)
