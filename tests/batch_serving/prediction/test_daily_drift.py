"""The drift of each day: its rows, its alarms, and counts that are corrupt or half summed up."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from predicting import ALL, at, day_of, digits_copy, maintain, predict, predict_and_maintain, predict_selected

from batch_serving.ml import drift
from batch_serving.prediction import daily_drift
from batch_serving.shared.failures import StepsFailedError


def test_the_drift_of_a_day_has_its_rows_and_alarms_only_when_they_are_many(
    champion: str, tmp_path: Path, output: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shifted = digits_copy(tmp_path, lambda frame: frame.assign(pixel_3_3=16))
    predict_selected(ALL, dataset=shifted, **at(2))
    predict(**at(1))
    predict(**at(0))
    assert list(maintain(0)["drifted_features"]) == [day_of(2)]
    folder = output / "predictions" / "digits" / "drift"

    def summary(days_ago: int) -> dict[str, dict[str, str]]:
        text = (folder / f"{day_of(days_ago)}.csv").read_text(encoding="utf-8")
        return {row["feature"]: row for row in csv.DictReader(text.splitlines())}

    many, few = summary(2), summary(1)
    assert (many["pixel_3_3"]["rows"], many["pixel_3_3"]["alarm"]) == ("1797", "yes")
    assert float(many["pixel_3_3"]["psi"]) > 1
    assert {row["alarm"] for name, row in many.items() if name != "pixel_3_3"} == {"no"}
    assert {row["rows"] for row in few.values()} == {"5"}
    assert {row["alarm"] for row in few.values()} == {"no"}
    assert max(float(row["psi"]) for row in few.values()) > drift.ALARM_AT  # as five rows always are
    assert f"the rows of {day_of(2)} have drifted from the training rows: pixel_3_3 (PSI" in caplog.text
    assert [path.name for path in sorted(folder.glob("*/*"))] == [
        "all=runs.json",
        "all=runs.json",
        Path(predict(**at(0))["file"]).stem + ".json",
    ]


def test_corrupt_or_unknown_files_beside_the_predictions_fail_nothing(
    champion: str, output: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = output / "predictions" / "digits"
    (folder / "date=2026-02-30").mkdir(parents=True)
    predict(**at(1))
    maintain(0)
    (counts,) = folder.glob("drift/date=*/all=runs.json")
    counts.write_bytes(counts.read_bytes()[:-5])
    assert predict_and_maintain(1, 5)["rows"] == 5
    assert "all=runs.json is corrupt" in caplog.text


def test_a_kill_between_the_files_of_a_days_drift_loses_nothing(champion: str, output: Path) -> None:
    predict(**at(1))
    maintain(0)
    (summary,) = (output / "predictions" / "digits" / "drift").glob("*.csv")
    counts = output / "predictions" / "digits" / "drift" / f"date={summary.stem}"
    whole = summary.read_bytes()
    summary.unlink()
    # As the kill leaves it: counted, and the run's own file still exists.
    daily_drift.write_atomic(counts / "all=runs.json", (counts / "all=runs.json").read_bytes())
    run = {"run_id": at(1)["run_id"], "version": champion, "counts": {}}
    (counts / "left.json").write_text(json.dumps(run), encoding="utf-8")
    maintain(0)
    assert summary.read_bytes() == whole
    assert [path.name for path in counts.iterdir()] == ["all=runs.json"]


def test_the_drift_that_a_kill_left_undone_is_done_by_the_next_run(
    champion: str, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict(**at(1))
    with monkeypatch.context() as patch:
        patch.setattr(daily_drift, "csv_bytes", lambda *_: 1 / 0)
        with pytest.raises(StepsFailedError, match="drift of .* failed: ZeroDivisionError"):
            maintain(0)
    day = day_of(1)
    assert not (output / "predictions" / "digits" / "drift" / f"{day}.csv").exists()
    maintain(0)
    assert (output / "predictions" / "digits" / "drift" / f"{day}.csv").exists()


@pytest.mark.parametrize(
    "counts", [{"pixel_0_0": "many"}, {"pixel_0_0": [1]}, ["pixel_0_0"], {"pixel_0_0": 5}, None]
)
def test_counts_that_are_not_valid_prevent_no_summary(champion: str, output: Path, counts: Any) -> None:
    predict(**at(1))
    day = day_of(1)
    folder = output / "predictions" / "digits" / "drift"
    strange = {"run_id": "x", "version": champion, "counts": counts}
    (folder / f"date={day}" / "x.json").write_text(json.dumps(strange), encoding="utf-8")
    maintain(0)
    assert (folder / f"{day}.csv").exists()
    assert [path.name for path in (folder / f"date={day}").iterdir()] == ["all=runs.json"]
