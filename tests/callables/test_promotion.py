"""P2: the verdicts, one by one, and the pointer they move."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from trees import tree

from callables import promotion, training
from callables._files import PROJECT_ROOT
from callables._model_store import ModelStore
from callables._model_versions import ModelStoreError

HOUR = iter(range(10_000))


def add_version(accuracy: float, **other: float) -> str:
    """Save a version whose record has these metrics; its model is never asked."""
    hour = next(HOUR)
    metadata = {
        "run_id": f"run{hour}",
        "inputs": "",
        "metrics": {"accuracy": accuracy, **other},
        "holdout": {"fingerprint": "same"},
    }
    moment = datetime(2026, 1 + hour // 600, 1 + hour % 600 // 24, hour % 24, tzinfo=UTC)
    return ModelStore("digits").save({"hour": hour}, metadata, moment)


def decide(**policy: Any) -> dict:
    return promotion.compare(**{"model": "digits", "metric": "accuracy", **policy})


def run(**policy: Any) -> dict:
    """Compare and do as the verdict says, as the DAG does."""
    result = decide(**policy)
    chosen = promotion.choose(verdict=result["verdict"], better_task="promote", otherwise_task="keep")
    getattr(promotion, chosen)(comparison=json.dumps(result), run_id=f"run{next(HOUR)}")
    return result


def champion() -> str:
    pointer = ModelStore("digits").champion()
    assert pointer is not None
    return pointer["version"]


def test_without_a_version_compare_says_what_to_run(output: Path) -> None:
    with pytest.raises(ModelStoreError, match="has no version yet; run train_model first"):
        decide()


def test_the_first_model_needs_its_floors_only(output: Path) -> None:
    add_version(0.8)
    low = run(floors={"accuracy": 0.9})
    assert (low["verdict"], low["reason"]) == ("keep", "accuracy 0.8 does not reach the floor 0.9")
    assert ModelStore("digits").champion() is None
    version = add_version(0.91)
    high = run(floors={"accuracy": 0.9})
    assert (high["verdict"], high["reason"]) == (
        "promote",
        "the first model: accuracy 0.91 keeps every floor",
    )
    assert champion() == version


@pytest.mark.parametrize(
    ("new", "policy", "verdict", "reason"),
    [
        ({"accuracy": 0.95, "f1_macro": 0.9}, {}, "promote", "better: accuracy 0.9 → 0.95"),
        ({"accuracy": 0.85, "f1_macro": 0.9}, {}, "keep", "worse: accuracy 0.9 → 0.85"),
        ({"accuracy": 0.9, "f1_macro": 0.9}, {}, "keep", "a tie at accuracy 0.9, and on_tie is keep"),
        (
            {"accuracy": 0.9, "f1_macro": 0.9},
            {"on_tie": "newest"},
            "promote",
            "a tie at accuracy 0.9, and on_tie is newest",
        ),
        (
            {"accuracy": 0.905, "f1_macro": 0.9},
            {"min_delta": 0.01},
            "keep",
            "better by 0.005 only, less than min_delta 0.01: accuracy 0.9 → 0.905",
        ),
        ({"accuracy": 0.91, "f1_macro": 0.9}, {"min_delta": 0.01}, "promote", "better: accuracy 0.9 → 0.91"),
        (
            {"accuracy": 0.95, "f1_macro": 0.8},
            {"guardrails": {"f1_macro": 0.05}},
            "keep",
            "f1_macro got worse by 0.1, more than the 0.05 allowed",
        ),
        (
            {"accuracy": 0.95, "f1_macro": 0.9},
            {"floors": {"accuracy": 0.97}},
            "keep",
            "accuracy 0.95 does not reach the floor 0.97",
        ),
    ],
)
def test_the_verdict_follows_the_policy(
    output: Path, new: dict[str, float], policy: dict[str, Any], verdict: str, reason: str
) -> None:
    first = add_version(0.9, f1_macro=0.9)
    run()
    second = add_version(**new)
    result = run(**policy)
    assert (result["verdict"], result["reason"]) == (verdict, reason)
    assert champion() == (second if verdict == "promote" else first)
    assert ModelStore("digits").history()[-1]["reason"] == reason


def test_of_errors_the_smaller_is_better(output: Path) -> None:
    policy = {"metric": "root_mean_squared_error", "direction": "minimize"}
    first = add_version(0, root_mean_squared_error=2.0)
    run(**policy, floors={"root_mean_squared_error": 3.0})
    add_version(0, root_mean_squared_error=2.5)
    assert run(**policy)["verdict"] == "keep"
    assert champion() == first
    third = add_version(0, root_mean_squared_error=1.5)
    assert run(**policy)["reason"] == "better: root_mean_squared_error 2 → 1.5"
    assert champion() == third


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"direction": "minimize"}, "'accuracy' is to be maximized"),
        ({"on_tie": "newst"}, "on_tie is 'newst'"),
        ({"metric": "acuracy"}, "did you mean 'accuracy'?"),
    ],
)
def test_a_wrong_policy_is_an_error(output: Path, policy: dict[str, Any], message: str) -> None:
    add_version(0.9)
    with pytest.raises(ValueError, match=".") as error:
        decide(**policy)
    assert message in str(error.value)


def test_a_version_named_by_hand_is_promoted_and_is_the_way_back(output: Path) -> None:
    first = add_version(0.9)
    run()
    second = add_version(0.95)
    run()
    assert champion() == second
    assert run(version=first)["reason"] == "chosen by hand: accuracy 0.95 → 0.9"
    assert champion() == first
    assert ModelStore("digits").history()[-1]["verdict"] == "rolled back"
    with pytest.raises(AirflowFailException, match=f"no version 'x'; the newest are: {second}, {first}"):
        decide(version="x")


def test_the_champion_is_not_compared_with_itself(output: Path) -> None:
    add_version(0.9)
    run()
    again = run(on_tie="newest")
    assert again["verdict"] == "keep"
    assert again["reason"].endswith("is the champion already")


def test_a_second_try_changes_no_file(output: Path) -> None:
    add_version(0.9)
    comparison = json.dumps(decide())
    first = promotion.promote(comparison=comparison, run_id="r")
    before = tree(output)
    assert promotion.promote(comparison=comparison, run_id="r") == first
    assert tree(output) == before


def test_a_champion_that_moved_in_between_is_not_overwritten(output: Path) -> None:
    add_version(0.9)
    run()
    add_version(0.95)
    stale = json.dumps(decide())
    other = add_version(0.99)
    run()
    with pytest.raises(ModelStoreError, match="clear `compare`"):
        promotion.promote(comparison=stale, run_id="late")
    assert champion() == other


def test_choose_follows_the_names_in_yaml() -> None:
    names = {"better_task": "go", "otherwise_task": "stay"}
    assert promotion.choose(verdict="promote", **names) == "go"
    assert promotion.choose(verdict="keep", **names) == "stay"
    with pytest.raises(ValueError, match="verdict is 'None'"):
        promotion.choose(verdict="None", **names)


def train(run_id: str, **change: Any) -> str:
    settings: dict[str, Any] = {
        "model": "digits",
        "dataset": "data/digits.csv",
        "target": "digit",
        "row_id": "row_id",
        "estimator": "sklearn.tree.DecisionTreeClassifier",
        "metric": "accuracy",
        "run_after": "2026-01-01T00:00:00+00:00",
    }
    return training.train_challenger(**{**settings, **change}, run_id=run_id)["version"]


def test_with_another_holdout_both_are_scored_on_rows_that_neither_was_trained_on(output: Path) -> None:
    train("a", holdout_seed=1, holdout_share=0.4)
    run()
    train("b", holdout_seed=2, holdout_share=0.4)
    second = decide()
    # A tree knows the rows that it was trained on by heart.
    assert 0.5 < second["champion_score"] < 0.95
    assert abs(second["champion_score"] - second["challenger_score"]) < 0.15


def test_holdouts_that_share_no_rows_are_refused(output: Path) -> None:
    train("a", holdout_seed=1, holdout_share=0.02)
    run()
    train("b", holdout_seed=2, holdout_share=0.02)
    with pytest.raises(ValueError, match="rows; keep holdout_share and holdout_seed"):
        decide()


def test_a_retrained_version_is_the_newest_whatever_its_runs_time(output: Path) -> None:
    train("late", run_after="2026-02-01T00:00:00+00:00")
    retrained = train("early", run_after="2026-01-01T00:00:00+00:00")
    assert decide()["challenger"] == retrained


@pytest.mark.parametrize("damage", ["pointer", "champion"])
def test_the_way_back_is_open_whatever_is_broken(output: Path, damage: str) -> None:
    first = add_version(0.9)
    run()
    second = add_version(0.95)
    run()
    store = output / "models" / "digits"
    if damage == "pointer":
        (store / "champion.json").write_text("{", encoding="utf-8")
    else:
        shutil.rmtree(store / "versions" / second)
    assert run(version=first)["verdict"] == "promote"
    assert champion() == first


@pytest.mark.parametrize("damage", ["spoilt", "gone"])
def test_without_the_pointer_the_challenger_must_beat_whom_the_history_calls_champion(
    output: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    best = add_version(0.95)
    run()
    worse = add_version(0.93)
    pointer = output / "models" / "digits" / "champion.json"
    pointer.write_text("{", encoding="utf-8") if damage == "spoilt" else pointer.unlink()
    result = run()
    assert (result["verdict"], result["challenger"], result["champion"]) == ("keep", worse, best)
    assert f"going on with {best}, as the history says that it was promoted last" in caplog.text
    better = add_version(0.99)
    assert run()["verdict"] == "promote"
    assert champion() == better
    pointer.unlink()
    assert run()["reason"] == f"{better} is the champion: champion.json, which was lost, is written anew"
    assert (champion(), json.loads(pointer.read_text())["previous"]) == (better, best)


def test_a_promotion_cleared_after_a_rollback_is_skipped(output: Path) -> None:
    first = add_version(0.9)
    run()
    add_version(0.95)
    comparison = json.dumps(decide())
    promotion.promote(comparison=comparison, run_id="cleared later")
    run(roll_back=True)
    with pytest.raises(AirflowSkipException, match=f"{first} has become the champion since, and stays"):
        promotion.promote(comparison=comparison, run_id="cleared later")
    assert champion() == first


def test_a_champion_that_is_gone_is_replaced_by_a_model_that_keeps_the_floors(output: Path) -> None:
    gone = add_version(0.99)
    run()
    shutil.rmtree(output / "models" / "digits" / "versions" / gone)
    fresh = add_version(0.95)
    assert run(floors={"accuracy": 0.9})["reason"].startswith("the first model")
    assert champion() == fresh


def test_a_score_that_is_no_number_is_refused(output: Path) -> None:
    add_version(0.9)
    run()
    version = add_version(0.95)
    path = output / "models" / "digits" / "versions" / version / "metadata.json"
    record = {**json.loads(path.read_text()), "metrics": {"accuracy": float("nan")}}
    path.write_text(
        json.dumps({name: record[name] for name in record if name != "checksum"}), encoding="utf-8"
    )
    with pytest.raises(ValueError, match="accuracy is nan: it cannot be compared"):
        decide()


def test_a_run_has_one_line_of_history_however_often_it_is_cleared(output: Path) -> None:
    add_version(0.9)
    for _ in range(2):
        result = decide()
        chosen = "promote" if result["verdict"] == "promote" else "keep"
        getattr(promotion, chosen)(comparison=json.dumps(result), run_id="same run")
    assert [entry["verdict"] for entry in ModelStore("digits").history()] == ["promoted"]


def test_roll_back_promotes_the_one_before_and_can_be_undone(output: Path) -> None:
    first = add_version(0.9)
    run()
    second = add_version(0.95)
    run()
    assert run(roll_back="True")["reason"].startswith("rolled back by hand")
    assert champion() == first
    assert run(roll_back=True)["challenger"] == second
    assert champion() == second
    assert [line["verdict"] for line in ModelStore("digits").history()[-2:]] == ["rolled back"] * 2


def test_roll_back_says_when_there_is_nothing_to_go_back_to(output: Path) -> None:
    add_version(0.9)
    with pytest.raises(
        AirflowFailException, match="nothing to roll back to: model 'digits' has had one champion"
    ):
        run(roll_back="True")
    run()
    with pytest.raises(AirflowFailException, match="nothing to roll back to"):
        run(roll_back="True")
    with pytest.raises(AirflowFailException, match="both version and roll_back are given"):
        run(roll_back="True", version=champion())
    with pytest.raises(ValueError, match="roll_back is 'maybe'; it must be true or false"):
        run(roll_back="maybe")


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({}, "would be promoted: better: accuracy 0.9 → 0.95"),
        ({"min_delta": 0.1}, "would not be promoted: better by 0.05 only"),
        ({"roll_back": True}, "would be promoted: rolled back by hand"),
    ],
)
def test_a_dry_run_says_what_would_be_done_and_changes_nothing(
    output: Path, asked: dict[str, Any], reason: str
) -> None:
    for score in (0.8, 0.9):
        add_version(score)
        run()
    add_version(0.95)
    before = tree(output)
    result = run(dry_run="True", **asked)
    assert result["verdict"] == "keep"
    assert reason in result["reason"]
    assert tree(output) == before


def test_a_history_line_and_the_log_have_every_number(output: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    train("a", estimator="sklearn.dummy.DummyClassifier")
    run()
    train("b", estimator="sklearn.naive_bayes.GaussianNB")
    result = run(test="paired_bootstrap", floors={"accuracy": 0.5})
    assert result["verdict"] == "promote"
    sentence = r"better: accuracy 0\.\d+ → 0\.8\d*; the 95 % interval of the gain, \+0\.\d+ to \+0\.\d+ on 381 rows, is above 0"
    assert re.fullmatch(sentence, result["reason"])
    line = ModelStore("digits").history()[-1]
    assert line["test"]["name"] == "paired_bootstrap"
    assert line["test"]["low"] > 0.5
    assert line["holdout"]["rows"] == 381
    assert line["scores"]["challenger"]["accuracy"] == result["challenger_score"]
    assert line["policy"]["floors"] == {"accuracy": 0.5}
    for text in ("### promote: better", "| accuracy | 0.8", "| 0.5 |", "test: name paired_bootstrap, low 0."):
        assert text in caplog.text


def test_the_verdict_does_not_depend_on_the_order_of_rows(output: Path, tmp_path: Path) -> None:
    """The same versions, and the data file with its rows in another order when they are compared."""
    import pandas as pd

    file = tmp_path / "digits.csv"
    rows = pd.read_csv("data/digits.csv")
    rows.to_csv(file, index=False)
    train("a", dataset=str(file), estimator="sklearn.naive_bayes.GaussianNB")
    run()
    train("b", dataset=str(file), estimator="sklearn.neighbors.NearestCentroid")
    asked = {"test": "paired_bootstrap"}
    first = decide(**asked)
    rows.sample(frac=1, random_state=1).to_csv(file, index=False)
    assert decide(**asked) == first


def test_a_champion_that_cannot_be_loaded_holds_up_nobody_when_the_data_has_grown(
    output: Path, tmp_path: Path
) -> None:
    text = (PROJECT_ROOT / "data" / "digits.csv").read_text(encoding="utf-8")
    file = tmp_path / "digits.csv"
    file.write_text("".join(text.splitlines(keepends=True)[:1500]), encoding="utf-8")
    broken = train("a", dataset=str(file), estimator="sklearn.naive_bayes.GaussianNB")
    run()
    (ModelStore("digits").folder(broken) / "model.joblib").write_bytes(b"spoilt")
    file.write_text(text, encoding="utf-8")
    fresh = train("b", dataset=str(file), estimator="sklearn.naive_bayes.GaussianNB")
    assert run()["reason"].startswith("the first model: accuracy")
    assert champion() == fresh


def test_a_champion_that_cannot_be_scored_is_named_with_the_way_out(output: Path, tmp_path: Path) -> None:
    text = (PROJECT_ROOT / "data" / "digits.csv").read_text(encoding="utf-8")
    file = tmp_path / "digits.csv"
    file.write_text(text, encoding="utf-8")
    first = train("a", dataset=str(file), estimator="sklearn.naive_bayes.GaussianNB")
    run()
    file.write_text(text.replace("pixel_3_3", "pixel_3x3", 1), encoding="utf-8")
    train("b", dataset=str(file), estimator="sklearn.naive_bayes.GaussianNB")
    with pytest.raises(
        ValueError, match=f"the champion {first} cannot be scored on these rows: .*pixel_3_3.*by hand"
    ):
        decide()


def test_a_champion_that_cannot_be_loaded_does_not_hold_up_a_better_one(output: Path) -> None:
    broken = train("a", estimator="sklearn.dummy.DummyClassifier")
    run()
    (ModelStore("digits").folder(broken) / "model.joblib").write_bytes(b"spoilt")
    better = train("b", estimator="sklearn.naive_bayes.GaussianNB")
    assert run(test="paired_bootstrap")["reason"].endswith(
        "no test was made, as the champion cannot be loaded"
    )
    assert champion() == better


def test_without_ids_changed_rows_are_not_scored_anew(output: Path, tmp_path: Path) -> None:
    """A row put in front shifts all numbers of lines: rows that the champion was trained on would flatter it."""
    import pandas as pd

    file = tmp_path / "rows.csv"
    rows = pd.read_csv("data/digits.csv").drop(columns="row_id")
    rows.to_csv(file, index=False)
    train("a", dataset=str(file), row_id=None)
    run()
    pd.concat([rows.tail(1), rows]).to_csv(file, index=False)
    train("b", dataset=str(file), row_id=None)
    with pytest.raises(ValueError, match="without a `row_id` column nobody can tell"):
        decide()
