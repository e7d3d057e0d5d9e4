"""The columns of the CSVs."""

from __future__ import annotations

from batch_serving.weather.columns import ColumnType, columns


def test_every_column_has_a_description_and_every_number_a_unit() -> None:
    for name, column in columns().items():
        assert column.schema["description"], name
        assert "unit" in column.schema or column.type is not ColumnType.NUMBER, name
