"""Which connections and pools exist, as far as can be known here: in the environment, .env, the database."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from batch_serving.shared.env import read_env_file
from batch_serving.shared.root import PROJECT_ROOT

PREFIX = "AIRFLOW_CONN_"


@dataclass(frozen=True)
class Existing:
    """The names of connections (in lower case) and pools. ``elsewhere``: a secrets backend may have more."""

    connections: frozenset[str] = frozenset()
    pools: frozenset[str] = frozenset({"default_pool"})
    elsewhere: bool = False


def existing() -> Existing:
    """Return what exists; a database that cannot be read counts as empty."""
    variables = {*os.environ}
    with contextlib.suppress(OSError, ValueError):  # `make up` reports it
        variables |= {*read_env_file(PROJECT_ROOT / ".env")}
    connections = {name.removeprefix(PREFIX).lower() for name in variables if name.startswith(PREFIX)}
    in_database, pools = _in_database()
    from airflow.configuration import conf

    backend = bool(conf.get("secrets", "backend", fallback=""))
    return Existing(frozenset(connections | in_database), frozenset({"default_pool", *pools}), backend)


def _in_database() -> tuple[set[str], set[str]]:
    """Return the connections and pools of Airflow's database, without creating one."""
    import sqlalchemy
    from airflow.configuration import conf

    address = sqlalchemy.make_url(conf.get("database", "sql_alchemy_conn"))
    if address.drivername.startswith("sqlite") and not Path(address.database or "").is_file():
        return set(), set()
    engine = sqlalchemy.create_engine(address)
    try:
        with engine.connect() as connection:
            names = connection.execute(sqlalchemy.text("SELECT conn_id FROM connection")).scalars().all()
            pools = connection.execute(sqlalchemy.text("SELECT pool FROM slot_pool")).scalars().all()
    except sqlalchemy.exc.SQLAlchemyError:
        return set(), set()
    finally:
        engine.dispose()
    return {str(name).lower() for name in names}, {*map(str, pools)}
