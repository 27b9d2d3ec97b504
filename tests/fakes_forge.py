"""An upstream in memory, and what tests give a real one to stand on."""

from __future__ import annotations

from contextlib import contextmanager
from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING, Any

from syncer.credentials import Secret
from syncer.endpoints import Host
from syncer.errors import NotFound, ProtocolError
from syncer.model.content import RefSnapshot
from syncer.model.runs import Probe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from syncer.model.names import RepoName
    from syncer.ports import Clock


def host(name: str, *, token: str | None = None, **settings: Any) -> Host:  # noqa: ANN401 - any key of `[host."NAME"]`
    """Return a host as the configuration makes it."""
    made = Host(**settings)
    made._name = name  # noqa: SLF001 - what reading the configuration does
    made._token = None if token is None else Secret(token)  # noqa: SLF001 - as above
    return made


class Capabilities:
    """Keeps what hosts can do, as the catalog does."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    def host_capabilities(self) -> dict[str, str]:
        """Return what is kept, by host."""
        return dict(self.kept)

    def store_capabilities(self, host: str, capabilities: str, at: datetime) -> None:
        """Keep what a host can do."""
        del at  # The text holds it too.
        self.kept[host] = capabilities


class FakeForge:
    """A `Forge` whose repositories are values; safe to use from many threads.

    `fail` makes the next probes raise; `probed` tells who was asked, in order.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = Lock()
        self._snapshots: dict[str, RefSnapshot] = {}
        self._failures: dict[str, Iterator[Exception]] = {}
        self.probed: list[RepoName] = []

    def publish(self, name: RepoName, snapshot: RefSnapshot) -> None:
        """Make upstream's repository what `snapshot` says."""
        with self._lock:
            self._snapshots[name.identity] = snapshot

    def remove(self, name: RepoName) -> None:
        """Let upstream have no such repository."""
        with self._lock:
            self._snapshots.pop(name.identity, None)

    def fail(self, name: RepoName, *errors: Exception) -> None:
        """Make the next probes of a repository raise, one error each."""
        with self._lock:
            self._failures[name.identity] = iter(errors)

    def probe(self, name: RepoName, scope: tuple[str, ...]) -> Probe:
        """Answer with what was published; see `Forge`."""
        started = self._clock.now()
        with self._lock:
            self.probed.append(name)
            error = next(self._failures.get(name.identity, iter(())), None)
            snapshot = self._snapshots.get(name.identity)
        if error is not None:
            raise error
        if snapshot is None:
            msg = f"upstream answers 404 for {name}: kept as it is"
            raise NotFound(msg)
        inside = RefSnapshot(
            {n: ref for n, ref in snapshot.upstream.items() if n.startswith(scope)},
            snapshot.head,
        )
        state = f"{inside.fingerprint} {inside.head}".encode()
        return Probe(
            digest=sha256(state).hexdigest(),
            asked=sha256("\n".join(scope).encode()).hexdigest()[:24],
            started=started,
            read=lambda: inside,
        )

    @contextmanager
    def pack(
        self, name: RepoName, want: Sequence[str], have: Sequence[str]
    ) -> Iterator[Iterator[bytes]]:
        """Refuse, as a host does that only git itself can fetch from."""
        del want, have
        msg = f"{name.host} is not known to speak protocol v2"
        raise ProtocolError(msg)
        yield iter(())
