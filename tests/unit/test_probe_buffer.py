"""Unchanged probes, kept until they are worth a commit."""

from __future__ import annotations

from datetime import timedelta
from threading import Thread
from unittest.mock import patch

import pytest

from syncer.errors import CatalogBusy
from syncer.model.names import RepoName
from syncer.model.runs import ProbeResult
from syncer.sync.probes import BATCH, ProbeBuffer
from tests.fakes import NOW
from tests.fakes_catalog import FakeCatalog

MINUTE = timedelta(minutes=1)


@pytest.fixture
def catalog() -> FakeCatalog:
    """Return a catalog with as many mirrors as a batch has."""
    made = FakeCatalog()
    names = [RepoName("upstream.test", "acme", f"n{n}") for n in range(BATCH)]
    made.reconcile([(name, "normal") for name in names], NOW)
    return made


def probed(catalog: FakeCatalog) -> int:
    """Return how many mirrors the catalog knows to have been probed."""
    return sum(state.last_success is not None for state in catalog.states())


def test_results_wait(catalog: FakeCatalog) -> None:
    """Fewer than a batch are not written, but known."""
    buffer = ProbeBuffer(catalog)
    ids = [state.id for state in catalog.states()]

    for mirror_id in ids[:-1]:
        buffer.add(ProbeResult(mirror_id, NOW))

    assert probed(catalog) == 0
    assert buffer.pending() == dict.fromkeys(ids[:-1], NOW)


def test_a_full_batch_is_one_call(catalog: FakeCatalog) -> None:
    """The last result of a batch writes it, all at once."""
    buffer = ProbeBuffer(catalog)
    with patch.object(catalog, "flush_probes", wraps=catalog.flush_probes) as flush:
        for state in catalog.states():
            buffer.add(ProbeResult(state.id, NOW))

    assert flush.call_count == 1
    assert probed(catalog) == BATCH
    assert buffer.pending() == {}


def test_a_mirror_counts_once(catalog: FakeCatalog) -> None:
    """The latest probe of a mirror stands for all before it."""
    buffer = ProbeBuffer(catalog)
    mirror = catalog.states()[0]

    for step in range(3):
        buffer.add(ProbeResult(mirror.id, NOW + step * MINUTE))
    buffer.flush()

    assert catalog.state(mirror.name).last_success == NOW + 2 * MINUTE


def test_nothing_is_lost_when_the_catalog_is_busy(catalog: FakeCatalog) -> None:
    """What could not be written waits on, behind what came meanwhile."""
    buffer = ProbeBuffer(catalog)
    first, second = catalog.states()[:2]
    buffer.add(ProbeResult(first.id, NOW))
    buffer.add(ProbeResult(second.id, NOW))

    def busy(_: object) -> None:
        buffer.add(ProbeResult(first.id, NOW + MINUTE))
        msg = "locked"
        raise CatalogBusy(msg)

    with (
        patch.object(catalog, "flush_probes", side_effect=busy),
        pytest.raises(CatalogBusy),
    ):
        buffer.flush()

    assert buffer.pending() == {first.id: NOW + MINUTE, second.id: NOW}
    buffer.flush()
    assert catalog.state(first.name).last_success == NOW + MINUTE
    assert buffer.pending() == {}


def test_an_empty_flush_asks_nothing(catalog: FakeCatalog) -> None:
    """A quiet minute costs no commit."""
    with patch.object(catalog, "flush_probes", side_effect=AssertionError):
        ProbeBuffer(catalog).flush()


def test_many_threads_lose_nothing(catalog: FakeCatalog) -> None:
    """Whatever the order, each result is written or waits."""
    buffer = ProbeBuffer(catalog)
    ids = [state.id for state in catalog.states()]
    parts = [ids[start::8] for start in range(8)]

    def work(part: list[int]) -> None:
        for mirror_id in part:
            buffer.add(ProbeResult(mirror_id, NOW))

    threads = [Thread(target=work, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    buffer.flush()

    assert probed(catalog) == BATCH
