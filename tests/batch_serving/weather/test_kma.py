"""The client: what it retries, and how long it waits."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from kma_faults import FAULTS
from servers import Kma
from weather_pipeline import collect, write_districts
from werkzeug import Request, Response

from batch_serving.weather import kma as kma_client


def test_only_what_a_retry_can_help_is_retried_within_the_task(
    kma: Kma, output: Path, tmp_path: Path
) -> None:
    retried = {
        "code 01",
        "code 02",
        "code 04",
        "code 05",
        "code 99",
        "gateway XML",
        "no wrapper",
        "plain text",
    }
    retried |= {"routing error", "429", "500", "502 page", "reset", "slow", "cut off", "key in a page"}
    retried |= {"trickle", "garbage"}  # too slow, too long: the next response may be neither
    for name, fault in FAULTS.items():
        kma.requests.clear()
        kma.fault = lambda asked, request, fault=fault: fault(asked, request) if asked["nx"] == "57" else None
        with pytest.raises(RuntimeError):
            collect(districts=write_districts(tmp_path / "d.csv", "부산,Busan,26,57,127"), run_id=name)
        bases = {asked["base_time"] for asked in kma.requests}
        wanted = kma_client.ATTEMPTS if name in retried else 1
        if name == "empty items":
            wanted = 4  # two bases, each twice
        assert len(kma.requests) == wanted, (name, bases)


def test_the_wait_is_the_one_that_the_service_asks_for(kma: Kma, output: Path, tmp_path: Path) -> None:
    answers = iter(["1", format_datetime(datetime.now(UTC) + timedelta(seconds=3), usegmt=True)])

    def busy(_asked: dict[str, str], _request: Request) -> Response | None:
        wait = next(answers, None)
        return Response("busy", 429, headers={"Retry-After": wait}) if wait else None

    kma.fault = busy
    start = time.monotonic()
    collect(districts=write_districts(tmp_path / "d.csv", "부산,Busan,26,60,127"))
    assert 1.9 < time.monotonic() - start < 5
    assert len(kma.requests) == 3


def test_a_wait_longer_than_a_minute_is_left_to_airflow(kma: Kma, output: Path, tmp_path: Path) -> None:
    kma.fault = lambda asked, request: Response("busy", 503, headers={"Retry-After": "3600"})
    with pytest.raises(RuntimeError, match="KMA transport: HTTP 503"):
        collect(districts=write_districts(tmp_path / "d.csv", "부산,Busan,26,60,127"))
    assert len(kma.requests) == 1


@pytest.mark.parametrize("written", ["k%3D/y=\n", "  k%3D/y=\r\n", '"k%3D/y="', "\ufeffk%3D/y=\u200b"])
def test_what_copying_adds_to_a_key_is_no_part_of_it(written: str) -> None:
    given = SimpleNamespace(conn_id="kma_api", schema=None, host=None, port=None, password=written)
    assert kma_client.service_of(given).key == "k%3D/y="
    for empty in ("", " \n", None):
        with pytest.raises(ValueError, match="connection 'kma_api' has no password"):
            kma_client.service_of(SimpleNamespace(**{**vars(given), "password": empty}))
