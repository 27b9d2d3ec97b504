"""What a GitHub does wrong: as an asset's own bytes say, or as a test says.

An asset that begins with a line such as `fault:truncate-at=1000,times=2` is sent
as that line says, the first two times:

- `truncate-at=N`: the connection ends after N bytes of the body
- `short=N`: the body ends there, and the answer is well-formed
- `reset-at=N`, `hang-at=N`: it is reset, or stands still
- `wrong-bytes`: one bit of the last byte is another one
- `slow=BYTES@SECONDS`: so much, then nothing for so long
- `status=503`, with `retry-after=S`: refused
- `html`: a page for people, and 200
- `expired`: the signed address does not count any more
- `too-long`: one byte more than there is, `chunked` so that no length tells

Without `times` it is so every time.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from tests.servers.http_faults import Fault, html_page, status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.servers.github_releases import GitHubAsset

_PREFIX = b"fault:"
_LONGEST = 256
_LINE = re.compile(r"fault:([a-z]+(?:-[a-z]+)*)(?:=([^,\n]*))?((?:,[^,\n]+)*)")

#: What a test may ask for: how an answer goes wrong without being another one.
How: TypeAlias = 'Literal["primary", "secondary", "html", "json", "cut", "reset"]'


@dataclass(frozen=True, slots=True)
class ContentFault:
    """What the first line of an asset says of how it is sent."""

    kind: str
    value: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def times(self) -> int | None:
        """How often; None is always."""
        return int(self.options["times"]) if "times" in self.options else None

    def wire(self, left: int) -> Fault:
        """Return what happens to an answer whose body has `left` bytes."""
        make = _WIRES.get(self.kind)
        assert make is not None, f"there is no fault {self.kind!r}"
        return make(self, left)


def _refused(fault: ContentFault, _left: int) -> Fault:
    after = fault.options.get("retry-after")
    named = {} if after is None else {"retry_after": after}
    return status(int(fault.value), **named)


def _slow(fault: ContentFault, _left: int) -> Fault:
    size, _, pause = fault.value.partition("@")
    return Fault(drip=(int(size), float(pause)))


def _framed(fault: ContentFault, _left: int) -> Fault:
    return Fault(framing="chunked" if "chunked" in fault.options else None)


_WIRES: dict[str, Callable[[ContentFault, int], Fault]] = {
    "truncate-at": lambda fault, _: Fault(truncate=int(fault.value)),
    "short": lambda fault, _: Fault(short=int(fault.value), framing="chunked"),
    "reset-at": lambda fault, _: Fault(reset=int(fault.value)),
    "hang-at": lambda fault, _: Fault(hang=int(fault.value)),
    "wrong-bytes": lambda _, left: Fault(flip=left - 1),
    "slow": _slow,
    "status": _refused,
    "html": lambda _fault, _left: html_page(),
    "expired": _framed,
    "too-long": _framed,
}


def written_in(asset: GitHubAsset) -> ContentFault | None:
    """Return the fault that an asset's bytes begin with."""
    content = asset.content if asset.sends is None else asset.sends
    if not isinstance(content, bytes) or not content.startswith(_PREFIX):
        return None
    line = content[:_LONGEST].split(b"\n", 1)[0].decode()
    match = _LINE.fullmatch(line)
    assert match is not None, f"not a fault: {line}"
    options = dict(
        each.partition("=")[::2] for each in match[3].removeprefix(",").split(",")
    )
    return ContentFault(match[1], match[2] or "", options)


class ContentFaults:
    """Counts how often each asset went wrong."""

    def __init__(self) -> None:
        self._seen: Counter[int] = Counter()
        self._lock = threading.Lock()

    def choose(self, asset: GitHubAsset) -> ContentFault | None:
        """Return what goes wrong with this download, None for nothing."""
        found = written_in(asset)
        if found is None:
            return None
        with self._lock:
            self._seen[asset.id] += 1
            again = found.times is None or self._seen[asset.id] <= found.times
            return found if again else None


@dataclass(slots=True)
class Failure:
    """Calls that a test wants to fail."""

    what: str
    page: int | None
    status: int
    how: How | None
    headers: Mapping[str, str]
    times: int | None
    skip: int
    seen: int = 0

    @property
    def refuses(self) -> bool:
        """Whether it is an answer of its own, and not the right one gone wrong."""
        return self.how not in {"cut", "reset"}

    def take(self, what: str, page: int) -> bool:
        """Count one call, and return whether it fails."""
        if self.what not in {what, "*"} or self.page not in {None, page}:
            return False
        self.seen += 1
        turn = self.seen - self.skip
        return turn > 0 and (self.times is None or turn <= self.times)


class Failures:
    """The failures that a test asked for, in its order."""

    def __init__(self) -> None:
        self._all: list[Failure] = []
        self._lock = threading.Lock()

    def add(self, failure: Failure) -> None:
        """Let calls fail from now on."""
        with self._lock:
            self._all.append(failure)

    def clear(self) -> None:
        """Take them all back."""
        with self._lock:
            self._all.clear()

    def choose(self, what: str, page: int) -> Failure | None:
        """Return what one call fails with."""
        with self._lock:
            return next((each for each in self._all if each.take(what, page)), None)


def wire_of(how: How | None) -> Fault:
    """Return what happens to an answer on the wire."""
    match how:
        case "html":
            return html_page()
        case "json":
            body = b'{"id": 1, "name": '
            return Fault(status=200, body=body, content_type="application/json")
        case "cut":
            return Fault(truncate=20)
        case "reset":
            return Fault(reset=0)
    return Fault()
