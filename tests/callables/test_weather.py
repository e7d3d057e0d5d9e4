"""P4: bases and hours, the service's answers, the raw files and the CSVs."""

from __future__ import annotations

import csv
import json
from datetime import datetime
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException
from pytest_httpserver import HTTPServer
from servers import KEY, Kma, kma_answer, kma_items
from trees import tree
from werkzeug import Response

from callables import _kma, _weather_csv, weather
from callables._files import PROJECT_ROOT
from callables._kma_sample import sample_items

DISTRICTS = "data/seoul_districts.csv"
RUN = {
    "run_id": "scheduled__2026-01-01T01:00:00+00:00",
    "run_after": "2026-01-01T01:00:00+00:00",
}  # 10:00 KST


def kst(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+09:00")


def collect_and_preprocess(**run: str) -> dict:
    found = weather.collect(districts=DISTRICTS, **{**RUN, **run})
    return weather.preprocess(raw=found["raw"], hour=found["hour"], districts=DISTRICTS)


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
    assert len(list((output / "weather" / "raw").rglob("*.json"))) == 14


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
    kma.fault = lambda asked: Response("Unexpected error") if asked["nx"] == "59" else None
    with pytest.raises(RuntimeError, match="of 14 cells did not arrive") as error:
        weather.collect(districts=DISTRICTS, **RUN)
    assert "cell 59," in str(error.value)
    arrived = len(list(output.rglob("*.json")))
    assert 0 < arrived < 14
    kma.requests.clear()
    kma.fault = lambda _: None
    weather.collect(districts=DISTRICTS, **RUN)
    assert len(kma.requests) == 14 - arrived
    assert {asked["nx"] for asked in kma.requests} == {"59"}


def test_a_wrong_key_fails_at_once_with_the_remedy_and_never_shows_it(
    kma: Kma, output: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = json.loads(kma.connection) | {"password": "wrong-key/123="}
    monkeypatch.setenv("AIRFLOW_CONN_KMA_API", json.dumps(wrong))
    with pytest.raises(AirflowFailException, match=r"KMA 30: .*put the \*Decoding\* key") as error:
        weather.collect(districts=DISTRICTS, **RUN)
    assert len(kma.requests) == 1
    assert "wrong-key" not in str(error.value) + caplog.text


def test_a_service_that_is_away_never_shows_the_key(
    output: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("callables._http.RETRIES", 1)
    away = {"conn_type": "http", "schema": "http", "host": "127.0.0.1", "port": 9, "password": KEY}
    monkeypatch.setenv("AIRFLOW_CONN_KMA_API", json.dumps(away))
    caplog.set_level("DEBUG")
    with pytest.raises(RuntimeError, match="ConnectionError while asking http://127.0.0.1:9") as error:
        weather.collect(districts=DISTRICTS, **RUN)
    assert error.value.__cause__ is None
    shown = str(error.value) + caplog.text
    assert "Retrying" in caplog.text  # urllib3 has logged the address
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
        (429, "API rate limit exceeded", "05"),
        (200, "API token quota exceeded", "22"),
        (200, "<html><body>maintenance</body></html>", "malformed"),
        (200, "<!DOCTYPE html><html>", "malformed"),
        (200, '{"response": {"header"', "malformed"),
        (200, "[]", "malformed"),
        (502, "Bad Gateway", "transport"),
        (200, json.dumps(kma_answer([], "00")), "03"),
        (200, json.dumps({"response": {"header": {"resultCode": "00"}, "body": {"items": ""}}}), "03"),
        (200, json.dumps(kma_answer(kma_items("202601010930", 1, 1))), "malformed"),
        (200, json.dumps(kma_answer(kma_items("202601010830", 60, 127))), "malformed"),
    ],
)
def test_an_answer_that_is_no_forecast_is_told_apart(status: int, body: str, code: str) -> None:
    with pytest.raises(_kma.KmaError) as error:
        _kma.read_answer(status, body.encode(), kst("2026-01-01T09:30:00"), (60, 127))
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
    body = json.dumps(kma_answer(items)).encode()
    found = _kma.read_answer(200, body, kst("2026-01-01T09:30:00"), (60, 127))
    assert _weather_csv.forecast_values(found, kst("2026-01-01T11:00:00"))["temperature_c"] == "9"


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
        ("many", "", ""),
    ],
)
def test_rain_texts(text: str, low: str, high: str) -> None:
    assert _weather_csv.rain_mm(text) == (low, high)


@pytest.mark.parametrize("value", ["-998.9", "999", "absent"])
def test_rainfall_that_is_missing_is_not_none(value: str) -> None:
    items = [
        item | {"fcstValue": value} if item["category"] == "RN1" else item
        for item in kma_items("202601010930", 60, 127)
    ]
    items = [item for item in items if item["fcstValue"] != "absent"]
    values = _weather_csv.forecast_values(items, kst("2026-01-01T11:00:00"))
    assert (values["rain_1h_min_mm"], values["rain_1h_max_mm"]) == ("", "")


