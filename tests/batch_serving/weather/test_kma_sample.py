"""Sample weather."""

from __future__ import annotations

import json

from servers import kma_answer
from weather_pipeline import kst

from batch_serving.weather.columns import columns
from batch_serving.weather.districts import Cell
from batch_serving.weather.kma_answers import read_items
from batch_serving.weather.kma_sample import sample_answer, sample_items
from batch_serving.weather.values import check_values, values_at


def test_sample_answers_pass_the_parser_of_kmas() -> None:
    base, cell = kst("2026-07-01T09:30:00"), Cell(60, 127)
    answer = sample_answer(base, cell)
    items = read_items(200, answer, base, cell)
    assert json.loads(answer) == kma_answer(sample_items(base, cell))
    assert len(items) == 60
    values = values_at(items, kst("2026-07-01T11:00:00"))
    assert {name for name, column in columns().items() if column.category} == set(values)
    assert check_values(values).rejected == []
