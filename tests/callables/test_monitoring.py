"""The upkeep after the predictions: what it does, and what it leaves alone when a part of it fails."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from predicting import at, day_of, digits_copy, maintain, predict, predict_selected
from trees import tree

from batch_serving.registry.store import ModelStore
from batch_serving.shared.failures import StepsFailedError
from callables import training


@pytest.fixture
def predicted(champion: str, output: Path, tmp_path: Path) -> Path:
    """Predictions of three days, of which one has drifted, and a card of long ago; their folder."""
    training.predict_holdout(model="digits", version=champion)
    os.utime(card_of(champion), (0, 0))
    shifted = digits_copy(tmp_path, lambda frame: frame.assign(pixel_3_3=16))
    predict_selected({"rows": "all"}, dataset=shifted, **at(2))
    for minute in (0, 5, 10):
        predict(**at(1, minute))
    predict(**at(0))
    return output / "predictions" / "digits"


def card_of(version: str) -> Path:
    return Path(str(ModelStore("digits").folder(version) / "card.html"))


def predicted_rows(folder: Path) -> set[str]:
    """Every row in any file of predictions."""
    files = folder.glob("date=*/*.csv")
    return {row for file in files for row in file.read_text(encoding="utf-8").splitlines()[1:]}


def test_it_compacts_days_writes_their_drift_and_renews_the_card(predicted: Path, champion: str) -> None:
    before = predicted_rows(predicted)
    result = maintain()
    assert result["compacted_days"] == [day_of(2), day_of(1)]
    assert list(result["drifted_features"]) == [day_of(2)]
    assert [text.partition(" ")[0] for text in result["drifted_features"][day_of(2)]] == ["pixel_3_3"]
    assert Path(result["card"]) == card_of(champion)
    assert predicted_rows(predicted) == before
    names = {path.relative_to(predicted).as_posix() for path in predicted.rglob("*.csv")}
    today = f"date={day_of(0)}/"
    assert {name for name in names if not name.startswith(today)} == {
        *(f"date={day_of(days)}/day={day_of(days)}.csv" for days in (1, 2)),
        *(f"drift/{day_of(days)}.csv" for days in (1, 2)),
    }


def test_a_second_run_changes_no_file(predicted: Path, output: Path) -> None:
    maintain()
    before = tree(output)
    assert maintain() == {"compacted_days": [], "drifted_features": {}, "card": None}
    assert tree(output) == before


def test_without_predictions_there_is_nothing_to_do(output: Path) -> None:
    assert maintain() == {"compacted_days": [], "drifted_features": {}, "card": None}
    assert not output.exists()


def break_compaction(folder: Path, version: str) -> None:
    (folder / f"date={day_of(1)}" / f"day={day_of(1)}.csv").write_text("corrupt", encoding="utf-8")


def break_drift(folder: Path, version: str) -> None:
    (folder / "drift" / f"{day_of(1)}.csv").mkdir()


def break_card(folder: Path, version: str) -> None:
    card_of(version).with_name("holdout_predictions.csv").write_text("corrupt", encoding="utf-8")


BREAKS: dict[str, Callable[[Path, str], None]] = {
    "compaction": break_compaction,
    "drift": break_drift,
    "card": break_card,
}
REASONS = {
    "compaction": f"compaction of {day_of(1)} failed: CorruptFileError: ",
    "drift": f"drift of {day_of(1)} failed: UnreachableError: ",
    "card": "model card failed: ModelStoreError: ",
}


@pytest.mark.parametrize("broken", [["compaction"], ["drift"], ["card"], list(BREAKS)])
def test_each_part_is_done_when_another_one_fails(predicted: Path, champion: str, broken: list[str]) -> None:
    rows = predicted_rows(predicted)
    for part in broken:
        BREAKS[part](predicted, champion)
    with pytest.raises(StepsFailedError) as error:
        maintain()
    lines = str(error.value).splitlines()
    assert [line.startswith(REASONS[part]) for line, part in zip(lines, broken, strict=True)] == [True] * len(
        broken
    )
    assert rows <= predicted_rows(predicted)
    done = {
        "compaction": len(list((predicted / f"date={day_of(1)}").glob("*.csv"))) == 1,
        "drift": (predicted / "drift" / f"{day_of(1)}.csv").is_file(),
        "card": card_of(champion).stat().st_mtime > 0,
    }
    assert done == {part: part not in broken for part in BREAKS}
    # Another day goes on in any case, and so do the predictions.
    assert (predicted / f"date={day_of(2)}" / f"day={day_of(2)}.csv").exists()
    assert (predicted / "drift" / f"{day_of(2)}.csv").exists()
    assert predict(**at(0, 5))["rows"] == 5


def test_a_backfill_of_a_month_ago_is_compacted_by_its_own_run_and_a_second_one_changes_nothing(
    champion: str, output: Path
) -> None:
    for days in range(9):
        predict(**at(days))
    maintain()
    for minute in (0, 5):
        predict(**at(30, minute))
        assert maintain(30)["compacted_days"] == [day_of(30)]
    folder = output / "predictions" / "digits"
    assert [path.name for path in (folder / f"date={day_of(30)}").iterdir()] == [f"day={day_of(30)}.csv"]
    assert len(predicted_rows(folder)) == 11 * 5
    drift = (folder / "drift" / f"{day_of(30)}.csv").read_text(encoding="utf-8").splitlines()
    assert {line.split(",")[3] for line in drift[1:]} == {"10"}  # rows: of both runs
    before = tree(folder)
    for minute in (0, 5):
        predict(**at(30, minute))
        maintain(30)
    assert tree(folder) == before


def test_a_backfill_into_a_compacted_day_has_its_drift_measured_again(champion: str, output: Path) -> None:
    predict(**at(2))
    maintain()
    predict(**at(2, 5))
    assert maintain(2)["compacted_days"] == [day_of(2)]
    drift = output / "predictions" / "digits" / "drift" / f"{day_of(2)}.csv"
    assert {line.split(",")[3] for line in drift.read_text(encoding="utf-8").splitlines()[1:]} == {"10"}
