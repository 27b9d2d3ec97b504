"""Deliberate mistakes in the product, which the sweeps must notice.

Each takes `patch(owner, name, value)` and applies itself.  As an operation, a
mutant applies itself in the process that is cut; the test applies the same one
to the process that recovers.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from syncer.catalog.sql import SqlCatalog
from syncer.git import packed_refs, recovery
from syncer.git.repository import Repository
from syncer.model.runs import Receipt
from syncer.sync import attempt
from tests.crash import operations

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    Patch = Callable[[Any, str, Any], None]


def finish_before_refs(patch: Patch) -> None:
    """Claim success before the refs move."""
    promote, finish = Repository.promote, SqlCatalog.finish
    postponed: list[Callable[[], object]] = []

    def later(self: Repository, *args: Any, **kwargs: Any) -> Receipt:  # noqa: ANN401 - passed on as they are
        postponed.append(lambda: promote(self, *args, **kwargs))
        return Receipt("1:1:1", kwargs["target"].fingerprint, 0)

    def now(self: SqlCatalog, *args: Any) -> Any:  # noqa: ANN401 - passed on as they are
        done = finish(self, *args)
        for action in postponed:
            action()
        return done

    patch(Repository, "promote", later)
    patch(SqlCatalog, "finish", now)


def no_intent(patch: Patch) -> None:
    """Recover as if nothing had been recorded before the refs moved."""
    patch(SqlCatalog, "intent", lambda _self, _mirror_id: None)


def refs_before_objects(patch: Patch) -> None:
    """Publish refs whose objects are still in the quarantine."""
    migrate, publish = Repository._migrate, packed_refs.publish  # noqa: SLF001 - a mutant reaches inside
    postponed: list[Repository] = []

    def publish_first(repository: Path, content: bytes) -> None:
        publish(repository, content)
        while postponed:
            migrate(postponed.pop())

    def postpone(self: Repository) -> None:
        postponed.append(self)

    patch(Repository, "_migrate", postpone)
    patch(packed_refs, "publish", publish_first)


def in_place(patch: Patch) -> None:
    """Write refs where readers look."""

    def write(repository: Path, content: bytes) -> None:
        with (repository / "packed-refs").open("wb", buffering=64) as file:
            for line in content.splitlines(keepends=True):
                file.write(line)

    patch(packed_refs, "publish", write)


def no_lock_sweep(patch: Patch) -> None:
    """Leave the locks of dead processes where they are."""
    patch(recovery, "leftovers", lambda _layout: iter(()))


def head_without_its_branch(patch: Patch) -> None:
    """Publish the new default branch without the old one beside it."""
    patch(attempt, "beside", lambda _published, _target: None)


def nothing_kept(patch: Patch) -> None:
    """Forget the old tips of what upstream rewrote."""
    patch(attempt, "keep_lost", lambda kept, _changes, _date: dict(kept))


def unsynced(patch: Patch) -> None:
    """Rename a `packed-refs` whose bytes are not on the disk."""

    def publish(repository: Path, content: bytes) -> None:
        lock = repository / "packed-refs.new"
        lock.write_bytes(content)
        # A link, since ext4 heals the same mistake for a rename that replaces.
        with suppress(FileNotFoundError):
            (repository / "packed-refs").unlink()
        (repository / "packed-refs").hardlink_to(lock)
        lock.unlink()

    patch(packed_refs, "publish", publish)


#: By name: the mutant, and how its sweep cuts.
MUTANTS: Mapping[str, tuple[Callable[[Patch], None], str]] = {
    "finish_before_refs": (finish_before_refs, "kill"),
    "no_intent": (no_intent, "kill"),
    "refs_before_objects": (refs_before_objects, "kill"),
    "in_place": (in_place, "kill"),
    "no_lock_sweep": (no_lock_sweep, "kill"),
    "head_without_its_branch": (head_without_its_branch, "kill"),
    "nothing_kept": (nothing_kept, "kill"),
    "unsynced": (unsynced, "power"),
}


def __getattr__(name: str) -> Callable[[Path], None]:
    """Return a mutant's operation: `mutants:sync_<mutant>`."""
    mutant = MUTANTS.get(name.removeprefix("sync_"))
    if mutant is None or not name.startswith("sync_"):
        raise AttributeError(name)

    def sync(world: Path) -> None:
        mutant[0](setattr)
        operations.sync(world)

    return sync
