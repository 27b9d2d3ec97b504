"""D07: who else reads the store, and may write to it, over NFS; see exports(5)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from syncer.doctor.findings import doubtful, fine, or_fine, some, wrong
from syncer.errors import SyncerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syncer.doctor.findings import Finding
    from syncer.doctor.site import Site

_CLIENT = re.compile(r"(?P<who>[^\s()]*)(?:\((?P<options>[^)]*)\))?")
_ESCAPED = re.compile(r"\\([0-7]{3})")


class Export(NamedTuple):
    """A directory that is exported, to whom, and how."""

    path: Path
    client: str
    options: frozenset[str]

    @property
    def writes(self) -> bool:
        """Whether the client may write."""
        return "rw" in self.options

    @property
    def as_root(self) -> bool:
        """Whether the client's root is root here."""
        return "no_root_squash" in self.options


def parse(text: str) -> list[Export]:
    """Return what a file in the form of /etc/exports lists."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        match = re.match(r'\s*(?:"([^"]+)"|([^\s#]\S*))\s*(.*)', line)
        if match is None:
            continue
        path = Path(_ESCAPED.sub(lambda m: chr(int(m[1], 8)), match[1] or match[2]))
        default: frozenset[str] = frozenset()
        for word in match[3].split():
            if word.startswith("#"):
                break
            if word.startswith("-"):
                default = frozenset(word[1:].split(","))
                continue
            client = _CLIENT.fullmatch(word)
            if client is not None:
                options = frozenset((client["options"] or "").split(",")) | default
                found.append(Export(path, client["who"] or "*", options - {""}))
    return found


def exported(site: Site) -> list[Export]:
    """Return what this machine exports: as configured, and as the kernel does."""
    found = parse(site.text("/etc/exports"))
    more = site.file("/etc/exports.d")
    if more.is_dir():
        for file in sorted(more.glob("*.exports")):
            found += parse(site.text(f"/etc/exports.d/{file.name}"))
    return [*found, *parse(site.text("/proc/fs/nfsd/exports"))]


def nfs(site: Site) -> list[Finding]:
    """Look how the store is exported, if it is."""
    data = site.config.data.resolve()
    git = data / "git"
    those = [
        each
        for each in exported(site)
        if git.is_relative_to(each.path) or each.path.is_relative_to(data)
    ]
    if not those:
        return [fine("the store is not exported over NFS")]
    found = list(_exports(data, those))
    found += _without_objects(site, git, those)
    paths = ", ".join(sorted({str(each.path) for each in those}))
    return or_fine(found, f"{paths}: exported over NFS, to be read only")


def _exports(data: Path, those: list[Export]) -> Iterator[Finding]:
    for path in dict.fromkeys(each.path for each in those):
        clients = [each for each in those if each.path == path]
        writers = sorted({each.client for each in clients if each.writes})
        if writers:
            text = f"{path} is exported over NFS to {writers[0]} to be written"
            yield wrong(text, "ro,all_squash,no_subtree_check in /etc/exports")
        roots = sorted({each.client for each in clients if each.as_root})
        if roots:
            text = f"{path} is exported over NFS to {roots[0]} with no_root_squash"
            yield doubtful(text, "all_squash in /etc/exports")
        if data.is_relative_to(path):
            text = f"{path} is exported over NFS with the catalog and what is arriving"
            yield doubtful(text, f"export {data / 'git'} alone")


def _without_objects(site: Site, git: Path, those: list[Export]) -> Iterator[Finding]:
    """Look whether who clones over NFS finds LFS objects beside the repositories.

    git-lfs reads them there as `lfs/objects/ab/cd/<oid>` (`lfs-standalone-file`).
    """
    if not any(git.is_relative_to(each.path) for each in those):
        return
    try:
        states = site.ledger().states()
    except SyncerError:
        return  # D04 says why
    bare = [
        state
        for state in states
        if state.lfs.present and not (git / state.path / "lfs" / "objects").is_dir()
    ]
    if bare:
        text = f"exported without its LFS objects: {some(len(bare), 'mirror')}"
        fix = f"who clones {bare[0].name} over NFS needs `lfs.url` of a server"
        yield doubtful(text, fix)
