"""What we know of every mirror: one database, SQLite or Postgres."""
