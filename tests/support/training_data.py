"""Settings of a training, and small datasets."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

SETTINGS: dict[str, Any] = {
    "model": "digits",
    "dataset": "data/digits.csv",
    "target": "digit",
    "row_id": "row_id",
    "estimator": "sklearn.linear_model.LogisticRegression",
    "parameters": {"max_iter": 200},
    "scaler": "sklearn.preprocessing.MinMaxScaler",
    "search_space": {"C": {"distribution": "loguniform", "low": 0.1, "high": 10}},
    "n_candidates": 2,
    "metric": "accuracy",
    "other_metrics": ["f1_macro"],
    "run_id": "scheduled__2026-01-01T00:00:00+00:00",
    "run_after": "2026-01-01T00:00:00+00:00",
}


def write_csv(path: Path, text: str) -> str:
    """Write a file and return its location for YAML."""
    path.write_text(text, encoding="utf-8")
    return str(path)


def houses(tmp_path: Path, rows: int = 60) -> str:
    """A regression dataset with a text column, an empty cell, and no id column."""
    lines = [f"{i},{'seoul' if i % 3 else 'busan'},{'' if i == 7 else i % 5},{i * 2.5}" for i in range(rows)]
    return write_csv(tmp_path / "houses.csv", "\n".join(["area,city,rooms,price", *lines]) + "\n")


def write_table(path: Path, columns: Mapping[str, Sequence[str] | Callable[[int], str]], rows: int) -> str:
    """Write columns, each the values to repeat or a function of the row's number; return the location."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for row in range(rows):
            writer.writerow(
                values(row) if callable(values) else values[row % len(values)] for values in columns.values()
            )
    return str(path)
