"""Storing blobs in a directory, as an operation to cut; and two mistakes in it."""

from __future__ import annotations

import sys
from hashlib import sha256
from typing import TYPE_CHECKING

from syncer.durable import sync_directory
from syncer.model.blobs import blob_key
from syncer.store.directory import DirectoryStore
from syncer.store.parts import Part

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from syncer.store.parts import PartWriter

#: A new blob, one whose beginning is there, one that is there and damaged.
FRESH = b"fresh\n" * 1000
RESUMED = b"resumed\n" * 1000
DAMAGED = b"damaged\n" * 1000
#: One whose beginning is there, and whose digest is not known before its end.
UNNAMED = b"unnamed\n" * 1000
BODIES: Mapping[str, bytes] = {
    sha256(body).hexdigest(): body for body in (FRESH, RESUMED, DAMAGED, UNNAMED)
}
_TICKET = sha256(b"ticket").hexdigest()
#: What lies where `DAMAGED` should.
ROTTEN = b"rotten\n" * 1000
_STEP = 2000


def wire(world: Path) -> DirectoryStore:
    """Return the store of a world."""
    return DirectoryStore(world / "blobs", world / "incoming")


def path(world: Path, body: bytes) -> Path:
    """Return where a blob lies."""
    return world / "blobs" / blob_key(sha256(body).hexdigest())


def prepare(world: Path) -> None:
    """Make a store with the parts of two blobs, and with another that is rotten."""
    store = wire(world)
    store.check()
    with store.write(sha256(RESUMED).hexdigest(), len(RESUMED)) as writer:
        writer.write(RESUMED[:_STEP])
    with store.receive(_TICKET, len(UNNAMED)) as writer:
        writer.write(UNNAMED[:_STEP])
    rotten = path(world, DAMAGED)
    rotten.parent.mkdir(parents=True)
    rotten.write_bytes(ROTTEN)


def store(world: Path) -> None:
    """Store all blobs, and say of each that it is stored."""
    there = wire(world)
    there.check()
    for digest, body in BODIES.items():
        with _opened(there, digest, body) as writer:
            for begin in range(writer.offset, len(body), _STEP):
                writer.write(body[begin : begin + _STEP])
            writer.commit()
        sys.stdout.write(f"{digest}\n")
        sys.stdout.flush()


def _opened(
    there: DirectoryStore, digest: str, body: bytes
) -> AbstractContextManager[PartWriter]:
    if body == UNNAMED:
        return there.receive(_TICKET, len(body))
    return there.write(digest, len(body), replace=body == DAMAGED)


def _patched(**methods: Callable[..., None]) -> Callable[[Path], None]:
    """Return the operation with methods of `Part` replaced."""

    def operation(world: Path) -> None:
        for name, method in methods.items():
            setattr(Part, name, method)
        store(world)

    return operation


def _never(_part: Part) -> None:
    """Leave the bytes to the kernel."""


_sync, _rename = Part.sync, Part.rename


def _rename_first(part: Part, name: Path) -> None:
    """Give the name, durably, and only then make the bytes durable."""
    _rename(part, name)
    sync_directory(name.parent)
    _sync(part)


#: Makes the mistake of naming a file whose bytes are not on the disk.
store_unsynced = _patched(sync=_never)
#: Makes the mistake of doing the right things in the wrong order.
store_renamed_first = _patched(sync=_never, rename=_rename_first)


def store_in_place(world: Path) -> None:
    """Make the mistake of writing where readers look."""
    for digest, body in BODIES.items():
        name = path(world, body)
        name.parent.mkdir(parents=True, exist_ok=True)
        with name.open("wb", buffering=0) as file:
            for begin in range(0, len(body), _STEP):
                file.write(body[begin : begin + _STEP])
        sys.stdout.write(f"{digest}\n")
        sys.stdout.flush()


#: By name: how the sweep cuts that shows it.
MUTANTS: Mapping[str, str] = {
    "store_unsynced": "power",
    "store_renamed_first": "power",
    "store_in_place": "kill",
}
