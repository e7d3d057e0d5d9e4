"""Which connections and pools exist, as far as can be known here: in the environment, .env, the database."""

from __future__ import annotations

import contextlib
import json
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


def connection_types() -> dict[str, str]:
    """Return the type of each connection of the environment and ``.env``, by its name in lower case.

    The environment counts more. One that cannot be read has no type: Airflow reports it.
    """
    variables: dict[str, str] = {}
    with contextlib.suppress(OSError, ValueError):  # `make up` reports it
        variables |= read_env_file(PROJECT_ROOT / ".env")
    variables |= os.environ
    found = {
        name.removeprefix(PREFIX).lower(): _type_of(value)
        for name, value in variables.items()
        if name.startswith(PREFIX)
    }
    return {name: kind for name, kind in found.items() if kind}


def _type_of(connection: str) -> str:
    """Return the type of a connection that is written as JSON or as a URI, as Airflow reads it."""
    if not connection.lstrip().startswith("{"):
        kind = connection.partition("://")[0].strip() if "://" in connection else ""
    else:
        try:
            kind = str(json.loads(connection).get("conn_type") or "")
        except ValueError:
            return ""
    kind = kind.replace("-", "_").lower()
    return "postgres" if kind == "postgresql" else kind


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
