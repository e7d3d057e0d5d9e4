"""Rows through a model: what is refused, what is counted, and that prediction reads as training does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from predicting import ALL, digits_copy, predict_selected, rows_of, train_champion, with_a_typo
from trees import tree


def test_columns_that_the_model_needs_are_named_when_missing(champion: str, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("row_id,pixel_0_0\n1,0\n", encoding="utf-8")
    with pytest.raises(ValueError, match="lacks columns that version .* was trained on: \\['pixel_0_1'"):
        predict_selected(ALL, dataset=str(other))


def test_columns_are_matched_by_name_in_any_order(champion: str, tmp_path: Path) -> None:
    other = digits_copy(tmp_path, lambda frame: frame[sorted(frame.columns, reverse=True)])
    assert [row["prediction"] for row in rows_of(predict_selected(ALL, dataset=other, run_id="x"))] == [
        row["prediction"] for row in rows_of(predict_selected(ALL))
    ]


def test_a_text_where_the_model_needs_numbers_fails_and_names_the_row(
    champion: str, tmp_path: Path, output: Path
) -> None:
    before = tree(output)
    with pytest.raises(
        ValueError, match="column 'pixel_3_3' of dataset .* must be a number, but row 17 has '1O'"
    ):
        predict_selected(ALL, dataset=digits_copy(tmp_path, with_a_typo))
    assert tree(output) == before


def test_a_typo_in_a_row_that_was_not_chosen_fails_no_other(champion: str, tmp_path: Path) -> None:
    path = digits_copy(tmp_path, with_a_typo)
    assert predict_selected({"rows": "random", "row_ids": ["1", "2"]}, dataset=path)["rows"] == 2
    with pytest.raises(ValueError, match="must be a number, but row 17 has '1O'"):
        predict_selected({"rows": "random", "row_ids": ["1", "17"]}, dataset=path)


@pytest.mark.parametrize(("value", "shown"), [("inf", "inf"), ("1e999", "inf")])
def test_an_infinite_number_is_refused_with_its_row(
    champion: str, tmp_path: Path, value: str, shown: str
) -> None:
    path = digits_copy(tmp_path, lambda frame: frame.assign(pixel_3_3=["1", value] * 898 + ["1"]))
    with pytest.raises(
        ValueError, match=f"'pixel_3_3' of dataset .* must be a number.*, but row 1 has '{shown}'"
    ):
        predict_selected(ALL, dataset=path)


def test_values_outside_the_training_range_are_counted(
    champion: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = digits_copy(tmp_path, lambda frame: frame.assign(pixel_3_3=frame["pixel_3_3"] * 1000))
    result = predict_selected(ALL, dataset=other)
    assert 1500 < result["out_of_range"]["pixel_3_3"] < 1797
    assert f"outside the training range of {champion}: pixel_3_3 in" in caplog.text
    assert "pixel_3_3" not in predict_selected(ALL)["out_of_range"]


def test_empty_cells_where_training_had_none_are_reported(
    champion: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = Path(digits_copy(tmp_path))
    lines = path.read_text(encoding="utf-8").splitlines()
    cut = lines[3].rpartition(",")[0].rpartition(",")[0]
    lines[3] = f"{cut},,"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    predict_selected(ALL, dataset=str(path))
    assert f"empty, though {champion} was trained on rows without gaps: pixel_7_7 in 1 row" in caplog.text


def small(tmp_path: Path, rows: list[str], name: str = "train.csv") -> dict[str, Any]:
    """A CSV of id, flag, kind and y, as the source of a task."""
    path = tmp_path / name
    path.write_text("\n".join(["id,flag,kind,y", *rows]) + "\n", encoding="utf-8")
    return {"dataset": str(path), "row_id": "id"}


@pytest.fixture
def small_champion(output: Path, tmp_path: Path) -> dict[str, Any]:
    """A champion that was trained on True, False and gaps, and on the texts a and b; its rows."""
    rows = [f"{i},{'' if i % 20 == 7 else i % 3 == 0},{'ab'[i % 2]},{int(i % 3 == 0)}" for i in range(200)]
    source = small(tmp_path, rows)
    settings = {"target": "y", "estimator": "sklearn.tree.DecisionTreeClassifier", "metric": "accuracy"}
    train_champion(**source, **settings)
    return source


@pytest.mark.parametrize("spelling", ["True False", "true false", "TRUE FALSE"])
def test_true_and_false_with_gaps_mean_the_same_in_any_spelling(
    output: Path, tmp_path: Path, spelling: str
) -> None:
    yes, no = spelling.split()
    rows = [f"{i},{'' if i % 20 == 7 else (no, yes)[i % 3 == 0]},a,{int(i % 3 == 0)}" for i in range(200)]
    source = small(tmp_path, rows)
    settings = {"target": "y", "estimator": "sklearn.tree.DecisionTreeClassifier", "metric": "accuracy"}
    train_champion(**source, **settings)
    found = predict_selected(ALL, **source)
    right = [row for row in rows_of(found) if int(row["prediction"]) == (int(row["row_id"]) % 3 == 0)]
    assert (len(right) >= 190, found["never_seen"]) == (True, {})


def test_texts_that_training_never_saw_are_reported(
    small_champion: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = small(tmp_path, ["1,True,a,1", "2,,ZZZ,1", "3,False, b,0", "4,t,b,0"], "new.csv")
    found = predict_selected(ALL, **source)
    assert found["never_seen"] == {"kind": 2}
    assert "has never seen: kind in 2 rows (for example 'ZZZ')" in caplog.text
    with pytest.raises(ValueError, match="'flag' .* must be a number, true or false, but row 4 has 'yes'"):
        predict_selected(ALL, **small(tmp_path, ["4,yes,b,0"], "new.csv"))


def test_an_empty_text_of_a_database_is_an_empty_cell_of_a_file(
    small_champion: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlite3

    with sqlite3.connect(tmp_path / "rows.db") as database:
        database.execute("create table rows as select 1 id, '' flag, 'a' kind union select 2, null, 'a'")
    monkeypatch.setenv("AIRFLOW_CONN_DB", json.dumps({"conn_type": "sqlite", "host": f"{tmp_path}/rows.db"}))
    source = {"dataset": None, "sql": "select * from rows", "connection": "db", "row_id": "id"}
    by_sql = rows_of(predict_selected(ALL, **source, run_id="sql"))
    by_file = rows_of(predict_selected(ALL, **small(tmp_path, ["1,,a,1", "2,,a,1"], "new.csv"), run_id="csv"))
    assert [row["prediction"] for row in by_sql] == [row["prediction"] for row in by_file]
    assert {row["probability"] for row in by_sql} == {row["probability"] for row in by_file}
