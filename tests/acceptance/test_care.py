"""LFS objects and assets as a person sees them: `sync`, `show`, `verify`, `gc`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import pytest

from syncer.model.blobs import blob_key
from tests.acceptance.command import Inside, name_on
from tests.fakes_blobs import digest_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from syncer.model.lfs import LfsPointer
    from tests.acceptance.command import Command
    from tests.servers.git_http import GitServer
    from tests.servers.github import GitHubServer
    from tests.servers.github_state import GitHubRepository
    from tests.servers.repositories import Repository
    from tests.servers.s3 import S3Server

    Upstream = Callable[[str], Repository]

NAME = "acme/widget"
DATA = {"small.bin": b"small" * 100, "large.bin": b"large" * 100_000}


def pointer_file(pointer: LfsPointer) -> bytes:
    """Return what git stores of an object, as git-lfs writes it."""
    return (
        b"version https://git-lfs.github.com/spec/v1\n"
        + f"oid sha256:{pointer.oid}\nsize {pointer.size}\n".encode()
    )


class Mirrored(NamedTuple):
    """One mirror whose two LFS objects are here."""

    name: str
    repository: Repository
    pointers: dict[str, LfsPointer]
    blobs: Path

    def blob(self, file: str) -> Path:
        """Return where the blob of a file lies, open for being damaged."""
        path = self.blobs / blob_key(self.pointers[file].oid)
        path.chmod(0o600)
        return path


@pytest.fixture
def mirror(syncer: Command, git_server: GitServer, upstream: Upstream) -> Mirrored:
    """Provide a mirror with LFS objects, synced once."""
    repository = upstream(NAME)
    pointers = {file: git_server.lfs.add(NAME, data) for file, data in DATA.items()}
    files = {file: pointer_file(pointer) for file, pointer in pointers.items()}
    repository.commit("main", files)
    name = name_on(git_server, NAME)
    syncer.init(git_server, name)
    done = syncer("sync", name)
    assert done.status == 0, done.out + done.err
    assert "2 LFS objects fetched" in done.out
    return Mirrored(name, repository, pointers, syncer.place / "mirror" / "blobs")


def add_missing(mirror: Mirrored, git_server: GitServer, data: bytes) -> LfsPointer:
    """Push a pointer to an object that upstream does not have."""
    pointer = git_server.lfs.add(NAME, data)
    git_server.lfs.remove(NAME, pointer.oid)
    mirror.repository.commit("main", {"missing.bin": pointer_file(pointer)})
    return pointer


def test_lfs_objects_are_counted_everywhere(syncer: Command, mirror: Mirrored) -> None:
    """`show`, `status`, `list` and `history` tell the same numbers."""
    size = sum(map(len, DATA.values()))
    shown = syncer("show", mirror.name, "--json").document()
    assert shown["mirror"]["lfs"]["present"] == shown["mirror"]["lfs"]["total"] == 2
    assert shown["mirror"]["lfs"]["present_bytes"] == size
    assert shown["mirror"]["lfs"]["scanned"] is not None
    assert shown["lfs_absent"] == []
    assert shown["runs"][0]["lfs"] == {
        "fetched": 2,
        "linked": 0,
        "missing": 0,
        "received_bytes": size,
    }
    assert "\nlfs       2/2, " in syncer("show", mirror.name).out
    assert "  lfs       2/2   " in syncer("status").out
    assert syncer("status", "--json").document()["lfs"]["present"] == 2
    assert " 2/2 " in syncer("list").out
    assert "2 LFS objects fetched" in syncer("history").out


def test_an_object_that_upstream_lacks_is_told_by_name(
    syncer: Command, mirror: Mirrored, git_server: GitServer
) -> None:
    """The run is PARTIAL, exit 3, and published; every view says what is missing."""
    missing = add_missing(mirror, git_server, b"gone")

    done = syncer("sync")

    assert done.status == 3
    assert "PARTIAL 1 ref moved, 1 LFS object missing upstream" in done.out
    assert missing.oid in done.out
    assert "1 partial" in done.out
    assert f"syncer show {mirror.name}" in done.err
    shown = syncer("show", mirror.name)
    assert "PARTIAL" in shown.out
    assert "lfs       2/3, 1 missing upstream, " in shown.out
    assert f"missing: {missing.oid[:12]} (4 B, asked 1 time): " in shown.out
    assert "asked for again in " in shown.out
    (absent,) = syncer("show", mirror.name, "--json").document()["lfs_absent"]
    assert (absent["oid"], absent["state"]) == (missing.oid, "missing")
    status = syncer("status", "--check")
    assert status.status == 6
    assert f"{mirror.name}: lfs 2/3, 1 missing upstream" in status.out
    assert syncer("status", "--json").document()["counts"]["PARTIAL"] == 1
    assert syncer("verify").status == 3
    again = syncer("sync")
    assert again.status == 3
    assert "unchanged, and not all of it is here" in again.out


def test_a_mirror_whose_lfs_is_not_wanted_asks_for_nothing(
    syncer: Command, git_server: GitServer, upstream: Upstream
) -> None:
    """`lfs = false` mirrors the pointers alone, and says so."""
    repository = upstream(NAME)
    pointer = git_server.lfs.add(NAME, b"unwanted")
    repository.commit("main", {"a.bin": pointer_file(pointer)})
    name = name_on(git_server, NAME)
    syncer.init(git_server, name)
    with syncer.file.open("a") as file:
        file.write("lfs = false\n")
    assert syncer("sync").status == 0
    assert "not mirrored: lfs = false" in syncer("show", name).out
    assert syncer("verify", name).err.startswith(f"{name}: LFS objects are not")
    assert not any("/info/lfs/" in r.path for r in git_server.requests)


def test_a_verification_finds_nothing_where_all_is_well(
    syncer: Command, mirror: Mirrored
) -> None:
    """With and without reading; `--json` says how much was read."""
    done = syncer("verify")
    assert done.status == 0
    assert f"{mirror.name}  OK  2 objects, 2 present" in done.out
    read = syncer("verify", mirror.name, "--read-data", "--json")
    assert read.status == 0
    document = read.document()
    assert document["schema"] == "syncer.verify/v1"
    (found,) = document["mirrors"]
    assert (found["read"], found["read_bytes"]) == (2, sum(map(len, DATA.values())))
    assert syncer("verify", "--sample", "50%").status == 0
    for words in (["--sample", "0%"], ["--sample", "5%", "--read-data"]):
        assert syncer("verify", *words).status == 2
    assert syncer("verify", "acme/other").status == 12


def test_a_damaged_blob_is_found_told_and_repaired(
    syncer: Command, mirror: Mirrored
) -> None:
    """One lost, one with a bit turned over: exit 7 until both are whole again."""
    mirror.blob("small.bin").unlink()
    large = mirror.blob("large.bin")
    large.write_bytes(b"L" + large.read_bytes()[1:])

    shallow = syncer("verify")
    assert shallow.status == 7
    assert f"damaged: {mirror.pointers['small.bin'].oid} (500 B): " in shallow.out
    assert mirror.pointers["large.bin"].oid not in shallow.out
    assert f"syncer verify {mirror.name} --repair" in shallow.err
    status = syncer("status")
    assert "lfs 1/2, 1 damaged" in status.out
    assert f"syncer verify {mirror.name} --repair" in status.out

    deep = syncer("verify", "--read-data", "--repair", "--json")

    assert deep.status == 0, deep.out + deep.err
    (found,) = deep.document()["mirrors"]
    assert (found["repaired"], found["damaged"], found["state"]) == (2, [], "OK")
    for file, data in DATA.items():
        assert mirror.blob(file).read_bytes() == data
    assert syncer("verify", "--read-data").status == 0
    assert "1 OK" in syncer("status").out


def test_what_upstream_has_lost_as_well_stays_damaged(
    syncer: Command, mirror: Mirrored, git_server: GitServer
) -> None:
    """A repair that cannot be is no success."""
    mirror.blob("small.bin").unlink()
    git_server.lfs.remove(NAME, mirror.pointers["small.bin"].oid)

    done = syncer("verify", "--repair")

    assert done.status == 7
    assert "1 damaged" in done.out
    assert mirror.blob("large.bin").read_bytes() == DATA["large.bin"]


def test_gc_removes_blobs_in_two_steps_and_tells_them_first(
    syncer: Command, mirror: Mirrored
) -> None:
    """Nothing that is needed goes; what nothing needs is condemned, then removed."""
    nothing = syncer("gc", "--json").document()["blobs"]
    assert nothing == {"condemned": [], "removed": [], "adopted": [], "aborted": []}
    assert syncer("remove", mirror.name, "--purge", "--yes").status == 0

    assert "2 blobs would be condemned" in syncer("gc", "-n").out
    assert "2 blobs condemned" in syncer("gc").out
    syncer.environ["SYNCER_GRACE"] = "0s"
    assert "2 blobs would be removed" in syncer("gc", "-n").out
    assert mirror.blob("small.bin").exists()
    done = syncer("gc", "--json")

    assert done.status == 0
    removed = done.document()["blobs"]["removed"]
    assert {blob["oid"] for blob in removed} == {
        pointer.oid for pointer in mirror.pointers.values()
    }
    assert [path for path in mirror.blobs.rglob("*") if path.is_file()] == []


def test_gc_leaves_foreign_blobs_alone_unless_told(
    syncer: Command, mirror: Mirrored
) -> None:
    """A blob that the catalog never heard of may be somebody else's."""
    path = mirror.blobs / blob_key("f" * 64)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"foreign")
    assert "blob" not in syncer("gc").out
    assert syncer("gc", mirror.name, "--orphans").status == 2
    assert "1 unrecorded blob condemned (7 B)" in syncer("gc", "--orphans").out
    assert path.exists()
    syncer.environ["SYNCER_GRACE"] = "0s"
    assert "1 blob removed (7 B)" in syncer("gc").out
    assert not path.exists()
    assert syncer("verify", "--read-data").status == 0


