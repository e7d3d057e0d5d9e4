"""P4: bases and hours, the service's answers, the raw files and the CSVs."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from kma_faults import FAULTS
from pytest_httpserver import HTTPServer
from servers import KEY, Kma, kma_answer, kma_items
from trees import tree
from werkzeug import Response

from callables import _kma, _weather_ask, _weather_csv, _weather_raw, _weather_rows, weather
from callables._districts import cell_of, read_districts
from callables._files import PROJECT_ROOT
from callables._kma_sample import sample_items

DISTRICTS = "data/seoul_districts.csv"
RUN = {
    "run_id": "scheduled__2026-01-01T01:00:00+00:00",
    "run_after": "2026-01-01T01:00:00+00:00",  # 10:00 KST
    "now": "2026-01-01T01:00:07+00:00",
    "seconds_between_calls": 0,
}


def kst(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+09:00")


def collect(**run: Any) -> dict:
    return weather.collect(**{"districts": DISTRICTS, **RUN, **run})


def preprocess(**run: Any) -> dict:
    known = ("districts", "run_id", "run_after", "keep_raw_days", "database")
    given = {"districts": DISTRICTS, **RUN, **run}
    return weather.preprocess(**{name: given[name] for name in known if name in given})


def collect_and_preprocess(**run: Any) -> dict:
    collect(**run)
    return preprocess(**run)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits that suit a server on this machine."""
    monkeypatch.setattr("callables._kma.BACKOFF_S", 0.001)
    monkeypatch.setattr("callables._http.TIMEOUT_S", (1, 0.5))
    monkeypatch.setattr("callables._http.WHOLE_ANSWER_S", 1)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def kma(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> Kma:
    service = Kma(httpserver)
    monkeypatch.setenv("AIRFLOW_CONN_KMA_API", service.connection)
    return service


@pytest.mark.parametrize(
    ("now", "base", "hour"),
    [
        ("2026-01-01T10:00:05", "2026-01-01T09:30:00", "2026-01-01T11:00:00"),
        ("2026-01-01T10:44:59", "2026-01-01T09:30:00", "2026-01-01T11:00:00"),
        ("2026-01-01T10:45:00", "2026-01-01T10:30:00", "2026-01-01T11:00:00"),
        ("2026-01-01T00:10:00", "2025-12-31T23:30:00", "2026-01-01T01:00:00"),  # a new year
        ("2026-02-28T23:50:00", "2026-02-28T23:30:00", "2026-03-01T00:00:00"),  # a new month
    ],
)
def test_base_and_hour(now: str, base: str, hour: str) -> None:
    assert _kma.newest_base(kst(now)) == kst(base)
    assert _kma.target_hour(kst(now)) == kst(hour)


def test_time_in_utc_is_taken_for_what_it_is_in_seoul() -> None:
    assert _kma.newest_base(datetime.fromisoformat("2025-12-31T15:10:00+00:00")) == kst("2025-12-31T23:30:00")


def test_without_a_connection_the_weather_is_a_sample_and_says_so(
    output: Path, caplog: pytest.LogCaptureFixture
) -> None:
    result = collect_and_preprocess()
    assert result["rows"] == 25
    latest = rows_of(output / "weather" / "latest.csv")
    assert {row["source"] for row in latest} == {"sample"}
    assert "MADE UP" in caplog.text
    assert len(list((output / "weather" / "raw").rglob("*.json.gz"))) == 14


def test_each_district_has_a_file_that_excel_reads(output: Path) -> None:
    collect_and_preprocess()
    folder = output / "weather"
    files = sorted(folder.glob("*-gu/2026-01.csv"))
    assert len(files) == 25
    assert files[0].read_bytes().startswith(b"\xef\xbb\xbf")
    assert [row["district"] for row in rows_of(folder / "Jongno-gu" / "2026-01.csv")] == ["종로구"]
    assert {row["forecast_at"] for row in rows_of(folder / "latest.csv")} == {"2026-01-01T11:00:00+09:00"}


def test_a_second_try_changes_no_file(output: Path) -> None:
    collect_and_preprocess()
    before = tree(output)
    collect_and_preprocess()
    assert tree(output) == before


def test_fourteen_calls_serve_25_districts_the_hour_ahead(kma: Kma, output: Path) -> None:
    result = collect_and_preprocess()
    assert len(kma.requests) == 14
    assert {(asked["base_date"], asked["base_time"]) for asked in kma.requests} == {("20260101", "0930")}
    latest = rows_of(output / "weather" / "latest.csv")
    assert (len(latest), result["rows"]) == (25, 25)
    # 11:00 is the second slot of base 09:30, and has a temperature of its own.
    assert {row["temperature_c"] for row in latest} == {"9"}
    row = latest[0]
    assert (row["rain_1h_text"], row["rain_1h_min_mm"], row["rain_1h_max_mm"]) == ("1mm 미만", "0", "1")
    assert (row["sky"], row["precipitation"], row["source"]) == ("mostly cloudy", "rain", "kma")
    assert row["base_at"] == "2026-01-01T09:30:00+09:00"


def test_a_base_that_is_not_out_falls_back_to_the_one_before(kma: Kma, output: Path) -> None:
    kma.not_out = {"202601010930"}
    collect_and_preprocess()
    row = rows_of(output / "weather" / "latest.csv")[0]
    assert (row["base_at"], row["temperature_c"]) == ("2026-01-01T08:30:00+09:00", "10")


def test_what_arrived_is_kept_and_a_retry_asks_for_the_rest(kma: Kma, output: Path) -> None:
    kma.fault = lambda asked, _: Response("{") if asked["nx"] == "59" else None
    with pytest.raises(RuntimeError, match="of 14 cells did not arrive") as error:
        collect()
    assert "cell 59," in str(error.value)
    arrived = len(list(output.rglob("*.json.gz")))
    assert 0 < arrived < 14
    kma.requests.clear()
    kma.fault = lambda asked, request: None
    collect()
    assert len(kma.requests) == 14 - arrived
    assert {asked["nx"] for asked in kma.requests} == {"59"}


def test_a_wrong_key_fails_at_once_with_the_remedy_and_never_shows_it(
    kma: Kma, output: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = json.loads(kma.connection) | {"password": "wrong-key/123="}
    monkeypatch.setenv("AIRFLOW_CONN_KMA_API", json.dumps(wrong))
    with pytest.raises(AirflowFailException, match=r"KMA 30: .*put the \*Decoding\* key") as error:
        collect()
    assert len(kma.requests) == 1
    assert "wrong-key" not in str(error.value) + caplog.text


def test_a_service_that_is_away_never_shows_the_key(
    output: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    away = {"conn_type": "http", "schema": "http", "host": "127.0.0.1", "port": 9, "password": KEY}
    monkeypatch.setenv("AIRFLOW_CONN_KMA_API", json.dumps(away))
    caplog.set_level("DEBUG")
    with pytest.raises(RuntimeError, match="ConnectionError while asking http://127.0.0.1:9") as error:
        collect()
    assert error.value.__cause__ is None
    shown = str(error.value) + caplog.text
    assert "Starting new HTTP connection" in caplog.text  # urllib3 has logged
    assert KEY not in shown
    assert "decoding%2Bkey" not in shown


def test_the_key_is_in_no_file_and_no_log(kma: Kma, output: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    collect_and_preprocess()
    assert "serviceKey=***" in caplog.text
    assert "decoding" not in caplog.text
    assert not [name for name, data in tree(output).items() if b"decoding" in data]


GATEWAY_XML = """<OpenAPI_ServiceResponse><cmmMsgHeader><errMsg>SERVICE ERROR</errMsg>
<returnAuthMsg>SERVICE_KEY_IS_NOT_REGISTERED_ERROR</returnAuthMsg><returnReasonCode>30</returnReasonCode>
</cmmMsgHeader></OpenAPI_ServiceResponse>"""


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (200, GATEWAY_XML, "30"),
        (403, json.dumps({"OpenAPI_ServiceResponse": {"cmmMsgHeader": {"returnReasonCode": "22"}}}), "22"),
        (200, json.dumps({"header": {"resultCode": "99", "resultMsg": "x"}}), "99"),
        (401, "Unauthorized", "30"),
        (401, json.dumps({"message": "who?"}), "30"),
        (403, "<html>no</html>", "20"),
        (429, json.dumps({"message": "slow down"}), "transport"),
        (200, "<response><header><resultCode>00</resultCode></header></response>", "malformed"),
        (
            200,
            json.dumps(
                {
                    "response": {
                        "header": {"resultCode": "00"},
                        "body": {
                            "totalCount": "²",
                            "items": {"item": [*kma_items("202601010930", 60, 127)[:3], 3]},
                        },
                    }
                }
            ),
            "malformed",
        ),
        (429, "API rate limit exceeded", "05"),
        (200, "API token quota exceeded", "22"),
        (200, "<html><body>maintenance</body></html>", "malformed"),
        (200, "<!DOCTYPE html><html>", "malformed"),
        (200, '{"response": {"header"', "malformed"),
        (200, "[]", "malformed"),
        (502, "Bad Gateway", "transport"),
        (503, "<html><body>busy</body></html>", "transport"),
        (429, "<!DOCTYPE html>", "transport"),
        (200, "Unexpected error", "99"),
        (200, "HTTP ROUTING ERROR", "04"),
        (403, "Forbidden", "20"),
        (200, "API not found", "12"),
        (200, json.dumps({"response": {"header": {"resultCode": 22, "resultMsg": 5}}}), "22"),
        (
            200,
            json.dumps({"response": {"header": {"resultCode": "00"}, "body": {"items": {"item": 3}}}}),
            "malformed",
        ),
        (
            200,
            json.dumps({"response": {"header": {"resultCode": "00"}, "body": {"items": {"item": [3]}}}}),
            "malformed",
        ),
        (200, "[" * 100_000, "malformed"),
        (200, json.dumps(kma_answer([], "00")), "03"),
        (200, json.dumps({"response": {"header": {"resultCode": "00"}, "body": {"items": ""}}}), "03"),
        (200, json.dumps(kma_answer(kma_items("202601010930", 1, 1))), "malformed"),
        (200, json.dumps(kma_answer(kma_items("202601010830", 60, 127))), "malformed"),
    ],
)
def test_an_answer_that_is_no_forecast_is_told_apart(status: int, body: str, code: str) -> None:
    with pytest.raises(_kma.KmaError) as error:
        _kma.read_answer(status, body, kst("2026-01-01T09:30:00"), (60, 127))
    assert error.value.code == code


def test_numbers_in_place_of_texts_are_read() -> None:
    items = [
        {
            **item,
            "baseTime": int(item["baseTime"]),
            "baseDate": int(item["baseDate"]),
            "fcstTime": int(item["fcstTime"]),
        }
        for item in kma_items("202601010930", 60, 127)
    ]
    body = json.dumps(kma_answer(items))
    found = _kma.read_answer(200, body, kst("2026-01-01T09:30:00"), (60, 127))
    assert _weather_rows.values_at(found, kst("2026-01-01T11:00:00"))["temperature_c"] == "9"


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("강수없음", "0", "0"),
        ("-", "0", "0"),
        ("0", "0", "0"),
        ("1mm 미만", "0", "1"),
        ("1.0mm 미만", "0", "1.0"),
        ("6.2mm", "6.2", "6.2"),
        ("30.0~50.0mm", "30.0", "50.0"),
        ("50.0mm 이상", "50.0", ""),
    ],
)
def test_rain_texts(text: str, low: str, high: str) -> None:
    assert _weather_rows.rain_mm(text) == (low, high)


