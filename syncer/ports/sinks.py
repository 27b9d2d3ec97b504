"""Who is told how far something is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from syncer.model.runs import Progress

ProgressSink: TypeAlias = Callable[[Progress], None]
