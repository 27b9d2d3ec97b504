"""What the acceptance tests share: the real command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.acceptance.command import Command

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def syncer(tmp_path: Path) -> Command:
    """Provide the command, in an empty directory."""
    place = tmp_path / "here"
    place.mkdir()
    return Command(place)