@pytest.mark.parametrize(
    "text", ["many", "1mm 미만 이상", "3cm", "1~2~3mm", "-5", "-99", "30mm 50mm", "50~30mm", "=1+1"]
)
def test_a_rain_text_that_nobody_knows_is_no_number(text: str) -> None:
    assert _weather_rows.rain_mm(text) is None


@pytest.mark.parametrize("value", ["-998.9", "999", "absent"])
def test_rainfall_that_is_missing_is_not_none(value: str) -> None:
    items = [
        item | {"fcstValue": value} if item["category"] == "RN1" else item
        for item in kma_items("202601010930", 60, 127)
    ]
    items = [item for item in items if item["fcstValue"] != "absent"]
    values, unfit = _weather_rows.fit(_weather_rows.values_at(items, kst("2026-01-01T11:00:00")))
    assert unfit == []
    assert (values["rain_1h_min_mm"], values["rain_1h_max_mm"]) == ("", "")


def test_an_answer_without_the_hour_is_asked_for_again(kma: Kma, output: Path) -> None:
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
    with pytest.raises(RuntimeError, match="14 of 14 cells did not arrive") as error:
        collect()
    assert "the answer of 09:30 lacks 2026-01-01 11:00" in str(error.value)
    kma.fault = lambda asked, request: None
    assert collect_and_preprocess()["rows"] == 25


def test_a_key_that_comes_later_replaces_the_sample(
    output: Path, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect_and_preprocess()
    monkeypatch.setenv("AIRFLOW_CONN_KMA_API", Kma(httpserver).connection)
    assert collect()["source"] == "kma"
    collect_and_preprocess()
    assert {found["source"] for found in rows_of(output / "weather" / "latest.csv")} == {"kma"}


def test_without_a_connection_yaml_may_say_fail(output: Path) -> None:
    with pytest.raises(
        AirflowFailException, match="there is no connection 'kma_api', and without_connection is 'fail'"
    ):
        collect(without_connection="fail")


def test_a_connection_that_cannot_be_read_is_not_taken_for_none(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_KMA_API", "{'conn_type': 'http', 'password': 'K'}")
    with pytest.raises(
        AirflowFailException, match="AIRFLOW_CONN_KMA_API is set but is neither JSON nor a URI"
    ) as error:
        collect()
    assert "'K'" not in str(error.value)


def test_two_districts_of_one_name_are_told(tmp_path: Path) -> None:
    file = tmp_path / "d.csv"
    file.write_text(
        "name_ko,name_en,code,nx,ny\n중구,Jung-gu,1,60,127\n중구,Jung-gu,2,97,74\n", encoding="utf-8"
    )
    with pytest.raises(ValueError, match="has the name_en jung-gu twice"):
        read_districts(str(file))


@pytest.mark.parametrize("value", ["900", "-999", "999.0"])
def test_a_value_that_marks_a_gap_is_empty(value: str) -> None:
    items = [
        item | {"fcstValue": value}
        for item in kma_items("202601010930", 60, 127)
        if item["category"] == "T1H"
    ]
    assert _weather_rows.values_at(items, kst("2026-01-01T11:00:00"))["temperature_c"] == ""


def row(base: str, collected: str, value: str) -> dict[str, str]:
    found = dict.fromkeys(_weather_rows.columns(), "")
    found |= {"forecast_at": "2026-01-01T11:00:00+09:00", "district_en": "Jongno-gu", "code": "1"}
    return found | {"base_at": base, "collected_at": collected, "temperature_c": value}


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 2, 0)])
def test_of_duplicates_the_newest_base_then_the_newest_collection_wins(
    output: Path, order: tuple[int, ...]
) -> None:
    rows = [row("08:30", "10:09", "older"), row("09:30", "10:00", "earlier"), row("09:30", "10:05", "newest")]
    for index in order:
        _weather_csv.upsert(_weather_rows.Found(rows=[rows[index]]))
    for name in ("Jongno-gu/2026-01.csv", "latest.csv"):
        assert [found["temperature_c"] for found in rows_of(output / "weather" / name)] == ["newest"]


