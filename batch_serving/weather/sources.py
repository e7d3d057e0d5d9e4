"""Where forecasts come from: KMA's service, or sample weather for a project without a key."""

from __future__ import annotations

import logging
import time
from datetime import datetime
from typing import Protocol

from batch_serving.weather import kma
from batch_serving.weather.districts import Cell
from batch_serving.weather.http import new_session
from batch_serving.weather.kma_answers import Answer
from batch_serving.weather.kma_bases import is_too_old
from batch_serving.weather.kma_errors import Kind, KmaError
from batch_serving.weather.kma_sample import sample_answer

log = logging.getLogger(__name__)


class NoConnectionError(ValueError):
    """The connection does not exist, and the settings do not allow sample weather."""


class Source(Protocol):
    """Something that forecasts can be requested from."""

    @property
    def name(self) -> str:
        """``kma`` or ``sample``, as rows have it."""

    def fetch(self, bases: list[datetime], cell: Cell) -> Answer:
        """Return a forecast for a grid cell, of the best base that has one; raises KmaError."""


class SampleSource:
    """Sample weather: the same base and cell give the same forecast."""

    name = "sample"

    def fetch(self, bases: list[datetime], cell: Cell) -> Answer:
        """Return the forecast of the best base."""
        return Answer(bases[0], sample_answer(bases[0], cell))


class KmaSource:
    """KMA's service; ``now`` is when the task started, ``pause_s`` the wait before each cell."""

    name = "kma"

    def __init__(self, service: kma.Service, now: datetime, pause_s: float) -> None:
        """Open a session."""
        self._service = service
        self._now = now
        self._pause_s = pause_s
        self._session = new_session(service.key)
        self._unpublished: set[datetime] = set()

    def fetch(self, bases: list[datetime], cell: Cell) -> Answer:
        """Return the forecast of the best base that the service has; raises KmaError."""
        time.sleep(self._pause_s)  # bursts of calls bring timeouts and 429
        failures: dict[datetime, KmaError] = {}
        for base in bases:
            try:
                return self._fetch_base(base, cell)
            except KmaError as error:
                if error.kind is not Kind.NO_DATA and not is_too_old(error, base, self._now):
                    raise
                failures[base] = error
        raise failures[max(bases)]  # of the base that the service keeps the longest

    def _fetch_base(self, base: datetime, cell: Cell) -> Answer:
        """Fetch one base, and once more if the service has no data: it may publish the base right now.

        Only once for each base, since what is not published for one cell is not published for the others.
        """
        try:
            return kma.fetch(self._session, self._service, base, cell)
        except KmaError as error:
            if error.kind is not Kind.NO_DATA or base in self._unpublished:
                raise
        time.sleep(kma.BACKOFF_S)
        try:
            return kma.fetch(self._session, self._service, base, cell)
        except KmaError as error:
            if error.kind is Kind.NO_DATA:
                self._unpublished.add(base)
            raise


def find_source(
    connection: kma.Connection | None, *, conn_id: str, without_connection: str, now: datetime, pause_s: float
) -> Source:
    """Return the source that the settings of ``collect`` select; ValueError if they do not select one.

    ``connection`` is the Airflow connection ``conn_id``, or None if it does not exist.
    """
    if without_connection not in ("sample", "fail"):
        raise ValueError(f"without_connection must be 'sample' or 'fail', got {without_connection!r}")
    if connection is not None:
        return KmaSource(kma.service_of(connection), now, pause_s)
    if without_connection == "fail":
        raise NoConnectionError(
            f"connection {conn_id!r} does not exist, and without_connection is 'fail'; create it: "
            f"AIRFLOW_CONN_{conn_id.upper()}=…"
        )
    log.warning(
        "connection %r does not exist: the weather is MADE UP (source=sample). For KMA's, add to .env: "
        'AIRFLOW_CONN_%s={"conn_type": "http", "password": "<the Decoding key>"}',
        conn_id,
        conn_id.upper(),
    )
    return SampleSource()
