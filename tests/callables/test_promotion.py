"""P2: from the comparison to the pointer, as the DAG runs it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from promoting import add_version, champion_version, decide, run_promotion, train
from trees import tree

from batch_serving.registry.store import ModelStore
from batch_serving.registry.versions import ModelStoreError
from callables import promotion


def test_without_a_version_compare_names_the_pipeline_to_run(output: Path) -> None:
    with pytest.raises(ModelStoreError, match="has no version yet; run train_model first"):
        decide()


def test_the_first_model_needs_only_its_floors(output: Path) -> None:
    add_version(0.8)
    low = run_promotion(floors={"accuracy": 0.9})
    assert (low["verdict"], low["reason"]) == ("keep", "accuracy 0.8 does not reach the floor 0.9")
    assert ModelStore("digits").champion() is None
    version = add_version(0.91)
    high = run_promotion(floors={"accuracy": 0.9})
    assert (high["verdict"], high["reason"]) == (
        "promote",
        "the first model: accuracy 0.91 keeps every floor",
    )
    assert champion_version() == version


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
            "better by only 0.005, less than min_delta 0.01: accuracy 0.9 → 0.905",
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
    run_promotion()
    second = add_version(**new)
    result = run_promotion(**policy)
    assert (result["verdict"], result["reason"]) == (verdict, reason)
    assert champion_version() == (second if verdict == "promote" else first)
    assert ModelStore("digits").history()[-1]["reason"] == reason


def test_of_errors_the_smaller_is_better(output: Path) -> None:
    policy = {"metric": "root_mean_squared_error", "direction": "minimize"}
    first = add_version(0, root_mean_squared_error=2.0)
    run_promotion(**policy, floors={"root_mean_squared_error": 3.0})
    add_version(0, root_mean_squared_error=2.5)
    assert run_promotion(**policy)["verdict"] == "keep"
    assert champion_version() == first
    third = add_version(0, root_mean_squared_error=1.5)
    assert run_promotion(**policy)["reason"] == "better: root_mean_squared_error 2 → 1.5"
    assert champion_version() == third


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"direction": "minimize"}, "'accuracy' is maximized; write direction: maximize"),
        ({"on_tie": "newst"}, "on_tie is 'newst'"),
        ({"metric": "acuracy"}, "did you mean 'accuracy'?"),
    ],
)
def test_a_wrong_policy_is_an_error(output: Path, policy: dict[str, Any], message: str) -> None:
    add_version(0.9)
    with pytest.raises(ValueError, match=".") as error:
        decide(**policy)
    assert message in str(error.value)


def test_a_version_named_by_hand_is_promoted_and_can_be_the_one_before(output: Path) -> None:
    first = add_version(0.9)
    run_promotion()
    second = add_version(0.95)
    run_promotion()
    assert champion_version() == second
    assert run_promotion(version=first)["reason"] == "chosen by hand: accuracy 0.95 → 0.9"
    assert champion_version() == first
    assert ModelStore("digits").history()[-1]["verdict"] == "rolled back"
    with pytest.raises(AirflowFailException, match=f"no version 'x'; the newest are: {second}, {first}"):
        decide(version="x")


def test_a_second_try_changes_no_file(output: Path) -> None:
    add_version(0.9)
    comparison = json.dumps(decide())
    first = promotion.promote(comparison=comparison, run_id="r")
    before = tree(output)
    assert promotion.promote(comparison=comparison, run_id="r") == first
    assert tree(output) == before


def test_a_champion_that_moved_in_between_is_not_overwritten(output: Path) -> None:
    add_version(0.9)
    run_promotion()
    add_version(0.95)
    stale = json.dumps(decide())
    other = add_version(0.99)
    run_promotion()
    with pytest.raises(ModelStoreError, match="clear `compare`"):
        promotion.promote(comparison=stale, run_id="late")
    assert champion_version() == other


def test_choose_follows_the_names_in_yaml() -> None:
    names = {"better_task": "go", "otherwise_task": "stay"}
    assert promotion.choose(verdict="promote", **names) == "go"
    assert promotion.choose(verdict="keep", **names) == "stay"
    with pytest.raises(ValueError, match="verdict is 'None'"):
        promotion.choose(verdict="None", **names)


def test_a_promotion_cleared_after_a_rollback_is_skipped(output: Path) -> None:
    first = add_version(0.9)
    run_promotion()
    add_version(0.95)
    comparison = json.dumps(decide())
    promotion.promote(comparison=comparison, run_id="cleared later")
    run_promotion(roll_back=True)
    with pytest.raises(AirflowSkipException, match=f"{first} has become the champion since, and stays"):
        promotion.promote(comparison=comparison, run_id="cleared later")
    assert champion_version() == first


def test_a_run_has_one_line_of_history_however_often_it_is_cleared(output: Path) -> None:
    add_version(0.9)
    for _ in range(2):
        result = decide()
        chosen = "promote" if result["verdict"] == "promote" else "keep"
        getattr(promotion, chosen)(comparison=json.dumps(result), run_id="same run")
    assert [entry["verdict"] for entry in ModelStore("digits").history()] == ["promoted"]


def test_roll_back_promotes_the_one_before_and_can_be_undone(output: Path) -> None:
    first = add_version(0.9)
    run_promotion()
    second = add_version(0.95)
    run_promotion()
    assert run_promotion(roll_back="True")["reason"].startswith("rolled back by hand")
    assert champion_version() == first
    assert run_promotion(roll_back=True)["challenger"] == second
    assert champion_version() == second
    assert [line["verdict"] for line in ModelStore("digits").history()[-2:]] == ["rolled back"] * 2


def test_roll_back_fails_with_the_reason_if_there_is_no_earlier_champion(output: Path) -> None:
    add_version(0.9)
    with pytest.raises(
        AirflowFailException, match="nothing to roll back to: model 'digits' has had at most one champion"
    ):
        run_promotion(roll_back="True")
    run_promotion()
    with pytest.raises(AirflowFailException, match="nothing to roll back to"):
        run_promotion(roll_back="True")
    with pytest.raises(AirflowFailException, match="version and roll_back are both given"):
        run_promotion(roll_back="True", version=champion_version())
    with pytest.raises(ValueError, match="roll_back is 'maybe'; it must be true or false"):
        run_promotion(roll_back="maybe")


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({}, "would be promoted: better: accuracy 0.9 → 0.95"),
        ({"min_delta": 0.1}, "would not be promoted: better by only 0.05"),
        ({"roll_back": True}, "would be promoted: rolled back by hand"),
    ],
)
def test_a_dry_run_reports_what_would_be_done_and_changes_nothing(
    output: Path, asked: dict[str, Any], reason: str
) -> None:
    for score in (0.8, 0.9):
        add_version(score)
        run_promotion()
    add_version(0.95)
    before = tree(output)
    result = run_promotion(dry_run="True", **asked)
    assert result["verdict"] == "keep"
    assert reason in result["reason"]
    assert tree(output) == before


@pytest.mark.usefixtures("few_draws")
def test_a_verdict_that_repeats_the_last_one_is_not_written_again(output: Path) -> None:
    add_version(0.9)
    run_promotion()
    add_version(0.8)
    for _ in range(3):
        run_promotion()
    store = ModelStore("digits")
    assert [entry["verdict"] for entry in store.history()] == ["promoted", "kept"]
    run_promotion(min_delta=0.5)  # another policy
    newest = add_version(0.7)
    run_promotion(min_delta=0.5)
    assert [entry["policy"]["min_delta"] for entry in store.history()[2:]] == [0.5, 0.5]
    assert store.history()[-1]["version"] == newest


def test_a_history_line_and_the_log_have_every_number(output: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    train("a", estimator="sklearn.dummy.DummyClassifier")
    run_promotion()
    train("b", estimator="sklearn.naive_bayes.GaussianNB")
    result = run_promotion(test="paired_bootstrap", floors={"accuracy": 0.5})
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


def test_a_second_try_of_a_roll_back_is_still_one(output: Path) -> None:
    """The first try has moved the pointer, and the outage came before the history."""
    first = add_version(0.9)
    run_promotion()
    add_version(0.95)
    run_promotion()
    comparison = json.dumps(decide(roll_back=True))
    history = output / "models" / "digits" / "history.jsonl"
    before = history.read_bytes()
    assert promotion.promote(comparison=comparison, run_id="back")["rolled_back"]
    history.write_bytes(before)
    assert promotion.promote(comparison=comparison, run_id="back")["rolled_back"]
    last = ModelStore("digits").history()[-1]
    assert (last["verdict"], last["version"], champion_version()) == ("rolled back", first, first)
