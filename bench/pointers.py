"""The search for LFS pointers: of one push, and in a whole repository.

A push of a few commits with pointers is searched in a repository of 50,000
objects and in one whose history is ten times longer, less what git itself takes
to start as often.  The whole search is held against `git lfs ls-files --all`.
All blobs are as long as pointers, so that none can be told by its length.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from bench.harness import Bar, Spent, middle, report, spent
from syncer.git.bare import BareStore
from syncer.git.command import Call, GitCommand
from syncer.git.layout import Layout
from syncer.git.remote import Remote
from syncer.git.repository import Limits
from syncer.model.runs import Incoming
from tests.sandbox import snapshot
from tests.servers import programs
from tests.servers.bulk import build
from tests.servers.lfs_client import GitLfs
from tests.servers.pointers import pointer_file, some_pointers, track

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from syncer.ports import BareRepository
    from tests.servers.repositories import Repository

ROUNDS = 101  # a few milliseconds each: medians of many
WHOLE_ROUNDS = 3
COMMITS = 12_500  # four objects each
LONGER = 10
PUSHED = 10
POINTERS = 6_000


@dataclass(frozen=True)
class Mirror:
    """A mirror into whose quarantine a push has arrived."""

    repository: Repository
    leased: BareRepository
    incoming: Incoming

    def search(self, *, everything: bool) -> int:
        """Return how many pointers a search finds."""
        return len(self.leased.pointers(self.incoming, everything=everything))


def main() -> int:
    """Measure and print the verdict."""
    git = GitCommand()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        place = Path(name)
        with (
            _mirror(git, place, "small", COMMITS) as small,
            _mirror(git, place, "large", COMMITS * LONGER) as large,
        ):
            start, few, many = _pushes(git, small, large)
            whole, lists = _wholes(large, _clients())
    facts = {
        "objects": f"{COMMITS * 4}, and {COMMITS * LONGER * 4}",
        "two git processes that do nothing": _shown(start),
        f"push of {PUSHED} pointers": f"{_shown(few)}, longer history {_shown(many)}",
        f"whole search, {POINTERS} pointers": _shown(whole),
        **{f"git lfs ls-files --all, {v}": _shown(s) for v, s in lists.items()},
    }
    bars = [
        Bar("seconds beyond git's start", few.wall - start.wall, 0.1, at_least=False),
        Bar("times as long, history x 10", many.wall / few.wall, 1.3, at_least=False),
        *(
            Bar(f"whole / git-lfs {v}", whole.wall / s.wall, 0.1, at_least=False)
            for v, s in lists.items()
        ),
    ]
    return report("pointers", bars, facts)


def _shown(value: Spent) -> str:
    return f"{1000 * value.wall:.1f} ms, CPU {1000 * value.cpu:.1f} ms"


@contextmanager
def _mirror(git: GitCommand, place: Path, name: str, commits: int) -> Iterator[Mirror]:
    path = f"{name}/acme/widget.git"
    layout = Layout(place / path)
    repository = build(layout.repository, commits=commits)
    track(repository, POINTERS)
    repository.git("repack", "-adq")
    with tempfile.TemporaryDirectory(prefix="bench-") as other:
        upstream = repository.copy(Path(other) / "up")
        _push(upstream, layout.quarantine / "pack")
        target = snapshot(upstream.path)
    limits = Limits(deadline=timedelta(minutes=10), grace=timedelta(hours=1))
    store = BareStore(place, git, lambda _name: Remote("file:///nowhere"), limits)
    with store.lease(path) as leased:
        yield Mirror(repository, leased, Incoming(target, exact=True))


def _push(upstream: Repository, packs: Path) -> None:
    """Commit pointers to a repository, and leave in `packs` what is new."""
    before = upstream.branch("topic")
    for pointer in islice(some_pointers(POINTERS + PUSHED), POINTERS, None):
        upstream.commit("topic", {f"new/{pointer.oid}": pointer_file(pointer)})
    packs.mkdir(parents=True)
    revisions = f"refs/heads/topic\n^{before}\n".encode()
    upstream.git("pack-objects", "--revs", "-q", packs / "pack", stdin=revisions)


def _pushes(
    git: GitCommand, small: Mirror, large: Mirror
) -> tuple[Spent, Spent, Spent]:
    def start() -> None:
        for _ in range(2):
            git.run(Call(["cat-file", "--batch-check"], small.repository.path))

    actions: Sequence[Callable[[], object]] = (
        start,
        lambda: small.search(everything=False),
        lambda: large.search(everything=False),
    )
    assert small.search(everything=False) == PUSHED
    assert large.search(everything=False) == PUSHED
    rounds = [[spent(action) for action in actions] for _ in range(ROUNDS)]
    first, second, third = (middle(values) for values in zip(*rounds, strict=True))
    return first, second, third


def _clients() -> list[GitLfs]:
    paths = (programs.packaged_git_lfs(), programs.GIT_LFS.find())
    return [GitLfs(path.name, path) for path in paths]


def _wholes(
    mirror: Mirror, clients: Sequence[GitLfs]
) -> tuple[Spent, dict[str, Spent]]:
    assert mirror.search(everything=True) == POINTERS + PUSHED
    ours: list[Spent] = []
    theirs: dict[str, list[Spent]] = {each.version(): [] for each in clients}
    for _ in range(WHOLE_ROUNDS):
        ours.append(spent(lambda: mirror.search(everything=True)))
        for client in clients:
            theirs[client.version()].append(_listed(client, mirror.repository.path))
    return middle(ours), {v: middle(each) for v, each in theirs.items()}


def _listed(client: GitLfs, repository: Path) -> Spent:
    found = b""

    def listed() -> None:
        nonlocal found
        found = client.run("ls-files", "--all", "--long", at=repository)

    took = spent(listed)
    assert len(set(found.splitlines())) == POINTERS
    return took


if __name__ == "__main__":
    raise SystemExit(main())
