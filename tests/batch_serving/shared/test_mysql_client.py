"""PyMySQL under the name of mysqlclient: one copy of it, when it is needed, and never before the real one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
BEGIN = (
    "import sys; from batch_serving.shared.mysql_client import use_pymysql; use_pymysql(); use_pymysql()\n"
)


def run(code: str, *more: str) -> str:
    """Run code in a new process, with more folders on its path."""
    path = f"sys.path[:0] = {[*more]}\n"
    command = [sys.executable, "-c", BEGIN + path + code]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def test_nothing_is_imported_until_it_is_needed() -> None:
    assert run("print('pymysql' in sys.modules, 'MySQLdb' in sys.modules)") == "False False"


def test_each_class_exists_once() -> None:
    code = """
import MySQLdb.cursors, pymysql
from MySQLdb.connections import Connection
print(MySQLdb is pymysql, MySQLdb.cursors.SSCursor is pymysql.cursors.SSCursor, Connection is
      pymysql.connections.Connection, MySQLdb.err.Error is pymysql.err.Error, pymysql.__spec__.name)
"""
    assert run(code) == "True True True True pymysql"


def test_an_installed_mysqlclient_comes_first(tmp_path: Path) -> None:
    (tmp_path / "MySQLdb.py").write_text("name = 'the real one'\n", encoding="utf-8")
    assert run("import MySQLdb; print(MySQLdb.name)", str(tmp_path)) == "the real one"


def test_without_pymysql_it_is_missing_as_before() -> None:
    hide = "sys.modules['pymysql'] = None\n"
    code = f"{hide}try:\n    import MySQLdb\nexcept ModuleNotFoundError as error:\n    print(error)"
    assert run(code) == "No module named 'MySQLdb'"
