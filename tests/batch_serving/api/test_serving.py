"""The server as a process: answers, errors, limits, the token, and an end in order."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from pages import page
from predicting import train_champion
from serving import BATCH, ROOT, Api, serving

from callables import training

LIMITS = {"BATCH_SERVE_MAX_BYTES": "100000", "BATCH_SERVE_MAX_ROWS": "50"}
TOKEN = "a-token-of-this-test-0123456789"


@pytest.fixture(scope="module")
def version_and_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Api]]:
    """A server with a champion, and a model that has none; for all tests that change nothing."""
    folder = tmp_path_factory.mktemp("serving")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BATCH_OUTPUT", str(folder / "output"))
        version = train_champion()
        settings = {"target": "digit", "estimator": "sklearn.naive_bayes.GaussianNB", "metric": "accuracy"}
        run = {"run_id": "r", "run_after": "2026-01-01T00:00:00Z"}
        training.train_challenger(
            model="undecided", dataset="data/digits.csv", row_id="row_id", **settings, **run
        )
        with serving(folder, **LIMITS) as api:
            yield version, api


@pytest.fixture
def api(version_and_api: tuple[str, Api]) -> Api:
    return version_and_api[1]


@pytest.fixture
def version(version_and_api: tuple[str, Api]) -> str:
    return version_and_api[0]


def test_each_row_has_its_prediction_probabilities_and_id(
    api: Api, version: str, digits: list[dict[str, Any]]
) -> None:
    answer = api.post("digits", {"rows": digits}).json()
    assert (answer["model"], answer["version"], answer["warnings"]) == ("digits", version, [])
    assert [one["id"] for one in answer["predictions"]] == [*range(20)]
    assert [one["prediction"] for one in answer["predictions"]][:2] == [0, 1]
    for one in answer["predictions"]:
        assert sum(one["probabilities"].values()) == pytest.approx(1)
        assert one["probabilities"][str(one["prediction"])] == one["probability"]


def test_a_request_may_name_the_column_of_the_ids(api: Api, digits: list[dict[str, Any]]) -> None:
    rows = [{**row, "key": f"k{place}"} for place, row in enumerate(digits)]
    answer = api.post("digits", {"rows": rows, "row_id": "key"}).json()
    assert [one["id"] for one in answer["predictions"]] == [f"k{place}" for place in range(20)]
    without = [{name: row[name] for name in row if name != "row_id"} for row in digits]
    assert "id" not in api.post("digits", {"rows": without}).json()["predictions"][0]
    refused = api.post("digits", {"rows": digits, "row_id": "kee"})
    assert (refused.status_code, refused.json()["problem_count"]) == (422, 20)


def test_every_problem_has_its_row_and_column(api: Api, digits: list[dict[str, Any]]) -> None:
    rows = [dict(row) for row in digits[:6]]
    rows[0]["pixel_3_3"] = "1O"
    rows[1]["pixel_3_3"] = "1,234"
    rows[2]["pixel_2_2"] = True
    rows[3]["pixel_77"] = rows[3].pop("pixel_7_7")
    rows[4]["pixel_1_1"] = {"deep": [1]}
    rows[5]["pixel_1_2"] = 10**400
    answer = api.post("digits", {"rows": rows})
    found = [(one["row"], one["column"], one["problem"], one["hint"]) for one in answer.json()["problems"]]
    assert answer.status_code == 422
    assert found == [
        (0, "pixel_3_3", "must be a number, got '1O'", "write a number, or null if there is none"),
        (1, "pixel_3_3", "must be a number, got '1,234'", "write 1234"),
        (2, "pixel_2_2", "must be a number, got true", "write 1 or 0, if that is what it means"),
        (3, "pixel_7_7", "column 'pixel_7_7' is missing", "did you mean 'pixel_77'?"),
        (4, "pixel_1_1", "must be a number, got an object", "write one value"),
        (
            5,
            "pixel_1_2",
            f"1{'0' * 28}… is infinite, or too large for a number of 64 bits",
            "write a finite number",
        ),
    ]


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_what_is_not_finite_is_refused_with_its_place(
    api: Api, digits: list[dict[str, Any]], value: str
) -> None:
    text = json.dumps({"rows": [digits[0], {**digits[1], "pixel_0_1": 123456}]}).replace("123456", value)
    answer = api.post("digits", data=text)
    problem = answer.json()["problems"][0]
    assert (answer.status_code, problem["row"], problem["column"]) == (422, 1, "pixel_0_1")


def test_unusual_values_are_predicted_with_a_warning(api: Api, digits: list[dict[str, Any]]) -> None:
    rows = [{**digits[0], "pixel_3_3": 4000}, {**digits[1], "pixel_3_3": None, "more": 1}]
    answer = api.post("digits", {"rows": rows}).json()
    found = [(one["row"], one["column"], one["problem"]) for one in answer["warnings"]]
    assert found == [
        (0, "pixel_3_3", "4000 is outside the training range, 0 to 16"),
        (1, "pixel_3_3", "it is empty, and the model was trained on rows without gaps"),
    ]
    assert (answer["warning_count"], answer["ignored_columns"]) == (2, ["more"])


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b'{"rows": [', 400),
        (b"\xff", 400),
        (b"[" * 90_000, 400),
        (b'{"rows":[{"a":1,"a":2}]}', 400),
        (b'{"rows":[{"a":' + b"9" * 5000 + b"}]}", 400),
        (rb'{"rows":[{"row_id":"\ud800"}]}', 400),
        (b'{"rows":7}', 422),
        (b'{"rows":[{}]}', 422),
        (json.dumps({"rows": [{}] * 51}).encode(), 413),
        (b" " * 100_001, 413),
    ],
)
def test_a_bad_body_is_never_a_failure_of_the_server(api: Api, body: bytes, status: int) -> None:
    answer = api.post("digits", data=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
    assert answer.json()["error"]
    assert api.get("/health").json()["status"] == "ok"


def test_a_body_without_a_length_is_cut_off_at_the_limit(api: Api) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 50_000_000:
            sent += 10_000
            yield b" " * 10_000

    try:
        answer = api.post("digits", data=endless())
        assert answer.status_code == 413
    except requests.ConnectionError:
        pass  # the server closed while the client was still writing: the same, as its system sees it
    assert sent < 50_000_000


def test_unknown_addresses_models_and_methods_have_a_hint(api: Api) -> None:
    for path, status, hint in (
        ("/models/digit", 404, "did you mean 'digits'?"),
        ("/models/zzzzzzz", 404, "models: digits, undecided"),
        ("/nothing", 404, "GET /docs"),
        ("/models/digits/predict", 405, "GET /docs"),
        ("/models/undecided", 503, "promote_model"),
    ):
        answer = api.get(path)
        assert (answer.status_code, hint in answer.json()["hint"]) == (status, True), answer.text
    answer = api.post("undecided", {"rows": [{}]})
    assert (answer.status_code, "has no champion yet" in answer.json()["error"]) == (503, True)
    assert api.post("digit", {"rows": [{}]}).status_code == 404


def test_a_model_is_described(api: Api, version: str) -> None:
    found = api.get("/models/digits").json()
    assert (found["version"], found["metrics"]["accuracy"] > 0.7) == (version, True)
    assert found["since"].startswith("20")
    assert len(found["columns"]) == 64
    assert [one["version"] for one in api.get("/models").json()["models"]] == [version, None]


def test_the_page_of_the_api_describes_the_routes(api: Api) -> None:
    found = api.get("/openapi.json").json()
    assert {*found["paths"]} == {
        "/health",
        "/models",
        "/models/{name}",
        "/models/{name}/example",
        "/models/{name}/predict",
    }
    body = found["paths"]["/models/{name}/predict"]["post"]["requestBody"]["content"]["application/json"]
    assert "rows" in body["schema"]["properties"]
    assert api.get("/docs").status_code == 200


AFTER_AN_ANSWER = """
import json, sys
from batch_serving.api.bodies import Rows
from batch_serving.api.champions import ChampionSource
import batch_serving.api.app, batch_serving.api.command
source = ChampionSource("digits")
model = source.load(source.current())
print(len(model.answer(Rows(json.loads(sys.stdin.read()))).predictions))
print([name for name in sys.modules if name.partition(".")[0] == "airflow"])
"""


def test_no_airflow_is_imported_to_answer(champion: str, digits: list[dict[str, Any]]) -> None:
    command = [str(BATCH.with_name("python")), "-c", AFTER_AN_ANSWER]
    found = subprocess.run(
        command, cwd=ROOT, input=json.dumps(digits), capture_output=True, text=True, check=True
    )
    assert found.stdout.split("\n")[:2] == ["20", "[]"]


def test_a_token_is_asked_for_and_is_in_no_log(
    champion: str, tmp_path: Path, digits: list[dict[str, Any]]
) -> None:
    with serving(tmp_path, BATCH_SERVE_TOKEN=TOKEN, BATCH_SERVE_HOST="0.0.0.0") as api:
        api.url = api.url.replace("0.0.0.0", "127.0.0.1")
        body = {"rows": digits[:1]}
        for given in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": TOKEN},
            {"Authorization": "é"},
        ):
            headers = {name: value.encode("latin-1") for name, value in given.items()}
            assert api.post("digits", body, headers=headers).status_code == 401
            assert api.get("/models", headers=headers).status_code == 401
            assert api.get("/health", headers=headers).json() == {"status": "ok"}
        good = {"Authorization": f"Bearer {TOKEN}"}
        assert api.post("digits", body, headers=good).status_code == 200
        assert "models" in api.get("/health", headers=good).json()
        assert api.end() == 0
        assert TOKEN not in api.log


def refused(**settings: str) -> str:
    """Return what a server that does not start says."""
    found = subprocess.run(
        [str(BATCH), "serve"],
        cwd=ROOT,
        env={**os.environ, "BATCH_SERVE_PORT": "0", **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert found.returncode == 1
    return found.stderr


def test_it_does_not_start_where_it_should_not(output: Path) -> None:
    assert "can be reached from other machines, and there is no BATCH_SERVE_TOKEN" in refused(
        BATCH_SERVE_HOST="0.0.0.0"
    )
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        text = refused(BATCH_SERVE_PORT=str(port))
        assert f"port {port} is taken by another program" in text
        assert "to do: stop it, or set BATCH_SERVE_PORT" in text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_the_requests_that_run_have_their_answer(
    champion: str, tmp_path: Path, digits: list[dict[str, Any]], number: signal.Signals
) -> None:
    body = json.dumps({"rows": digits}).encode()
    with serving(tmp_path) as api:
        host, port = api.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as slow:
            head = f"POST /models/digits/predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            slow.sendall(head.encode() + body[:100])
            time.sleep(0.5)
            codes: list[int] = []
            ending = threading.Thread(target=lambda: codes.append(api.end(number)))
            ending.start()
            time.sleep(1)
            assert codes == []  # it waits
            slow.sendall(body[100:])
            answer = slow.recv(1_000_000)
            assert answer.startswith(b"HTTP/1.1 200"), answer
            ending.join(60)
        assert codes == [0]
        assert api.log.rstrip().endswith("ended")
        assert "Traceback" not in api.log


def test_health_answers_while_predictions_run(
    champion: str, tmp_path: Path, digits: list[dict[str, Any]]
) -> None:
    rows = {"rows": (digits * 50)[:1000]}
    with serving(tmp_path, BATCH_SERVE_THREADS="1", BATCH_SERVE_MAX_REQUESTS="6") as api:
        codes: list[int] = []
        senders = [
            threading.Thread(target=lambda: codes.append(api.post("digits", rows).status_code))
            for _ in range(12)
        ]
        for one in senders:
            one.start()
        slowest = 0.0
        while any(one.is_alive() for one in senders):
            begun = time.monotonic()
            assert api.get("/health").status_code == 200
            slowest = max(slowest, time.monotonic() - begun)
        for one in senders:
            one.join()
    assert {*codes} <= {200, 503}
    assert codes.count(200) >= 6
    assert slowest < 3


def test_a_model_that_is_made_while_it_runs_is_served(
    output: Path, tmp_path: Path, digits: list[dict[str, Any]]
) -> None:
    with serving(tmp_path) as api:
        assert api.health() == {"status": "ok", "models": {}}
        assert api.post("digits", {"rows": digits}).status_code == 404
        version = train_champion()
        api.until(lambda found: version in str(found))
        assert api.post("digits", {"rows": digits}).json()["version"] == version


@pytest.mark.parametrize("name", ["README.md", "docs/serving.md"])
def test_the_commands_of_the_pages_are_answered(api: Api, tmp_path: Path, name: str) -> None:
    commands = [text for block in page(name).blocks for text, _ in block.commands if text.startswith("curl")]
    assert len(commands) >= 2
    for text in commands:
        words = shlex.split(text.replace("127.0.0.1:8000", api.url.removeprefix("http://")))
        found = subprocess.run([*words, "--fail"], cwd=tmp_path, capture_output=True, check=True)
    assert "prediction" in json.loads(found.stdout)["predictions"][0]
