"""What a world has in place of a forge's API, where no host has one."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from tests.fakes_api import FakeApi
from tests.fakes_catalog import FakeCatalog
from tests.fakes_releases import FakeReleaseIndex

if TYPE_CHECKING:
    from collections.abc import Callable

    from syncer.model.mirrors import RepoState
    from syncer.ports import Clock, ForgeApi, ReleaseIndex


class Unasked(NamedTuple):
    """The last parts of a `World`, in their order."""

    api: ForgeApi
    releases: ReleaseIndex
    every: Callable[[RepoState], timedelta]


def unasked(clock: Clock) -> Unasked:
    """Return an API that serves no host, and the index that it leaves empty."""
    api = FakeApi(clock, "api.invalid")
    return Unasked(api, FakeReleaseIndex(FakeCatalog()), _never)


def _never(_state: RepoState) -> timedelta:
    return timedelta.max