def test_latest_does_not_go_back_when_an_old_run_is_cleared(output: Path) -> None:
    collect_and_preprocess()
    collect_and_preprocess(run_id="old", run_after="2025-12-31T01:00:00+00:00")
    assert {found["forecast_at"] for found in rows_of(output / "weather" / "latest.csv")} == {
        "2026-01-01T11:00:00+09:00"
    }
    assert rows_of(output / "weather" / "Jongno-gu" / "2025-12.csv")


def test_districts_without_the_hour_are_named_and_the_others_written(output: Path) -> None:
    found = collect()
    (Path(found["raw"]) / "60-127.json.gz").unlink()
    message = "no answer for 2026-01-01 11:00 yet for: Jongno-gu, Jung-gu; the other 23 districts are written"
    with pytest.raises(AirflowFailException, match=message):
        preprocess()
    assert 0 < len(rows_of(output / "weather" / "latest.csv")) < 25


def test_sample_answers_pass_the_same_parser() -> None:
    base = kst("2026-07-01T09:30:00")
    items = sample_items(base, (60, 127))
    assert _kma.read_answer(200, json.dumps(kma_answer(items)), base, (60, 127)) == items
    assert len(items) == 60
    values = _weather_rows.values_at(items, kst("2026-07-01T11:00:00"))
    assert {name for name, kind in _weather_rows.schema().items() if "category" in kind} == set(values)
    assert _weather_rows.fit(values)[1] == []


def test_seoul_has_25_districts_in_14_cells() -> None:
    districts = read_districts(DISTRICTS)
    assert (len(districts), len({district.cell for district in districts})) == (25, 14)
    assert PROJECT_ROOT.joinpath(DISTRICTS).exists()


