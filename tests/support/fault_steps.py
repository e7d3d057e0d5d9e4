"""Every task and command that reads or writes the output, one after the other, on one bucket."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import batch_cli
from callables import monitoring, prediction, promotion, training, weather

RUN_AFTER = (datetime.now(UTC) - timedelta(days=2)).isoformat()
WEATHER = {"run_after": "2026-01-01T01:00:00+00:00"}
SETTINGS = {"target": "y", "estimator": "sklearn.naive_bayes.GaussianNB", "metric": "accuracy"}
REPEAT = re.compile(r"to repeat this, run `batch (.+)`")
LEFT_OUT = ("scored_at", "model_version", "date")  # columns of a CSV that differ from run to run
VERSION = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")


class CommandError(Exception):
    """A command ended with 1; the text is what it printed on stderr."""


@dataclass
class Steps:
    """The steps, and what later ones need of earlier ones."""

    dataset: str
    districts: str
    made: dict[str, Any] = field(default_factory=dict)

    @property
    def all(self) -> dict[str, Callable[[], Any]]:
        """Each step by its name, in order."""
        return {
            "train_challenger": lambda: self._train("first", "made"),
            "predict_holdout": lambda: training.predict_holdout(model="m", version=self.made["first"]),
            "compare": self._compare,
            "promote": lambda: promotion.promote(comparison=self.made["comparison"], run_id="r"),
            "draw_rows": self._draw,
            "predict_rows": self._predict,
            "maintain_predictions": lambda: monitoring.maintain_predictions(model="m", run_after=_now()),
            "train another": lambda: self._train("second", "other"),
            "batch models promote": lambda: self._batch("models", "promote", "m", self.made["second"]),
            "batch models rollback": lambda: self._batch("models", "rollback", "m"),
            "roll back in the UI": self._roll_back,
            "train a third": lambda: self._train("third", "third"),
            "train a fourth": lambda: self._train("fourth", "fourth"),
            "batch models list": lambda: self._batch("models", "list"),
            "batch models list m": lambda: self._batch("models", "list", "m"),
            "batch models history": lambda: self._batch("models", "history", "m"),
            "batch models show": lambda: self._batch("models", "show", "m"),
            "batch models prune": lambda: self._batch("models", "prune", "m", "--keep", "1"),
            "collect": lambda: weather.collect(
                **WEATHER, run_id="w", now=WEATHER["run_after"], districts=self.districts
            ),
            "preprocess": lambda: weather.preprocess(**WEATHER, run_id="w", districts=self.districts),
            "batch weather rebuild": lambda: self._batch("weather", "rebuild", "--districts", self.districts),
        }

    @property
    def _rows(self) -> dict[str, str]:
        return {"dataset": self.dataset, "row_id": "id"}

    def _train(self, name: str, run_id: str) -> Any:
        run = {"run_id": run_id, "run_after": RUN_AFTER}
        result = training.train_challenger(**self._rows, **SETTINGS, **run, model="m")
        self.made[name] = result["version"]
        return {**result, "version": bool(result["version"])}

    def _compare(self) -> Any:
        result = promotion.compare(model="m", metric="accuracy")
        self.made["comparison"] = json.dumps(result)
        return result

    def _draw(self) -> Any:
        new = {"rows": "incremental", "cursor_column": "id", "model": "m"}
        result = prediction.draw_rows(**self._rows, **new, run_id="p.r")
        self.made["selection"] = json.dumps(result)
        return result

    def _predict(self) -> Any:
        run = {"run_id": "p.r", "run_after": RUN_AFTER, "selection": self.made["selection"]}
        return prediction.predict_rows(**self._rows, **run, model="m")

    def _roll_back(self) -> Any:
        """Both tasks; a second try of the second one has what the first one returned."""
        if "roll back" not in self.made:
            compared = promotion.compare(model="m", metric="accuracy", roll_back=True)
            self.made["roll back"] = json.dumps(compared)
        return promotion.promote(comparison=self.made["roll back"], run_id="back")

    def _batch(self, *arguments: str) -> Any:
        """Run a command; after one that says how to repeat it, do that."""
        given = self.made.pop("repeat", "").split() or [*arguments]
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = batch_cli.main(given)
        if code:
            if found := REPEAT.search(err.getvalue()):
                self.made["repeat"] = found[1]
            raise CommandError(err.getvalue())
        return out.getvalue()


def _now() -> str:
    return datetime.now(UTC).isoformat()


def without_times(name: str, result: Any) -> Any:
    """Return what a step returned, as far as it is the same each time."""
    if name == "batch models history":
        return [line.split("  ")[1:] for line in result.splitlines()]
    if name in ("batch models promote", "batch models rollback"):
        kept = ("version", "previous")
        return [line for line in result.splitlines() if line.startswith(kept)]
    return result


def content_of(name: str, content: bytes) -> Any:
    """Return a file's content, as far as it is the same each time."""
    if name.startswith("weather/"):
        return content
    if name.endswith(".csv"):
        rows = csv.DictReader(io.StringIO(content.decode()))
        return [{key: row[key] for key in row if key not in LEFT_OUT} for row in rows]
    if name.endswith("history.jsonl"):
        lines = [json.loads(line) for line in content.splitlines()]
        return [(line["verdict"], VERSION.sub("VERSION", line["version"])) for line in lines]
    if name.endswith("champion.json"):
        record = json.loads(content)
        return [VERSION.sub("VERSION", str(record[key])) for key in ("version", "previous")]
    if name.endswith("progress.json"):
        record = json.loads(content)
        return {key: record[key] for key in ("of", "until", "runs")}
    return bool(content)


def outcome_of(files: dict[str, bytes], known: set[str]) -> dict[str, Any]:
    """Return what files there are and what they have, as far as it is the same each time.

    ``known`` are the versions that there were before; a folder without a record is no version: a save that
    was interrupted, which is removed after a day.
    """
    whole = {name.split("/")[-2] for name in files if name.endswith("/metadata.json")}
    found: dict[str, Any] = {"new versions": len(whole - known)}
    for name, content in sorted(files.items()):
        version = VERSION.search(name)
        if version and version[0] not in whole:
            continue
        is_new = version is not None and version[0] not in known
        found[name.replace(version[0], "NEW") if version and is_new else name] = content_of(name, content)
    return found


def write_inputs(folder: Path) -> Steps:
    """Write a small file to learn from and two districts; return the steps on them."""
    rows = [f"{number},{number % 7},{number % 3 + 0.5},{int(number % 7 > 3)}" for number in range(150)]
    (folder / "rows.csv").write_text("\n".join(["id,a,b,y", *rows]) + "\n", encoding="utf-8")
    lines = Path("data/seoul_districts.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "districts.csv").write_text("".join(lines[:3]), encoding="utf-8")
    return Steps(str(folder / "rows.csv"), str(folder / "districts.csv"))
