"""A model's predictions over months, and labels that come later: some corrected, some never."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np

from batch_serving.prediction.run_files import COLUMNS
from batch_serving.registry.store import ModelStore

FIRST = date(2026, 1, 1)
CLASSES = tuple("0123456789")


@dataclass
class Months:
    """Predictions of ``rows`` rows a day with a version that is right by ``accuracy`` of the day."""

    output: Path
    rows: int = 200
    seed: int = 0
    late_days: int = 10  # labels come after 0 to so many days
    corrected: float = 0.05
    never: float = 0.02
    truth: dict[str, str] = field(default_factory=dict)
    labels: list[tuple[str, str, datetime]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)

    def predict(self, day: date, version: str, accuracy: float, row: int = 0) -> None:
        """Write a day's run, and the labels that will come."""
        folder = self.output / "predictions" / "digits" / f"date={day.isoformat()}"
        folder.mkdir(parents=True, exist_ok=True)
        moment = datetime.combine(day, datetime.min.time(), UTC) + timedelta(hours=1)
        with (folder / f"run-{day}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            for number in range(row, row + self.rows):
                row_id = f"{day}/{number}"
                actual, wrong = self.random.choice(10, 2, replace=False)
                right = self.random.random() < accuracy
                said = actual if right else wrong
                self.truth[row_id] = CLASSES[actual]
                values = {
                    "run_id": f"run-{day}", "run_after": moment.isoformat(), "row_id": row_id,
                    "model_version": version, "prediction": CLASSES[said], "probability": "0.9",
                    "scored_at": moment.isoformat(),
                }  # fmt: skip
                writer.writerow([values[name] for name in COLUMNS])
                self._label(row_id, CLASSES[actual], CLASSES[wrong], moment)

    def _label(self, row_id: str, actual: str, wrong: str, moment: datetime) -> None:
        if self.random.random() < self.never:
            return
        known_at = moment + timedelta(days=self.late_days * self.random.random())
        if self.random.random() < self.corrected:
            self.labels.append((row_id, wrong, known_at))
            known_at += timedelta(days=3 * self.random.random())
        self.labels.append((row_id, actual, known_at))

    def write_labels(self, path: Path) -> Path:
        """Write all labels, in an order that says nothing, as a CSV."""
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("id", "digit", "since"))
            for place in self.random.permutation(len(self.labels)):
                row_id, label, known_at = self.labels[place]
                writer.writerow((row_id, label, known_at.isoformat()))
        return path


def holdout_of_all_classes(model: str, version: str) -> None:
    """Give a version holdout predictions with each class: by them its classes are known."""
    path = Path(str(ModelStore(model).folder(version))) / "holdout_predictions.csv"
    path.write_text("row_id,actual,prediction,probability\n" + "".join(f"{c},{c},{c},1\n" for c in CLASSES))
