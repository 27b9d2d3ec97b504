"""Statements about thousands of rows at once, on both engines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import Boolean, String, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sqlalchemy import Column, Connection, Delete, Row, Select, Table, Update
    from sqlalchemy.dialects import postgresql, sqlite
    from sqlalchemy.sql.compiler import SQLCompiler

_NAME = "among"


class Among(FunctionElement[bool]):
    """The condition that a column has one of the values `rows` is given.

    They are one parameter, a list as JSON.  As one each they would run into
    SQLite's limit, and Postgres would compare every row of a table that it has
    no statistics of yet with every value: 200 times as slow.
    """

    name = "among"
    type = Boolean()
    inherit_cache = True

    def __init__(self, column: Column[str]) -> None:
        super().__init__(column, bindparam(_NAME, type_=String()))

    def self_group(self, against: object = None) -> Among:  # noqa: ARG002 - the base class's signature
        """Return the condition as it is.

        As a function it would be compared with 1, and SQLite's index not used.
        """
        return self


@compiles(Among, "sqlite")
def _on_sqlite(element: Among, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's own
    column, values = (compiler.process(each, **options) for each in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608 - a column and a parameter


@compiles(Among, "postgresql")
def _on_postgres(element: Among, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's own
    column, values = (compiler.process(each, **options) for each in element.clauses)
    return f"{column} IN (SELECT json_array_elements_text(CAST({values} AS json)))"


def rows(
    conn: Connection, statement: Select[Any], among: Iterable[str]
) -> Iterator[Row[*tuple[Any, ...]]]:
    """Yield what a question answers of many values."""
    listed = _listed(among)
    if listed is not None:
        yield from conn.execute(statement, {_NAME: listed})


def change(
    conn: Connection,
    statement: Delete | Update,
    among: Iterable[str],
    values: Mapping[str, Any] | None = None,
) -> None:
    """Run a statement for many values; `values` are its other parameters."""
    listed = _listed(among)
    if listed is not None:
        conn.execute(statement, {**(values or {}), _NAME: listed})


def _listed(among: Iterable[str]) -> str | None:
    # In the order of the table: neighbours are then read together.
    ordered = sorted(set(among))
    return json.dumps(ordered) if ordered else None


def insert(conn: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Return an `INSERT` that can say what to do when a row is there already."""
    # Every command would load both, and uses one of them or none.
    if conn.dialect.name == "sqlite":
        from sqlalchemy.dialects import sqlite  # noqa: PLC0415 - as said above

        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415 - as said above

    return postgresql.insert(table)
