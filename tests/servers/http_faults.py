"""What a git server does wrong, as values, and when.

Faults come from the test (`GitServer.fault`) or from the repository itself: a
bare repository may hold a `fault.json`, a list of objects such as
`{"match": "git-upload-pack .*command=fetch", "truncate": 1000, "times": 1}`.
"""

from __future__ import annotations

import json
import re
import struct
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came.

    `line` is what fault patterns are searched in: method, path with its query,
    and, of protocol v2, `command=ls-refs` or `command=fetch`.  `connection`
    tells requests on one kept-alive connection from others.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    time: float
    connection: int
    command: str = ""

    @property
    def line(self) -> str:
        """The request in one line."""
        target = f"{self.path}?{self.query}" if self.query else self.path
        command = f" command={self.command}" if self.command else ""
        return f"{self.method} {target}{command}"


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to go wrong; what is left at its default goes right.

    A fault with a `status` or a `body` answers in git's place; the others spoil
    git's own answer.  Offsets count bytes of the body.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | str | None = None
    #: `accept`: never answer; `headers`: stop after them; a number: in the body.
    hang: Literal["accept", "headers"] | int | None = None
    #: The connection ends here, as if the server had died.
    truncate: int | None = None
    #: The body ends here, and the answer is well-formed.
    short: int | None = None
    #: The connection is reset here; 0 is before the headers.
    reset: int | None = None
    #: The lowest bit of the byte here is inverted.
    flip: int | None = None
    #: The body goes on for ever with these bytes, after git's.
    endless: bytes | str | None = None
    #: Bytes and seconds: so much is sent, then nothing for so long.
    drip: tuple[int, float] | None = None
    content_type: str | None = None
    #: `close` ends the body with the connection, without length or chunks;
    #: None is a length where git tells one, else chunks.
    framing: Literal["chunked", "close", "length"] | None = None

    @property
    def answers(self) -> bool:
        """Whether git is not asked at all."""
        return self.status is not None or self.body is not None

    @property
    def payload(self) -> bytes:
        """The body that stands in git's place."""
        if self.body is None:
            return f"{self.status}\n".encode()
        return self.body if isinstance(self.body, bytes) else self.body.encode()


def status(code: int, **headers: str) -> Fault:
    """Answer with a status; `retry_after="2"` is the header `Retry-After`."""
    named = {name.replace("_", "-").title(): text for name, text in headers.items()}
    return Fault(status=code, headers=named)


def redirect(url: str, code: int = 301) -> Fault:
    """Send the client elsewhere."""
    return Fault(status=code, headers={"Location": url})


def html_page() -> Fault:
    """Answer 200 with a page for people, as captive portals do."""
    page = "<!DOCTYPE html><html><title>Sign in</title><p>Welcome</html>\n"
    return Fault(status=200, body=page, content_type="text/html; charset=utf-8")


def garbage(length: int = 4096) -> Fault:
    """Answer 200, with git's content type, bytes that are not git's."""
    return Fault(body=bytes((7 * n * n + 13) % 251 for n in range(length)))


def endless_pack() -> Fault:
    """Answer a protocol v2 fetch with one blob that never ends, zeros in a pack.

    What arrives is right as far as it goes: stored deflate blocks (RFC 1951) of
    an object that claims 2^62 bytes.  Only a limit of the client's ends it.
    """
    # Type blob and the size, 4 and then 7 bits a byte, lowest first.
    size = b"\xb0" + b"\x80" * 8 + b"\x04"
    head = b"PACK" + struct.pack(">II", 2, 1) + size + b"\x78\x01"
    length = 65_000
    block = struct.pack("<BHH", 0, length, length ^ 0xFFFF) + bytes(length)
    body = b"000dpackfile\n" + _band_one(head)
    return Fault(body=body, endless=_band_one(block))


def _band_one(data: bytes) -> bytes:
    """Return a pkt-line on the side band that carries packs."""
    return b"%04x\x01%b" % (len(data) + 5, data)


@dataclass(slots=True)
class _Rule:
    match: Callable[[Request], bool]
    fault: Fault
    times: int | None
    skip: int
    seen: int = 0

    def take(self, request: Request) -> Fault | None:
        if not self.match(request):
            return None
        self.seen += 1
        turn = self.seen - self.skip
        return self.fault if turn > 0 and turn <= (self.times or turn) else None


class Faults:
    """The faults of one server; safe to use from its threads and the test's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[_Rule] = []
        self._stored: Counter[tuple[str, int, int]] = Counter()

    def add(
        self,
        match: str | Callable[[Request], bool],
        fault: Fault,
        times: int | None = None,
        skip: int = 0,
    ) -> None:
        """Spoil requests that match, after the first `skip`, `times` times.

        A string is a regular expression, searched in `Request.line`.
        """
        rule = _Rule(_matcher(match), fault, times, skip)
        with self._lock:
            self._rules.append(rule)

    def clear(self) -> None:
        """Forget the faults that tests added; stored ones stay."""
        with self._lock:
            self._rules.clear()

    def choose(self, request: Request, repository: Path | None) -> Fault | None:
        """Return what goes wrong with this request, None for nothing."""
        with self._lock:
            for rule in self._rules:
                if (fault := rule.take(request)) is not None:
                    return fault
            return self._choose_stored(request, repository) if repository else None

    def _choose_stored(self, request: Request, repository: Path) -> Fault | None:
        file = repository / "fault.json"
        try:
            changed = file.stat().st_mtime_ns
            entries = json.loads(file.read_bytes())
        except FileNotFoundError:
            return None
        for index, entry in enumerate(entries):
            match, times = entry.pop("match", ""), entry.pop("times", None)
            if re.search(match, request.line) is None:
                continue
            turn = (str(file), changed, index)
            self._stored[turn] += 1
            if times is None or self._stored[turn] <= times:
                return Fault(**entry)
        return None


def _matcher(match: str | Callable[[Request], bool]) -> Callable[[Request], bool]:
    if not isinstance(match, str):
        return match
    pattern = re.compile(match)
    return lambda request: pattern.search(request.line) is not None
