"""How Airflow's processes share one SQLite file (``AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS``)."""

import sqlite3
import sys
from typing import Any

# Seconds that a writer waits for the others. With SQLite's 5, the scheduler ended with "database is locked"
# when two dozen DAGs ran on two cores. The API server must not wait long: it answers the request that has to
# end first in the same event loop.
PATIENT = ("scheduler", "dag-processor", "backfill")


class WaitingCursor(sqlite3.Cursor):
    """Waits for its turn before a savepoint reads what it then changes.

    ``airflow backfill create`` does this for each run. SQLite lets a transaction that has read before another
    one wrote no longer write: "database is locked", without a wait, which left half a backfill.
    """

    def execute(self, sql: str, *parameters: Any) -> "WaitingCursor":
        """Run a statement; the outermost savepoint begins as a writer, and commits when it is released."""
        connection = self.connection
        assert isinstance(connection, WaitingConnection)  # noqa: S101 - which makes these cursors
        if sql.startswith("SAVEPOINT ") and not connection.in_transaction:
            super().execute("BEGIN IMMEDIATE")
            connection.outermost = sql.removeprefix("SAVEPOINT ")
        super().execute(sql, *parameters)
        if connection.outermost and sql == f"RELEASE SAVEPOINT {connection.outermost}":
            connection.commit()
        return self


class WaitingConnection(sqlite3.Connection):
    """A connection whose cursors wait."""

    outermost = ""

    def cursor(self, factory: Any = WaitingCursor) -> Any:
        """Return a cursor that waits."""
        return super().cursor(factory)

    def commit(self) -> None:
        """End the transaction, and with it its savepoints."""
        super().commit()
        self.outermost = ""

    def rollback(self) -> None:
        """End the transaction, and with it its savepoints."""
        super().rollback()
        self.outermost = ""


CONNECT_ARGS: dict[str, Any] = {"timeout": 60 if any(name in sys.argv for name in PATIENT) else 5}
if "backfill" in sys.argv:
    CONNECT_ARGS["factory"] = WaitingConnection
