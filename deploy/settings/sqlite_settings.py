"""How Airflow's processes share one SQLite file (``AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS``)."""

import sys

# Seconds that a writer waits for the others. With SQLite's 5, the scheduler ended with "database is locked"
# when two dozen DAGs ran on two cores. The API server must not wait long: it answers the request that has to
# end first in the same event loop.
PATIENT = ("scheduler", "dag-processor", "backfill")
CONNECT_ARGS = {"timeout": 60 if any(name in sys.argv for name in PATIENT) else 5}
