"""The contender: it predicts the champion's rows, harms nothing, and is promoted by labels that come later."""

from __future__ import annotations

import csv
import json
import logging
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from contending import BAD, GOOD, Contest, shadow_file
from predicting import rows_of
from promoting import champion_version, decide
from trees import tree

from batch_serving.prediction import shadow
from batch_serving.registry.contender import CONTENDER, read_trial, write_trial
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


@pytest.fixture
def with_own_rows(output: Path, tmp_path: Path) -> Contest:
    """The same with a file of training rows that the test may change."""
    contest = Contest(tmp_path)
    contest.train("first", **BAD)
    contest.compare()
    contest.train("second", **GOOD)
    return contest


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


def change_features(store: ModelStore, version: str, feature: dict[str, str]) -> None:
    path = Path(str(store.folder(version) / "metadata.json"))
    record = json.loads(path.read_text())
    record["features"] = [feature]
    del record["checksum"]
    path.write_text(json.dumps(record))


def break_record(store: ModelStore, version: str) -> None:
    change_features(store, version, {"name": "not there", "dtype": "float64"})


def break_features(store: ModelStore, version: str) -> None:
    change_features(store, version, {"name": "of no type"})


def break_trial(store: ModelStore, version: str) -> None:
    (store.root / CONTENDER).write_text("{")
    break_model(store, version)


@pytest.mark.parametrize("damage", [break_model, break_record, break_trial, break_features])
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
    if damage is break_features:  # nothing was kept of the rows
        assert not shadow_file(result).exists()
        return
    rows = rows_in(shadow_file(result))
    assert [row["row_id"] for row in rows] == [row["row_id"] for row in rows_of(result)]
    assert {row["prediction"] for row in rows} == {""}


class Odd:
    """A model that does something else than to predict."""

    def __init__(self, predict: Callable[[pd.DataFrame], Any]) -> None:
        self.predict = predict


def make_odd(monkeypatch: pytest.MonkeyPatch, version: str, action: Callable[[pd.DataFrame], Any]) -> None:
    load = ModelStore.load
    monkeypatch.setattr(
        ModelStore, "load", lambda self, name: Odd(action) if name == version else load(self, name)
    )


