"""P1 on real files: the dataset's checks, the training, and what a second try does."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from trees import tree

from callables import training
from callables._model_store import ModelStore

SETTINGS: dict[str, Any] = {
    "model": "digits",
    "dataset": "data/digits.csv",
    "target": "digit",
    "row_id": "row_id",
    "estimator": "sklearn.linear_model.LogisticRegression",
    "parameters": {"max_iter": 200},
    "scaler": "sklearn.preprocessing.MinMaxScaler",
    "search_space": {"C": {"distribution": "loguniform", "low": 0.1, "high": 10}},
    "candidates": 2,
    "metric": "accuracy",
    "other_metrics": ["f1_macro"],
    "run_id": "scheduled__2026-01-01T00:00:00+00:00",
    "run_after": "2026-01-01T00:00:00+00:00",
}


def write_csv(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def houses(tmp_path: Path, rows: int = 60) -> str:
    """A regression dataset with a text column, an empty cell, and no id column."""
    lines = [f"{i},{'seoul' if i % 3 else 'busan'},{'' if i == 7 else i % 5},{i * 2.5}" for i in range(rows)]
    return write_csv(tmp_path / "houses.csv", "\n".join(["area,city,rooms,price", *lines]) + "\n")


def test_check_dataset_describes_digits() -> None:
    found = training.check_dataset(dataset="data/digits.csv", target="digit", row_id="row_id")
    assert (found["rows"], found["features"], found["target_values"]) == (1797, 64, 10)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,a,digit\n1,2,3,\n2,2,4,\n", "has 3 columns, but line 2 has 4, line 3 has 4 fields"),
        ("id,a,a,digit\n1,2,2,3\n", "has two columns named 'a'"),
        ("id,a,digt\n1,2,3\n", "no column 'digit' for `target`; did you mean 'digt'?"),
        ("id,a,digit\n1,2,3\n2,2,\n3,1,4\n", "target 'digit' is empty in 1 rows: line 3"),
        ("id,a,digit\n1,2,3\n1,2,4\n", "row id 'id' is not unique in 1 rows: line 3"),
        ("id,a,digit\n1,2,3\n2,2,3\n", "target 'digit' has the one value"),
        ("id,a,digit\n", "it has a header line and no rows"),
        ("id;a;digit\n1;2;3\n", "is separated by ';'; a CSV is by commas"),
        ("\nid,a,digit\n1,2,3\n", "is not a CSV with a header line: its first line is blank"),
        ('id,a,digit\n1,2,3\n2,2,"4\n', "is not a CSV"),
        ("id,a,digit\n1,2,3\n2,2,3\n3,4,3\n", "target 'digit' has the one value 3 in all rows"),
        ("id,digit\n1,2\n", "no feature column beside"),
        ("id,a,digit\n1,2,3.5\n2,3,inf\n", "column 'digit' is infinite in 1 rows: line 3"),
        ("id,a,digit\n1,2,3.5\n2,3,NaN\n", "target 'digit' has no number in 1 rows: line 3"),
        ("id,a,digit\n1,2,3\n,3,4\n", "row id 'id' is empty in 1 rows: line 3"),
        ("id,a,digit\n1,2,3\n2,inf,4\n", "column 'a' is infinite in 1 rows: line 3"),
        (
            "id,a,digit\n1,2,3\n2,3,4\n3,4,4\n4,5,4\n5,1O,4\n6,7,4\n",
            "column 'a' has numbers, but in 1 rows: line 6 has '1O'",
        ),
        ("", "is not a CSV with a header line"),
    ],
)
def test_check_dataset_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    location = write_csv(tmp_path / "rows.csv", text)
    with pytest.raises(ValueError, match="rows.csv") as error:
        training.check_dataset(dataset=location, target="digit", row_id="id")
    assert message in str(error.value)


def test_check_dataset_lists_every_problem_at_once(tmp_path: Path) -> None:
    location = write_csv(tmp_path / "rows.csv", "id,a,digit\n1,2,\n1,2,4\n2,2,5\n")
    with pytest.raises(ValueError, match="is empty in 1 rows") as error:
        training.check_dataset(dataset=location, target="digit", row_id="id")
    assert "is not unique" in str(error.value)


def test_a_line_is_that_of_the_file_whatever_stands_before_it(tmp_path: Path) -> None:
    text = 'id,a,note,digit\n1,2,"two\nlines",3\n\n2,2,one,\n3,2,one,4\n'
    location = write_csv(tmp_path / "rows.csv", text)
    with pytest.raises(ValueError, match="target 'digit' is empty in 1 rows: line 5"):
        training.check_dataset(dataset=location, target="digit", row_id="id")
    location = write_csv(tmp_path / "rows.csv", text.replace("3,2,one,4", '3,"two\nlines",4'))
    with pytest.raises(ValueError, match="has 4 columns, but line 6 has 3 fields"):
        training.check_dataset(dataset=location, target="digit", row_id="id")


def test_a_class_too_small_outside_the_holdout_is_told_before_the_search(
    output: Path, tmp_path: Path
) -> None:
    rows = [f"{i},{i % 7},{'rare' if i in (4, 5, 6) else i % 2}" for i in range(40)]
    location = write_csv(tmp_path / "rows.csv", "\n".join(["id,a,kind", *rows]) + "\n")
    given = {**SETTINGS, "dataset": location, "target": "kind", "row_id": "id", "holdout_share": 0.5}
    message = (
        "target 'kind' needs 3 rows outside the holdout, one for each fold, and 1 have fewer: 'rare' has"
    )
    with pytest.raises(ValueError, match=message):
        training.train_challenger(**given)


def test_a_target_that_is_the_row_id_is_told() -> None:
    with pytest.raises(ValueError, match="`target` and `row_id` both name column 'digit'"):
        training.check_dataset(dataset="data/digits.csv", target="digit", row_id="digit")


def test_another_models_champion_is_told_in_one_line(output: Path, tmp_path: Path) -> None:
    version = training.train_challenger(**SETTINGS)["version"]
    ModelStore("digits").promote(version, expect=None, run_id="r", reason="")
    found = training.check_dataset(dataset=houses(tmp_path), target="price", model="digits")["warnings"]
    (line,) = [text for text in found if "champion learnt from" in text]
    assert line.endswith("'pixel_0_4' and 59 more (all of them: is `model` right?)")


def test_a_gap_in_a_row_that_is_not_held_out_leaves_the_holdout_the_same(
    output: Path, tmp_path: Path
) -> None:
    rows = [f"{i},{i % 7},{i % 2}" for i in range(60)]
    location = write_csv(tmp_path / "rows.csv", "\n".join(["id,a,kind", *rows]) + "\n")
    given = {**SETTINGS, "dataset": location, "target": "kind", "row_id": "id"}
    version = training.train_challenger(**given)["version"]
    before = Path(training.predict_holdout(model="digits", version=version)["file"]).read_bytes()
    held_out = {line.split(",")[0] for line in before.decode().splitlines()[1:]}
    other = next(i for i in range(60) if str(i) not in held_out)
    rows[other] = f"{other},,{other % 2}"
    write_csv(tmp_path / "rows.csv", "\n".join(["id,a,kind", *rows]) + "\n")
    result = training.predict_holdout(model="digits", version=version)
    assert Path(result["file"]).read_bytes() == before


def test_a_column_that_is_empty_in_a_whole_fold_counts_for_nothing(output: Path, tmp_path: Path) -> None:
    rows = [f"{i},{i % 2},{'x' if i == 0 else ''},,{i % 2}" for i in range(80)]
    location = write_csv(tmp_path / "rows.csv", "\n".join(["id,a,once,never,kind", *rows]) + "\n")
    given = {**SETTINGS, "dataset": location, "target": "kind", "row_id": "id"}
    assert training.train_challenger(**given)["metrics"]["accuracy"] == 1


def test_codes_that_are_read_as_numbers_are_told(tmp_path: Path) -> None:
    rows = [f"{i},{i % 5},00{i % 2 + 1}" for i in range(20)]
    location = write_csv(tmp_path / "rows.csv", "\n".join(["id,a,code", *rows]) + "\n")
    found = training.check_dataset(dataset=location, target="code", row_id="id")["warnings"]
    assert found == [
        "target 'code' has '001', which is read, and predicted, as the number 1; write it with a letter if it "
        "is a code"
    ]


def test_a_parameter_without_an_end_is_on_record_as_text(output: Path) -> None:
    given = {**SETTINGS, "estimator": "sklearn.linear_model.LogisticRegression", "search_space": None}
    made = training.train_challenger(**{**given, "parameters": {"max_iter": 200, "C": float("inf")}})
    assert made["parameters"] == {"max_iter": 200, "C": "inf"}


def test_each_class_needs_a_row_for_each_fold(tmp_path: Path) -> None:
    rows = [f"{i},{i % 7},{'rare' if i == 4 else i % 2}" for i in range(40)]
    location = write_csv(tmp_path / "rows.csv", "\n".join(["id,a,kind", *rows]) + "\n")
    given = {"dataset": location, "target": "kind", "row_id": "id", "folds": 3}
    message = r"each class of target 'kind' needs 3 rows, one for each fold, and 1 have fewer: 'rare' has 1 \(line 6\)"
    with pytest.raises(ValueError, match=message):
        training.check_dataset(**given, estimator="sklearn.tree.DecisionTreeClassifier")
    message = (
        r"target 'kind' has texts, '0' in line 2 say, and sklearn.tree.DecisionTreeRegressor learns numbers"
    )
    with pytest.raises(ValueError, match=message):
        training.check_dataset(**given, estimator="sklearn.tree.DecisionTreeRegressor")


def test_what_may_be_meant_otherwise_is_a_warning(
    output: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def write(change: Callable[[int], str] = lambda i: "", head: str = "id,a,b,c,d,y") -> str:
        rows = [f"{i},{i},{i},5,{'' if i == 3 else i % 4},{i % 2}{change(i)}" for i in range(60)]
        return write_csv(tmp_path / "rows.csv", "\n".join([head, *rows]) + "\n")

    given = {"dataset": write(), "target": "y", "row_id": "id", "model": "m"}
    settings = {"estimator": "sklearn.naive_bayes.GaussianNB", "metric": "accuracy", "run_id": "r"}
    found = training.check_dataset(**given)
    assert found["warnings"] == [
        "the same value in all rows: 'c'",
        "the same values as in an earlier column: 'b' as 'a'",
        "column 'd' is empty in 1 rows: line 5",
    ]
    assert "the same value in all rows: 'c'" in caplog.text
    version = training.train_challenger(**given, **settings, run_after="2026-01-01T00:00:00+00:00")["version"]
    ModelStore("m").promote(version, expect=None, run_id="r", reason="")
    write(lambda i: f",{i}", "id,a,b,c,d,y,new")
    text = (tmp_path / "rows.csv").read_text(encoding="utf-8")
    rows = [line.split(",") for line in text.splitlines()]
    for number, row in enumerate(rows[1:]):
        row[1] = {7: "900", 9: "9.5"}.get(number, row[1])
        row[2] = f"t{number}"
    write_csv(tmp_path / "rows.csv", "\n".join(",".join(row[:3] + row[4:]) for row in rows) + "\n")
    now = training.check_dataset(**given)["warnings"]
    assert "column 'a' lies outside 0 to 59, which the champion learnt from, in 1 rows: line 9" in now
    assert "column 'a' has fractions in 1 rows: line 11; the champion learnt from whole numbers" in now
    assert "column 'b' is str; the champion learnt from int64" in now
    assert "no column for what the champion learnt from: 'c'" in now
    assert "the champion does not know: 'new'" in now


def test_a_candidate_that_fails_loses_no_other_and_all_are_on_record(
    output: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    space = {"solver": ["lbfgs", "no-such"], "C": [0.1]}
    version = training.train_challenger(**{**SETTINGS, "search_space": space})["version"]
    record = ModelStore("digits").metadata(version)
    assert record["parameters"]["solver"] == "lbfgs"
    assert sorted("error" in tried for tried in record["candidates"]) == [False, True]
    assert re.search(
        r"candidate \d of 2: accuracy 0\.\d+ in [\d.]+ s: \{'solver': 'lbfgs'",
        caplog.text.replace("'C': 0.1, ", ""),
    )
    with pytest.raises(ValueError, match="all 1 candidates failed; the first: InvalidParameterError"):
        training.train_challenger(**{**SETTINGS, "search_space": {"solver": ["no-such"]}, "candidates": 1})


def test_no_candidate_is_begun_once_the_seconds_have_passed(output: Path) -> None:
    version = training.train_challenger(**SETTINGS, seconds=0)["version"]
    assert len(ModelStore("digits").metadata(version)["candidates"]) == 1


@pytest.mark.parametrize("copy", [True, False])
def test_a_candidate_that_writes_into_its_data_spoils_no_other(
    output: Path, tmp_path: Path, copy: bool
) -> None:
    rows = [f"{i},{i % 7},{i * 2.5}" for i in range(100)]
    location = write_csv(tmp_path / "rows.csv", "\n".join(["a,b,price", *rows]) + "\n")
    given = {"model": "m", "dataset": location, "target": "price", "metric": "r2", "candidates": 3}
    result = training.train_challenger(
        **given,
        estimator="sklearn.linear_model.Ridge",
        parameters={"copy_X": copy},
        search_space={"alpha": [1e6, 1e5, 0.1]},
        run_id="r",
        run_after="2026-01-01T00:00:00+09:00",
    )
    assert result["parameters"]["alpha"] == 0.1
    scores = [one["cv_score"] for one in ModelStore("m").metadata(result["version"])["candidates"]]
    assert all(-1 < score <= 1 for score in scores)


def test_a_seed_from_yaml_makes_runs_try_the_same(output: Path) -> None:
    results = [training.train_challenger(**{**SETTINGS, "run_id": run}, seed=7) for run in ("a", "b")]
    assert results[0]["parameters"] == results[1]["parameters"]


def test_a_missing_dataset_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"'data/digts\.csv' does not exist"):
        training.check_dataset(dataset="data/digts.csv", target="digit")


def test_train_challenger_saves_a_version_that_says_how_it_was_made(output: Path) -> None:
    result = training.train_challenger(**SETTINGS)
    assert result["metrics"]["accuracy"] > 0.9
    assert re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{8}", result["version"])
    json.dumps(result)
    metadata = ModelStore("digits").metadata(result["version"])
    assert metadata["run_id"] == SETTINGS["run_id"]
    assert [feature["name"] for feature in metadata["features"]][:2] == ["pixel_0_0", "pixel_0_1"]
    assert metadata["holdout"]["rows"] + metadata["dataset"]["rows_trained"] == 1797
    assert 0.1 <= metadata["parameters"]["C"] <= 10
    assert {"scikit-learn", "numpy", "python"} <= set(metadata["libraries"])


def test_a_second_try_of_the_same_run_changes_no_file(output: Path) -> None:
    first = training.train_challenger(**SETTINGS)
    training.predict_holdout(model="digits", version=first["version"])
    before = tree(output)
    assert training.train_challenger(**SETTINGS) == first
    training.predict_holdout(model="digits", version=first["version"])
    assert tree(output) == before


def test_the_same_run_with_an_edited_yaml_makes_another_version(output: Path) -> None:
    first = training.train_challenger(**SETTINGS)
    second = training.train_challenger(**{**SETTINGS, "holdout_seed": 8})
    assert second["version"] != first["version"]
    assert len(ModelStore("digits").versions()) == 2


def test_each_run_tries_other_settings_on_the_same_holdout(output: Path) -> None:
    first = training.train_challenger(**SETTINGS)
    second = training.train_challenger(**{**SETTINGS, "run_id": "another"})
    assert first["parameters"]["C"] != second["parameters"]["C"]
    store = ModelStore("digits")
    holdouts = {store.metadata(version)["holdout"]["fingerprint"] for version in store.versions()}
    assert len(holdouts) == 1


def test_predict_holdout_writes_one_line_per_held_out_row(output: Path) -> None:
    version = training.train_challenger(**SETTINGS)["version"]
    result = training.predict_holdout(model="digits", version=version)
    with Path(result["file"]).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == result["rows"] == ModelStore("digits").metadata(version)["holdout"]["rows"]
    right = sum(row["actual"] == row["prediction"] for row in rows)
    assert right / len(rows) == pytest.approx(ModelStore("digits").metadata(version)["metrics"]["accuracy"])
    assert all(0 < float(row["probability"]) <= 1 for row in rows)


def test_another_csv_target_and_a_regression_need_other_settings_only(output: Path, tmp_path: Path) -> None:
    result = training.train_challenger(
        model="houses",
        dataset=houses(tmp_path),
        target="price",
        estimator="sklearn.ensemble.RandomForestRegressor",
        parameters={"n_estimators": 5},
        metric="root_mean_squared_error",
        other_metrics=["r2"],
        run_id="r",
        run_after="2026-01-01T00:00:00+09:00",
    )
    assert result["metrics"]["root_mean_squared_error"] > 0
    assert result["metrics"]["r2"] > 0.5
    written = training.predict_holdout(model="houses", version=result["version"])
    lines = Path(written["file"]).read_text(encoding="utf-8").splitlines()
    assert lines[0] == "row_id,actual,prediction,probability"
    assert all(line.endswith(",") for line in lines[1:])  # a regression gives no probability


def test_a_target_may_be_called_none_and_rows_need_no_id(output: Path, tmp_path: Path) -> None:
    lines = [f"{'None' if i % 2 else 'Some'},{i % 2 + i / 1000},t{i}" for i in range(100)]
    location = write_csv(tmp_path / "rows.csv", "\n".join(["kind,row_number,text", *lines]) + "\n")
    estimator = "sklearn.ensemble.HistGradientBoostingClassifier"
    settings = {
        "model": "m",
        "dataset": location,
        "target": "kind",
        "estimator": estimator,
        "metric": "accuracy",
    }
    result = training.train_challenger(**settings, run_id="r", run_after="2026-01-01T00:00:00+09:00")
    assert result["metrics"]["accuracy"] > 0.9
    rows = Path(training.predict_holdout(model="m", version=result["version"])["file"]).read_text(
        encoding="utf-8"
    )
    assert "None,None" in rows


def test_rows_sorted_by_the_target_are_searched_in_random_order(output: Path, tmp_path: Path) -> None:
    lines = [f"{i},{i % 7},{i * 2}" for i in range(200)]
    location = write_csv(tmp_path / "rows.csv", "\n".join(["a,b,price", *lines]) + "\n")
    result = training.train_challenger(
        model="m",
        dataset=location,
        target="price",
        estimator="sklearn.tree.DecisionTreeRegressor",
        search_space={"max_depth": [6, 8]},
        candidates=2,
        metric="r2",
        run_id="r",
        run_after="2026-01-01T00:00:00+09:00",
    )
    assert ModelStore("m").metadata(result["version"])["cv_score"] > 0.9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"estimator": "os.system"}, "estimator 'os.system' is not allowed"),
        ({"estimator": "sklearn.linear_model.LogisticRegresion"}, "did you mean 'LogisticRegression'?"),
        ({"estimator": "sklearn.metrics.accuracy_score"}, "is not a scikit-learn estimator class"),
        ({"parameters": {"max_itr": 5}}, "has no parameter 'max_itr'; did you mean 'max_iter'?"),
        ({"search_space": {"c": [1]}}, "has no parameter 'c'"),
        ({"search_space": {"C": {"distribution": "normal", "low": 1, "high": 2}}}, "search_space.C is"),
        (
            {"search_space": {"C": {"distribution": "loguniform", "low": "1e-2", "high": 1}}},
            "search_space.C.low is '1e-2', which is no number; YAML takes 1.0e-2 and 0.01 for one",
        ),
        (
            {"search_space": {"C": {"distribution": "loguniform", "low": 0, "high": 1}}},
            "search_space.C.low is 0; loguniform needs more than 0",
        ),
        ({"parameters": {1: 5}}, "has no parameter 1"),
        (
            {"estimator": "sklearn.ensemble.VotingClassifier", "parameters": {}},
            "cannot be made from `parameters`",
        ),
        ({"estimator": "sklearn.cluster.KMeans", "parameters": {}}, "learns no target"),
        ({"estimator": "sklearn.preprocessing.StandardScaler", "parameters": {}}, "predicts nothing"),
        ({"other_metrics": ["f1_makro"]}, "did you mean 'f1_macro'?"),
        ({"metric": "acuracy"}, "metric 'acuracy' is not known; did you mean 'accuracy'?"),
        ({"other_metrics": ["f1"]}, "'f1' does not suit target 'digit': Target is multiclass"),
        ({"metric": "f1"}, "average='binary'; take f1_macro, f1_micro, f1_weighted"),
        (
            {"metric": "r2", "estimator": "sklearn.linear_model.Ridge", "parameters": {}},
            "'f1_macro' is of classes",
        ),
        (
            {"metric": "neg_log_loss", "estimator": "sklearn.svm.LinearSVC", "parameters": {}},
            "needs predict_proba, which this LinearSVC does not have",
        ),
        ({"candidates": 0}, "candidates is 0; it must be 1 or more"),
        ({"folds": 1}, "folds is 1; it must be 2 or more"),
        ({"holdout_share": 1.5}, "holdout_share is 1.5"),
        ({"run_after": "2026-01-01"}, "is not ISO 8601 with an offset"),
        ({"model": "../digits"}, "is not a plain name"),
    ],
)
def test_a_wrong_setting_is_told_with_its_value_and_nothing_is_written(
    output: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=".") as error:
        training.train_challenger(**{**SETTINGS, **change})
    assert message in str(error.value)
    assert not list(output.rglob("model.joblib"))


def test_predict_holdout_refuses_rows_that_have_changed(output: Path, tmp_path: Path) -> None:
    location = houses(tmp_path)
    settings = {**SETTINGS, "dataset": location, "target": "price", "row_id": None, "metric": "r2"}
    settings |= {"estimator": "sklearn.linear_model.LinearRegression", "parameters": {}, "search_space": {}}
    version = training.train_challenger(**{**settings, "other_metrics": []})["version"]
    houses(tmp_path, rows=90)
    with pytest.raises(ValueError, match="have changed since"):
        training.predict_holdout(model="digits", version=version)