def test_an_answer_without_the_hour_is_asked_for_again(kma: Kma, output: Path) -> None:
    kma.fault = lambda asked: Response(
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
        weather.collect(districts=DISTRICTS, **RUN)
    assert "the answer of 09:30 lacks 2026-01-01 11:00" in str(error.value)
    kma.fault = lambda _: None
    assert collect_and_preprocess()["rows"] == 25


def test_a_key_that_comes_later_replaces_the_sample(
    output: Path, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect_and_preprocess()
    monkeypatch.setenv("AIRFLOW_CONN_KMA_API", Kma(httpserver).connection)
    assert weather.collect(districts=DISTRICTS, **RUN)["source"] == "kma"
    collect_and_preprocess()
    assert {found["source"] for found in rows_of(output / "weather" / "latest.csv")} == {"kma"}


def test_without_a_connection_yaml_may_say_fail(output: Path) -> None:
    with pytest.raises(
        AirflowFailException, match="there is no connection 'kma_api', and without_connection is 'fail'"
    ):
        weather.collect(districts=DISTRICTS, **RUN, without_connection="fail")


def test_a_connection_that_cannot_be_read_is_not_taken_for_none(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_KMA_API", "{'conn_type': 'http', 'password': 'K'}")
    with pytest.raises(
        ValueError, match="AIRFLOW_CONN_KMA_API is set but is neither JSON nor a URI"
    ) as error:
        weather.collect(districts=DISTRICTS, **RUN)
    assert "'K'" not in str(error.value)


def test_two_districts_of_one_name_are_told(tmp_path: Path) -> None:
    file = tmp_path / "d.csv"
    file.write_text(
        "name_ko,name_en,code,nx,ny\n중구,Jung-gu,1,60,127\n중구,Jung-gu,2,97,74\n", encoding="utf-8"
    )
    with pytest.raises(ValueError, match="has the name_en Jung-gu twice"):
        _weather_csv.read_districts(str(file))


@pytest.mark.parametrize("value", ["900", "-999", "999.0"])
def test_a_value_that_marks_a_gap_is_empty(value: str) -> None:
    items = [
        item | {"fcstValue": value}
        for item in kma_items("202601010930", 60, 127)
        if item["category"] == "T1H"
    ]
    assert _weather_csv.forecast_values(items, kst("2026-01-01T11:00:00"))["temperature_c"] == ""


def row(base: str, collected: str, value: str) -> dict[str, str]:
    found = dict.fromkeys(_weather_csv.COLUMNS, "")
    found |= {"forecast_at": "2026-01-01T11:00:00+09:00", "district_en": "Jongno-gu", "code": "1"}
    return found | {"base_at": base, "collected_at": collected, "temperature_c": value}


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 2, 0)])
def test_of_duplicates_the_newest_base_then_the_newest_collection_wins(
    output: Path, order: tuple[int, ...]
) -> None:
    rows = [row("08:30", "10:09", "older"), row("09:30", "10:00", "earlier"), row("09:30", "10:05", "newest")]
    for index in order:
        _weather_csv.upsert([rows[index]])
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
    found = weather.collect(districts=DISTRICTS, **RUN)
    (Path(found["raw"]) / "60-127.json").unlink()
    with pytest.raises(ValueError, match="no forecast for 2026-01-01 11:00 .* for: Jongno-gu, Jung-gu"):
        weather.preprocess(raw=found["raw"], hour=found["hour"], districts=DISTRICTS)
    assert 0 < len(rows_of(output / "weather" / "latest.csv")) < 25


def test_sample_answers_pass_the_same_parser() -> None:
    base = kst("2026-07-01T09:30:00")
    items = sample_items(base, (60, 127))
    assert _kma.read_answer(200, json.dumps(kma_answer(items)).encode(), base, (60, 127)) == items
    assert len(items) == 60
    values = _weather_csv.forecast_values(items, kst("2026-07-01T11:00:00"))
    assert set(_weather_csv.CATEGORIES.values()) <= set(values)


def test_seoul_has_25_districts_in_14_cells() -> None:
    districts = _weather_csv.read_districts(DISTRICTS)
    assert (len(districts), len({district.cell for district in districts})) == (25, 14)
    assert PROJECT_ROOT.joinpath(DISTRICTS).exists()


def test_a_districts_file_that_is_not_one_is_told(tmp_path: Path) -> None:
    file = tmp_path / "d.csv"
    file.write_text("name_ko,nx\n", encoding="utf-8")
    with pytest.raises(ValueError, match="lacks the columns code, name_en, ny"):
        _weather_csv.read_districts(str(file))
    with pytest.raises(FileNotFoundError, match="correct `districts` in the YAML"):
        _weather_csv.read_districts("data/nowhere.csv")