def test_a_contender_that_hangs_is_stopped(
    contest: Contest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    contest.least_s = 0.5
    make_odd(monkeypatch, ModelStore("digits").versions()[-1], lambda _: time.sleep(300))
    result = contest.predict(100)
    assert (result["rows"], result["contender"]["rows"]) == (100, 0)
    assert caplog.messages[-1].endswith("cannot predict: its time was over")
    assert len(rows_in(shadow_file(result))) == 100
    assert not list((shadow_file(result).parent / "attempts").rglob("*run*"))


def test_a_contender_that_ends_the_process_does_so_twice_at_most(
    contest: Contest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    make_odd(monkeypatch, ModelStore("digits").versions()[-1], lambda _: os._exit(9))
    given = contest.next_run()
    for _ in range(2):
        child = os.fork()
        if child == 0:
            contest.predict(20, **given)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    result = contest.predict(20, **given)
    assert (result["rows"], result["contender"]["rows"]) == (20, 0)
    assert caplog.messages[-1].endswith("may have ended the process, 2 times")
    assert {row["prediction"] for row in rows_in(shadow_file(result))} == {""}
    other = contest.predict(20)  # and no other run tries
    assert caplog.messages[-1].endswith("may have ended the process, 2 times")
    assert (other["rows"], other["contender"]["rows"]) == (20, 0)


def test_of_a_large_run_a_sample_is_predicted(contest: Contest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow, "ROWS_A_RUN", 100)
    result = contest.predict(800, chunk_rows=50)
    delivered = [row["row_id"] for row in rows_of(result)]
    sample = [row["row_id"] for row in rows_in(shadow_file(result))]
    assert len(sample) == result["contender"]["rows"] == 100
    assert sample == [row_id for row_id in delivered if row_id in sample]
    assert 20 < sum(delivered.index(row_id) < 400 for row_id in sample) < 80


def test_a_contender_that_is_slow_predicts_a_part(
    contest: Contest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def slowly(features: pd.DataFrame) -> Any:
        time.sleep(len(features) / 128)
        return features["pixel_0_0"]

    contest.least_s = 3
    make_odd(monkeypatch, ModelStore("digits").versions()[-1], slowly)
    result = contest.predict(800)
    assert (result["rows"], result["contender"]["rows"]) == (800, 256)
    assert "has predicted 256 of 800 rows: it may not take longer than the champion" in caplog.text


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
    assert missing["reason"].endswith(
        f"{better} has predicted no row yet: the next run does, with `shadow: true` in predict_rows"
    )
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
    ids = {row["row_id"] for row in evidence}
    assert len(evidence) == len(ids) == last["test"]["rows"]
    assert sum(row["gain"] == "1" for row in evidence) == last["test"]["won"]


def test_a_row_that_is_predicted_again_and_again_counts_once(contest: Contest, output: Path) -> None:
    contest.rows.tail(150).to_csv(contest.stream, index=False)
    contest.policy["min_delta"] = 0.9
    contest.compare()
    first = contest.hour(100)["test"]
    for _ in range(3):
        last = contest.hour(150)["test"]
    assert (first["rows"], last["rows"]) == (100, 150)


def test_rows_that_the_contender_cannot_predict_are_lost_by_it(contest: Contest) -> None:
    store = ModelStore("digits")
    contest.compare()
    break_model(store, store.versions()[-1])
    result = contest.hour(250)
    assert result["reason"].startswith("given up")
    assert (result["test"]["won"], result["test"]["rows"]) == (0, 250)
    assert result["test"]["lost"] > 150


def test_a_trial_does_not_depend_on_the_holdout_of_its_beginning(
    with_own_rows: Contest, tmp_path: Path
) -> None:
    contest = with_own_rows
    contest.compare(guardrails={"predict_ms": "900 %"})
    file = tmp_path / "training.csv"
    rows = pd.read_csv(file)
    rows["pixel_0_0"] += 1
    rows.to_csv(file, index=False)  # the recorded holdout has changed
    result = contest.hour(50)
    assert result["test"]["rows"] == 50
    assert result["scores"]["challenger"]["accuracy"] > result["scores"]["champion"]["accuracy"]


def test_labels_that_come_sooner_for_one_class_are_waited_for(contest: Contest, tmp_path: Path) -> None:
    contest.policy["min_delta"] = 0.9
    contest.compare()
    contest.predict(200)
    every = pd.read_csv(contest.stream)
    contest.labels = tmp_path / "some.csv"
    every[every["digit"] < 5].to_csv(contest.labels, index=False)
    contest.join()
    result = contest.compare()
    assert result["reason"].endswith("came so far; a day counts once nine tenths of its rows have one")
    every[(every["digit"] < 9) | (every.index % 2 == 0)].to_csv(contest.labels, index=False)
    contest.join()
    rows = contest.compare()["test"]["rows"]
    assert 150 < rows < 200
    contest.labels = contest.stream
    contest.join()
    assert contest.compare()["test"]["rows"] == 200


def test_without_a_budget_it_is_said_when_the_trial_begins(contest: Contest) -> None:
    (ModelStore("digits").root / CONTENDER).write_text("{")
    assert contest.compare()["reason"].endswith("once more of the budget is saved, in 0.9 hours")


def test_another_metric_ends_the_trial(contest: Contest) -> None:
    contest.compare()
    contest.hour(50)
    change = {"metric": "mean_absolute_error", "direction": "minimize"}
    assert contest.compare(**change)["reason"].endswith("begins")
    state, _ = read_trial(ModelStore("digits").root, datetime.now(UTC))
    assert state.trial is not None
    assert state.trial.metric == "mean_absolute_error"


def test_a_metric_that_cannot_be_measured_by_now_ends_the_trial(
    with_own_rows: Contest, tmp_path: Path
) -> None:
    contest = with_own_rows
    contest.compare()
    file = tmp_path / "training.csv"
    rows = pd.read_csv(file)
    rows["pixel_0_0"] += 1
    rows.to_csv(file, index=False)
    reason = contest.compare(floors={"f1_micro": 0.1})["reason"]
    assert reason.startswith("given up, the next version gets a trial: ")
    newer = contest.train("third", **GOOD)
    assert contest.compare(floors={"f1_micro": 0.1})["challenger"] == newer


def test_beside_a_champion_that_cannot_predict_there_is_no_trial(contest: Contest) -> None:
    store = ModelStore("digits")
    better = store.versions()[-1]
    contest.compare()
    break_model(store, champion_version())
    result = contest.compare()
    assert (result["verdict"], result["challenger"]) == ("promote", better)
    assert champion_version() == better


def test_a_contender_that_reads_texts_where_the_champion_reads_numbers_is_left_out(
    contest: Contest, caplog: pytest.LogCaptureFixture
) -> None:
    store = ModelStore("digits")
    change_features(store, store.versions()[-1], {"name": "pixel_0_0", "dtype": "object"})
    result = contest.predict(20)
    assert (result["rows"], result["contender"]["rows"]) == (20, 0)
    assert "column 'pixel_0_0' is text for it, and a number for the champion" in caplog.text


def test_of_wide_rows_few_are_kept(contest: Contest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow, "KEPT_BYTES", 20_000)  # a row of digits has about 600
    result = contest.predict(400, chunk_rows=50)
    assert result["rows"] == 400
    assert 10 < result["contender"]["rows"] < 40


def test_without_the_training_rows_nothing_counts(with_own_rows: Contest, tmp_path: Path) -> None:
    contest = with_own_rows
    contest.compare()
    (tmp_path / "training.csv").unlink()
    result = contest.hour(50)
    assert "it is not known which rows" in result["reason"]
    assert result["test"]["rows"] == 0


def began(store: ModelStore, days_ago: float) -> None:
    """Let the trial that goes on have begun so long ago."""
    state, tag = read_trial(store.root, datetime.now(UTC))
    assert state.trial is not None
    since = datetime.now(UTC) - timedelta(days=days_ago)
    write_trial(store.root, replace(state, trial=replace(state.trial, since=since)), tag)


def test_a_trial_without_evidence_ends_after_three_times_its_days(contest: Contest) -> None:
    store = ModelStore("digits")
    contest.compare()
    allowance = json.loads((store.root / CONTENDER).read_text())["trial"]["allowance"]
    began(store, days_ago=20)
    assert contest.compare()["reason"].startswith("not certainly better yet")
    began(store, days_ago=21)
    assert contest.compare()["reason"].startswith("given up, the next version gets a trial: ")
    state, _ = read_trial(store.root, datetime.now(UTC))
    assert (state.trial, state.ended) == (None, store.versions()[-1])
    assert state.saved >= 2 * allowance  # no evidence, no chance of a wrong promotion: given back


def test_evidence_that_is_corrupt_is_counted_again(contest: Contest, output: Path) -> None:
    contest.compare()
    before = contest.hour(100)["test"]
    (path,) = (output / "models" / "digits" / "evidence").iterdir()
    lines = path.read_text().splitlines()
    for damaged in ("a,b", "not a time,run1,5,x,y,0.5", lines[1].rsplit(",", 1)[0] + ",nan", '"'):
        path.write_text("\n".join([lines[0], damaged, *lines[2:]]) + "\n")
        assert contest.compare()["test"] == before
        assert path.read_text().splitlines() == lines


def test_a_shadow_file_that_is_corrupt_loses_its_damaged_rows_only(contest: Contest) -> None:
    contest.compare()
    result = contest.predict(50)
    path = shadow_file(result)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:10], "damaged", *lines[11:]]) + "\n")
    contest.join()
    assert contest.compare()["test"]["rows"] == 49


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
    reason = contest.compare()["reason"]
    assert reason == f"no version is newer than {second}, which was the champion before"
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
    assert first["rows"] == 100 < second["rows"]  # some of them are the same
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
