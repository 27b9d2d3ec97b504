"""D05: whether the store's file system keeps what it is given; D06: how full it is."""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from syncer.catalog.database import parse, sqlite_file
from syncer.doctor import mounts
from syncer.doctor.findings import doubtful, or_fine, unseen, wrong
from syncer.durable import sync_directory
from syncer.errors import SyncerError
from syncer.reports.growth import WINDOW, by_machine, floor_of, forecast
from syncer.units import duration, size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from syncer.config import Config
    from syncer.doctor.findings import Finding
    from syncer.doctor.site import Site

#: A disk that is full sooner is told of.
SOON = timedelta(days=30)
_FEW_INODES = 0.05
_OPEN_TO_ALL = 0o002
#: Options that take away what `fsync` promises.
_UNSAFE = {"nobarrier", "barrier=0", "data=writeback", "soft", "nolock"}


def places(config: Config) -> dict[str, Path]:
    """Return where this machine keeps what is mirrored, by what it is."""
    found = {"store": config.data}
    if isinstance(config.blobs_place, Path):
        found["blobs"] = config.blobs_place
    file = sqlite_file(parse(config.catalog_url))
    if file is not None:
        found["catalog"] = file.absolute().parent
    return found


def _there(config: Config) -> list[Path]:
    """Return the directories that exist, one of each file system."""
    found: dict[int, Path] = {}
    for place in places(config).values():
        if place.exists():
            found.setdefault(place.stat().st_dev, place.resolve())
    return list(found.values())


def store(site: Site) -> list[Finding]:
    """Look what the store is on, who owns it, and try what we rely on."""
    data = site.config.data
    if not data.is_dir():
        return [wrong(f"there is no {data} yet", "syncer init")]
    listed = mounts.parse(site.text("/proc/self/mountinfo"))
    found: list[Finding] = []
    for place in _there(site.config):
        found += judged(place, mounts.of(place, listed))
        found += _tried(place)
    found += _together(site.config)
    found += _owners(site.config)
    mount = mounts.of(data.resolve(), listed)
    kind = mount.kind if mount is not None else "a file system"
    return or_fine(found, f"{data} is on {kind}; locks, links and fsync work")


def judged(place: Path, mount: mounts.Mount | None) -> Iterator[Finding]:
    """Judge a file system by what it is."""
    if mount is None:
        return
    where = f"{place} is on {mount.kind}"
    if mount.kind in mounts.VOLATILE:
        yield wrong(f"{where}: it is lost at the next start", "move it to a disk")
    elif mount.kind == "overlay":
        text = f"{where}: it is lost with the container"
        yield doubtful(text, "mount a volume there")
    elif mount.kind in mounts.FOREIGN:
        yield wrong(f"{where}, which has no links", "use ext4, XFS, btrfs or ZFS")
    elif mount.kind in mounts.REMOTE:
        text = f"{where}: each fsync is a question to another machine"
        yield doubtful(text, "keep git on a local disk, blobs in an object store")
    if "ro" in mount.options:
        yield wrong(f"{place} is mounted read-only", f"mount -o remount,rw {place}")
    unsafe = sorted(_UNSAFE & mount.options)
    if unsafe:
        text = f"{place} is mounted with {', '.join(unsafe)}: writes can be lost"
        yield wrong(text, "mount it without")


def _tried(place: Path) -> Iterator[Finding]:
    """Try links, locks, renames and fsync, in a directory that goes again."""
    if not os.access(place, os.W_OK | os.X_OK):
        owner = _name(place.stat().st_uid)
        text = f"{place} is not ours to write, so nothing was tried there"
        yield unseen(text, f"run it as {owner}, or as root")
        return
    with tempfile.TemporaryDirectory(prefix=".doctor-", dir=place) as name:
        yield from trials(Path(name))


