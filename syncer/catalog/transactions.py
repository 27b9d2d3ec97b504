"""Transactions on the catalog's database, with its errors in our words."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from syncer.catalog.database import READING, exclusively
from syncer.catalog.translation import translated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine


class Transactional:
    """What has transactions on one engine; usable from many threads."""

    def __init__(self, engine: Engine) -> None:
        self._writer = engine
        self._reader = engine.execution_options(**READING)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with translated(), self._reader.begin() as conn:
            yield conn

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with translated(), self._writer.begin() as conn:
            yield conn

    @contextmanager
    def _deciding(self) -> Iterator[Connection]:
        """Yield a connection while nobody else changes what it decides from."""
        with self._writing() as conn:
            exclusively(conn)
            yield conn
