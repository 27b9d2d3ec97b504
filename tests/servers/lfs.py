"""The LFS side of a git server: batch API, object storage, uploads.

Implements git-lfs's docs/api/batch.md and basic-transfers.md as far as clients
use them.  Objects are bytes, or made up while they are sent, so that 20 GiB
need neither disk nor memory.  What goes wrong on the wire is `GitServer.fault`'s
business; what a server may say wrong is here.
"""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256, shake_256
from itertools import count
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from syncer.model.lfs import LfsPointer
from tests.servers.http_backend import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.servers.http_body import Body
    from tests.servers.http_faults import Request

TYPE = "application/vnd.git-lfs+json"
#: What the addresses of objects begin with.
STORAGE = "/lfs-objects/"
BLOCK = 1 << 20
_API = re.compile(r"/(?P<name>[^/]+/[^/]+?)(?:\.git)?/info/lfs/(?P<what>.*)")
_OBJECT = re.compile(rf"{STORAGE}(?P<name>[^/]+/[^/]+)/(?P<oid>[0-9a-f]{{64}})")
_RANGE = re.compile(r"bytes=([0-9]+)-")

Document: TypeAlias = "dict[str, Any]"


@dataclass(frozen=True)
class Generated:
    """Bytes that depend on nothing but `seed` and their place."""

    seed: int
    size: int

    def blocks(self, start: int = 0) -> Iterator[bytes]:
        """Yield the bytes from `start` on."""
        noise = _noise(self.seed)
        for number in range(start // BLOCK, -(-self.size // BLOCK)):
            begin = number * BLOCK
            low, high = max(start - begin, 0), min(self.size - begin, BLOCK)
            label = number.to_bytes(8, "big")
            if low < len(label):
                yield label[low:high]
            if high > len(label):
                yield noise[max(low, len(label)) : high]

    @property
    def pointer(self) -> LfsPointer:
        """The digest and length; a second for each 2 GiB, the first time."""
        return LfsPointer(_digest(self), self.size)


@lru_cache(maxsize=4)
def _noise(seed: int) -> bytes:
    return shake_256(str(seed).encode()).digest(BLOCK)


@lru_cache(maxsize=1024)
def _digest(content: Generated) -> str:
    hasher = sha256()
    for block in content.blocks():
        hasher.update(block)
    return hasher.hexdigest()


class Lfs:
    """Objects by repository, and how they are granted and sent.

    Two servers may share one: then the storage is on another host.
    """

    def __init__(self) -> None:
        #: The address objects are granted at; None is the server that is asked.
        self.storage: str | None = None
        #: Sent with each grant, and asked for by the storage.
        self.header: dict[str, str] = {}
        #: `expires_in` of each grant, in seconds.
        self.lifetime: int | None = None
        #: Requests that one grant is good for.
        self.uses: int | None = None
        #: Objects in one batch; more are answered 413.
        self.limit: int | None = None
        #: What is said of single objects: code and message by oid.
        self.refusals: dict[str, tuple[int, str]] = {}
        #: What answers to ranges are like.
        self.ranges: Literal["yes", "no", "wrong", "refused"] = "yes"
        #: Changes a batch reply before it is sent.
        self.rewrite: Callable[[Document], object] = lambda document: document
        #: Bytes of objects that were sent, in all; at most a block too many.
        self.sent = 0
        #: Told of `sent` before each block goes out.
        self.on_sent: Callable[[int], object] = lambda _: None
        self._contents: dict[tuple[str, str], bytes | Generated] = {}
        self._grants: dict[str, int] = {}
        self._numbers = count(1)
        self._lock = threading.Lock()

    def add(self, name: str, data: bytes) -> LfsPointer:
        """Have an object of `OWNER/NAME`."""
        pointer = LfsPointer(sha256(data).hexdigest(), len(data))
        self._contents[name.lower(), pointer.oid] = data
        return pointer

    def generate(self, name: str, seed: int, size: int) -> LfsPointer:
        """Have an object that is made up while it is sent."""
        content = Generated(seed, size)
        self._contents[name.lower(), content.pointer.oid] = content
        return content.pointer

    def replace(self, name: str, oid: str, data: bytes) -> None:
        """Send other bytes for an object than its digest is of."""
        self._contents[name.lower(), oid] = data

    def remove(self, name: str, oid: str) -> None:
        """Lose an object."""
        del self._contents[name.lower(), oid]

    def objects(self, name: str) -> dict[str, bytes | Generated]:
        """Return the objects of `OWNER/NAME`, by oid."""
        mine = dict(self._contents)
        return {
            oid: data for (owner, oid), data in mine.items() if owner == name.lower()
        }

    def revoke(self) -> None:
        """Let every grant so far be refused."""
        with self._lock:
            self._grants.clear()

    def serves(self, path: str) -> bool:
        """Return whether a request is for LFS, not for git."""
        return path.startswith(STORAGE) or _API.fullmatch(path) is not None

    def answer(self, request: Request, body: Body, url: str, *, known: bool) -> Answer:
        """Answer a request to the server at `url`; `known` repositories exist."""
        if (found := _OBJECT.fullmatch(request.path)) is not None:
            return self._storage(request, body, found["name"].lower(), found["oid"])
        api = _API.fullmatch(request.path)
        if api is None or not known or api["what"] != "objects/batch":
            return _said(404, "Not found")
        asked = json.loads(b"".join(iter(body.read, b"")))
        if self.limit is not None and len(asked["objects"]) > self.limit:
            return _said(413, f"more than {self.limit} objects")
        return self._batch(asked, api["name"].lower(), self.storage or url)

    def _batch(self, asked: Document, name: str, storage: str) -> Answer:
        operation = asked["operation"]
        entries = [self._entry(o, operation, name, storage) for o in asked["objects"]]
        reply = {"transfer": "basic", "objects": entries, "hash_algo": "sha256"}
        changed = self.rewrite(reply)
        data = changed if isinstance(changed, bytes) else json.dumps(changed).encode()
        return Answer(200, [("Content-Type", TYPE), _length(len(data))], iter([data]))

    def _entry(
        self, wanted: Document, operation: str, name: str, storage: str
    ) -> Document:
        entry = {"oid": wanted["oid"], "size": wanted["size"]}
        content = self._contents.get((name, wanted["oid"]))
        if wanted["oid"] in self.refusals:
            code, message = self.refusals[wanted["oid"]]
            return entry | {"error": {"code": code, "message": message}}
        if operation == "upload" and content is not None:
            return entry  # There is nothing to do.
        if operation == "download" and content is None:
            return entry | {"error": {"code": 404, "message": "Object does not exist"}}
        action: Document = {"href": self._grant(name, wanted["oid"], storage)}
        more = {"header": self.header, "expires_in": self.lifetime}
        action |= {key: value for key, value in more.items() if value}
        return entry | {"authenticated": True, "actions": {operation: action}}

    def _grant(self, name: str, oid: str, storage: str) -> str:
        with self._lock:
            grant = str(next(self._numbers))
            self._grants[grant] = 0
        return f"{storage}{STORAGE}{name}/{oid}?grant={grant}&signature=s3cret"

    def _storage(self, request: Request, body: Body, name: str, oid: str) -> Answer:
        if not self._may(request):
            return _said(403, "Request has expired")
        if request.method == "PUT":
            data = b"".join(iter(body.read, b""))
            if sha256(data).hexdigest() != oid:
                return _said(422, "another digest")
            self.add(name, data)
            return Answer(200, [_length(0)], iter(()))
        content = self._contents.get((name, oid))
        if content is None:
            return _said(404, "Not found")
        return self._sent(content, request.headers)

    def _may(self, request: Request) -> bool:
        grant = dict(part.partition("=")[::2] for part in request.query.split("&")).get(
            "grant", ""
        )
        with self._lock:
            if grant not in self._grants:
                return False
            self._grants[grant] += 1
            if self.uses is not None and self._grants[grant] > self.uses:
                return False
        sent = request.headers
        return all(sent.get(n.lower()) == value for n, value in self.header.items())

    def _sent(self, content: bytes | Generated, headers: Mapping[str, str]) -> Answer:
        size = len(content) if isinstance(content, bytes) else content.size
        asked = _RANGE.fullmatch(headers.get("range", ""))
        start = int(asked[1]) if asked and self.ranges != "no" else 0
        if start and (start >= size or self.ranges == "refused"):
            fields = [("Content-Range", f"bytes */{size}"), _length(0)]
            return Answer(416, fields, iter(()))
        # A range that is off by one, and says so.
        start += 1 if start and self.ranges == "wrong" else 0
        fields = [("Content-Type", "application/octet-stream"), _length(size - start)]
        if start:
            fields.append(("Content-Range", f"bytes {start}-{size - 1}/{size}"))
        blocks = self._counted(_cut(content, start))
        return Answer(206 if start else 200, fields, blocks)

    def _counted(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        for block in blocks:
            with self._lock:
                self.sent += len(block)
                sent = self.sent
            self.on_sent(sent)
            yield block


def _cut(content: bytes | Generated, start: int) -> Iterator[bytes]:
    if isinstance(content, Generated):
        yield from content.blocks(start)
        return
    for begin in range(start, len(content), BLOCK):
        yield content[begin : begin + BLOCK]


def _length(size: int) -> tuple[str, str]:
    return "Content-Length", str(size)


def _said(status: int, message: str) -> Answer:
    data = json.dumps({"message": message}).encode()
    return Answer(status, [("Content-Type", TYPE), _length(len(data))], iter([data]))
