"""Requests: the key must never be in a log, an error or a file."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from airflow.sdk.exceptions import AirflowFailException
from pytest_httpserver import HTTPServer
from servers import KEY, Kma, kma_answer, kma_items
from trees import tree
from weather_pipeline import collect, collect_and_preprocess, preprocess
from werkzeug import Request, Response

from batch_serving.shared.root import PROJECT_ROOT
from batch_serving.weather import http


@pytest.fixture(autouse=True)
def heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """The HTTP client's log is heard, whatever a test of another module has switched off in this process."""
    for name in ("urllib3", "urllib3.connectionpool"):
        monkeypatch.setattr(logging.getLogger(name), "disabled", False)
        monkeypatch.setattr(logging.getLogger(name), "level", logging.NOTSET)


def test_an_unreachable_service_never_shows_the_key(
    output: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    unreachable = {"conn_type": "http", "schema": "http", "host": "127.0.0.1", "port": 9, "password": KEY}
    monkeypatch.setenv("AIRFLOW_CONN_KMA_API", json.dumps(unreachable))
    caplog.set_level("DEBUG")
    with pytest.raises(RuntimeError, match="ConnectionError while requesting http://127.0.0.1:9") as error:
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


@pytest.mark.parametrize("form", ["plain", "lower", "json", "cut"])
def test_no_form_of_the_key_is_shown(
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


@pytest.mark.parametrize("code", ["30", "99"])
@pytest.mark.parametrize("shape", ["json", "xml", "value", "long"])
def test_no_encoded_form_of_the_key_is_shown_or_stored(
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

    def answer(asked: dict[str, str], _request: Request) -> Response:
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


@pytest.mark.parametrize(
    ("header", "wait_s"), [("7", 7), ("soon", None), ("", None), ("Thu, 01 Jan 1970 00:00:00 GMT", 0)]
)
def test_a_retry_after_header_is_a_wait_and_an_unreadable_one_is_ignored(
    httpserver: HTTPServer, header: str, wait_s: float | None
) -> None:
    httpserver.expect_request("/").respond_with_data("busy", 429, headers={"Retry-After": header})
    response = http.get(http.new_session("key"), httpserver.url_for("/"), {})
    assert (response.status, response.body, response.retry_after_s) == (429, b"busy", wait_s)


def test_a_log_filter_is_installed_with_the_first_session_and_only_once() -> None:
    code = (
        "import logging; from batch_serving.weather import http; "
        "filters = logging.getLogger('urllib3.connectionpool').filters; assert filters == []; "
        "http.new_session('a'); http.new_session('b'); assert len(filters) == 1"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PROJECT_ROOT)
