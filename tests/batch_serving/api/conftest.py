"""What the tests of the API share."""

from __future__ import annotations

import csv
import json
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from servers import Slack
from serving import ROOT


@pytest.fixture
def digits() -> list[dict[str, Any]]:
    """Some rows of the digits, as JSON has them."""
    with (ROOT / "data" / "digits.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))[:20]
    return [{name: json.loads(value) for name, value in row.items() if name != "digit"} for row in rows]


@pytest.fixture
def slack(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> Slack:
    """An incoming webhook, and the connection to it for the processes that a test starts."""
    found = Slack(httpserver)
    monkeypatch.setenv("AIRFLOW_CONN_SLACK_WEBHOOK", found.connection)
    return found
