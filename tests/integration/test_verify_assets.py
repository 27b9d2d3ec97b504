"""What a verification finds and repairs of assets, on a real directory of blobs."""

from __future__ import annotations

import logging
import os
import shutil
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from syncer.errors import RateLimited, Unavailable
from syncer.model.blobs import blob_key
from syncer.model.care import Depth
from syncer.model.mirrors import Selection
from syncer.model.releases import AssetState
from syncer.model.runs import Outcome
from syncer.store.directory import DirectoryStore
from syncer.sync.verify import Verifier
from tests.fakes_api import FakeApi
from tests.fakes_blobs import digest_for, pointer_to
from tests.fakes_catalog import FakeCatalog
from tests.fakes_releases import FakeReleaseIndex
from tests.fleet import ONE, Fleet
from tests.unasked import Unasked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from syncer.model.care import VerifyReport
    from syncer.model.releases import AssetRecord

WHEEL, MODEL, PINNED = b"wheel" * 9, b"model" * 9000, b"no digest" * 70
OBJECT, BOTH = b"an LFS object" * 5, b"an LFS object and an asset" * 5
HERE = (WHEEL, MODEL, PINNED, BOTH)
LOOK, READ = Depth(), Depth(read=True)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass
class House(Fleet):
    """A mirror with LFS objects and releases, whose blobs lie in a directory."""

    root: Path = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        assert isinstance(self.catalog, FakeCatalog)
        self.releases = FakeReleaseIndex(self.catalog)
        self.api = FakeApi(self.clock, ONE.host)
        self.github = self.api.repository(f"{ONE.owner}/{ONE.name}")

    def asked(self) -> Unasked:
        """Return what answers for the mirror's host."""
        return Unasked(self.api, self.releases, lambda _: HOUR)

    def path(self, body: bytes) -> Path:
        """Return where a blob lies, open for being damaged."""
        path = self.root / blob_key(digest_for(body))
        if path.exists():
            path.chmod(0o600)
        return path

    def asset(self, body: bytes) -> AssetRecord:
        """Return what is known of the one asset that has, or had, some bytes."""
        records = self.releases.releases(self.state(ONE).id)
        assets = [each for record in records for each in record.assets]
        (found,) = [each for each in assets if each.blob == digest_for(body)]
        return found

    def damaged(self, report: VerifyReport) -> dict[tuple[str, ...], str]:
        """Return why blobs are damaged, by the names of their assets."""
        return {each.names: each.why for each in report.damaged}

    def lose(self, *bodies: bytes) -> None:
        """Remove blobs behind our back."""
        for body in bodies:
            self.path(body).unlink()


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Return the mirror, synced: an LFS object, three assets, and one that is both."""
    root = tmp_path / "blobs"
    made = House(real=DirectoryStore(root, tmp_path / "incoming"), root=root)
    made.push(ONE, OBJECT, BOTH)
    first = made.github.release("v1")
    first.asset("tool.whl", WHEEL)
    first.asset("model.bin", MODEL)
    made.clock.advance(HOUR)
    second = made.github.release("v2")
    second.asset("old.bin", PINNED, digest=False)
    second.asset("both.bin", BOTH)
    assert made.sync(ONE).outcome is Outcome.CHANGED
    return made


def test_where_all_is_well_each_blob_is_looked_at_once(house: House) -> None:
    """Also the one that an LFS object and an asset have in common."""
    looked = house.verify(ONE, LOOK)
    assert (looked.lfs, looked.pointers, looked.present) == (True, 2, 2)
    assert (looked.assets.total, looked.assets.present) == (4, 4)
    assert (looked.damaged, looked.read) == ((), 0)
    house.clock.advance(DAY)

    read = house.verify(ONE, READ)

    assert (read.read, read.read_bytes) == (5, len(OBJECT) + sum(map(len, HERE)))
    dated = house.index.find(map(digest_for, HERE)).values()
    assert {each.verified for each in dated} == {house.clock.now()}
    assert house.verify(ONE, Depth(read=True, share=0.4)).read == 2


def rot(path: Path) -> None:
    """Turn one bit over."""
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)


@pytest.mark.parametrize("repair", [False, True])
@pytest.mark.parametrize(
    ("body", "name"), [(MODEL, "v1/model.bin"), (PINNED, "v2/old.bin")]
)
@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (os.unlink, "lost from the store"),
        (rot, "its bytes are not what its name says"),
    ],
)
def test_a_damaged_asset_is_named_and_repaired(  # noqa: PLR0913 - what is damaged, and how
    house: House,
    spoil: Callable[[Path], None],
    why: str,
    body: bytes,
    name: str,
    *,
    repair: bool,
) -> None:
    """Whether upstream published its digest, or we pinned it to what came first."""
    spoil(house.path(body))

    report = house.verify(ONE, READ, repair=repair)

    if repair:
        assert (report.damaged, report.repaired, report.assets.present) == ((), 1, 4)
    else:
        assert house.damaged(report) == {(name,): why}
        assert (report.repaired, report.assets.present) == (0, 3)
        assert (report.assets.damaged, report.present) == (1, 2)
        lost = house.asset(body)
        assert (lost.state, lost.reason) == (AssetState.DAMAGED, why)
        # What is known to be bad is told again without being read.
        assert house.damaged(house.verify(ONE, LOOK)) == {(name,): why}
        assert house.verify(ONE, LOOK, repair=True).repaired == 1
    assert house.path(body).read_bytes() == body
    assert house.asset(body).state is AssetState.PRESENT
    assert house.index.claimed([digest_for(body)]) == frozenset()
    assert house.verify(ONE, READ).damaged == ()


def test_a_blob_that_both_need_is_repaired_once(house: House) -> None:
    """As an asset: the LFS server is asked for nothing."""
    house.lose(BOTH)
    house.source.batches.clear()
    before = len(house.api.downloads)

    report = house.verify(ONE, LOOK, repair=True)

    assert (report.damaged, report.repaired, report.present) == ((), 1, 2)
    assert house.source.batches == []
    assert len(house.api.downloads) == before + 1


def test_what_the_api_does_not_give_the_lfs_server_may(house: House) -> None:
    """Upstream deleted the asset; the LFS object of the same bytes is still there."""
    house.github.releases[1].assets[1].delete()
    house.lose(BOTH, OBJECT)
    report = house.verify(ONE, LOOK, repair=True)
    assert (report.damaged, report.repaired) == ((), 2)


def test_other_bytes_below_the_same_name_are_no_repair(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even where upstream publishes no digest: ours is held against them."""
    house.lose(PINNED, MODEL)
    (pinned, _), changed = house.github.releases[1].assets, b"other" * 126
    assert len(changed) == len(PINNED)
    pinned.content = changed

    report = house.verify(ONE, LOOK, repair=True)

    assert house.damaged(report) == {("v2/old.bin",): "lost from the store"}
    assert report.repaired == 1
    assert house.asset(PINNED).state is AssetState.DAMAGED
    assert not house.path(changed).exists()
    assert "upstream did not give it again" in caplog.text


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("the API is down"),
        RateLimited("come back later", retry_after=HOUR),
    ],
)
def test_an_api_that_does_not_answer_leaves_it_damaged(
    house: House, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """The LFS objects are repaired all the same; the next repair takes the rest."""
    house.lose(MODEL, OBJECT)
    house.api.fail("open", error, times=99)

    report = house.verify(ONE, LOOK, repair=True)

    assert house.damaged(report) == {("v1/model.bin",): "lost from the store"}
    assert report.repaired == 1
    assert str(error) in {getattr(each, "error", "") for each in caplog.records}
    house.api.heal()
    assert house.verify(ONE, LOOK, repair=True).repaired == 1


def test_a_host_without_an_api_is_asked_for_no_asset(house: House) -> None:
    """Whoever took its API out of the configuration keeps what is here."""
    house.lose(MODEL)
    house.api.host = "another.test"
    house.api.forget()
    assert len(house.verify(ONE, LOOK, repair=True).damaged) == 1
    assert house.api.asked == []


def test_what_upstream_deleted_cannot_be_repaired(house: House) -> None:
    """It is told until retention gives it up: once, with both of its names."""
    house.github.release("v3").asset("copy.whl", WHEEL)
    house.clock.advance(DAY)
    assert house.sync(ONE).outcome is Outcome.CHANGED
    for release in house.github.releases:
        for each in list(release.assets):
            if each.content == WHEEL:
                each.delete()
    house.clock.advance(DAY)
    assert house.sync(ONE).outcome is Outcome.CHANGED
    house.lose(WHEEL)
    house.api.forget()

    report = house.verify(ONE, LOOK, repair=True)

    deleted = ("v1/tool.whl (deleted upstream)", "v3/copy.whl (deleted upstream)")
    assert [sorted(each.names) for each in report.damaged] == [sorted(deleted)]
    assert (report.assets.total, report.assets.damaged) == (3, 0)
    assert not any(each.what == "open" for each in house.api.asked)
    now = house.clock.now() + DAY
    assert len(house.releases.expire(house.state(ONE).id, now, now)) == 2
    assert house.verify(ONE, LOOK).damaged == ()


@pytest.fixture
def attested(house: House) -> tuple[House, str]:
    """Return the mirror with an immutable release, and its attestation's digest."""
    release = house.github.release("v4", immutable=True)
    release.asset("signed.bin", b"signed")
    house.clock.advance(DAY)
    assert house.sync(ONE).outcome is Outcome.CHANGED
    digest = house.asset(b"signed").attestation
    assert digest is not None
    (house.root / blob_key(digest)).unlink()
    return house, digest


def test_a_lost_attestation_is_asked_for_again(attested: tuple[House, str]) -> None:
    """The document is the same, so it is what its name says."""
    house, digest = attested
    name = ("the attestation of v4/signed.bin",)
    found = house.verify(ONE, LOOK)
    assert house.damaged(found) == {name: "lost from the store"}
    assert house.damaged(house.verify(ONE, LOOK)) == {name: "lost from the store"}

    assert house.verify(ONE, LOOK, repair=True).repaired == 1

    assert digest_for((house.root / blob_key(digest)).read_bytes()) == digest
    assert house.verify(ONE, READ).damaged == ()


@pytest.mark.parametrize("trouble", ["down", "changed", "withdrawn", "anonymous"])
def test_an_attestation_that_upstream_does_not_repeat_stays_lost(
    attested: tuple[House, str], trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever came instead is not stored below its name; the assets are repaired."""
    house, digest = attested
    house.lose(MODEL)
    kept = house.github.attestations
    if trouble == "down":
        house.api.fail("attestations", Unavailable("down"))
    elif trouble == "changed":
        (each,) = kept[digest_for(b"signed")]
        each["name"] = "signed-by-another.bin"
    elif trouble == "withdrawn":
        kept.clear()
    else:
        house.api.authorised = False

    report = house.verify(ONE, LOOK, repair=True)

    assert list(house.damaged(report)) == [("the attestation of v4/signed.bin",)]
    assert report.repaired == 1
    assert not (house.root / blob_key(digest)).exists()
    warned = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert len(warned) == (trouble != "anonymous")


def test_without_lfs_the_assets_alone_are_looked_at(house: House) -> None:
    """No pointer is searched for, and lost LFS objects are nobody's concern."""
    house.lose(OBJECT, MODEL)
    state = house.state(ONE)
    with house.process() as works:
        chosen = {ONE.identity: Selection(lfs=False)}
        verifier = Verifier(replace(works.world, selections=chosen), house.stop)
        report = verifier.verify(state, LOOK, repair=True)
    assert (report.lfs, report.pointers, report.present) == (False, 0, 0)
    assert (report.damaged, report.repaired, report.assets.present) == ((), 1, 4)
    assert house.path(MODEL).exists()
    assert not house.path(OBJECT).exists()


@pytest.mark.parametrize("mounted", [False, True])
def test_a_store_that_is_empty_is_no_damage(house: House, *, mounted: bool) -> None:
    """A disk that is not mounted: nothing is marked, nothing is fetched."""
    away = house.root.with_name("away")
    house.root.rename(away)
    if mounted:
        house.root.mkdir()
    house.api.forget()

    with pytest.raises(Unavailable, match="the blob store is empty, although 5 blobs"):
        house.verify(ONE, LOOK, repair=True)

    assert house.state(ONE).lfs.damaged == 0
    assert house.state(ONE).releases.counts.damaged == 0
    assert house.api.asked == []
    shutil.rmtree(house.root, ignore_errors=True)
    away.rename(house.root)
    assert house.verify(ONE, READ).damaged == ()


def test_a_store_that_is_said_to_be_empty_is_filled_again(house: House) -> None:
    """Once it was marked, or some of it is there, nobody has to say so."""
    shutil.rmtree(house.root)
    state = house.state(ONE)
    with house.process() as works:
        found = works.verifier.verify(state, LOOK, may_be_empty=True)
    assert len(found.damaged) == 5
    assert sorted(names for each in found.damaged for names in each.names) == [
        "v1/model.bin",
        "v1/tool.whl",
        "v2/both.bin",
        "v2/old.bin",
    ]

    report = house.verify(ONE, LOOK, repair=True)

    assert (report.damaged, report.repaired) == ((), 5)
    assert house.path(OBJECT).read_bytes() == OBJECT
    assert house.objects(ONE)[pointer_to(BOTH).oid].state == "present"
    assert house.verify(ONE, READ).read == 5
