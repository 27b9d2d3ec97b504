"""Where a transfer finds the bytes of assets, in memory."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from syncer.errors import (
    Expired,
    IntegrityError,
    NotFound,
    RateLimited,
    Truncated,
    Unavailable,
)
from syncer.model.lfs import BATCH, Grant, Refusal
from syncer.model.releases import asset_pointer
from tests.servers.lfs import Generated

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from syncer.errors import SyncerError
    from syncer.model.lfs import BatchReply, LfsPointer
    from syncer.model.releases import Asset
    from tests.fakes_api import FakeApi
    from tests.servers.github_faults import ContentFault
    from tests.servers.github_releases import Content, GitHubAsset

_BLOCK = 1 << 16


class FakeAssets:
    """A `ports.transfer.Source` over the assets of a `FakeApi`.

    Faults are as the assets' own bytes say (see `tests/servers/github_faults.py`)
    or as `FakeApi.fail` says of "open".
    """

    def __init__(self, api: FakeApi, wanted: Sequence[tuple[str, Asset]]) -> None:
        self._api = api
        self._wanted = {asset_pointer(asset): asset.id for _, asset in wanted}

    def batch(self, wanted: Sequence[LfsPointer]) -> BatchReply:
        """Grant what was announced, and refuse the rest."""
        assert 0 < len(wanted) <= BATCH
        # The real one asks nobody for this: no question is counted.
        return [self._answer(pointer) for pointer in wanted]

    def _answer(self, pointer: LfsPointer) -> Grant | Refusal:
        asset_id = self._wanted.get(pointer)
        if asset_id is None:
            return Refusal(pointer, 404, "no such asset was announced")
        return Grant(pointer, f"https://api.{self._api.host}/assets/{asset_id}", {})

    @contextmanager
    def open(self, grant: Grant, offset: int) -> Iterator[Iterator[bytes]]:
        """Open the bytes of an asset from `offset` on."""
        yield self._opened(grant, offset)

    def _opened(self, grant: Grant, offset: int) -> Iterator[bytes]:
        """Return the blocks; what is refused before the first raises here."""
        size = grant.pointer.size
        if offset == size:
            return iter(())  # nothing is left to ask for
        found = self._sought(grant, offset)
        content = found.content if found.sends is None else found.sends
        fault = self._api.faults.choose(found)
        if fault is not None and (error := _refusal(fault)) is not None:
            raise error
        return _sent(content, offset, size, fault)

    def _sought(self, grant: Grant, offset: int) -> GitHubAsset:
        """Count a download, and return what is downloaded."""
        self._api.opened(grant.pointer, offset)
        found = self._api.state.find_asset(self._wanted[grant.pointer])
        if found is None:
            msg = "the asset's address says 404"
            raise NotFound(msg)
        found.download_count += 1
        return found


def _refusal(fault: ContentFault) -> SyncerError | None:
    """Return the error of a fault that lets no byte through."""
    match fault.kind:
        case "status" if fault.value == "429":
            return RateLimited("upstream answers 429", retry_after=None)
        case "status":
            return Unavailable(f"upstream answers {fault.value}")
        case "html":
            return Unavailable("an HTML page instead of the asset")
        case "expired":
            return Expired("the signed address does not count any more")
    return None


def _sent(
    content: Content, offset: int, size: int, fault: ContentFault | None
) -> Iterator[bytes]:
    """Yield what comes from `offset` on, and raise how it ends."""
    body = _bytes(content)
    end = size
    if fault is not None:
        if fault.kind in {"truncate-at", "short", "reset-at", "hang-at"}:
            end = min(size, offset + int(fault.value))
        elif fault.kind == "wrong-bytes":
            body = body[:-1] + bytes([body[-1] ^ 1])
        elif fault.kind == "too-long":
            body += b"\0"
    for begin in range(offset, min(end, len(body)), _BLOCK):
        yield body[begin : min(begin + _BLOCK, end)]
    if end < size or len(body) < size:
        msg = f"{min(end, len(body))} of {size} bytes came"
        raise Truncated(msg)
    if len(body) > size:
        msg = f"more than {size} bytes came"
        raise IntegrityError(msg)


def _bytes(content: Content) -> bytes:
    if isinstance(content, Generated):
        return b"".join(content.blocks())
    return content
