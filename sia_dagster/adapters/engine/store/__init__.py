"""The completion store: every paid answer, kept as it arrives, in SQLite or Postgres.

`sqlite` and `postgres` load SQLAlchemy: they are imported where a store is opened.
"""

from sia_dagster.adapters.engine.store.completion_store import CompletionStore
from sia_dagster.adapters.engine.store.stored_values import LedgerScope, Paid, StoredGroup, older_windows, request_key

__all__ = ["CompletionStore", "LedgerScope", "Paid", "StoredGroup", "older_windows", "request_key"]
