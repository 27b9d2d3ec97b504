"""Small operations, right and deliberately wrong, that show what a sweep sees."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

OLD = b"old"
NEW = b"new" * 1000


def prepare(world: Path) -> None:
    """Make the world of `replace` and its mutants."""
    (world / "file").write_bytes(OLD)


def _put(path: Path, data: bytes, *, sync: bool) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        if sync:
            os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace(world: Path) -> None:
    """Replace a file so that readers see the old or the new one, for good."""
    _put(world / "file.new", NEW, sync=True)
    (world / "file.new").replace(world / "file")
    _sync_directory(world)


def replace_in_place(world: Path) -> None:
    """Make the mistake of writing where readers look."""
    _put(world / "file", NEW, sync=True)
    _sync_directory(world)


def create_unsynced(world: Path) -> None:
    """Make the mistake of naming a file whose bytes are not on the disk."""
    _put(world / "fresh.new", NEW, sync=False)
    # A link, since ext4 heals the same mistake for a rename that replaces.
    os.link(world / "fresh.new", world / "fresh")
    _sync_directory(world)
    (world / "fresh.new").unlink()


def create(world: Path) -> None:
    """Do what `create_unsynced` does, with its bytes on the disk first."""
    _put(world / "fresh.new", NEW, sync=True)
    os.link(world / "fresh.new", world / "fresh")
    _sync_directory(world)
    (world / "fresh.new").unlink()


def rename_only(world: Path) -> None:
    """Make the mistake of saying success before the name is on the disk."""
    (world / "file").rename(world / "renamed")


def commit(world: Path) -> None:
    """Commit rows to a SQLite database that survives a power cut."""
    with closing(sqlite3.connect(world / "rows.db")) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("CREATE TABLE IF NOT EXISTS rows (n INTEGER)")
        with database:
            database.executemany("INSERT INTO rows VALUES (?)", [(1,), (2,)])


def names(world: Path) -> None:
    """Change names in every way Python offers."""
    (world / "made").mkdir()
    (world / "made" / "file").touch()
    (world / "link").symlink_to("made")
    (world / "made" / "file").chmod(0o600)
    os.truncate(world / "file", 1)
    (world / "link").unlink()
    (world / "made" / "file").replace(world / "file")
    (world / "made").rmdir()


def spawn_session(world: Path) -> None:
    """Leave a process behind that has a session of its own and never ends."""
    line = f"while :; do :; done; echo {world}"
    subprocess.Popen(["/bin/sh", "-c", line], start_new_session=True)
    _put(world / "file", NEW, sync=False)


def git(world: Path, *words: str) -> None:
    """Run git in the world's repository `bare.git`, with configuration from us."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(world),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_AUTO_GC": "0",
    }
    subprocess.run(
        ["git", "-C", str(world / "bare.git"), *words],
        env=environment,
        stdin=subprocess.DEVNULL,
        check=True,
    )


def fetch(world: Path) -> None:
    """Fetch from the address in the world's file `address`."""
    address = (world / "address").read_text()
    git(world, "fetch", "--prune", address, "+refs/*:refs/*")


def repack(world: Path) -> None:
    """Pack objects and refs of the world's repository."""
    git(world, "-c", "core.fsync=all", "repack", "-a", "-d", "--write-midx", "-b")
    git(world, "pack-refs", "--all")
