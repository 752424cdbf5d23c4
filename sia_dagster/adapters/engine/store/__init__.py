"""The completion store: every paid answer, kept as it arrives, in SQLite or Postgres."""
