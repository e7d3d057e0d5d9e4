"""Output as months of work leave it: versions and verdicts, days of predictions with their drift, hours of weather."""

from __future__ import annotations

import csv
import io
import json
import random
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from batch_serving.monitoring.alarm import LastChange, keep_announced
from batch_serving.monitoring.measuring import QUALITY_COLUMNS, wilson
from batch_serving.prediction.daily_drift import DRIFT_COLUMNS
from batch_serving.prediction.run_files import COLUMNS
from batch_serving.promotion.evidence import EVIDENCE_COLUMNS, evidence_path
from batch_serving.registry.contender import Trial, TrialState, write_trial
from batch_serving.registry.pointer import Pointer
from batch_serving.registry.store import ModelStore
from batch_serving.shared.csv_rows import csv_bytes
from batch_serving.shared.files import seal, unseal, write_atomic
from batch_serving.shared.root import PROJECT_ROOT
from batch_serving.weather.rows import WeatherRow

SEOUL = ZoneInfo("Asia/Seoul")
ROWS_A_RUN, MINUTES = 5, 5


@dataclass(frozen=True)
class Amounts:
    """How much there is: versions (one an hour), days of predictions, days of weather."""

    versions: int = 9
    days: int = 3
    weather_days: int = 3


def write_all(output: Path, amounts: Amounts, now: datetime) -> str:
    """Write all of it below ``output``, which BATCH_OUTPUT names, up to ``now``; return the champion."""
    champion = write_versions(output, amounts.versions, now)
    write_predictions(output, amounts.days, champion, now)
    write_weather(output, amounts.weather_days, now)
    return champion


