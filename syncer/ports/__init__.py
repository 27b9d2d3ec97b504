"""The seams: what `sync/` needs of the world, and what failure leaves behind.

Each port has a fake in `tests/fakes.py` and a contract in `tests/contracts/`
that the fake and every real adapter pass.
"""

from __future__ import annotations

from syncer.ports.api import ForgeApi
from syncer.ports.blobs import BlobStore, BlobWriter, UploadLog
from syncer.ports.catalog import Catalog, ProbeLog
from syncer.ports.index import BlobIndex
from syncer.ports.lfs import LfsSource
from syncer.ports.notices import Channel
from syncer.ports.operations import Operations
from syncer.ports.releases import ReleaseIndex
from syncer.ports.sinks import ProgressSink
from syncer.ports.store import BareRepository, GitStore
from syncer.ports.transfer import Source
from syncer.ports.upstream import Forge, PackSource
from syncer.ports.work import Clock, Runner, WorkQueue

__all__ = [
    "BareRepository",
    "BlobIndex",
    "BlobStore",
    "BlobWriter",
    "Catalog",
    "Channel",
    "Clock",
    "Forge",
    "ForgeApi",
    "GitStore",
    "LfsSource",
    "Operations",
    "PackSource",
    "ProbeLog",
    "ProgressSink",
    "ReleaseIndex",
    "Runner",
    "Source",
    "UploadLog",
    "WorkQueue",
]
