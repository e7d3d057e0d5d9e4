"""A service of KMA on loopback, and short waits, for all tests of the weather."""

from __future__ import annotations

import pytest
from pytest_httpserver import HTTPServer
from servers import Kma
from weather_pipeline import shorten_waits, start_kma


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits that suit a server on this machine."""
    shorten_waits(monkeypatch)


@pytest.fixture
def kma(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> Kma:
    """The forecast service, named by the connection ``kma_api``."""
    return start_kma(httpserver, monkeypatch)
