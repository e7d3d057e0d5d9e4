"""PyMySQL in place of mysqlclient, where that is not installed.

Airflow's MySQL provider imports ``MySQLdb``. That is mysqlclient, which is compiled against system packages.
PyMySQL has the same interface and needs none. With it, one connection serves the SQL operators and what this
project does with a database.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

NAME, STAND_IN = "MySQLdb", "pymysql"


class _MySQLClient(MetaPathFinder, Loader):
    """Finds PyMySQL under the name of mysqlclient. Python asks it last: an installed mysqlclient wins."""

    def find_spec(self, fullname: str, _path: object, _target: object = None) -> ModuleSpec | None:
        """Return how ``MySQLdb`` is imported, None for all other modules and without PyMySQL."""
        if fullname == NAME and importlib.util.find_spec(STAND_IN):
            return ModuleSpec(fullname, self)
        return None

    def exec_module(self, _module: ModuleType) -> None:
        """Put PyMySQL and its modules in the place of the new module: each class exists only once."""
        client = importlib.import_module(STAND_IN)
        for name in ("cursors", "connections", "converters", "constants"):
            importlib.import_module(f"{STAND_IN}.{name}")
        below = [name for name in sys.modules if name.startswith(f"{STAND_IN}.")]
        for name in below:
            sys.modules[NAME + name.removeprefix(STAND_IN)] = sys.modules[name]
        client.install_as_MySQLdb()


def use_pymysql() -> None:
    """Let ``import MySQLdb`` find PyMySQL if there is no mysqlclient; imports neither of them."""
    if not any(isinstance(finder, _MySQLClient) for finder in sys.meta_path):
        sys.meta_path.append(_MySQLClient())