def test_gc_removes_transfers_that_nobody_continued(
    syncer: Command, mirror: Mirrored
) -> None:
    """A part file that a killed process left goes after `stale`, not before."""
    part = syncer.place / "mirror" / "incoming" / f"{'a' * 64}.part"
    part.parent.mkdir(exist_ok=True)
    part.write_bytes(b"half")
    assert "unfinished" not in syncer("gc").out
    assert part.exists()
    syncer.environ["SYNCER_STALE"] = "0s"
    assert "1 unfinished transfer would be removed (4 B)" in syncer("gc", "-n").out
    assert part.exists()
    assert "1 unfinished transfer removed (4 B)" in syncer("gc").out
    assert not part.exists()
    assert syncer("verify", mirror.name).status == 0


def test_an_object_store_is_as_good_as_a_directory(
    syncer: Command, git_server: GitServer, upstream: Upstream, minio: S3Server
) -> None:
    """Wrong keys and an absent bucket are told; then all of it comes, and is right."""
    repository = upstream(NAME)
    pointer = git_server.lfs.add(NAME, b"stored far away" * 1000)
    repository.commit("main", {"a.bin": pointer_file(pointer)})
    name, bucket = name_on(git_server, NAME), minio.bucket()
    syncer.environ |= {
        "SYNCER_BLOBS": f"s3://{bucket}",
        "SYNCER_S3_ENDPOINT": minio.endpoint,
        "SYNCER_S3_ACCESS_KEY": minio.access_key,
        "SYNCER_S3_SECRET_KEY": "made-up-and-wrong",
    }
    syncer.init(git_server, name)
    refused = syncer("sync")
    assert refused.status == 4
    assert "refuses our keys" in refused.out
    syncer.environ["SYNCER_S3_SECRET_KEY"] = minio.secret_key
    syncer.environ["SYNCER_BLOBS"] = "s3://absent"
    absent = syncer("sync")
    assert absent.status == 1
    assert "there is no bucket absent" in absent.out
    assert "mc mb" in absent.err
    assert syncer("show", name, "--json").document()["mirror"]["generation"] == 0

    syncer.environ["SYNCER_BLOBS"] = f"s3://{bucket}"
    assert "1 LFS object fetched" in syncer("sync").out
    key = f"blobs/{blob_key(pointer.oid)}"
    client = minio.client()
    client.put_object(Bucket=bucket, Key=key, Body=b"stored far awax" * 1000)
    assert syncer("verify", "--read-data").status == 7
    assert syncer("verify", "--repair").status == 0
    assert syncer("verify", "--read-data").status == 0
    assert not (syncer.place / "mirror" / "blobs").exists()
    shown = syncer("config", "show")
    assert minio.secret_key not in shown.out
    assert 'secret_key = "********"' in shown.out


