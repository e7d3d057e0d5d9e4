"""P3: the draw, the run's file, and what happens without a champion."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from airflow.sdk.exceptions import AirflowSkipException
from predicting import ALL, DATA, RUN, predict, predict_selected, promote_copy, rows_of
from pytest_httpserver import HTTPServer
from servers import Slack
from trees import tree

from batch_serving.prediction.run_files import COLUMNS
from batch_serving.registry.store import ModelStore
from batch_serving.shared.root import PROJECT_ROOT
from callables import prediction


def test_draw_rows_draws_five_different_rows_the_same_for_a_run() -> None:
    first = prediction.draw_rows(**DATA, run_id="a")["row_ids"]
    assert len(set(first)) == 5
    assert first == prediction.draw_rows(**DATA, run_id="a")["row_ids"]
    assert first != prediction.draw_rows(**DATA, run_id="b")["row_ids"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rows": "incremental"}, "add `cursor_column`, a column that grows, and the `model`"),
        ({"rows": "new"}, "rows is 'new'; it must be random, incremental, all or a number"),
        ({"rows": "rnadom"}, "rows is 'rnadom'; it must be random, incremental, all or a number"),
        (
            {"rows": "incremental", "cursor_column": "none", "model": "m"},
            "has no column 'none' for `cursor_column`",
        ),
        ({"dataset": None}, "there is no source of rows; give either dataset, or sql and connection"),
        ({"sql": "select 1"}, "dataset and sql are both given; give either dataset, or sql and connection"),
        (
            {"dataset": None, "sql": "select 1"},
            "sql needs an Airflow connection and a column of row ids; add `connection` and `row_id`",
        ),
        ({"row_id": "nope"}, "has no column 'nope' for `row_id`"),
    ],
)
def test_an_invalid_choice_of_rows_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=".") as error:
        prediction.draw_rows(**{**DATA, "run_id": "a", **given})
    assert message in str(error.value)


def test_predict_rows_writes_a_file_of_its_run(champion: str) -> None:
    result = predict()
    path = Path(result["file"])
    assert path.parent.name == "date=2026-01-02"  # 15:30 UTC is 00:30 in Seoul
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [row["row_id"] for row in rows] == prediction.draw_rows(**DATA, run_id=RUN["run_id"])["row_ids"]
    assert {row["model_version"] for row in rows} == {champion}
    assert all(row["prediction"] in map(str, range(10)) for row in rows)


def test_a_second_try_changes_no_file(champion: str, output: Path) -> None:
    predict()
    before = tree(output)
    predict()
    assert tree(output) == before


def test_two_runs_never_share_a_file(champion: str) -> None:
    # As file names these two would be the same text without a hash.
    assert predict(run_id="a:b")["file"] != predict(run_id="a+b")["file"]


def test_without_a_champion_the_task_is_skipped_with_the_reason(output: Path) -> None:
    with pytest.raises(
        AirflowSkipException, match="has no champion yet: run train_model, which makes a challenger"
    ):
        predict()
    assert not output.exists()


@pytest.mark.parametrize("chunk_rows", [100, 10_000])
def test_all_rows_are_predicted_in_chunks_of_any_size(champion: str, chunk_rows: int) -> None:
    assert prediction.draw_rows(**DATA, run_id="a", rows="all") == ALL
    result = predict_selected(ALL, chunk_rows=chunk_rows)
    rows = rows_of(result)
    assert (result["rows"], result["model_version"]) == (1797, champion)
    frame = pd.read_csv(PROJECT_ROOT / "data" / "digits.csv")
    model = ModelStore("digits").load(champion)
    expected = model.predict(frame.drop(columns=["row_id", "digit"]))
    assert [int(row["prediction"]) for row in rows] == list(expected)
    assert [row["row_id"] for row in rows] == [str(row) for row in frame["row_id"]]


def test_an_unknown_time_zone_is_refused(champion: str) -> None:
    with pytest.raises(
        ValueError,
        match="timezone is 'Asia/Soul', which is not a known time zone; use a name such as Asia/Seoul",
    ):
        predict(timezone="Asia/Soul")


def test_a_broken_champion_falls_back_and_slack_gets_one_message(
    champion: str, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    slack = Slack(httpserver)
    monkeypatch.setenv("AIRFLOW_CONN_SLACK_WEBHOOK", slack.connection)
    second = promote_copy(champion)
    (ModelStore("digits").folder(second) / "model.joblib").write_bytes(b"corrupt")
    for run in range(3):
        assert predict(run_id=f"run {run}")["model_version"] == champion
    assert len(slack.messages) == 1
    assert slack.messages[0].startswith(f":warning: *digits*: {second} cannot be used")
    assert f"`{champion}` predicts instead" in slack.messages[0]


@pytest.mark.slow
def test_memory_stays_the_same_however_many_rows_there_are(champion: str, tmp_path: Path) -> None:
    """The peak of a separate process that predicts 10,000 and 150,000 rows."""
    frame = pd.read_csv(PROJECT_ROOT / "data" / "digits.csv")
    peaks = {}
    for rows in (10_000, 150_000):
        path = tmp_path / f"{rows}.csv"
        pd.concat([frame] * (rows // len(frame) + 1)).head(rows).assign(row_id=range(rows)).to_csv(
            path, index=False
        )
        code = (
            "from pathlib import Path; from callables import prediction\n"
            f"prediction.predict_rows(model='digits', dataset={str(path)!r}, row_id='row_id', run_id='m{rows}',"
            " run_after='2026-01-01T00:00:00+09:00', selection='{\"rows\": \"all\"}')\n"
            "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
        )
        found = subprocess.run(
            [sys.executable, "-c", code],
            cwd=PROJECT_ROOT,
            env={**os.environ},
            capture_output=True,
            text=True,
            check=True,
        )
        peaks[rows] = int(found.stdout.split()[-1])
    assert peaks[150_000] < 1.15 * peaks[10_000]


def test_a_backfill_draws_the_rows_of_the_scheduled_run_and_changes_nothing(
    champion: str, output: Path
) -> None:
    first = predict()
    before = tree(output)
    assert predict(run_id="backfill__2026-01-02T00:30:00+09:00") == first
    assert tree(output) == before


def test_a_backfill_predicts_with_the_champion_of_its_time(champion: str) -> None:
    second = promote_copy(champion)
    assert predict(run_id="live")["model_version"] == second
    filled = predict(run_id="backfill__2026-01-01T15:30:00+00:00", champion_at=RUN["run_after"])
    assert filled["model_version"] == champion
    assert {row["model_version"] for row in rows_of(filled)} == {champion}


def test_a_time_of_the_champion_that_is_not_a_time_is_refused(champion: str) -> None:
    with pytest.raises(ValueError, match="time 'yesterday' is not ISO 8601 with an offset"):
        predict(champion_at="yesterday")
