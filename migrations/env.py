"""What Alembic runs for every command; the catalog prepares the connection."""

from __future__ import annotations

from typing import Any

from alembic import context

from syncer.catalog.tables import complete

attributes = context.config.attributes
settings: dict[str, Any] = {
    "target_metadata": complete(),
    # SQLite alters a table by building another one.
    "render_as_batch": True,
    # A killed migration leaves the tables as they were, on SQLite too.
    "transactional_ddl": True,
    "transaction_per_migration": True,
}

if context.is_offline_mode():
    context.configure(
        dialect_name=attributes["dialect"], literal_binds=True, **settings
    )
else:
    context.configure(connection=attributes["connection"], **settings)

with context.begin_transaction():
    context.run_migrations()
