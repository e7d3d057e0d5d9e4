"""The cost of one hour of weather as the history grows: preprocess, and one big CSV with pandas."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

SIZES = (10_000, 1_000_000)  # rows of history
ROUNDS = 3
DISTRICTS = "data/seoul_districts.csv"
# Late enough that the shorter history fills the month: the file of the month is the one that is rewritten.
NOW = datetime.fromisoformat("2026-01-17T10:00:00+09:00")
ROOT = Path(__file__).resolve().parent.parent.parent

OURS = """
def run(): weather.preprocess(run_id="bench", run_after=AT, districts=DISTRICTS)
"""
# The usual way: read all, append, keep the last of each key, write all.
PANDAS = """
import pandas
from batch_serving.weather import raw_answers
from batch_serving.weather.districts import read_districts
from batch_serving.weather.rows import read_rows
from pathlib import Path
def run():
    fresh = read_rows(raw_answers.read_run(Path(RAW)), read_districts(DISTRICTS)).rows
    whole = pandas.concat([pandas.read_csv(BIG, dtype=str), pandas.DataFrame(fresh)])
    whole = whole.sort_values(["base_at", "collected_at"]).drop_duplicates(["code", "forecast_at"], keep="last")
    whole.to_csv(BIG, index=False)
"""
MEASURE = """
import json, sys, time
from pathlib import Path
from callables import weather
import jsonschema, filelock, upath
RAW, DISTRICTS, BIG, AT = {raw!r}, {districts!r}, {big!r}, {at!r}
{code}
def peak_kb(): return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
before = peak_kb()
start = time.perf_counter()
run()
print("RESULT", json.dumps([time.perf_counter() - start, (peak_kb() - before) / 1024]))
"""


def measure(code: str, output: Path, raw: str) -> tuple[float, float]:
    """Run ``code`` once in a new process; return its milliseconds, and its MB without the imports."""
    script = MEASURE.format(
        raw=raw, at=NOW.isoformat(), districts=DISTRICTS, big=str(output / "big.csv"), code=code
    )
    found = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "BATCH_OUTPUT": str(output), "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"},
        capture_output=True,
        text=True,
        check=False,
    )
    result = next((line for line in found.stdout.splitlines() if line.startswith("RESULT")), None)
    if result is None:
        sys.exit(found.stdout[-2000:] + found.stderr[-2000:])
    seconds, megabytes = json.loads(result.partition(" ")[2])
    return seconds * 1000, megabytes


def write_history(output: Path, rows: int) -> None:
    """Write ``rows`` rows up to NOW, by district and month as preprocess does, and all in one big CSV."""
    from batch_serving.weather.districts import read_districts
    from batch_serving.weather.rows import WeatherRow

    districts = read_districts(DISTRICTS)
    columns = WeatherRow._fields
    filled = dict.fromkeys(columns, "1")
    with (output / "big.csv").open("w", newline="", encoding="utf-8") as big:
        whole = csv.DictWriter(big, columns)
        whole.writeheader()
        months: dict[str, list[dict[str, str]]] = {}
        for back in range(rows // len(districts), 0, -1):
            hour = NOW - timedelta(hours=back)
            row = {
                **filled,
                "forecast_at": hour.isoformat(),
                "base_at": hour.isoformat(),
                "collected_at": hour.isoformat(),
            }
            months.setdefault(f"{hour:%Y-%m}", []).append(row)
            whole.writerows(
                {**row, "code": district.code, "district_en": district.name_en} for district in districts
            )
    for district in districts:
        folder = output / "weather" / district.name_en
        folder.mkdir(parents=True)
        for month, found in months.items():
            with (folder / f"{month}.csv").open("w", newline="", encoding="utf-8-sig") as file:
                writer = csv.DictWriter(file, columns, lineterminator="\n")
                writer.writeheader()
                writer.writerows(
                    {**row, "code": district.code, "district_en": district.name_en} for row in found
                )


def main() -> None:
    """Print the table."""
    from batch_serving.shared.command_line import end_in_order

    end_in_order()
    from callables import weather

    ways = {"preprocess": OURS, "one CSV, pandas": PANDAS}
    best: dict[tuple[str, int], tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        raws = {}
        for size in SIZES:
            output = Path(temporary) / str(size)
            output.mkdir()
            os.environ["BATCH_OUTPUT"] = str(output)
            write_history(output, size)
            at = NOW.isoformat()
            raws[size] = weather.collect(districts=DISTRICTS, run_id="bench", run_after=at, now=at)["raw"]
        for _ in range(ROUNDS):
            for size in SIZES:
                for name, code in ways.items():
                    found = measure(code, Path(temporary) / str(size), raws[size])
                    before = best.get((name, size), found)
                    best[name, size] = min(before[0], found[0]), min(before[1], found[1])
    print("\nOne hour of 25 districts, on top of a history: the best of three\n")
    print(f"  {'rows before':>12}  " + "  ".join(f"{name:>28}" for name in ways))
    for size in SIZES:
        cells = [f"{best[name, size][0]:>12.0f} ms {best[name, size][1]:>10.0f} MB" for name in ways]
        print(f"  {size:>12,}  " + "  ".join(cells))
    small, large = SIZES
    for name in ways:
        grown = best[name, large][0] / best[name, small][0]
        print(f"  {name}: {grown:.2f} × the time for {large // small} × the history")


if __name__ == "__main__":
    main()
