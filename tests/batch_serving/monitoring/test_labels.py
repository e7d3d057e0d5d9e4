"""Labels that come late: the newest that was known counts, and each row of their source is accounted for."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from batch_serving.monitoring.labels import (
    CONFLICT,
    DUPLICATE,
    EMPTY,
    LATER,
    REPLACED,
    UNKNOWN,
    UNTIMED,
    USED,
    Labels,
    LabelSource,
    read_labels,
)
from batch_serving.prediction.row_source import RowSource

CUTOFF = datetime(2026, 1, 10, tzinfo=UTC)
SEOUL = ZoneInfo("Asia/Seoul")


def read(tmp_path: Path, *lines: str, known_at: str | None = "since", wanted: str = "abc") -> Labels:
    """The labels of a CSV with these lines."""
    path = tmp_path / "labels.csv"
    path.write_text("\n".join(("id,digit,since", *lines)) + "\n", encoding="utf-8")
    source = LabelSource(RowSource(str(path), None, None, "id"), "digit", known_at, SEOUL)
    return read_labels(source, set(wanted), CUTOFF)


def test_the_newest_that_was_known_counts_whatever_the_order(tmp_path: Path) -> None:
    lines = ["a,1,2026-01-01T00:00:00Z", "a,2,2026-01-03T00:00:00Z", "a,3,2026-01-11T00:00:00Z"]
    for order in (lines, lines[::-1]):
        found = read(tmp_path, *order)
        assert found.by_id["a"].text == "2"
        assert found.to_json() == {USED: 1, REPLACED: 1, LATER: 1}


def test_each_row_has_one_fate(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "a,1,2026-01-01",
        "a,1,2026-01-01",
        "b,1,2026-01-02",
        "b,2,2026-01-02",
        "c,,2026-01-02",
        "c,4,",
        "c,5,yesterday",
        "z,1,2026-01-02",
        "c,6,2026-02-01",
    )
    assert found.to_json() == {
        USED: 2, DUPLICATE: 1, CONFLICT: 1, LATER: 1, EMPTY: 1, UNTIMED: 2, UNKNOWN: 1,
    }  # fmt: skip
    assert sum(found.fates.values()) == 9
    assert found.by_id["b"].text == "2"  # the last one in the file
    assert found.conflicts == ["b"]


def test_times_without_an_offset_are_in_the_pipelines_zone(tmp_path: Path) -> None:
    found = read(tmp_path, "a,1,2026-01-10 08:59:59", "b,1,2026-01-10 09:00:01")
    assert set(found.by_id) == {"a"}
    assert found.by_id["a"].known_at == datetime(2026, 1, 9, 23, 59, 59, tzinfo=UTC)


def test_without_a_column_of_times_the_last_row_counts(tmp_path: Path) -> None:
    found = read(tmp_path, "a,1,x", "a,2,y", known_at=None)
    assert found.by_id["a"].text == "2"
    assert found.to_json() == {USED: 1, REPLACED: 1}


@pytest.mark.parametrize(("argument", "header"), [("label", "id,number,since"), ("known_at", "id,digit,at")])
def test_a_column_that_is_not_there_is_named(tmp_path: Path, argument: str, header: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(f"{header}\na,1,2026-01-01\n")
    source = LabelSource(RowSource(str(path), None, None, "id"), "digit", "since", SEOUL)
    with pytest.raises(ValueError, match=f"has no column '.*' for `{argument}`"):
        read_labels(source, {"a"}, CUTOFF)
