"""The contender: it predicts the champion's rows, harms nothing, and is promoted by labels that come later."""

from __future__ import annotations

import csv
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from contending import BAD, GOOD, Contest, shadow_file
from predicting import rows_of
from promoting import champion_version, decide
from trees import tree

from batch_serving.registry.contender import CONTENDER
from batch_serving.registry.store import ModelStore
from callables import training


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output folder with a champion that is not good, and a better challenger."""
    folder = tmp_path_factory.mktemp("begun")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("BATCH_OUTPUT", str(folder / "output"))
        contest = Contest(folder)
        contest.train("first", **BAD)
        contest.compare()
        contest.train("second", **GOOD)
    return folder / "output"


@pytest.fixture
def contest(begun: Path, output: Path, tmp_path: Path) -> Contest:
    """A copy of these: training takes longer."""
    shutil.copytree(begun, output)
    return Contest(tmp_path)


def rows_in(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def without_time(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{name: value for name, value in row.items() if name != "scored_at"} for row in rows]


def test_the_contender_predicts_the_champions_rows_beside_them(contest: Contest, output: Path) -> None:
    store = ModelStore("digits")
    champion, challenger = champion_version(), store.versions()[-1]
    result = contest.predict(50)
    assert result["contender"] == {"model_version": challenger, "rows": 50}
    delivered, shadowed = rows_of(result), rows_in(shadow_file(result))
    assert {row["model_version"] for row in delivered} == {champion}
    assert {row["model_version"] for row in shadowed} == {challenger}
    assert [row["row_id"] for row in shadowed] == [row["row_id"] for row in delivered]
    rows = contest.rows.set_index("row_id").loc[[row["row_id"] for row in shadowed]]
    expected = store.load(challenger).predict(rows.drop(columns="digit"))
    assert [int(row["prediction"]) for row in shadowed] == list(expected)
    assert not [path for path in (output / "predictions").rglob("*.csv") if challenger in path.read_text()]


def test_a_second_try_changes_nothing(contest: Contest, output: Path) -> None:
    given = contest.next_run()
    contest.predict(20, **given)
    before = tree(output)
    contest.predict(20, **given)
    assert tree(output) == before


def break_model(store: ModelStore, version: str) -> None:
    (store.folder(version) / "model.joblib").write_bytes(b"broken")


def break_record(store: ModelStore, version: str) -> None:
    path = Path(str(store.folder(version) / "metadata.json"))
    record = json.loads(path.read_text())
    record["features"] = [{"name": "not there", "dtype": "float64"}]
    del record["checksum"]
    path.write_text(json.dumps(record))


def break_trial(store: ModelStore, version: str) -> None:
    (store.root / CONTENDER).write_text("{")
    break_model(store, version)


@pytest.mark.parametrize("damage", [break_model, break_record, break_trial])
def test_a_broken_contender_is_one_warning(
    contest: Contest, output: Path, caplog: pytest.LogCaptureFixture, damage: Any
) -> None:
    store = ModelStore("digits")
    given = contest.next_run()
    sound = without_time(rows_of(contest.predict(20, **given, shadow=False)))
    damage(store, store.versions()[-1])
    with caplog.at_level(logging.WARNING):
        result = contest.predict(20, **given)
    assert without_time(rows_of(result)) == sound
    assert result["contender"]["rows"] == 0
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert ["contender" in record.getMessage() for record in warnings] == [True]
    assert not shadow_file(result).exists()


def test_a_contender_that_is_slow_predicts_a_part(contest: Contest, caplog: pytest.LogCaptureFixture) -> None:
    contest.least_s = 0
    slow = {"estimator": "sklearn.ensemble.RandomForestClassifier", "parameters": {"n_estimators": 500}}
    contest.train("third", **slow)
    result = contest.predict(800)
    assert result["rows"] == 800
    assert result["contender"]["rows"] in (64, 64 + 256)
    assert "it may not take longer than the champion" in caplog.text


def test_a_contender_with_another_feature_gets_it(output: Path, tmp_path: Path) -> None:
    contest = Contest(tmp_path)
    file = tmp_path / "training.csv"
    rows = pd.read_csv(file)
    rows.drop(columns="pixel_3_3").to_csv(file, index=False)
    contest.train("first", **BAD)
    contest.compare()
    rows.to_csv(file, index=False)
    contest.train("second", **GOOD)
    assert contest.predict(20)["contender"]["rows"] == 20


def test_without_a_newer_version_there_is_no_contender(output: Path, tmp_path: Path) -> None:
    contest = Contest(tmp_path)
    contest.train("first", **BAD)
    contest.compare()
    assert contest.predict(5)["contender"] == {"model_version": None, "rows": 0}


def test_a_better_contender_is_promoted_by_labels_that_come_later(contest: Contest, output: Path) -> None:
    better = ModelStore("digits").versions()[-1]
    begun = contest.compare()
    assert begun["reason"] == f"not certainly better yet: the trial of the contender {better} begins"
    missing = contest.compare()
    assert missing["reason"].endswith(f"{better} has predicted no row: set `shadow: true` in predict_rows")
    contest.predict(100)
    contest.train("third", **BAD)  # a newer version does not end the trial
    unlabelled = contest.compare()
    assert "none of the 100 rows" in unlabelled["reason"]
    assert unlabelled["reason"].endswith("has a label: see join_labels")
    contest.join()
    some = contest.compare()
    assert (some["verdict"], some["challenger"], some["test"]["rows"]) == ("keep", better, 100)
    assert "more row" in some["reason"]
    again = contest.compare()
    assert again["test"] == some["test"]  # each row counts once, however often it is looked at
    while contest.hours < 8 and (last := contest.hour())["verdict"] == "keep":
        assert "not certainly better yet: of" in last["reason"]
    assert last["verdict"] == "promote"
    assert last["test"]["evidence"] >= last["test"]["needed"] == 20  # one wrong promotion in 20 trials
    assert champion_version() == better
    evidence = rows_in(output / "models" / "digits" / "evidence" / f"{better}.csv")
    keys = [(row["run_id"], row["row_id"]) for row in evidence]
    assert len(keys) == len(set(keys)) == last["test"]["rows"]
    wins = sum(row["gain"] == "1" for row in evidence)
    assert (wins, len(keys)) == (last["test"]["won"], last["test"]["rows"])


def test_the_evidence_is_what_an_independent_computation_finds(contest: Contest, output: Path) -> None:
    store = ModelStore("digits")
    champion, better = champion_version(), store.versions()[-1]
    contest.compare()
    result = contest.predict(150)
    contest.join()
    found = contest.compare()["test"]
    rows = contest.rows.set_index("row_id").loc[[row["row_id"] for row in rows_of(result)]]
    features, truth = rows.drop(columns="digit"), rows["digit"]
    new, old = (store.load(version).predict(features) == truth for version in (better, champion))
    assert (found["won"], found["lost"]) == (int((new & ~old).sum()), int((old & ~new).sum()))
    assert found["gain"] == pytest.approx(new.mean() - old.mean(), abs=1e-6)


def test_a_class_that_the_champion_does_not_know_counts_for_the_contender(
    output: Path, tmp_path: Path
) -> None:
    contest = Contest(tmp_path)
    file = tmp_path / "training.csv"
    rows = pd.read_csv(file)
    rows[rows["digit"] != 7].to_csv(file, index=False)
    for run_id, settings in (("first", GOOD), ("second", GOOD)):
        version = contest.train(run_id, **settings)
        training.predict_holdout(model="digits", version=version)  # its classes are known by this file
        contest.compare()
        rows.to_csv(file, index=False)
    result = contest.predict(200)
    contest.join()
    found = contest.compare()["test"]
    sevens = (
        contest.rows.set_index("row_id").loc[[row["row_id"] for row in rows_of(result)], "digit"].eq(7).sum()
    )
    assert found["rows"] == 200
    assert found["won"] >= 0.8 * sevens > 5


def test_a_corrected_label_does_not_change_settled_evidence(contest: Contest, tmp_path: Path) -> None:
    contest.compare()
    contest.predict(100)
    contest.join()
    before = contest.compare()["test"]
    wrong = pd.read_csv(contest.stream)
    wrong["digit"] = (wrong["digit"] + 1) % 10
    contest.labels = tmp_path / "corrected.csv"
    wrong.to_csv(contest.labels, index=False)
    contest.join()
    assert contest.compare()["test"] == before


def test_rows_that_were_trained_on_do_not_count(contest: Contest) -> None:
    contest.rows.head(400).to_csv(contest.stream, index=False)
    contest.compare()
    contest.predict(100)
    contest.join()
    result = contest.compare()
    held_out = result["test"]["rows"]
    assert 5 < held_out < 40  # a fifth of them was held out


def test_a_dry_run_keeps_nothing(contest: Contest, output: Path) -> None:
    before = tree(output)
    assert "would not be promoted" in decide(**contest.policy, dry_run=True)["reason"]
    assert tree(output) == before
    contest.compare()
    contest.predict(50)
    contest.join()
    before = tree(output)
    decide(**contest.policy, dry_run=True)
    assert tree(output) == before


def test_a_kill_between_evidence_and_state_loses_nothing(
    contest: Contest, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contest.compare()
    contest.predict(100)
    contest.join()
    state = (output / "models" / "digits" / CONTENDER).read_bytes()
    expected = decide(**contest.policy)["test"]
    (output / "models" / "digits" / CONTENDER).write_bytes(state)  # as if it had not been written
    assert decide(**contest.policy)["test"] == expected


def test_a_contender_that_is_worse_is_given_up_and_the_next_gets_a_trial(
    output: Path, tmp_path: Path
) -> None:
    contest = Contest(tmp_path)
    contest.train("first", **GOOD)
    contest.compare()
    worse = contest.train("second", **BAD)
    contest.compare()
    reason = contest.hour(250)["reason"]
    assert reason.startswith("given up, the next version gets a trial: of 250 labelled rows")
    assert contest.compare()["reason"] == f"no version is newer than {worse}, which has had its trial"
    third = contest.train("third", **BAD)
    assert contest.compare()["reason"].endswith(f"the trial of the contender {third} begins")
    state = json.loads((output / "models" / "digits" / CONTENDER).read_text())
    assert 0 < state["trial"]["allowance"] < 2 / 13 / 2


def test_another_champion_ends_the_trial(contest: Contest) -> None:
    old = ModelStore("digits").versions()[-1]
    contest.compare()
    contest.compare(version=old)
    newer = contest.train("third", **BAD)
    assert contest.compare()["reason"].endswith(f"the trial of the contender {newer} begins")


def test_a_version_that_was_rolled_back_gets_no_trial(contest: Contest) -> None:
    store = ModelStore("digits")
    first, second = store.versions()
    contest.compare(version=second)
    contest.compare(roll_back=True)
    assert champion_version() == first
    assert contest.compare()["reason"] == f"no version is newer than {second}, which has had its trial"
    assert contest.predict(5)["contender"] == {"model_version": None, "rows": 0}


def test_a_roll_back_of_a_promoted_contender_is_not_undone(contest: Contest) -> None:
    first, second = ModelStore("digits").versions()
    contest.compare()
    while contest.hours < 8 and contest.hour()["verdict"] == "keep":
        pass
    assert champion_version() == second
    contest.compare(roll_back=True)
    assert contest.compare()["verdict"] == "keep"
    assert champion_version() == first


def test_a_contender_below_a_floor_gets_no_trial(contest: Contest) -> None:
    result = contest.compare(floors={"accuracy": 0.999})
    assert "does not reach the floor 0.999" in result["reason"]
    assert contest.compare()["reason"].endswith("begins")


def test_a_regression_has_trials_as_well(output: Path, tmp_path: Path) -> None:
    contest = Contest(tmp_path, metric="mean_absolute_error", direction="minimize")
    settings = {"metric": "mean_absolute_error", "scaler": "sklearn.preprocessing.StandardScaler"}
    contest.train("first", estimator="sklearn.linear_model.Ridge", parameters={"alpha": 1e5}, **settings)
    contest.compare()
    better = contest.train("second", estimator="sklearn.linear_model.Ridge", **settings)
    contest.compare()
    while contest.hours < 5 and (result := contest.hour())["verdict"] == "keep":
        pass
    assert champion_version() == better
    assert result["test"]["gain"] > 0.3  # of an error of about 1.5


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_a_trial_on_object_storage(place: str, tmp_path: Path) -> None:
    contest = Contest(tmp_path)
    contest.train("first", **BAD)
    contest.compare()
    better = contest.train("second", **GOOD)
    contest.compare()
    first, second = (contest.hour(100)["test"] for _ in range(2))
    assert (first["rows"], second["rows"]) == (100, 200)
    while contest.hours < 6 and contest.hour()["verdict"] == "keep":
        pass
    assert champion_version() == better


@pytest.mark.parametrize("test", ["cross_validated", "sequential"])
def test_pruning_keeps_the_contender(contest: Contest, test: str) -> None:
    store = ModelStore("digits")
    contender = store.versions()[-1]
    contest.compare(test=test, min_delta=0.5)
    for number in range(3):
        contest.train(f"newer {number}", **BAD)
    removed = store.prune(1, run_id="prune")
    assert (contender in removed) == (test == "cross_validated")
