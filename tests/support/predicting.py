"""The pipeline predict, task by task, on copies of the digits."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from batch_serving.registry.store import ModelStore
from batch_serving.shared.root import PROJECT_ROOT
from callables import monitoring, prediction, training

DATA = {"dataset": "data/digits.csv", "row_id": "row_id"}
RUN = {"run_id": "scheduled__2026-01-01T15:30:00+00:00", "run_after": "2026-01-01T15:30:00+00:00"}
SEOUL = ZoneInfo("Asia/Seoul")
ALL = {"rows": "all"}


def train_champion(**change: Any) -> str:
    """Train a version and promote it; the digits by naive Bayes unless changed."""
    settings = {
        "model": "digits",
        "target": "digit",
        "estimator": "sklearn.naive_bayes.GaussianNB",
        "metric": "accuracy",
    }
    version = training.train_challenger(**{**DATA, **RUN, **settings, **change})["version"]
    store = ModelStore(str(change.get("model", "digits")))
    store.promote(version, expect=None, run_id="p", reason="the first model")
    return version


def promote_copy(version: str) -> str:
    """Save a version once more, as that of another run, and promote the copy."""
    store = ModelStore("digits")
    metadata = {**store.metadata(version), "run_id": "b"}
    second = store.save(store.load(version), metadata, datetime.now(tz=SEOUL))
    store.promote(second, expect=version, run_id="b", reason="")
    return second


def predict(**change: Any) -> dict[str, Any]:
    """Draw five rows by the run's id and predict them."""
    drawn = prediction.draw_rows(**DATA, run_id=change.get("run_id", RUN["run_id"]))
    return predict_selected(drawn, **change)


def predict_selected(selection: dict[str, Any], **change: Any) -> dict[str, Any]:
    """Predict the rows that a task has chosen."""
    given = {**DATA, **RUN, "model": "digits", "selection": json.dumps(selection), **change}
    return prediction.predict_rows(**given)


def maintain(days_ago: int = 0, **change: Any) -> dict[str, Any]:
    """Do the upkeep as the last task of a run some days ago."""
    given = {"model": "digits", "run_after": at(days_ago)["run_after"], **change}
    return monitoring.maintain_predictions(**given)


def predict_and_maintain(days_ago: int, minute: int = 0) -> dict[str, Any]:
    """Run the pipeline at noon, or some minutes later, some days ago; return what predict_rows returned."""
    result = predict(**at(days_ago, minute))
    maintain(days_ago)
    return result


def at(days_ago: int, minute: int = 0) -> dict[str, str]:
    """The run of noon, or some minutes later, some days ago."""
    noon = datetime.now(SEOUL).replace(hour=12, minute=minute, second=0, microsecond=0)
    moment = noon - timedelta(days_ago)
    return {"run_id": f"scheduled__{moment.isoformat()}", "run_after": moment.isoformat()}


def day_of(days_ago: int) -> str:
    """The date of the runs some days ago."""
    return datetime.fromisoformat(at(days_ago)["run_after"]).date().isoformat()


def digits_copy(folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame] = lambda frame: frame) -> str:
    """A copy of the digits, changed."""
    path = folder / "rows.csv"
    frame = pd.read_csv(PROJECT_ROOT / "data" / "digits.csv", dtype={"row_id": str})
    change(frame).to_csv(path, index=False)
    return str(path)


def with_a_typo(frame: pd.DataFrame) -> pd.DataFrame:
    """The letter O for a zero in row 17."""
    frame["pixel_3_3"] = frame["pixel_3_3"].astype(str)
    frame.loc[17, "pixel_3_3"] = "1O"
    return frame


def rows_of(result: dict[str, Any]) -> list[dict[str, str]]:
    """The rows of the file that a task has written."""
    with Path(result["file"]).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
