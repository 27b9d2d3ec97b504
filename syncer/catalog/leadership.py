"""Who decides who is due: one process of all that work for a Postgres catalog.

A lock of a session (`pg_try_advisory_lock`), on a connection of its own.  Each tick
asks it something, so that a lost connection is a lost lead, and the server knows when
the leader last spoke (`pg_stat_activity.state_change`).  The lock of one that was
silent for too long, since it hangs or its machine is gone, is taken by ending its
session.  Only the server's clock counts.
https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
"""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

log = logging.getLogger(__name__)

#: A leader that says nothing for so long has to go.
SILENCE = timedelta(seconds=15)
_KEY = 0x6C656164  # "lead": which of Postgres' advisory locks is ours

_TAKE = text("SELECT pg_try_advisory_lock(:key)")
_SPEAK = text("SELECT 1")
# A key below 2**32 is in `objid`; `objsubid` 1 says that it is a single number.
_END_SILENT = text(
    "SELECT pg_terminate_backend(activity.pid)"
    " FROM pg_locks AS held JOIN pg_stat_activity AS activity USING (pid)"
    " WHERE held.locktype = 'advisory' AND held.granted"
    " AND held.database ="
    " (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND held.classid = 0 AND held.objid = :key AND held.objsubid = 1"
    " AND activity.state_change < clock_timestamp() - make_interval(secs => :silence)"
)


class Leadership:
    """One process's part in the election; for one thread."""

    def __init__(self, engine: Engine, silence: timedelta = SILENCE) -> None:
        self._engine = engine
        self._silence = silence.total_seconds()
        self._conn: Connection | None = None
        self._leads = False

    def hold(self) -> bool:
        """Return whether this process leads, and lead if nobody does.

        To be asked before each tick: True counts for the length of `silence`.  A
        database that does not answer gives nobody the lead.
        """
        try:
            leads = self._asked()
        except SQLAlchemyError as exc:
            leads = False
            self._drop()
            log.debug("the lead is not known", exc_info=exc)
        if leads != self._leads:
            log.info("leads from now on" if leads else "does not lead any more")
        self._leads = leads
        return leads

    def release(self) -> None:
        """Leave the lead to others, at once."""
        self._leads = False
        self._drop()

    def _asked(self) -> bool:
        conn = self._conn = self._conn or self._connected()
        if self._leads:
            conn.execute(_SPEAK)
            return True
        if conn.scalar(_TAKE, {"key": _KEY}):
            return True
        ended = conn.scalars(_END_SILENT, {"key": _KEY, "silence": self._silence})
        if not any(ended.all()):
            return False
        log.warning("the leader was silent for too long; its session was ended")
        return bool(conn.scalar(_TAKE, {"key": _KEY}))

    def _connected(self) -> Connection:
        """Return a connection that no pool lends to anybody else."""
        options = {"isolation_level": "AUTOCOMMIT"}
        conn = self._engine.connect().execution_options(**options)
        conn.detach()
        return conn

    def _drop(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            with suppress(SQLAlchemyError):
                conn.close()
