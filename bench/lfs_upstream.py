"""An upstream of LFS objects for measurements: git and batches, nginx for bytes.

In a process of its own, so that it shares no lock with what is measured.  The
bytes come by nginx from files, as fast as the machine sends them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench import nginx
from bench.harness import ROOT
from tests.servers.lfs import STORAGE, Generated
from tests.servers.pointers import pointer_file
from tests.servers.repositories import Repository

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NAME = "o/weights"
_PER_COMMIT = 500
_SEED = 1


@dataclass(frozen=True)
class LfsUpstream:
    """Where git and the objects are, and the authority of both; None without TLS."""

    url: str
    storage: str
    ca: Path | None


def build(place: Path, sizes: Sequence[int]) -> None:
    """Make the repository below `place/up` and the files of its objects."""
    repository = Repository(place / "up" / f"{NAME}.git")
    storage = place / "objects" / STORAGE.strip("/") / NAME
    storage.mkdir(parents=True)
    place.chmod(0o755)  # nginx, started by root, reads as another user
    # Another length is another object, from the same noise.
    contents = [Generated(_SEED, size + n) for n, size in enumerate(sizes)]
    for start in range(0, len(contents), _PER_COMMIT):
        few = contents[start : start + _PER_COMMIT]
        repository.commit(
            "main", {f"large/{c.size}": pointer_file(c.pointer) for c in few}
        )
    for content in contents:
        with (storage / content.pointer.oid).open("wb") as file:
            file.writelines(content.blocks())
    (place / "sizes.json").write_text(json.dumps([c.size for c in contents]))


@contextmanager
def serve(place: Path, *, tls: bool) -> Iterator[LfsUpstream]:
    """Serve what `build` made."""
    nginx.require()
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.lfs_upstream", str(place), str(int(tls))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        if process.stdout is None:
            sys.exit("the upstream has no pipes")
        url, storage, *ca = process.stdout.readline().split()
        yield LfsUpstream(url, storage, Path(ca[0]) if ca else None)
    finally:
        process.communicate(timeout=30)  # the end of its stdin stops it


def _main(place: Path, *, tls: bool) -> None:
    from tests.servers.git_http import GitServer  # noqa: PLC0415 - the child only

    with GitServer(place / "up", tls=tls) as server:
        for size in json.loads((place / "sizes.json").read_text()):
            server.lfs.generate(NAME, _SEED, size)
        trusted, certificate = None, None
        if tls:
            trusted, certificate = nginx.certify(place, server.ca_pem)
        storage = nginx.site(certificate)
        with nginx.running(place, [(storage, f"root {place}/objects;")]):
            server.lfs.storage = storage.url
            print(server.url, storage.url, trusted or "", flush=True)
            sys.stdin.read()


if __name__ == "__main__":
    os.environ.pop("PYTHONWARNINGS", None)
    _main(Path(sys.argv[1]), tls=sys.argv[2] == "1")