def test_a_districts_file_that_is_not_one_is_told(tmp_path: Path) -> None:
    file = tmp_path / "d.csv"
    file.write_text("name_ko,nx\n", encoding="utf-8")
    with pytest.raises(ValueError, match="lacks the columns code, name_en, ny"):
        read_districts(str(file))
    with pytest.raises(FileNotFoundError, match="correct `districts` in the YAML"):
        read_districts("data/nowhere.csv")


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_whatever_the_service_does_a_later_try_ends_well_and_the_key_is_nowhere(
    kma: Kma, output: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    caplog.set_level("DEBUG")
    kma.fault = lambda asked, request: FAULTS[name](asked, request) if asked["nx"] == "60" else None
    told = ""
    try:
        collect()
    except RuntimeError as error:
        told = str(error)
        assert "cell 60,127 (Jongno-gu/Jung-gu): KMA " in told
    assert told
    kma.fault = lambda asked, request: None
    assert collect_and_preprocess()["rows"] == 25
    secrets = (KEY, quote(KEY), KEY[:12])
    assert [secret for secret in secrets if secret in told + caplog.text] == []
    assert [name for name, data in tree(output).items() if KEY[:12].encode() in data] == []


def test_what_can_help_is_tried_again_within_the_task_and_nothing_else(kma: Kma, output: Path) -> None:
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
    retried |= {"trickle", "garbage"}  # too slow, too long: the next answer may be neither
    for name, fault in FAULTS.items():
        kma.requests.clear()
        kma.fault = lambda asked, request, fault=fault: fault(asked, request) if asked["nx"] == "57" else None
        with pytest.raises(RuntimeError):
            collect(districts=one_district(output, "57", "127"), run_id=name)
        bases = {asked["base_time"] for asked in kma.requests}
        wanted = 4 if name == "empty items" else _kma.ATTEMPTS if name in retried else 1
        assert len(kma.requests) == wanted, (name, bases)


def one_district(output: Path, nx: str = "", ny: str = "", lat: str = "", lon: str = "") -> str:
    file = output.parent / "one.csv"
    file.write_text(
        f"name_ko,name_en,code,nx,ny,lat,lon\n부산,Busan,2600000000,{nx},{ny},{lat},{lon}\n", encoding="utf-8"
    )
    return str(file)


def test_the_wait_is_the_one_that_the_service_asks_for(
    kma: Kma, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(["1", format_datetime(datetime.now(UTC) + timedelta(seconds=3), usegmt=True)])

    def busy(_asked: dict, _request: Any) -> Response | None:
        wait = next(answers, None)
        return Response("busy", 429, headers={"Retry-After": wait}) if wait else None

    kma.fault = busy
    start = time.monotonic()
    collect(districts=one_district(output, "60", "127"))
    assert 1.9 < time.monotonic() - start < 5
    assert len(kma.requests) == 3


def test_a_wait_longer_than_a_minute_is_left_to_airflow(kma: Kma, output: Path) -> None:
    kma.fault = lambda asked, request: Response("busy", 503, headers={"Retry-After": "3600"})
    with pytest.raises(RuntimeError, match="KMA transport: HTTP 503"):
        collect(districts=one_district(output, "60", "127"))
    assert len(kma.requests) == 1


def test_a_service_that_is_away_is_not_asked_for_each_cell(kma: Kma, output: Path) -> None:
    kma.fault = lambda asked, request: Response("", 500)
    with pytest.raises(RuntimeError, match="14 of 14 cells did not arrive") as error:
        collect()
    assert len(kma.requests) == _weather_ask.GIVE_UP_AFTER * _kma.ATTEMPTS
    assert str(error.value).count("not asked: the service is away") == 14 - _weather_ask.GIVE_UP_AFTER


@pytest.mark.parametrize("code", ["10", "11", "12", "20", "21", "22", "30", "31", "32", "33"])
def test_what_asking_again_cannot_mend_fails_at_once_with_the_remedy(
    kma: Kma, output: Path, code: str
) -> None:
    kma.fault = lambda asked, request: Response(json.dumps(kma_answer([], code, "NO")))
    with pytest.raises(AirflowFailException, match=re.escape(f"KMA {code}: NO ({_kma.REMEDIES[code]})")):
        collect()
    # "Wrong parameter" may be one cell's own fault; the others are asked, until it is plain that it is not.
    assert len(kma.requests) == (_weather_ask.GIVE_UP_ON_NONSENSE_AFTER if code == "10" else 1)


def test_calls_keep_a_polite_pace(kma: Kma, output: Path) -> None:
    start = time.monotonic()
    collect(seconds_between_calls=0.05)
    assert time.monotonic() - start >= 14 * 0.05


@pytest.mark.parametrize("change", ["missing", "extra"])
def test_categories_that_are_missing_or_new(kma: Kma, output: Path, change: str) -> None:
    def answer(asked: dict, _request: Any) -> Response:
        items = kma_items(asked["base_date"] + asked["base_time"], int(asked["nx"]), int(asked["ny"]))
        if change == "missing":
            items = [item for item in items if item["category"] not in ("T1H", "RN1")]
        else:
            items += [{**item, "category": "NEW"} for item in items[:6]]
        return Response(json.dumps(kma_answer(items)))

    kma.fault = answer
    assert collect_and_preprocess()["quarantined"] == 0
    row = rows_of(output / "weather" / "latest.csv")[0]
    missing = change == "missing"
    assert (row["temperature_c"], row["rain_1h_min_mm"], row["humidity_percent"]) == (
        "" if missing else "9",
        "" if missing else "0",
        "60",
    )


def test_a_late_run_gets_its_own_hour(kma: Kma, output: Path) -> None:
    kma.now = kst("2026-01-01T23:10:00")
    collect_and_preprocess(now="2026-01-01T23:10:00+09:00")
    row = rows_of(output / "weather" / "latest.csv")[0]
    assert (row["forecast_at"], row["base_at"]) == ("2026-01-01T11:00:00+09:00", "2026-01-01T09:30:00+09:00")
    assert (row["temperature_c"], row["collected_at"]) == ("9", "2026-01-01T23:10:00+09:00")


def test_an_hour_that_the_service_has_no_more_is_noted_and_the_others_are_written(
    kma: Kma, output: Path
) -> None:
    kma.now = kst("2026-01-01T10:00:00")
    kma.fault = lambda asked, _: Response("{") if asked["nx"] == "59" else None
    with pytest.raises(RuntimeError):
        collect()
    kma.now = kst("2026-01-03T10:00:00")
    kma.fault = lambda asked, request: None
    late = {"now": "2026-01-03T10:00:00+09:00"}
    found = collect(**late)
    assert len(found["gone"]) == 3
    result = preprocess()
    assert (result["rows"] + result["missing"], result["missing"]) == (25, 6)
    missing = rows_of(output / "weather" / "missing" / "2026-01.csv")
    assert {row["reason"] for row in missing} == {"KMA no longer has the forecast of 2026-01-01 09:30"}
    assert {row["forecast_at"] for row in missing} == {"2026-01-01T11:00:00+09:00"}
    written = {row["district_en"] for row in rows_of(output / "weather" / "latest.csv")}
    assert written.isdisjoint(row["district_en"] for row in missing)
    before = tree(output)
    collect_and_preprocess(**late)
    assert tree(output) == before
    # Another run of the same hour may still have had them.
    kma.now = None
    collect_and_preprocess(run_id="another")
    assert not (output / "weather" / "missing" / "2026-01.csv").exists()
    preprocess()
    assert not (output / "weather" / "missing" / "2026-01.csv").exists()


def test_a_run_for_which_nothing_is_left_says_so_and_is_skipped(kma: Kma, output: Path) -> None:
    kma.now = kst("2026-01-09T10:00:00")
    with pytest.raises(AirflowSkipException, match="KMA no longer has 2026-01-01 11:00 for any district"):
        collect_and_preprocess(now="2026-01-09T10:00:00+09:00")
    assert len(rows_of(output / "weather" / "missing" / "2026-01.csv")) == 25


@pytest.mark.parametrize(
    ("category", "value", "column", "reason"),
    [
        ("T1H", "warm", "temperature_c", "not a number"),
        ("T1H", "-75", "temperature_c", "less than -60"),
        ("REH", "250", "humidity_percent", "more than 100"),
        ("REH", "nan", "humidity_percent", "not a number"),
        ("SKY", "2", "sky_code", "not one of [1, 3, 4, None]"),
        ("PTY", "x", "precipitation_code", "not a whole number"),
        ("VEC", "361", "wind_direction_deg", "more than 360"),
        ("RN1", "a lot", "rain_1h_text", "not one of KMA's ways to write rainfall"),
        ("RN1", "x" * 40, "rain_1h_text", "longer than 30"),
        ("RN1", "700mm", "rain_1h_text", "more than 500"),
        ("T1H", "1_0", "temperature_c", "not a number"),
        ("T1H", "٧", "temperature_c", "not a number"),
        ("T1H", "Infinity", "temperature_c", "not a number"),
    ],
)
def test_a_bad_value_goes_into_quarantine_with_the_reason(
    kma: Kma, output: Path, category: str, value: str, column: str, reason: str
) -> None:
    def answer(asked: dict, _request: Any) -> Response:
        items = kma_items(asked["base_date"] + asked["base_time"], int(asked["nx"]), int(asked["ny"]))
        changed = [item | {"fcstValue": value} if item["category"] == category else item for item in items]
        return Response(json.dumps(kma_answer(changed)))

    kma.fault = answer
    assert collect_and_preprocess()["quarantined"] == 25
    kept = rows_of(output / "weather" / "quarantine" / "2026-01.csv")
    assert {(row["column"], row["value"], row["reason"]) for row in kept} == {(column, value, reason)}
    for row in rows_of(output / "weather" / "latest.csv"):
        assert row[column] == ""
        others = {"temperature_c", "humidity_percent", "wind_speed_mps"} - {column}
        assert all(row[name] for name in others)
        assert all(not _weather_rows.problem(name, text) for name, text in row.items())
    before = tree(output)
    collect_and_preprocess()
    assert tree(output) == before


def test_every_column_is_described_and_what_a_number_means_has_a_unit() -> None:
    for name, kind in _weather_rows.schema().items():
        assert kind["description"], name
        assert "unit" in kind or "number" not in kind.get("type", ()), name


def test_raw_answers_are_kept_as_they_came_for_as_many_days_as_said(kma: Kma, output: Path) -> None:
    for day in (1, 2, 3):
        run = {"run_id": f"day {day}", "run_after": f"2026-01-0{day}T01:00:00+00:00"}
        found = collect(**run, now="2026-01-03T01:00:00+00:00")
        raw = _weather_raw.read(_weather_raw.path_of(Path(found["raw"]), (60, 127)))
        assert raw is not None
        assert json.loads(raw.answer) == kma_answer(kma_items(f"2026010{day}0930", 60, 127))
        preprocess(**run, keep_raw_days=1)
    days = sorted(path.name for path in (output / "weather" / "raw").glob("*/*"))
    assert days == ["date=2026-01-02", "date=2026-01-03"]


def test_history_can_be_made_anew_from_the_raw_answers_with_the_same_bytes(kma: Kma, output: Path) -> None:
    kma.fault = lambda asked, _: (
        Response("{") if asked["nx"] == "59" and asked["base_time"] == "1030" else None
    )
    for hour in (1, 2, 3):
        try:
            collect_and_preprocess(run_id=f"run {hour}", run_after=f"2026-01-01T0{hour}:00:00+00:00")
        except RuntimeError:
            kma.now = kst("2026-01-04T00:00:00")
            kma.fault = lambda asked, request: None
            collect_and_preprocess(
                run_id=f"run {hour}",
                run_after=f"2026-01-01T0{hour}:00:00+00:00",
                now="2026-01-04T00:00:00+00:00",
            )
            kma.now = None
    before = tree(output)
    assert any("missing/" in name for name in before)
    for path in output.rglob("*.csv"):
        path.unlink()
    code = "from callables.weather import main; raise SystemExit(main(['rebuild']))"
    shown = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ}, capture_output=True, text=True, check=True
    )
    assert json.loads(shown.stdout.splitlines()[-1])["runs"] == 3
    assert tree(output) == before


def test_two_writers_at_once_lose_nothing(output: Path) -> None:
    runs = [
        {"districts": DISTRICTS, "run_id": f"run {hour}", "run_after": f"2026-01-01T{hour:02}:00:00+00:00"}
        for hour in range(8)
    ]
    for run in runs:
        collect(**run)
    code = "import json, sys; from callables import weather; weather.preprocess(**json.loads(sys.argv[1]))"
    writers = [
        subprocess.Popen([sys.executable, "-c", code, json.dumps(run)], cwd=PROJECT_ROOT) for run in runs
    ]
    assert [writer.wait() for writer in writers] == [0] * 8
    assert len(rows_of(output / "weather" / "Jongno-gu" / "2026-01.csv")) == 8


VECTORS = [
    (37.579871128849334, 126.98935225645432, (60, 127)),
    (35.101148844565955, 129.02478725562108, (97, 74)),
    (33.500946412305076, 126.54663058817043, (53, 38)),
    (37.514575, 127.049556, (61, 126)),
]