def write_versions(output: Path, count: int, now: datetime) -> str:
    """Write the versions of the model digits, one of them really trained, and their verdicts."""
    from callables import training

    draw = random.Random(7)
    made = training.train_challenger(
        dataset="data/digits.csv", target="digit", row_id="row_id", model="digits", metric="accuracy",
        other_metrics=["f1_macro"], estimator="sklearn.naive_bayes.GaussianNB",
        run_id="first", run_after=(now - timedelta(hours=count)).isoformat(),
    )["version"]  # fmt: skip
    training.predict_holdout(model="digits", version=made)
    versions = output / "models" / "digits" / "versions"
    record = unseal((versions / made / "metadata.json").read_bytes())
    record.pop("checksum", None)
    names, lines, score, champion, before = [], [], 0.90, "", ""
    for number in range(count):
        moment = now - timedelta(hours=count - number)
        name = f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}-{draw.getrandbits(32):08x}"
        score += draw.uniform(-0.004, 0.0045)
        metrics = {"accuracy": round(score, 6), "f1_macro": round(score - 0.01, 6)}
        shutil.copytree(versions / made, versions / name, copy_function=_linked)
        (versions / name / "metadata.json").unlink()
        changed = {"version": name, "run_id": f"run {number}", "metrics": metrics}
        changed |= {
            "parameters": {"var_smoothing": draw.uniform(1e-9, 1e-7)},
            "run_after": moment.isoformat(),
        }
        (versions / name / "metadata.json").write_bytes(seal({**record, **changed}))
        verdict = "promoted" if not champion or number % 7 == 0 else "kept"
        entry = {"at": moment.isoformat(timespec="seconds"), "verdict": verdict, "version": name}
        entry |= {"run_id": f"promote {number}", "metric": "accuracy", "champion": champion or None}
        entry |= {"reason": f"accuracy {score:.4f}: {'better' if verdict == 'promoted' else 'not better'}"}
        lines.append({**entry, "scores": {"challenger": metrics, "champion": None}})
        if verdict == "promoted":
            champion, before = name, champion
        names.append(name)
    shutil.rmtree(versions / made)
    at = next(line["at"] for line in reversed(lines) if line["version"] == champion)
    run_id = next(line["run_id"] for line in lines if line["version"] == champion)
    pointer = Pointer(champion, before or None, at, run_id, "better", {"accuracy": 0.9})
    root = output / "models" / "digits"
    (root / "champion.json").write_bytes(seal(pointer.to_json()))
    (root / "history.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    assert ModelStore("digits").usable_pointer() is not None
    return champion


def _linked(source: str, target: str) -> str:
    Path(target).hardlink_to(source)
    return target


def write_predictions(output: Path, days: int, version: str, now: datetime) -> None:
    """Write a day of predictions for each day, and the drift of each day that is over."""
    draw = random.Random(8)
    root = output / "predictions" / "digits"
    (root / "drift").mkdir(parents=True)
    for ago in reversed(range(days)):
        start = now.astimezone(SEOUL).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=ago)
        folder = root / f"date={start:%Y-%m-%d}"
        folder.mkdir()
        rows: list[list[Any]] = []
        for step in range(24 * 60 // MINUTES):
            moment = start + timedelta(minutes=MINUTES * step)
            if moment > now:
                break
            at = moment.astimezone(UTC).isoformat(timespec="seconds")
            for _ in range(ROWS_A_RUN):
                row_id, label, share = (
                    draw.randrange(1797),
                    draw.randrange(10),
                    round(draw.uniform(0.5, 1), 4),
                )
                rows.append([f"predict.scheduled__{at}", at, version, row_id, label, share, at])
        (folder / f"day={start:%Y-%m-%d}.csv").write_bytes(csv_bytes(COLUMNS, rows))
        if ago:
            drift = [
                [
                    f"{start:%Y-%m-%d}",
                    version,
                    f"pixel_{place}",
                    len(rows),
                    f"{draw.uniform(0, 0.15):.4f}",
                    "no",
                ]
                for place in ("2_3", "3_3", "4_4")
            ]
            (root / "drift" / f"{start:%Y-%m-%d}.csv").write_bytes(csv_bytes(DRIFT_COLUMNS, drift))


def write_quality(output: Path, days: int, version: str, now: datetime) -> None:
    """Write the measured quality of so many days, the last two of them not mature, and the state of the alarm."""
    draw = random.Random(9)
    root = output / "quality" / "digits"
    for ago in reversed(range(days)):
        day = (now.astimezone(SEOUL) - timedelta(days=ago)).date()
        rows, labelled = 1440, 1410 if ago > 1 else 300
        cells = []
        for metric in ("accuracy", "f1_macro"):
            right = round(labelled * draw.uniform(0.955, 0.975))
            low, high = wilson(right, labelled, 0.95)
            values = [f"{one:.6g}" for one in (right / labelled, low, high)]
            mature = "yes" if ago > 1 else "no"
            cells.append([day.isoformat(), version, metric, *values, rows, labelled, 0, mature, "0" * 8])
        path = root / f"date={day.isoformat()}" / "quality.csv"
        path.parent.mkdir(parents=True)
        path.write_bytes(csv_bytes(QUALITY_COLUMNS, cells))
    reason = f"digits {version}: accuracy is in order"
    keep_announced("digits", LastChange(version, "ok", 0, reason))


def write_trial_of(contender: str, champion: str, now: datetime) -> None:
    """Write a trial that goes on for two days."""
    draw, store = random.Random(10), ModelStore("digits")
    trial = Trial(contender, champion, now - timedelta(days=2), 0.02)
    write_trial(store.root, TrialState(trial, saved=0.02, saved_at=now), "")
    rows = []
    for minute in range(0, 2880, 5):
        moment = trial.since + timedelta(minutes=minute)
        gain = draw.choices((1, 0, -1), (0.014, 0.978, 0.008))[0]
        of_row = [moment.isoformat(), f"run{minute}", str(minute), champion, trial.since.isoformat()]
        rows.append([*of_row, gain, gain])
    write_atomic(evidence_path(store, contender), csv_bytes(EVIDENCE_COLUMNS, rows))


def write_weather(output: Path, days: int, now: datetime, source: str = "kma") -> None:
    """Write the weather of each district for so many days up to ``now``, and ``latest.csv``."""
    root = output / "weather"
    with (PROJECT_ROOT / "data" / "seoul_districts.csv").open(encoding="utf-8-sig", newline="") as file:
        districts = list(csv.DictReader(file))
    last = now.astimezone(SEOUL).replace(minute=0, second=0, microsecond=0)
    newest = []
    for number, district in enumerate(districts):
        by_month: dict[str, list[WeatherRow]] = {}
        for ago in reversed(range(24 * days)):
            row = _weather_row(district, last - timedelta(hours=ago), number, now, source)
            by_month.setdefault(row.forecast_at[:7], []).append(row)
        for month, rows in by_month.items():
            path = root / district["name_en"] / f"{month}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_csv(rows))
        newest.append(row)
    (root / "latest.csv").write_bytes(_csv(newest))


def _weather_row(
    district: dict[str, str], hour: datetime, number: int, now: datetime, source: str
) -> WeatherRow:
    values = dict.fromkeys(WeatherRow._fields, "")
    values |= {"forecast_at": hour.isoformat(), "district": district["name_ko"], "code": district["code"]}
    values |= {
        "district_en": district["name_en"],
        "nx": district["nx"],
        "ny": district["ny"],
        "source": source,
    }
    values |= {"temperature_c": f"{number % 9 + hour.hour / 4 - 2:.1f}", "sky": "clear", "sky_code": "1"}
    values |= {"rain_1h_text": "1.0mm", "rain_1h_min_mm": "1", "rain_1h_max_mm": str(number % 4)}
    values |= {"humidity_percent": "60", "wind_speed_mps": f"{number % 5 + 0.3:.1f}", "run_id": "collect"}
    values |= {
        "base_at": hour.isoformat(),
        "collected_at": now.astimezone(SEOUL).isoformat(timespec="seconds"),
    }
    return WeatherRow(**values)


def _csv(rows: list[WeatherRow]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(WeatherRow._fields)
    writer.writerows(rows)
    return text.getvalue().encode("utf-8-sig")