ASSETS = {"tool.whl": b"wheel" * 100, "model.bin": b"model" * 100_000}


class Released(NamedTuple):
    """A mirror whose two assets are here, and what upstream has of it."""

    syncer: Command
    name: str
    github: GitHubRepository
    blobs: Path

    def blob(self, asset: str) -> Path:
        """Return where the blob of an asset lies, open for being damaged."""
        path = self.blobs / blob_key(digest_for(ASSETS[asset]))
        path.chmod(0o600)
        return path


@pytest.fixture
def released(syncer: Command, github: GitHubServer) -> Released:
    """Provide a mirror with assets, synced once, and a command that starts fast."""
    repository = github.repository(NAME)
    github.git.repository(repository).commit("main", {"README": "hello"})
    release = repository.release("v1.0")
    release.asset("tool.whl", ASSETS["tool.whl"])
    release.asset("model.bin", ASSETS["model.bin"], digest=False)
    host = github.url.partition("//")[2]
    syncer.file.write_text(
        f'[host."{host}"]\ngit = "{github.url}"\napi = "{github.api}"\n'
        f'downloads = ["{github.assets_host}"]\nprivate = true\n'
        f'[[repo]]\nname = "{host}/{NAME}"\n'
    )
    inside = Inside(syncer.place)
    assert inside("init").status == 0
    done = inside("sync")
    assert done.status == 0, done.out + done.err
    blobs = syncer.place / "mirror" / "blobs"
    return Released(inside, f"{host}/{NAME}", repository, blobs)


