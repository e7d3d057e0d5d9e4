"""The file of a run: any text, any name, and what happens to a corrupt or different one."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from predicting import RUN, at, maintain, predict, predict_selected

from batch_serving.prediction.places import PredictionRun
from batch_serving.prediction.run_files import COLUMNS, Predictions, RunFile, RunInfo, rows_in


def test_a_run_may_have_any_name(champion: str, output: Path) -> None:
    """Also the names of the files of a compacted day."""
    predict(**at(1))
    for name in ("day", "all-runs", "day=2026-01-01", "all=runs"):
        predict(**{**at(1, 5), "run_id": name})
    maintain(0)
    folder = output / "predictions" / "digits" / f"date={datetime.fromisoformat(at(1)['run_after']).date()}"
    (compacted,) = folder.iterdir()
    assert len(compacted.read_text().splitlines()) == 1 + 5 * 5


def test_a_prediction_may_be_any_text(output: Path) -> None:
    moment = datetime(2026, 1, 1, tzinfo=ZoneInfo("Asia/Seoul"))
    run = PredictionRun("m", "r", moment, date(2026, 1, 1))
    texts = ["a,b", 'c"d', "e\rf", "g\nh", "i\r\nj", ""]
    ids = [str(place) for place in range(len(texts))]
    file = RunFile(run.path)
    file.add(RunInfo("r", moment.isoformat(), "v", "now"), Predictions(ids, texts, None))
    file.publish()
    assert [row[4] for row in rows_in(run.path)] == texts


HEAD = ",".join(COLUMNS) + "\n"


@pytest.mark.parametrize("content", ["", "x\n", HEAD + "a,b\n", HEAD + "\n", HEAD + "\udcff\n"])
def test_a_corrupt_file_of_a_run_is_written_again(
    champion: str, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = Path(predict()["file"])
    before = [row.rpartition(",")[0] for row in path.read_text(encoding="utf-8").splitlines()]
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    predict()
    assert [row.rpartition(",")[0] for row in path.read_text(encoding="utf-8").splitlines()] == before
    assert f"{path} is corrupt" in caplog.text


def test_other_rows_in_place_of_a_runs_own_are_reported(
    champion: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = Path(predict()["file"])
    predict()
    assert "had other rows" not in caplog.text
    predict_selected({"rows": "random", "row_ids": ["1", "2"]}, run_id=RUN["run_id"])
    assert f"{path.name} had other rows, which are replaced; if another task wrote them" in caplog.text
