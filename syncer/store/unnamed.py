"""A blob on its way into a directory, whose digest only its bytes will tell."""

from __future__ import annotations

import secrets
from functools import cache
from hashlib import sha256
from pathlib import Path

from syncer.model.blobs import Blob
from syncer.store.parts import PartWriter

_BOOT = Path("/proc/sys/kernel/random/boot_id")


class UnnamedPartWriter(PartWriter):
    """An `UnnamedWriter` into a part, which bears the name of its ticket."""

    def seal(self) -> str:
        """Return the digest of what is here, once all bytes are."""
        return self._found()

    def commit(self) -> Blob:
        """Make the blob visible below its digest, durably."""
        return self._shown_as(Blob(self.seal(), self._blob.size))


def mark_of(size: int) -> str:
    """Return the mark of the parts that a transfer of `size` bytes may continue.

    After a power cut a part may have bytes that nobody sent, and here no digest
    would tell: one of another boot is never continued, it is swept when stale.
    """
    return sha256(f"{size} {_boot()}".encode()).hexdigest()[:16]


@cache
def _boot() -> str:
    """Return the kernel's name of this boot (random(4)).

    Where it has none: one of this process, which then continues only its own.
    """
    try:
        return _BOOT.read_text("ascii").strip()
    except OSError:
        return secrets.token_hex(16)
