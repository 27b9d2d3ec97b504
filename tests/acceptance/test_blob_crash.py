"""Killed, or without power, while blobs are stored: no visible blob is ever wrong.

After each point what lies below a blob's name is the blob; what was said to be
stored is there; and one more run stores the rest and leaves no part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.crash import blobs
from tests.crash.sweep import Sweep

if TYPE_CHECKING:
    from tests.crash.sweep import Point

pytestmark = pytest.mark.crash


def _check(point: Point) -> None:
    """Hold one cut world against the oracle."""
    told = set(point.result.output.split()) & set(blobs.BODIES)
    if not point.result.hit:
        assert told == set(blobs.BODIES), point.result
    for digest, body in blobs.BODIES.items():
        _is_whole(point, body, told=digest in told)
    store = blobs.wire(point.path)
    store.check()
    blobs.store(point.path)
    for digest, body in blobs.BODIES.items():
        found = store.find(digest)
        assert found is not None, point.result
        assert blobs.path(point.path, body).read_bytes() == body, point.result
    assert [b.digest for b in store.blobs()] == sorted(blobs.BODIES), point.result
    assert store.leftovers() == [], point.result


def _is_whole(point: Point, body: bytes, *, told: bool) -> None:
    """Check that a blob is there as a whole, or not yet; and there once told."""
    name = blobs.path(point.path, body)
    allowed: list[bytes | None] = [body]
    if not told:
        allowed.append(blobs.ROTTEN if body == blobs.DAMAGED else None)
    seen = name.read_bytes() if name.exists() else None
    assert seen in allowed, point.result


def _sweep(operation: str, mode: str) -> int:
    """Check all points, and return how many there were."""
    name = f"tests.crash.blobs:{operation}"
    with Sweep(name, blobs.prepare, disk_size=16 << 20) as sweep:
        points = sweep.points(sweep.count(mode))
        for number in points:
            with sweep.point(number, mode) as point:
                _check(point)
    return len(points)


@pytest.mark.parametrize(
    "mode",
    [
        "kill",
        pytest.param("power", marks=pytest.mark.power),
        "errno:28",
        "errno:5",
    ],
)
def test_a_blob_is_whole_or_absent_whenever_it_ends(mode: str) -> None:
    """Every single call may be the last, or fail."""
    assert _sweep("store", mode) > 30


@pytest.mark.parametrize(
    ("operation", "mode"),
    [
        pytest.param(
            name, mode, marks=[pytest.mark.power] if mode == "power" else [], id=name
        )
        for name, mode in blobs.MUTANTS.items()
    ],
)
def test_a_sweep_notices_deliberate_mistakes(operation: str, mode: str) -> None:
    """Each mistake breaks the oracle at one point at least, or proves it blind."""
    with pytest.raises(AssertionError):
        _sweep(operation, mode)
