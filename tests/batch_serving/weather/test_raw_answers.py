"""The raw answers."""

from __future__ import annotations

import json
import os
from pathlib import Path

from servers import Kma, kma_answer, kma_items
from weather_pipeline import collect, preprocess

from batch_serving.weather import raw_answers
from batch_serving.weather.districts import Cell


def test_raw_answers_are_stored_unchanged_for_the_given_number_of_days(kma: Kma, output: Path) -> None:
    for day in (1, 2, 3):
        run = {"run_id": f"day {day}", "run_after": f"2026-01-0{day}T01:00:00+00:00"}
        found = collect(**run, now="2026-01-03T01:00:00+00:00")
        raw = raw_answers.read(raw_answers.path_of(Path(found["raw"]), Cell(60, 127)))
        assert raw is not None
        assert json.loads(raw.answer) == kma_answer(kma_items(f"2026010{day}0930", 60, 127))
        preprocess(**run, keep_raw_days=1)
    days = sorted(path.name for path in (output / "weather" / "raw").glob("*/*"))
    assert days == ["date=2026-01-02", "date=2026-01-03"]


def test_a_corrupt_raw_file_is_collected_again(kma: Kma, output: Path) -> None:
    found = collect()
    path = Path(found["raw"]) / "60-127.json.gz"
    good = path.read_bytes()
    path.write_bytes(good[:20] + b"corrupt, by disk" + good[36:])
    kma.requests.clear()
    collect()
    assert len(kma.requests) == 1
    assert path.read_bytes() == good


def test_a_file_that_another_task_is_writing_stays(kma: Kma, output: Path) -> None:
    folder = Path(collect()["raw"])
    fresh, old = folder / ".60-127.json.gz.aaaa.tmp", folder / ".60-127.json.gz.bbbb.tmp"
    for path in (fresh, old):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    collect()
    assert fresh.exists()
    assert not old.exists()
