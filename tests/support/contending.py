"""A champion and a better contender for the digits, a stream of rows that neither was trained on, and labels."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from predicting import predict_selected
from promoting import run_promotion, train

from batch_serving.prediction import shadow
from batch_serving.prediction.shadow_files import shadow_path
from batch_serving.shared.root import PROJECT_ROOT
from callables import monitoring, prediction

TRAINED_ROWS = 900
GOOD = {
    "estimator": "sklearn.linear_model.LogisticRegression",
    "parameters": {"max_iter": 500},
    "scaler": "sklearn.preprocessing.MinMaxScaler",
}
BAD = {"estimator": "sklearn.naive_bayes.GaussianNB"}


class Contest:
    """The pipelines train_model, promote_model, predict and measure_predictions, hour by hour."""

    def __init__(self, folder: Path, **policy: Any) -> None:
        self.folder, self.hours = folder, 0
        self.least_s = 60.0  # on a busy machine, too, the contender predicts all rows
        rows = pd.read_csv(PROJECT_ROOT / "data" / "digits.csv", dtype={"row_id": str})
        self.rows = rows
        rows.head(TRAINED_ROWS).to_csv(folder / "training.csv", index=False)
        self.stream = folder / "stream.csv"
        rows.iloc[TRAINED_ROWS:].to_csv(self.stream, index=False)
        self.labels = self.stream
        self.policy = {"test": "sequential", "false_promotions_per_year": 2, **policy}

    def train(self, run_id: str, **settings: Any) -> str:
        """Train a version on the first rows."""
        return train(run_id, dataset=str(self.folder / "training.csv"), **settings)

    def compare(self, **change: Any) -> dict[str, Any]:
        """Compare, and follow the verdict."""
        return run_promotion(**{**self.policy, **change})

    def next_run(self) -> dict[str, str]:
        """What identifies the next run: its time is that hours after now, so that it is in the trial."""
        self.hours += 1
        moment = datetime.now(UTC) + timedelta(minutes=self.hours)
        return {"run_id": f"run{self.hours}", "run_after": moment.isoformat()}

    def predict(self, size: int = 200, **change: Any) -> dict[str, Any]:
        """Predict some rows of the stream."""
        source = {"dataset": str(self.stream), "row_id": "row_id"}
        run = {
            name: change.pop(name) for name in ("run_id", "run_after") if name in change
        } or self.next_run()
        drawn = prediction.draw_rows(**source, run_id=run["run_id"], sample_size=size)
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setattr(shadow, "LEAST_S", self.least_s)
            return predict_selected(drawn, **{**source, **run, "shadow": True, **change})

    def join(self) -> dict[str, Any]:
        """Join the labels that there are now."""
        moment = datetime.now(UTC) + timedelta(days=1)
        return monitoring.join_labels(
            model="digits",
            run_after=moment.isoformat(),
            dataset=str(self.labels),
            row_id="row_id",
            label="digit",
        )

    def hour(self, size: int = 200) -> dict[str, Any]:
        """Predict, join, and compare."""
        self.predict(size)
        self.join()
        return self.compare()

    def shadow_files(self, output: Path) -> list[Path]:
        """The files of what contenders predicted."""
        return sorted((output / "shadow" / "digits").glob("date=*.csv"))


def shadow_file(result: dict[str, Any]) -> Path:
    """The file of contenders of the day of a run's file."""
    day = Path(result["file"]).parent.name.removeprefix("date=")
    return Path(str(shadow_path("digits", datetime.fromisoformat(day).date())))
