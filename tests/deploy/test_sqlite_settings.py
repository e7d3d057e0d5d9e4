"""A savepoint that reads and then writes, while another process writes into the same SQLite file."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "deploy" / "settings"))

import sqlite_settings  # noqa: E402


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "airflow.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE runs (id INTEGER)")
    return path


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Another process that writes all the time."""
    ended = threading.Event()

    def write() -> None:
        with contextlib.closing(sqlite3.connect(path, timeout=60)) as connection:
            while not ended.is_set():
                connection.execute("INSERT INTO runs VALUES (0)")
                connection.commit()
                time.sleep(0.001)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def create_runs(connection: sqlite3.Connection) -> None:
    """What a backfill does for each run: in a savepoint, look whether it is there, and then make it."""
    for number in range(1, 21):
        cursor = connection.cursor()
        cursor.execute("SAVEPOINT one")
        cursor.execute("SELECT count(*) FROM runs WHERE id = ?", (number,)).fetchone()
        time.sleep(0.01)
        cursor.execute("INSERT INTO runs VALUES (?)", (number,))
        cursor.execute("RELEASE SAVEPOINT one")
        assert not connection.in_transaction  # others can write between two runs


def test_a_savepoint_waits_for_its_turn(file: Path) -> None:
    waiting = sqlite3.connect(file, timeout=60, factory=sqlite_settings.WaitingConnection)
    with writing(file), contextlib.closing(waiting) as connection:
        create_runs(connection)
    with contextlib.closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT count(*) FROM runs WHERE id > 0").fetchone() == (20,)


def test_without_it_sqlite_refuses_the_write(file: Path) -> None:
    """Once this fails, the module is no longer needed."""
    plain = sqlite3.connect(file, timeout=60)
    locked = pytest.raises(sqlite3.OperationalError, match="database is locked")
    with writing(file), contextlib.closing(plain) as connection, locked:
        create_runs(connection)


def test_what_a_savepoint_took_back_is_not_written(file: Path) -> None:
    waiting = sqlite3.connect(file, timeout=60, factory=sqlite_settings.WaitingConnection)
    with contextlib.closing(waiting) as connection:
        cursor = connection.cursor()
        cursor.execute("SAVEPOINT one")
        cursor.execute("INSERT INTO runs VALUES (1)")
        cursor.execute("ROLLBACK TO SAVEPOINT one")
        cursor.execute("INSERT INTO runs VALUES (2)")
        connection.commit()
        assert connection.execute("SELECT id FROM runs").fetchall() == [(2,)]
