"""One git command and how it ended: plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import timedelta
    from pathlib import Path


class Holder(Protocol):
    """A lease that git's processes inherit and that knows who they are."""

    @property
    def fd(self) -> int:
        """The locked descriptor."""

    def note(self, process_group: int | None) -> None:
        """Remember the group that works under the lease, None when it ended."""


@dataclass(frozen=True)
class Call:
    """One git command: what to run, where, and with which limits."""

    args: Sequence[str]
    repository: Path | None = None
    stdin: bytes = b""
    #: Fed to stdin as it comes, instead of `stdin`.
    source: Iterator[bytes] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    config: Sequence[tuple[str, str]] = ()
    holder: Holder | None = None
    timeout: timedelta | None = None
    #: Nothing heard on stderr for this long before the first line: hung.
    first_word: timedelta | None = None
    on_stderr: Callable[[str], None] | None = None
    #: Gets stdout as it comes, and nobody keeps it: for more than fits in memory.
    on_stdout: Callable[[bytes], object] | None = None
    #: No file it writes may be larger than this; None: as for all calls.
    room: int | None = None
    check: bool = True


@dataclass(frozen=True)
class Completed:
    """How a git command ended."""

    status: int
    stdout: bytes
    stderr: str
