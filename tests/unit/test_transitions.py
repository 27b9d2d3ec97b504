"""What becomes of a mirror's state when a run ends without a publication."""

from __future__ import annotations

from dataclasses import replace

import pytest

from syncer.catalog import transitions
from syncer.errors import AccessDenied, Unavailable
from syncer.model.mirrors import RepoState
from syncer.model.names import RepoName
from syncer.model.runs import Outcome, Stage, SyncRun, Trigger
from tests.fakes import NOW

NAME = RepoName("upstream.test", "acme", "widget")
STATE = RepoState(id=1, name=NAME, path=NAME.path, tier="normal", failures=9)
RUN = SyncRun(7, 1, NAME, Trigger.SCHEDULE, NOW, outcome=Outcome.FAILED, ended=NOW)


@pytest.mark.parametrize(
    ("stage", "error", "failures"),
    [
        (Stage.TRANSFER, Unavailable, transitions.SOON),
        (Stage.TRANSFER, AccessDenied, 10),
        (Stage.FETCH, Unavailable, 10),
    ],
)
def test_a_passing_fault_of_a_transfer_keeps_nobody_away_for_long(
    stage: Stage, error: type[Unavailable | AccessDenied], failures: int
) -> None:
    """Any other failure is one more in a row, and the next try later still."""
    run = replace(RUN, stage=stage, exit_code=error.exit_code, error="down")

    assert transitions.closed(STATE, run, None).failures == failures


def test_objects_alone_end_a_row_of_failures() -> None:
    """A run that brought LFS objects for published refs is no failure."""
    run = replace(RUN, stage=Stage.TRANSFER, outcome=Outcome.CHANGED)

    after = transitions.closed(STATE, run, None)

    assert (after.failures, after.error, after.behind_since) == (0, None, None)
