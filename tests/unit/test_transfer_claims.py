"""Claims of many threads: one transaction for those that wait."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from syncer.errors import CatalogBusy
from syncer.limits import Room
from syncer.sync.transfer import AssetBook, LfsOrigin, TransferJob
from syncer.sync.transfer.claims import Claims
from syncer.sync.transfer.deposit import StoreFault
from syncer.sync.transfer.inhand import InHand
from syncer.sync.transfer.lanes import Lanes
from syncer.sync.transfer.means import Means
from tests.fakes import FakeClock
from tests.fakes_blobs import FakeBlobStore, FakeLfsSource, digest_for
from tests.fakes_index import FakeBlobIndex
from tests.transfers import ENDPOINT, LONG, NAME, NotedPace, in_background

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

DIGESTS = [digest_for(b"%d" % n) for n in range(6)]


class SlowIndex(FakeBlobIndex):
    """A `BlobIndex` whose first claim waits for `gate`, and may then fail."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.begun = threading.Event()
        self.asked: list[frozenset[str]] = []
        self.leaving: frozenset[str] = frozenset()
        #: What claims raise, the first of them first.
        self.errors: list[CatalogBusy | None] = []

    def claim(
        self, mirror_id: int, digests: Iterable[str], now: datetime
    ) -> frozenset[str]:
        """Note what is claimed; what is leaving is gone by the next look."""
        wanted = frozenset(digests)
        self.asked.append(wanted)
        self.begun.set()
        assert self.gate.wait(LONG)
        if self.errors and (error := self.errors.pop(0)) is not None:
            raise error
        leaving, self.leaving = wanted & self.leaving, self.leaving - wanted
        super().claim(mirror_id, wanted - leaving, now)
        return leaving


@pytest.fixture
def index() -> SlowIndex:
    """Return an index that holds the first claim back."""
    return SlowIndex()


@pytest.fixture
def claims(index: SlowIndex) -> Claims:
    """Return the claims of one run."""
    clock, stop = FakeClock(), threading.Event()
    source = LfsOrigin(FakeLfsSource(clock=clock), NAME, ENDPOINT)
    job = TransferJob(1, NAME, source, (), AssetBook({}))
    lanes, room = Lanes(1, lambda _: 1), Room(1 << 20, stop)
    store = FakeBlobStore(clock=clock)
    means = Means(store, index, clock, stop, room, NotedPace(), lanes, InHand())
    return Claims(means, job, lambda: None)


def waiting(claims: Claims, index: SlowIndex) -> list[Callable[[], None]]:
    """Claim each digest in a thread of its own; all but the first wait."""
    first = in_background(lambda: claims.make(DIGESTS[:1]))
    assert index.begun.wait(LONG)
    rest = [in_background(partial(claims.make, [d])) for d in DIGESTS[1:]]
    deadline = time.monotonic() + LONG
    while len(claims._asked) < len(rest):  # noqa: SLF001 - nothing else shows it
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return [first, *rest]


def test_claims_that_wait_share_a_transaction(claims: Claims, index: SlowIndex) -> None:
    """One for the first, one for the five that came meanwhile; all are relied on."""
    calls = waiting(claims, index)

    index.gate.set()
    for result in calls:
        result()

    assert index.asked == [frozenset(DIGESTS[:1]), frozenset(DIGESTS[1:])]
    assert index.claimed(DIGESTS) == set(DIGESTS)


def test_a_removal_is_waited_for_by_whom_it_concerns(
    claims: Claims, index: SlowIndex
) -> None:
    """Only the digest that was being removed is claimed once more."""
    index.leaving = frozenset(DIGESTS[3:4])
    calls = waiting(claims, index)

    index.gate.set()
    for result in calls:
        result()

    assert index.asked[2:] == [frozenset(DIGESTS[3:4])]
    assert index.claimed(DIGESTS) == set(DIGESTS)


def test_a_failed_transaction_fails_for_one(claims: Claims, index: SlowIndex) -> None:
    """Whose turn it was is told; the others try again, and lose nothing."""
    calls = waiting(claims, index)
    index.errors = [None, CatalogBusy("the database is locked")]

    index.gate.set()
    failed = 0
    for result in calls:
        try:
            result()
        except StoreFault:
            failed += 1

    assert failed == 1
    assert len(index.asked) == 3
    assert len(index.claimed(DIGESTS)) == len(DIGESTS) - 1
    assert index.asked[2] == index.claimed(DIGESTS) - frozenset(DIGESTS[:1])
