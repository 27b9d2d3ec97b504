"""What every source of assets does, in memory or over a wire."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from syncer.errors import (
    Expired,
    IntegrityError,
    NotFound,
    RateLimited,
    SyncerError,
    TransientError,
    Truncated,
    Unavailable,
)
from syncer.model.lfs import Grant, LfsPointer, Refusal
from syncer.model.releases import asset_pointer
from tests.contracts.forge_api import NAME
from tests.values_of_github import asset_of

if TYPE_CHECKING:
    from syncer.ports.transfer import Source
    from tests.contracts.forge_api import ApiUpstream
    from tests.servers.github_releases import GitHubAsset

#: Several blocks of whoever sends or reads it, and no round number.
LARGE = bytes(range(251)) * 4_321


class AssetSourceContract:
    """Every source of a `ForgeApi` must pass; see `ForgeApiContract`."""

    @pytest.mark.parametrize("size", [1, 4096, len(LARGE)])
    @pytest.mark.parametrize("digest", [True, False], ids=["digest", "old"])
    def test_an_asset_arrives_whole(
        self, upstream: ApiUpstream, size: int, *, digest: bool
    ) -> None:
        """What is read is what was uploaded, and its download is counted."""
        asset = uploaded(upstream, LARGE[:size], digest=digest)

        assert read(upstream, asset) == LARGE[:size]
        assert asset.download_count == 1

    def test_an_asset_arrives_without_a_token(self, upstream: ApiUpstream) -> None:
        """What is public needs none."""
        asset = uploaded(upstream, LARGE)
        upstream.forget_token()

        assert read(upstream, asset) == LARGE

    def test_an_asset_is_found_after_its_repository_moved(
        self, upstream: ApiUpstream
    ) -> None:
        """Whoever has the old name is led to the new one, with a token or not."""
        asset = uploaded(upstream, LARGE)
        asset.release.repository.rename("umbrella/utensil")

        assert read(upstream, asset) == LARGE

    @pytest.mark.parametrize("offset", [1, 4096, 1_000_000, len(LARGE) - 1, len(LARGE)])
    def test_a_download_goes_on_where_it_ended(
        self, upstream: ApiUpstream, offset: int
    ) -> None:
        """From an offset on, exactly the rest comes."""
        asset = uploaded(upstream, LARGE)

        assert read(upstream, asset, offset) == LARGE[offset:]

    def test_what_nobody_announced_is_refused(self, upstream: ApiUpstream) -> None:
        """Each that is wanted has one answer, in order."""
        asset = asset_of(uploaded(upstream, b"known"))
        source = upstream.api.assets(NAME, [("v1", asset)])
        strange = LfsPointer("0" * 64, 5)

        granted, refused = source.batch([asset_pointer(asset), strange])

        assert isinstance(granted, Grant)
        assert isinstance(refused, Refusal)
        assert (granted.pointer, refused.pointer) == (asset_pointer(asset), strange)

    @pytest.mark.parametrize("kind", ["truncate-at", "reset-at", "short"])
    @pytest.mark.parametrize("after", [1, 500_000])
    def test_a_broken_download_keeps_what_came(
        self, upstream: ApiUpstream, kind: str, after: int
    ) -> None:
        """Another attempt brings the rest, and all of it fits together."""
        content = b"fault:%s=%d,times=1\n" % (kind.encode(), after) + LARGE
        asset = uploaded(upstream, content)
        received = bytearray()

        with pytest.raises(TransientError):
            read(upstream, asset, into=received)
        assert received == content[: len(received)]
        assert len(received) <= after

        read(upstream, asset, len(received), into=received)
        assert received == content

    def test_a_cache_that_is_behind_is_not_believed(
        self, upstream: ApiUpstream
    ) -> None:
        """Fewer bytes than upstream told of are never taken for the whole."""
        asset = uploaded(upstream, LARGE)
        asset.sends = LARGE[:-1]

        with pytest.raises(Truncated):
            read(upstream, asset)

    def test_wrong_bytes_are_for_the_transfer_to_find(
        self, upstream: ApiUpstream
    ) -> None:
        """They are as many as was told, with another digest."""
        asset = uploaded(upstream, b"fault:wrong-bytes\n" + LARGE)

        received = read(upstream, asset)

        assert len(received) == asset.size
        assert sha256(received).hexdigest() != asset.digest

    @pytest.mark.parametrize("options", [b"", b",chunked"])
    def test_too_long_a_body_is_an_integrity_error(
        self, upstream: ApiUpstream, options: bytes
    ) -> None:
        """A byte more than was told is not passed on."""
        asset = uploaded(upstream, b"fault:too-long=1%s\n" % options + LARGE)
        received = bytearray()

        with pytest.raises(IntegrityError):
            read(upstream, asset, into=received)
        assert len(received) <= asset.size

    def test_a_signed_address_that_ran_out_is_told(self, upstream: ApiUpstream) -> None:
        """The next attempt gets another address."""
        asset = uploaded(upstream, b"fault:expired,times=1\n" + LARGE)

        with pytest.raises(Expired):
            read(upstream, asset)
        assert read(upstream, asset) == asset.content

    @pytest.mark.parametrize(
        ("line", "error"),
        [
            (b"fault:status=503,times=1\n", Unavailable),
            (b"fault:status=429,retry-after=7,times=1\n", RateLimited),
            (b"fault:html,times=1\n", SyncerError),
        ],
    )
    @pytest.mark.parametrize("digest", [True, False], ids=["digest", "old"])
    def test_an_answer_that_is_no_asset_is_refused(
        self,
        upstream: ApiUpstream,
        line: bytes,
        error: type[SyncerError],
        *,
        digest: bool,
    ) -> None:
        """Not one byte of it is passed on, and the next attempt succeeds."""
        asset = uploaded(upstream, line + LARGE, digest=digest)
        received = bytearray()

        with pytest.raises(error):
            read(upstream, asset, into=received)
        assert not received
        upstream.wait(timedelta(minutes=5))
        assert read(upstream, asset) == asset.content

    def test_an_asset_that_is_deleted_meanwhile_is_not_found(
        self, upstream: ApiUpstream
    ) -> None:
        """That it was listed is no promise."""
        asset = uploaded(upstream, LARGE)
        shown = asset_of(asset)
        source = upstream.api.assets(NAME, [("v1", shown)])
        asset.delete()

        with pytest.raises(NotFound):
            drain(source, asset_pointer(shown), 0, bytearray())


def uploaded(
    upstream: ApiUpstream, content: bytes, *, digest: bool = True
) -> GitHubAsset:
    """Return an asset of release `v1` of a new `acme/tool`."""
    release = upstream.state.repository("acme/tool").release("v1")
    return release.asset("tool.bin", content, digest=digest)


def read(
    upstream: ApiUpstream,
    asset: GitHubAsset,
    offset: int = 0,
    *,
    into: bytearray | None = None,
) -> bytes:
    """Download to the end, or as far as it goes, and return what came."""
    received = bytearray() if into is None else into
    shown, release = asset_of(asset), asset.release
    source = upstream.api.assets(NAME, [(release.tag, shown)])
    drain(source, asset_pointer(shown), offset, received)
    return bytes(received)


def drain(source: Source, wanted: LfsPointer, offset: int, into: bytearray) -> None:
    """Ask for one asset that is granted, and download it."""
    (granted,) = source.batch([wanted])
    assert isinstance(granted, Grant)
    with source.open(granted, offset) as blocks:
        for block in blocks:
            assert block
            into += block
