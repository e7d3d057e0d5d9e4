"""Collecting cell by cell."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from kma_faults import FAULTS
from servers import KEY, Kma, kma_answer, kma_items
from trees import tree
from weather_pipeline import START, collect, collect_and_preprocess, kst, rows_of, run_with_retries
from werkzeug import Request, Response

from batch_serving.weather import collector
from batch_serving.weather import kma as kma_client


def test_answers_are_stored_and_a_retry_requests_only_the_rest(kma: Kma, output: Path) -> None:
    kma.fault = lambda asked, _: Response("{") if asked["nx"] == "59" else None
    with pytest.raises(RuntimeError, match="of 14 cells have no forecast") as error:
        collect()
    assert "cell 59," in str(error.value)
    arrived = len(list(output.rglob("*.json.gz")))
    assert 0 < arrived < 14
    kma.requests.clear()
    kma.fault = lambda asked, request: None
    collect()
    assert len(kma.requests) == 14 - arrived
    assert {asked["nx"] for asked in kma.requests} == {"59"}


def test_an_answer_without_the_hour_is_requested_again(kma: Kma, output: Path) -> None:
    kma.fault = lambda asked, _: Response(
        json.dumps(
            kma_answer(
                [
                    item
                    for item in kma_items("202601010930", int(asked["nx"]), int(asked["ny"]))
                    if item["fcstTime"] != "1100"
                ]
            )
        )
    )
    with pytest.raises(RuntimeError, match="14 of 14 cells have no forecast") as error:
        collect()
    assert "the answer of 09:30 lacks 2026-01-01 11:00" in str(error.value)
    kma.fault = lambda asked, request: None
    assert collect_and_preprocess()["rows"] == 25


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_after_any_fault_a_later_try_succeeds_and_the_key_is_nowhere(
    kma: Kma, output: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    caplog.set_level("DEBUG")
    kma.fault = lambda asked, request: FAULTS[name](asked, request) if asked["nx"] == "60" else None
    with pytest.raises(RuntimeError, match=r"cell 60,127 \(Jongno-gu/Jung-gu\): KMA ") as failed:
        collect()
    kma.fault = lambda asked, request: None
    assert collect_and_preprocess()["rows"] == 25
    secrets = (KEY, quote(KEY), KEY[:12])
    assert [secret for secret in secrets if secret in str(failed.value) + caplog.text] == []
    assert [name for name, data in tree(output).items() if KEY[:12].encode() in data] == []


def test_an_unavailable_service_gets_no_request_for_each_cell(kma: Kma, output: Path) -> None:
    kma.fault = lambda asked, request: Response("", 500)
    with pytest.raises(RuntimeError, match="14 of 14 cells have no forecast") as error:
        collect()
    assert len(kma.requests) == collector.UNAVAILABLE_AFTER * kma_client.ATTEMPTS
    assert (
        str(error.value).count("not requested: the service is unavailable")
        == 14 - collector.UNAVAILABLE_AFTER
    )


def test_a_late_run_gets_its_own_hour(kma: Kma, output: Path) -> None:
    kma.now = kst("2026-01-01T23:10:00")
    collect_and_preprocess(now="2026-01-01T23:10:00+09:00")
    row = rows_of(output / "weather" / "latest.csv")[0]
    assert (row["forecast_at"], row["base_at"]) == ("2026-01-01T11:00:00+09:00", "2026-01-01T09:30:00+09:00")
    assert (row["temperature_c"], row["collected_at"]) == ("9", "2026-01-01T23:10:00+09:00")


def test_sample_weather_never_replaces_answers_of_kma(
    kma: Kma, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect_and_preprocess()
    before = tree(output)
    monkeypatch.delenv("AIRFLOW_CONN_KMA_API")
    collect_and_preprocess(now="2026-01-01T05:00:00+00:00")
    assert tree(output) == before
    collect_and_preprocess(run_id="another", now="2026-01-01T05:00:00+00:00")
    assert {row["source"] for row in rows_of(output / "weather" / "latest.csv")} == {"kma"}


def test_cells_that_always_fail_do_not_block_the_others(kma: Kma, output: Path) -> None:
    kma.fault = lambda asked, _: FAULTS["code 01"](asked, _) if asked["nx"] == "59" else None
    for minute in range(7):
        with pytest.raises(RuntimeError):
            collect(now=f"2026-01-01T01:{minute:02}:07+00:00")
    assert len(list(output.rglob("*.json.gz"))) == 11


def test_an_answer_with_too_few_values_is_not_a_forecast(kma: Kma, output: Path) -> None:
    def poor(asked: dict[str, str], _request: Request) -> Response:
        items = kma_items(asked["base_date"] + asked["base_time"], int(asked["nx"]), int(asked["ny"]))
        return Response(json.dumps(kma_answer([item for item in items if item["category"] == "LGT"])))

    kma.fault = poor
    with pytest.raises(RuntimeError, match="the answer has 1 values for the hour, of 10"):
        collect()


def test_a_maintenance_page_costs_few_calls(kma: Kma, output: Path) -> None:
    kma.fault = FAULTS["page with 200"]
    for hour in range(5):
        run_with_retries(kma, START + timedelta(hours=hour))
    assert len(kma.requests) == 5 * 4 * collector.UNUSABLE_AFTER