def test_damaged_assets_are_found_told_and_repaired(released: Released) -> None:
    """By tag and name, with a digest of upstream's or without; exit 7 until then."""
    syncer = released.syncer
    well = syncer("verify", "--read-data")
    assert well.status == 0, well.err
    assert (
        "OK  0 objects, 0 present; 2 assets, 2 present; 2 read (488.8 KiB)" in well.out
    )
    released.blob("tool.whl").unlink()
    model = released.blob("model.bin")
    model.write_bytes(b"M" + model.read_bytes()[1:])

    shallow = syncer("verify")
    assert shallow.status == 7
    assert "  damaged: v1.0/tool.whl (500 B): lost from the store\n" in shallow.out
    assert f"syncer verify {released.name} --repair" in shallow.err
    deep = syncer("verify", "--read-data", "--json")
    assert deep.status == 7
    (found,) = deep.document()["mirrors"]
    names = {name for each in found["damaged"] for name in each["assets"]}
    assert names == {"v1.0/tool.whl", "v1.0/model.bin"}
    assert found["assets"] == {"total": 2, "present": 0, "missing": 0, "damaged": 2}
    assert f"syncer verify {released.name} --repair" in syncer("status").out

    repaired = syncer("verify", "--repair")

    assert repaired.status == 0, repaired.out + repaired.err
    assert "2 assets, 2 present; 2 repaired" in repaired.out
    for asset, data in ASSETS.items():
        assert released.blob(asset).read_bytes() == data
    assert syncer("verify", "--read-data").status == 0


def test_a_disk_that_is_not_mounted_is_no_damage(released: Released) -> None:
    """Exit 5, and nothing is marked; who says that all is lost has it fetched anew."""
    syncer, away = released.syncer, released.blobs.with_name("away")
    released.blobs.rename(away)
    done = syncer("verify", "--repair")
    assert done.status == 5
    assert "the blob store is empty, although 2 blobs of" in done.err
    assert "is it mounted? Nothing was marked as lost" in done.err
    shown = syncer("show", released.name, "--json").document()
    assert shown["mirror"]["releases"]["present"] == 2

    again = syncer("verify", "--repair", "--empty-store")

    assert again.status == 0, again.out + again.err
    assert released.blob("tool.whl").read_bytes() == ASSETS["tool.whl"]
    assert sum(path.is_file() for path in away.rglob("*")) == 2


def test_gc_gives_up_what_upstream_deleted_past_keep(released: Released) -> None:
    """Told first, by a dry run; its blob goes in the two steps of every blob."""
    syncer = released.syncer
    (tool, _) = released.github.releases[0].assets
    tool.delete()
    assert syncer("sync").status == 0
    left = time.monotonic()
    assert "asset" not in syncer("gc").out
    text = syncer.file.read_text()
    settings = '[syncer]\nkeep = "1s"\ngrace = "0s"\n'
    syncer.file.write_text(f"{settings}{text}")
    time.sleep(max(0, left + 1.1 - time.monotonic()))  # `keep` has passed then
    assert syncer("pin", f"{released.name}@v1.0").status == 0
    assert "asset" not in syncer("gc", "-n").out
    assert syncer("unpin", f"{released.name}@v1.0").status == 0

    for _ in range(2):
        told = syncer("gc", "-n").out
        assert "would give up 1 asset deleted upstream before " in told
    gone = syncer("gc", "--json").document()

    (mirror,) = gone["mirrors"]
    (asset,) = mirror["assets"]
    assert (asset["tag"], asset["name"]) == ("v1.0", "tool.whl")
    assert (asset["departure"], asset["size_bytes"]) == ("deleted", 500)
    assert asset["sha256"] == digest_for(ASSETS["tool.whl"])
    assert "give up" not in syncer("gc", "-n").out
    assert syncer("gc").status == 0
    assert not (released.blobs / blob_key(asset["sha256"])).exists()
    assert released.blob("model.bin").exists()
    assert syncer("verify", "--read-data").status == 0
