"""A connection's extra: what Airflow's hooks read there does not get in the way of the driver."""

from __future__ import annotations

import json

import pytest

from batch_serving.shared.airflow import InvalidConnectionError, database_engine


def options(monkeypatch: pytest.MonkeyPatch, kind: str, extra: dict[str, object]) -> dict[str, object]:
    """Return what the driver is given for a connection with this extra."""
    fields = {"conn_type": kind, "host": "127.0.0.1", "schema": "service", "login": "me", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps(fields))
    return dict(database_engine("shop").url.query)


def test_tls_is_written_as_the_operators_read_it(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"ssl": {"ca": "/etc/ca.pem", "cert": "/etc/me.pem"}}
    found = options(monkeypatch, "mysql", extra)
    assert found == {"charset": "utf8mb4", "ssl_ca": "/etc/ca.pem", "ssl_cert": "/etc/me.pem"}


def test_what_only_the_hooks_read_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert options(
        monkeypatch, "mysql", {"cursor": "SSCursor", "client": "mysqlclient", "charset": "utf8"}
    ) == {"charset": "utf8"}
    assert options(monkeypatch, "postgres", {"cursor": "dictcursor", "sslmode": "require"}) == {
        "sslmode": "require"
    }


def test_another_mapping_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidConnectionError, match="extra 'options' of connection 'shop' must be a plain"):
        options(monkeypatch, "postgres", {"options": {"search_path": "a"}})
