"""Compacted days: one file each, whatever was cleared, cut or killed."""

from __future__ import annotations

from pathlib import Path

import pytest
from predicting import (
    at,
    day_of,
    maintain,
    predict,
    predict_and_maintain,
    promote_copy,
    rows_of,
)
from trees import tree

from batch_serving.shared.failures import StepsFailedError


def test_days_that_are_over_become_one_file_each(champion: str, output: Path) -> None:
    for minute in range(0, 20, 5):
        predict(**at(1, minute))
    day = output / "predictions" / "digits" / f"date={day_of(1)}"
    before = sorted(row for path in day.glob("*.csv") for row in path.read_text().splitlines()[1:])
    assert len(list(day.iterdir())) == 4
    today = predict_and_maintain(0)
    assert [path.name for path in day.iterdir()] == [f"day={day.name.removeprefix('date=')}.csv"]
    assert sorted(next(day.iterdir()).read_text().splitlines()[1:]) == before
    assert rows_of(today)[0]["run_id"] == at(0)["run_id"]
    # Cleared later: the same rows are there already.
    everything = tree(output)
    again = predict_and_maintain(1, 5)
    assert Path(again["file"]).name.startswith("day=")
    assert tree(output) == everything


def test_a_day_long_ago_is_compacted_when_the_pause_is_over(champion: str, output: Path) -> None:
    predict(**at(40))
    predict_and_maintain(0)
    folder = output / "predictions" / "digits" / f"date={day_of(40)}"
    assert [path.name for path in folder.iterdir()] == [f"{folder.name.replace('date', 'day')}.csv"]


def test_a_cleared_run_of_a_compacted_day_replaces_its_own_rows(champion: str, output: Path) -> None:
    for minute in (0, 5, 10):
        predict(**at(1, minute))
    maintain(0)
    (compacted,) = (output / "predictions" / "digits").glob("date=*/day=*.csv")
    second = promote_copy(champion)
    predict_and_maintain(1, 5)
    rows = rows_of({"file": compacted})
    versions = {row["run_id"]: row["model_version"] for row in rows}
    assert len(rows) == 15
    assert versions == {
        at(1, 0)["run_id"]: champion,
        at(1, 5)["run_id"]: second,
        at(1, 10)["run_id"]: champion,
    }
    assert [row["run_after"] for row in rows] == sorted(row["run_after"] for row in rows)


def test_a_compacted_day_that_is_cut_is_not_rewritten_as_if_it_were_whole(
    champion: str, output: Path
) -> None:
    predict(**at(1))
    maintain(0)
    (compacted,) = (output / "predictions" / "digits").glob("date=*/day=*.csv")
    cut = compacted.read_bytes()[:-30]
    compacted.write_bytes(cut)
    late = Path(predict(**at(1, 5))["file"])
    with pytest.raises(
        StepsFailedError, match="compaction of .* failed: CorruptFileError: .* is corrupt: line 6"
    ):
        maintain(1)
    assert compacted.read_bytes() == cut
    assert len(late.read_text(encoding="utf-8").splitlines()) == 6


@pytest.mark.parametrize("content", [b"a\nb\n", b"\xff\xfe\x00", b""])
def test_a_corrupt_file_of_another_day_fails_nothing(champion: str, output: Path, content: bytes) -> None:
    predict(**at(1))
    day = day_of(1)
    folder = output / "predictions" / "digits" / f"date={day}"
    (folder / "x.csv").write_bytes(content)
    counts = output / "predictions" / "digits" / "drift" / f"date={day}" / "x.json"
    counts.write_bytes(content)
    assert predict_and_maintain(0)["rows"] == 5
    assert (folder / f"day={day}.csv").exists()
    assert (output / "predictions" / "digits" / "drift" / f"{day}.csv").exists()