def trials(place: Path) -> Iterator[Finding]:
    """Yield what a file system does not do of what we rely on."""
    file, link = place / "File", place / "link"
    steps: dict[str, Callable[[], object]] = {
        "fsync": lambda: _written(file),
        "hard links": lambda: link.hardlink_to(file),
        "rename over a file": lambda: file.replace(link),
        "fsync of directories": lambda: sync_directory(place),
    }
    for what, step in steps.items():
        try:
            step()
        except OSError as exc:
            text = f"no {what} in {place.parent}: {exc.strerror or exc}"
            yield wrong(text, "use ext4, XFS, btrfs or ZFS")
            return
    if (place / "LINK").exists():
        text = f"{place.parent} folds case: two mirrors may share one directory"
        yield wrong(text, "use a file system that tells case apart")
    if not _locks(link):
        yield wrong(f"no locks in {place.parent}: flock is given twice", "use ext4")


def _written(file: Path) -> None:
    with file.open("wb") as opened:
        opened.write(b"what does this file system do?\n")
        opened.flush()
        os.fsync(opened.fileno())


def _locks(file: Path) -> bool:
    """Return whether a `flock` keeps a second one out."""
    with file.open("rb") as first, file.open("rb") as second:
        fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def _together(config: Config) -> Iterator[Finding]:
    """Look whether what gets its name by a rename is on one file system."""
    blobs = config.blobs_place
    if not isinstance(blobs, Path):
        return
    inside = blobs.is_relative_to(config.data)
    incoming = config.data / "incoming" if inside else blobs / ".incoming"
    there = [each for each in (blobs, incoming) if each.exists()]
    if len({each.stat().st_dev for each in there}) > 1:
        text = f"{blobs} and {incoming} are on two file systems"
        yield wrong(text, "put both on one: blobs get their names by a rename")


def _owners(config: Config) -> Iterator[Finding]:
    """Look whether all of it belongs to one user, and who else may write."""
    status = config.data.stat()
    owner = _name(status.st_uid)
    inner = [*config.data.iterdir()]
    strangers = [each for each in inner if each.lstat().st_uid != status.st_uid]
    if strangers:
        text = f"{strangers[0]} belongs to {_name(strangers[0].lstat().st_uid)}"
        fix = f"chown -R {owner}: {config.data}"
        yield wrong(f"{text}, the store to {owner}", fix)
    if status.st_mode & _OPEN_TO_ALL:
        text = f"everybody may write to {config.data}"
        yield wrong(text, f"chmod o-w {config.data}")


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"


def space(site: Site) -> list[Finding]:
    """Look how much fits, and for how long."""
    config = site.config
    found: list[Finding] = []
    told: list[str] = []
    for place in _there(config):
        usage, inodes = shutil.disk_usage(place), os.statvfs(place)
        floor = floor_of(config.syncer.min_free, usage.total)
        told.append(f"{place} has {size(usage.free)} of {size(usage.total)} free")
        if usage.free < floor:
            text = f"{told[-1]}, below the floor of {size(floor)}: nothing new starts"
            found.append(wrong(text, "syncer gc, a larger disk, or [syncer] min_free"))
        if inodes.f_files and inodes.f_favail < inodes.f_files * _FEW_INODES:
            text = f"{place} has {inodes.f_favail:,} of {inodes.f_files:,} inodes free"
            found.append(doubtful(text, "syncer gc, or more inodes (mkfs -N)"))
    if not told:
        return [unseen("there is no store yet", "syncer init")]
    found += _filling(site)
    return or_fine(found, "; ".join(told))


def _filling(site: Site) -> Iterator[Finding]:
    """Look when the store will be full, as it grows now."""
    config = site.config
    try:
        samples = site.ledger().operations.storage(site.clock.now() - WINDOW)
    except SyncerError:
        return  # D04 says why
    own = by_machine(samples).get(config.machine, [])
    capacity = shutil.disk_usage(config.data).total
    left = forecast(own, floor_of(config.syncer.min_free, capacity))
    if left is not None and left < SOON:
        text = f"{config.data} is full in {duration(left)} as it grows now"
        yield doubtful(text, "syncer gc, a larger disk, or max_size for large mirrors")