@pytest.mark.parametrize(("latitude", "longitude", "cell"), VECTORS)
def test_a_place_lies_in_the_cell_that_kma_publishes(
    latitude: float, longitude: float, cell: tuple[int, int]
) -> None:
    assert cell_of(latitude, longitude) == cell


def test_all_of_seouls_districts_lie_where_the_formula_says() -> None:
    for row in rows_of(PROJECT_ROOT / DISTRICTS):
        assert cell_of(float(row["lat"]), float(row["lon"])) == (int(row["nx"]), int(row["ny"]))


def test_another_city_is_another_line(kma: Kma, output: Path) -> None:
    file = one_district(output, lat="35.101148844565955", lon="129.02478725562108")
    assert collect_and_preprocess(districts=file)["rows"] == 1
    assert (kma.requests[0]["nx"], kma.requests[0]["ny"]) == ("97", "74")
    assert rows_of(output / "weather" / "Busan" / "2026-01.csv")[0]["district"] == "부산"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("부산,Busan,1,,,,", "line 2: neither nx and ny nor lat and lon are there"),
        ("부산,Busan,1,,,10,10", "line 2: latitude 10.0, longitude 10.0 is outside KMA's grid"),
        (
            "부산,Busan,1,,,129.02,35.1",
            "line 2: latitude 129.02, longitude 35.1 is outside KMA's grid; are they swapped?",
        ),
        ("부산,Busan,1,6x,127,,", "line 2: nx and ny are whole numbers"),
        ("부산,Busan,1,600,127,,", "line 2: nx 600, ny 127 is outside KMA's grid of 149 × 253 cells"),
        ("부산,../Busan,1,60,127,,", "line 2: name_en '../Busan' cannot be a folder's name"),
        ("부산,raw,1,60,127,,", "line 2: name_en 'raw' cannot be a folder's name"),
        ("부산,Busan,x,60,127,,", "line 2: code 'x' is not a number"),
        ("", "has no district"),
    ],
)
def test_a_line_that_is_wrong_is_named(tmp_path: Path, line: str, message: str) -> None:
    file = tmp_path / "d.csv"
    file.write_text(f"name_ko,name_en,code,nx,ny,lat,lon\n{line}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(message)):
        read_districts(str(file))


def test_made_up_weather_never_replaces_what_the_service_said(
    kma: Kma, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect_and_preprocess()
    before = tree(output)
    monkeypatch.delenv("AIRFLOW_CONN_KMA_API")
    collect_and_preprocess(now="2026-01-01T05:00:00+00:00")
    assert tree(output) == before
    collect_and_preprocess(run_id="another", now="2026-01-01T05:00:00+00:00")
    assert {row["source"] for row in rows_of(output / "weather" / "latest.csv")} == {"kma"}


def test_cells_that_always_fail_do_not_keep_a_run_from_the_others(kma: Kma, output: Path) -> None:
    kma.fault = lambda asked, _: FAULTS["code 01"](asked, _) if asked["nx"] == "59" else None
    for minute in range(7):
        with pytest.raises(RuntimeError):
            collect(now=f"2026-01-01T01:{minute:02}:07+00:00")
    assert len(list(output.rglob("*.json.gz"))) == 11


def test_a_base_that_is_said_not_to_be_out_once_is_asked_for_again(kma: Kma, output: Path) -> None:
    asked_before: set[str] = set()

    def once(asked: dict, request: Any) -> Response | None:
        first = asked["nx"] + asked["ny"] not in asked_before
        asked_before.add(asked["nx"] + asked["ny"])
        return FAULTS["empty items"](asked, request) if first else None

    kma.fault = once
    collect_and_preprocess()
    assert {row["base_at"] for row in rows_of(output / "weather" / "latest.csv")} == {
        "2026-01-01T09:30:00+09:00"
    }


def test_a_late_run_takes_a_later_base_where_its_own_never_came(kma: Kma, output: Path) -> None:
    kma.lost = {"202601010930", "202601010830"}
    collect_and_preprocess(now="2026-01-01T11:10:00+09:00")
    row = rows_of(output / "weather" / "latest.csv")[0]
    assert (row["base_at"], row["forecast_at"]) == ("2026-01-01T10:30:00+09:00", "2026-01-01T11:00:00+09:00")


def test_an_answer_with_hardly_a_value_is_not_taken_for_a_forecast(kma: Kma, output: Path) -> None:
    def poor(asked: dict, _request: Any) -> Response:
        items = kma_items(asked["base_date"] + asked["base_time"], int(asked["nx"]), int(asked["ny"]))
        return Response(json.dumps(kma_answer([item for item in items if item["category"] == "LGT"])))

    kma.fault = poor
    with pytest.raises(RuntimeError, match="the answer has 1 values for the hour, of 10"):
        collect()


@pytest.mark.parametrize("value", ["1mm\r미만", "\ud800", "\0"])
def test_no_value_can_tear_the_csvs(kma: Kma, output: Path, value: str) -> None:
    def answer(asked: dict, _request: Any) -> Response:
        items = kma_items(asked["base_date"] + asked["base_time"], int(asked["nx"]), int(asked["ny"]))
        changed = [item | {"fcstValue": value} if item["category"] == "RN1" else item for item in items]
        return Response(json.dumps(kma_answer(changed)))

    kma.fault = answer
    assert collect_and_preprocess()["quarantined"] == 25
    assert {row["reason"] for row in rows_of(output / "weather" / "quarantine" / "2026-01.csv")} == {
        "has a character that cannot be printed"
    }
    before = tree(output)
    collect_and_preprocess()
    assert tree(output) == before


def test_of_two_that_are_the_same_in_age_one_is_always_taken(output: Path) -> None:
    for order in ((0, 1), (1, 0)):
        found = [row("09:30", "10:00", name) | {"run_id": name} for name in ("a", "b")]
        for index in order:
            _weather_csv.upsert(_weather_rows.Found(rows=[found[index]]))
        assert rows_of(output / "weather" / "latest.csv")[0]["run_id"] == "b"
        (output / "weather" / "latest.csv").unlink()


def test_a_spoilt_raw_file_is_asked_for_again(kma: Kma, output: Path) -> None:
    found = collect()
    path = Path(found["raw"]) / "60-127.json.gz"
    good = path.read_bytes()
    path.write_bytes(good[:20] + b"spoilt by a disk" + good[36:])
    kma.requests.clear()
    collect()
    assert len(kma.requests) == 1
    assert path.read_bytes() == good


@pytest.mark.parametrize("how", ["cut", "cp949"])
def test_a_spoilt_csv_is_named_and_comes_back(kma: Kma, output: Path, how: str) -> None:
    collect_and_preprocess()
    before = tree(output)
    path = output / "weather" / "Jongno-gu" / "2026-01.csv"
    good = path.read_bytes()
    path.write_bytes(good[:-60] if how == "cut" else good.decode("utf-8-sig").encode("cp949"))
    with pytest.raises(AirflowFailException, match="Jongno-gu/2026-01.csv is spoilt .*weather rebuild"):
        collect_and_preprocess()
    weather.rebuild(districts=DISTRICTS)
    preprocess()  # clears, as a person would, what failed
    after = tree(output)
    assert {name for name in after if name not in before} == {"weather/Jongno-gu/2026-01.csv.spoilt"}
    assert all(after[name] == data for name, data in before.items())


@pytest.mark.parametrize("form", ["plain", "lower", "json", "cut"])
def test_no_form_of_the_key_gets_out(
    kma: Kma, output: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    forms = {
        "plain": KEY,
        "lower": quote(KEY, safe="").replace("%2B", "%2b").replace("%2F", "%2f").replace("%3D", "%3d"),
        "json": json.dumps({"k": KEY}).replace("/", "\\/"),
        "cut": "x" * 40 + KEY,
    }
    kma.fault = lambda asked, request: Response(forms[form], 400)
    with pytest.raises(RuntimeError) as error:
        collect()
    assert "decoding" not in str(error.value)
    seen: BaseException | None = error.value
    while seen is not None:
        assert KEY not in str(seen)
        seen = seen.__cause__ or seen.__context__


def test_a_districts_file_of_a_korean_excel_says_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "d.csv"
    file.write_bytes("name_ko,name_en,code,nx,ny\n부산,Busan,1,97,74\n".encode("cp949"))
    with pytest.raises(ValueError, match="is not UTF-8; save it as 'CSV UTF-8'"):
        read_districts(str(file))
    file.write_text("name_ko,name_en,code,nx,ny\n부산,Busan,1,97,74\n,,,,\n", encoding="utf-8-sig")
    assert len(read_districts(str(file))) == 1


def test_keeping_raw_answers_for_no_day_is_refused(output: Path) -> None:
    collect()
    with pytest.raises(AirflowFailException, match="keep_raw_days is 0; it must be 1 or more"):
        preprocess(keep_raw_days=0)


def hour_run(hour: int) -> dict[str, str]:
    """The run of an hour of 1 January, KST, and when it runs."""
    at = f"2026-01-01T{hour:02}:00:00+09:00"
    return {"run_id": f"run {hour}", "run_after": at, "now": at}


def unfinished(output: Path) -> list[str]:
    return sorted(path.name[:13] for path in (output / "weather" / "unfinished").glob("*"))


def test_what_a_run_lacks_the_next_one_asks_for(
    kma: Kma, output: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kma.fault = lambda asked, _: Response("{") if asked["nx"] == "59" else None
    for hour in (10, 11):
        with pytest.raises(RuntimeError, match="3 of 14 cells did not arrive"):
            collect(**hour_run(hour))
        with pytest.raises(AirflowFailException, match="no answer for 2026-01-01 1.:00 yet for: ") as failed:
            preprocess(**hour_run(hour))
        assert getattr(failed.value, "already_told", False)  # collect's failure went to Slack
        # What arrived is there at once.
        assert 0 < len(rows_of(output / "weather" / "latest.csv")) < 25
    assert unfinished(output) == ["2026-01-01T11", "2026-01-01T12"]

    kma.fault = lambda asked, request: None
    kma.requests.clear()
    collect(**hour_run(12))
    assert len(kma.requests) == 3 + 3 + 14
    merged = preprocess(**hour_run(12))
    assert (merged["rows"], merged["late_rows"]) == (25, 50)
    assert unfinished(output) == []
    assert len(rows_of(output / "weather" / "Gangseo-gu" / "2026-01.csv")) == 3

    # The runs that failed have nothing left to do when somebody clears them, and change nothing.
    before = tree(output)
    kma.requests.clear()
    for hour in (10, 11):
        collect_and_preprocess(**hour_run(hour))
    assert kma.requests == []
    assert tree(output) == before


def test_with_a_new_key_the_hours_that_the_old_one_lost_come_as_well(
    kma: Kma, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = json.loads(kma.connection) | {"password": "expired"}
    monkeypatch.setenv("AIRFLOW_CONN_KMA_API", json.dumps(wrong))
    for hour in (10, 11):
        with pytest.raises(AirflowFailException, match="KMA 30"):
            collect(**hour_run(hour))
        with pytest.raises(AirflowFailException, match="the other 0 districts are written"):
            preprocess(**hour_run(hour))
    monkeypatch.setenv("AIRFLOW_CONN_KMA_API", kma.connection)
    collect_and_preprocess(**hour_run(12))
    rows = rows_of(output / "weather" / "Jongno-gu" / "2026-01.csv")
    assert [row["forecast_at"][11:13] for row in rows] == ["11", "12", "13"]
    assert [row["base_at"][11:16] for row in rows] == ["09:30", "10:30", "11:30"]


def test_an_hour_that_nobody_could_have_is_noted_by_a_later_run(kma: Kma, output: Path) -> None:
    kma.lost = {"202601010930", "202601010830", "202601011030"}
    with pytest.raises(RuntimeError):
        collect(**hour_run(10))
    kma.now = kst("2026-01-02T12:00:00")
    run = {"run_id": "next day", "run_after": "2026-01-02T12:00:00+09:00", "now": "2026-01-02T12:00:00+09:00"}
    collect_and_preprocess(**run)
    missing = rows_of(output / "weather" / "missing" / "2026-01.csv")
    assert {row["forecast_at"] for row in missing} == {"2026-01-01T11:00:00+09:00"}
    assert len(missing) == 25
    assert unfinished(output) == []


def test_help_for_earlier_runs_never_fails_a_run(kma: Kma, output: Path) -> None:
    kma.fault = lambda asked, _: Response("{") if asked["base_time"] == "0930" else None
    with pytest.raises(RuntimeError):
        collect(**hour_run(10))
    for name in ("code 01", "429", "page with 200"):
        kma.fault = lambda asked, request, name=name: (
            FAULTS[name](asked, request) if asked["base_time"] in ("0830", "0930") else None
        )
        assert collect_and_preprocess(**hour_run(13))["rows"] == 25
        assert unfinished(output) == ["2026-01-01T11"]
    quota = Response(json.dumps(kma_answer([], "22", "LIMITED NUMBER OF SERVICE REQUESTS EXCEEDS")))
    kma.fault = lambda asked, _: quota if asked["base_time"] in ("0830", "0930") else None
    kma.requests.clear()
    assert collect_and_preprocess(**hour_run(14))["rows"] == 25
    assert len(kma.requests) == 14 + 1  # and it does not go on asking


def test_made_up_weather_is_no_help(kma: Kma, output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kma.fault = lambda asked, _: Response("{") if asked["nx"] == "59" else None
    with pytest.raises(RuntimeError):
        collect(**hour_run(10))
    monkeypatch.delenv("AIRFLOW_CONN_KMA_API")
    assert collect_and_preprocess(**hour_run(11))["late_rows"] == 25 - 6
    assert unfinished(output) == ["2026-01-01T11"]


def test_marks_that_are_none_or_of_others_do_no_harm(kma: Kma, output: Path) -> None:
    folder = output / "weather" / "unfinished"
    folder.mkdir(parents=True)
    run = {"run_id": "x", "run_after": "2026-01-01T00:00:00+09:00", "districts": DISTRICTS}
    marks = ["", "{", "[]", "[" * 100_000, '{"run_id": 1}', json.dumps({"run": {**run, "run_id": 5}})]
    marks += [
        json.dumps({"run": {**run, "run_after": at}}) for at in ("yesterday", "9999-12-31T23:30:00+09:00")
    ]
    for number, mark in enumerate(marks):
        (folder / f"2026-01-01T01-{number}.json").write_text(mark, encoding="utf-8")
    # Another city's: its file is there, and its own runs go on with it.
    others = _weather_raw.Mark(_weather_raw.Run("b", "2026-01-01T00:00:00+09:00", "data/digits.csv"))
    others.write()
    assert collect_and_preprocess(**hour_run(10))["rows"] == 25
    assert len(kma.requests) == 14
    assert len(unfinished(output)) == len(marks) + 1


def one_run(kma: Kma, at: datetime, **run: Any) -> list[str]:
    """A run as Airflow does it, with its three retries; returns how its two tasks ended."""
    given = {"run_id": f"run {at:%d %H}", "run_after": at.isoformat(), **run}
    kma.now = at + timedelta(seconds=3)
    ends = []
    for number in range(4):
        try:
            collect(
                **{"run_id": given["run_id"], "run_after": given["run_after"], "now": kma.now.isoformat()}
            )
            ends = ["green"]
        except RuntimeError:
            kma.now += timedelta(minutes=2**number)
            continue
        except AirflowFailException:
            pass
        break
    ends = ends or ["red"]
    try:
        preprocess(**given)
        return [*ends, "green"]
    except (AirflowFailException, AirflowSkipException) as error:
        return [*ends, "skipped" if isinstance(error, AirflowSkipException) else "red"]


def hours_of(output: Path, district: str) -> list[str]:
    return [
        row["forecast_at"][8:13].replace("T", " ")
        for row in rows_of(output / "weather" / district / "2026-01.csv")
    ]


def noted(output: Path) -> list[str]:
    path = output / "weather" / "missing" / "2026-01.csv"
    return (
        sorted({row["forecast_at"][8:13].replace("T", " ") for row in rows_of(path)}) if path.exists() else []
    )


START = datetime.fromisoformat("2026-01-02T00:00:00+09:00")


@pytest.mark.slow
def test_after_an_outage_of_more_than_a_day_comes_all_that_the_service_still_has(
    kma: Kma, output: Path
) -> None:
    kma.keeps = timedelta(hours=24)
    kma.fault = lambda asked, request: Response("", 500)
    for hour in range(27):
        assert one_run(kma, START + timedelta(hours=hour)) == ["red", "red"]
    asked = len(kma.requests)
    assert asked <= 27 * 4 * _weather_ask.GIVE_UP_AFTER * _kma.ATTEMPTS
    kma.fault = lambda asked, request: None
    for hour in range(27, 33):
        kma.requests.clear()
        assert one_run(kma, START + timedelta(hours=hour)) == ["green", "green"]
        assert len(kma.requests) < 350
    assert unfinished(output) == []
    # 27 hours, of which the first can be had no more at 03:00 of the next day, by whatever base.
    assert len(noted(output)) + len(hours_of(output, "Jongno-gu")) == 33
    assert len(noted(output)) <= 4


@pytest.mark.parametrize("fault", ["code 99", "page with 200", "empty items", "code 10"])
def test_a_cell_that_never_comes_holds_up_no_other(kma: Kma, output: Path, fault: str) -> None:
    refused = Response(json.dumps(kma_answer([], "10", "INVALID")))
    answer = FAULTS.get(fault, lambda *_: refused)
    kma.fault = lambda asked, request: answer(asked, request) if asked["nx"] in ("61", "58") else None
    one_run(kma, START)
    kma.fault = lambda asked, request: answer(asked, request) if asked["nx"] == "61" else None
    for hour in range(1, 7):
        kma.requests.clear()
        assert one_run(kma, START + timedelta(hours=hour)) == ["red", "red"]
        assert len(kma.requests) < 100
    lacking = {d.name_en for d in read_districts(DISTRICTS) if d.cell[0] == 61}
    for district in read_districts(DISTRICTS):
        if district.name_en not in lacking:
            assert len(hours_of(output, district.name_en)) == 7


def test_a_maintenance_page_costs_few_calls(kma: Kma, output: Path) -> None:
    kma.fault = FAULTS["page with 200"]
    for hour in range(5):
        one_run(kma, START + timedelta(hours=hour))
    assert len(kma.requests) == 5 * 4 * _weather_ask.GIVE_UP_ON_NONSENSE_AFTER


def test_a_cell_that_kma_refuses_is_named(kma: Kma, output: Path, tmp_path: Path) -> None:
    file = tmp_path / "d.csv"
    text = PROJECT_ROOT.joinpath(DISTRICTS).read_text(encoding="utf-8-sig")
    names = text.splitlines()[0].split(",")
    island = {"name_ko": "섬", "name_en": "Island", "code": "9900000000", "nx": "1", "ny": "1"}
    line = ",".join(island.get(name, "") for name in names)
    file.write_text(f"{text.rstrip()}\n{line}\n", encoding="utf-8")
    refused = Response(json.dumps(kma_answer([], "10", "INVALID")))
    kma.fault = lambda asked, request: refused if asked["nx"] == "1" else None
    with pytest.raises(
        AirflowFailException, match=r"KMA refuses them; correct .*d.csv.*\ncell 1,1 \(Island\): KMA 10"
    ):
        collect(districts=str(file))
    with pytest.raises(AirflowFailException, match="yet for: Island; the other 25 districts are written"):
        preprocess(districts=str(file))


def test_a_collect_that_was_killed_before_it_began_is_made_up_for(kma: Kma, output: Path) -> None:
    with pytest.raises(AirflowFailException, match="the other 0 districts are written") as failed:
        preprocess(**hour_run(10))
    assert not getattr(failed.value, "already_told", False)  # nobody else has told
    collect_and_preprocess(**hour_run(11))
    assert hours_of(output, "Jongno-gu") == ["01 11", "01 12"]


def test_a_district_added_later_comes_with_the_next_run(kma: Kma, output: Path, tmp_path: Path) -> None:
    file = tmp_path / "d.csv"
    head = "name_ko,name_en,code,nx,ny"
    file.write_text(f"{head}\n종로구,Jongno-gu,1,60,127\n", encoding="utf-8")
    at = {"districts": str(file)}
    collect_and_preprocess(**hour_run(10), **at)
    file.write_text(f"{head}\n종로구,Jongno-gu,1,60,127\n부산,Busan,2,97,74\n", encoding="utf-8")
    with pytest.raises(AirflowFailException, match="yet for: Busan"):
        preprocess(**hour_run(10), **at)
    collect_and_preprocess(**hour_run(11), **at)
    assert hours_of(output, "Busan") == ["01 11", "01 12"]


def test_what_nobody_asked_for_in_time_is_noted(kma: Kma, output: Path) -> None:
    kma.fault = lambda asked, request: Response("", 500)
    one_run(kma, START)
    kma.fault = lambda asked, request: None
    one_run(kma, START + timedelta(days=5), keep_raw_days=1)
    assert noted(output) == ["02 01"]
    assert unfinished(output) == []


def test_two_cities_share_an_output_and_lose_nothing(kma: Kma, output: Path, tmp_path: Path) -> None:
    file = tmp_path / "busan.csv"
    lines = [
        "name_ko,name_en,code,nx,ny",
        "중구,Jung-gu,2611000000,97,74",
        "강서구,Gangseo-gu,2644000000,96,76",
    ]
    file.write_text("\n".join(lines), encoding="utf-8")
    collect_and_preprocess()
    collect_and_preprocess(districts=str(file))
    codes = {row["code"] for row in rows_of(output / "weather" / "Jung-gu" / "2026-01.csv")}
    assert codes == {"1114000000", "2611000000"}
    assert len(rows_of(output / "weather" / "latest.csv")) == 27
    # Each removes its own raw answers, and leaves the others'.
    late = {"run_id": "late", "run_after": "2026-01-05T01:00:00+00:00", "now": "2026-01-05T01:00:00+00:00"}
    collect(**late, districts=str(file))
    preprocess(**late, districts=str(file), keep_raw_days=1)
    days = sorted(path.name for path in (output / "weather" / "raw").glob("*/*"))
    assert days == ["date=2026-01-01", "date=2026-01-05"]
    # Of one name, at another hour: nothing of the first is taken for it.
    found = collect(run_id=RUN["run_id"], run_after="2026-01-01T05:00:00+00:00")
    assert found["hour"].startswith("2026-01-01T15")
    assert preprocess(run_id=RUN["run_id"], run_after="2026-01-01T05:00:00+00:00")["rows"] == 25


def test_what_another_is_writing_is_not_removed(kma: Kma, output: Path) -> None:
    folder = Path(collect()["raw"])
    fresh, old = folder / ".60-127.json.gz.aaaa.tmp", folder / ".60-127.json.gz.bbbb.tmp"
    for path in (fresh, old):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    collect()
    assert fresh.exists()
    assert not old.exists()


def test_a_districts_file_that_was_renamed_leaves_no_run_behind(
    kma: Kma, output: Path, tmp_path: Path
) -> None:
    file = tmp_path / "seoul.csv"
    text = PROJECT_ROOT.joinpath(DISTRICTS).read_text(encoding="utf-8-sig")
    file.write_text(text, encoding="utf-8")
    kma.fault = lambda asked, request: Response("{") if asked["nx"] == "59" else None
    with pytest.raises(RuntimeError):
        collect(**hour_run(10), districts=str(file))
    kma.fault = lambda asked, request: None
    with pytest.raises(AirflowFailException, match="correct `districts` in the YAML"):
        collect(**hour_run(11), districts="data/seul_districts.csv")
    file.unlink()
    collect_and_preprocess(**hour_run(12))
    assert unfinished(output) == []
    assert hours_of(output, "Gangseo-gu") == ["01 11", "01 12", "01 13"]


@pytest.mark.parametrize("code", ["30", "99"])
@pytest.mark.parametrize("shape", ["json", "xml", "value", "long"])
def test_no_coded_form_of_the_key_gets_out(
    kma: Kma, output: Path, code: str, shape: str, caplog: pytest.LogCaptureFixture
) -> None:
    coded = "".join(f"\\u{ord(one):04x}" if one in "=+/" else one for one in KEY)
    entities = "".join(f"&#{ord(one)};" for one in KEY)
    bodies = {
        "json": json.dumps(kma_answer([], code, "NOT @")).replace("@", coded),
        "long": json.dumps(kma_answer([], code, "x" * 190 + "@")).replace("@", coded),
        "xml": "<a><cmmMsgHeader><returnAuthMsg>key @</returnAuthMsg><returnReasonCode>"
        f"{code}</returnReasonCode></cmmMsgHeader></a>".replace("@", entities),
    }

    def answer(asked: dict, _request: Any) -> Response:
        items = kma_items(asked["base_date"] + asked["base_time"], int(asked["nx"]), int(asked["ny"]))
        items[0]["fcstValue"] = "@"
        body = bodies.get(shape, json.dumps(kma_answer(items)).replace("@", coded))
        return Response(body.replace("@", entities))

    kma.fault = answer
    with pytest.raises((RuntimeError, AirflowFailException)) as error:
        collect()
    with pytest.raises(AirflowFailException):
        preprocess()
    assert KEY[:12] not in str(error.value) + caplog.text
    assert [name for name, data in tree(output).items() if KEY[:12].encode() in data] == []


def test_made_up_weather_ends_no_run_of_kmas(kma: Kma, output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kma.fault = lambda asked, _: Response("{") if asked["nx"] == "59" else None
    with pytest.raises(RuntimeError):
        collect(**hour_run(10))
    connection = os.environ["AIRFLOW_CONN_KMA_API"]
    monkeypatch.delenv("AIRFLOW_CONN_KMA_API")
    with pytest.raises(AirflowFailException, match="begun with KMA's answers .* make the connection again"):
        collect(**hour_run(10))
    monkeypatch.setenv("AIRFLOW_CONN_KMA_API", connection)
    kma.fault = lambda asked, request: None
    collect_and_preprocess(**hour_run(11))
    assert {row["source"] for row in rows_of(output / "weather" / "Gangseo-gu" / "2026-01.csv")} == {"kma"}
    # Nor takes it the place of what is noted as missing.
    kma.now = kst("2026-01-09T10:00:00")
    late = {**hour_run(20), "now": "2026-01-09T10:00:00+09:00"}
    with pytest.raises(AirflowSkipException):
        collect_and_preprocess(**late)
    before = tree(output)
    monkeypatch.delenv("AIRFLOW_CONN_KMA_API")
    with pytest.raises(AirflowSkipException):
        collect_and_preprocess(**late)
    assert tree(output) == before


def test_a_run_that_failed_by_its_key_is_still_kmas(
    kma: Kma, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = json.loads(kma.connection) | {"password": "expired"}
    monkeypatch.setenv("AIRFLOW_CONN_KMA_API", json.dumps(wrong))
    with pytest.raises(AirflowFailException, match="KMA 30"):
        collect(**hour_run(10))
    monkeypatch.delenv("AIRFLOW_CONN_KMA_API")
    with pytest.raises(AirflowFailException, match="begun with KMA's answers"):
        collect(**hour_run(10))


def test_a_failure_after_a_green_retry_is_told(kma: Kma, output: Path) -> None:
    kma.fault = lambda asked, _: Response("{") if asked["nx"] == "59" else None
    with pytest.raises(RuntimeError):
        collect()
    kma.fault = lambda asked, request: None
    (Path(collect()["raw"]) / "60-127.json.gz").unlink()
    with pytest.raises(AirflowFailException) as failed:
        preprocess()
    assert not getattr(failed.value, "already_told", False)


def test_a_sample_run_that_was_killed_is_finished_by_the_next(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        written = iter(range(5))
        write = _weather_raw.write
        patch.setattr(_weather_raw, "write", lambda *given: (next(written), write(*given)))
        with pytest.raises(StopIteration):
            collect(**hour_run(10))
    collect_and_preprocess(**hour_run(11))
    assert unfinished(output) == []
    assert hours_of(output, "Gangseo-gu") == ["01 11", "01 12"]


def test_a_run_of_samples_cleared_when_kma_has_no_more_says_so(
    kma: Kma, output: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    connection = os.environ.pop("AIRFLOW_CONN_KMA_API")
    collect_and_preprocess()
    monkeypatch.setenv("AIRFLOW_CONN_KMA_API", connection)
    kma.now = kst("2026-01-09T10:00:00")
    assert collect(now="2026-01-09T10:00:00+09:00")["made_up"] == 14
    assert "14 cells stay made up" in caplog.text


@pytest.mark.parametrize("damage", ["answer", "hour", "folder"])
def test_a_spoilt_raw_answer_of_an_old_hour_is_asked_for_again(kma: Kma, output: Path, damage: str) -> None:
    kma.fault = lambda asked, _: Response("{") if asked["nx"] == "59" else None
    with pytest.raises(RuntimeError):
        collect(**hour_run(10))
    run = _weather_raw.Run(hour_run(10)["run_id"], hour_run(10)["run_after"], DISTRICTS)
    path = _weather_raw.path_of(run.folder, (60, 127))
    raw = _weather_raw.read(path)
    assert raw is not None
    if damage == "folder":
        path.unlink()
        path.mkdir()
    else:
        _weather_raw.write(run.folder, dataclasses.replace(raw, **{damage: "nonsense"}))
    kma.fault = lambda asked, request: None
    assert collect_and_preprocess(**hour_run(11))["rows"] == 25
    assert unfinished(output) == ([] if damage != "folder" else ["2026-01-01T11"])


def test_help_ends_with_its_budget(kma: Kma, output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kma.fault = lambda asked, request: Response("", 500)
    for hour in range(10):
        with pytest.raises(RuntimeError):
            collect(**hour_run(hour))
    kma.fault = lambda asked, request: None
    kma.requests.clear()
    collect(**hour_run(10))
    assert len(kma.requests) == 14 + weather.HELP_CELLS
    monkeypatch.setattr(weather, "HELP_FOR_S", -1)
    kma.requests.clear()
    collect(**hour_run(11))
    assert len(kma.requests) == 14
