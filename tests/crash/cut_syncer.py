"""A warm `syncer` that dies where it is told: `python -m tests.crash.cut_syncer`.

Imports the program once.  Reads one order a line on standard input, JSON of
`Order`, and carries it out in a child; writes two lines for each: the child's
process id, and how it ended.  Ends at the end of its input.

What a run does to the outside are its events, each with a name: a block of an
object that arrived, a request to the object store, a step of a part file, a row.
"""

# ruff: noqa: ANN401  it stands before methods of others, and takes what they take
from __future__ import annotations

import gc
import json
import os
import re
import signal
import sys
import threading
from collections import Counter
from functools import wraps
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import boto3  # noqa: F401  imported by children otherwise

from syncer.catalog.index import SqlBlobIndex
from syncer.cli.main import main
from syncer.git.repository import Repository
from syncer.store.parts import Part, PartWriter
from syncer.store.s3 import S3Store
from syncer.store.s3_multipart import DirectWriter, StagedWriter
from tests.crash.orders import Order

if TYPE_CHECKING:
    from syncer.ports import BlobWriter
    from syncer.store.s3_address import S3Address

#: The kinds of keys; stores that are cut lie below `blobs/`.
_KEY = re.compile(r"/[^/]+/blobs/(?:(incoming)/[0-9a-f]{64}|(probe)/.*|(../../.{60}))")


class Events:
    """Counts what happens, and kills the process at the point."""

    def __init__(self, log: str, at: str) -> None:
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._at = at if "#" in at else f"{at}#1"
        self._turns: Counter[str] = Counter()
        self._lock = threading.Lock()

    def happen(self, name: str, told: object = "") -> None:
        """Note an event, and something of it; it may be the last."""
        with self._lock:
            self._turns[name] += 1
            turn = f"{name}#{self._turns[name]}"
            os.write(self._log, f"{turn} -> {told}\n".encode())
            if turn == self._at:
                os.kill(os.getpid(), signal.SIGKILL)
                signal.pause()

    def tell(self, owner: Any, method: str, name: str) -> None:
        """Have a method's beginning and its end be events."""
        original = getattr(owner, method)

        @wraps(original)
        def told(*args: Any, **named: Any) -> Any:
            self.happen(f"before {name}")
            result = original(*args, **named)
            self.happen(f"after {name}")
            return result

        setattr(owner, method, told)

    def patch(self) -> None:
        """Have what touches the outside tell of it."""
        for writer in (PartWriter, DirectWriter, StagedWriter):
            self._tell_block(writer)
        for method in ("sync", "rename"):
            self.tell(Part, method, method)
        for method in ("stored", "link", "release"):
            self.tell(SqlBlobIndex, method, method)
        self.tell(Repository, "promote", "promote")
        self._tell_requests()

    def _tell_block(self, writer: Any) -> None:
        original = writer.write

        @wraps(original)
        def write(self_: BlobWriter, block: bytes) -> None:
            self.happen("block", self_.offset + len(block))
            original(self_, block)

        writer.write = write

    def _tell_requests(self) -> None:
        # Whatever client the store has, it ends here.
        connections: Any = HTTPConnection
        endheaders, getresponse = connections.endheaders, connections.getresponse
        putrequest, putheader = connections.putrequest, connections.putheader

        @wraps(putrequest)
        def begin(
            connection: Any, method: str, url: str, *args: Any, **named: Any
        ) -> None:
            connection.asked = [method, url]
            putrequest(connection, method, url, *args, **named)

        @wraps(putheader)
        def add(connection: Any, name: str, *values: Any) -> None:
            connection.asked.append(name.lower())
            putheader(connection, name, *values)

        @wraps(endheaders)
        def send(connection: Any, *args: Any, **named: Any) -> None:
            connection.event = request_name(*connection.asked)
            if connection.event:
                self.happen(f"before {connection.event}")
            endheaders(connection, *args, **named)

        @wraps(getresponse)
        def hear(connection: Any, *args: Any, **named: Any) -> Any:
            answer = getresponse(connection, *args, **named)
            if connection.event:
                self.happen(f"after {connection.event}")
            return answer

        connections.putrequest, connections.putheader = begin, add
        connections.endheaders, connections.getresponse = send, hear


def request_name(method: str, url: str, *headers: str) -> str:
    """Return what a request to the object store does, empty for another server."""
    parts = urlsplit(url)
    match = _KEY.fullmatch(unquote(parts.path))
    if match is None:
        return ""
    kind = "staged" if match[1] else "probe" if match[2] else "final"
    query = parse_qs(parts.query, keep_blank_values=True)
    if "partNumber" in query:
        what = f"part {query['partNumber'][0]}"
    elif "uploads" in query:
        what = "begin"
    elif "uploadId" in query:
        what = {"POST": "complete", "DELETE": "abort", "GET": "parts"}[method]
    elif "x-amz-copy-source" in headers:
        what = "copy"
    else:
        what = method.lower()
    return f"{kind} {what}"


def carry_out(order: Order) -> int:
    """Run the command in this process, a child that nobody needs afterwards."""
    output = os.open(order.output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.chdir(order.place)
    os.environ.clear()
    os.environ.update(order.environ)

    original = S3Store.__init__

    @wraps(original)
    def begin(store: S3Store, address: S3Address, **named: Any) -> None:
        named |= {"part": order.part, "resumable": order.resumable}
        original(store, address, **named)

    stores: Any = S3Store
    stores.__init__ = begin
    Events(order.log, order.at).patch()
    try:
        return main(order.words)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def serve() -> None:
    """Carry out orders until there are no more."""
    # A command's output must not mix with ours.
    channel = os.dup(1)
    gc.freeze()
    for line in sys.stdin:
        order = Order(**json.loads(line))
        child = os.fork()
        if child == 0:
            # The interpreter ends as it does elsewhere: it may wait for threads.
            sys.exit(carry_out(order))
        os.write(channel, b"%d\n" % child)
        _, ended = os.waitpid(child, 0)
        os.write(channel, b"%d\n" % os.waitstatus_to_exitcode(ended))


if __name__ == "__main__":
    serve()
