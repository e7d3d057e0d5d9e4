"""The comparison: what is compared, whatever is broken, and its way through XCom."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from promoting import add_version, champion_version, decide, run_promotion, train

from batch_serving.promotion.comparison import Comparison


def test_the_champion_is_not_compared_with_itself(output: Path) -> None:
    add_version(0.9)
    run_promotion()
    again = run_promotion(on_tie="newest")
    assert again["verdict"] == "keep"
    assert again["reason"].endswith("is already the champion")


def test_a_retrained_version_is_the_newest_whatever_its_runs_time(output: Path) -> None:
    train("late", run_after="2026-02-01T00:00:00+00:00")
    retrained = train("early", run_after="2026-01-01T00:00:00+00:00")
    assert decide()["challenger"] == retrained


@pytest.mark.parametrize("damage", ["pointer", "champion"])
def test_a_roll_back_works_whatever_is_broken(output: Path, damage: str) -> None:
    first = add_version(0.9)
    run_promotion()
    second = add_version(0.95)
    run_promotion()
    store = output / "models" / "digits"
    if damage == "pointer":
        (store / "champion.json").write_text("{", encoding="utf-8")
    else:
        shutil.rmtree(store / "versions" / second)
    assert run_promotion(version=first)["verdict"] == "promote"
    assert champion_version() == first


@pytest.mark.parametrize("damage", ["corrupt", "deleted"])
def test_without_the_pointer_the_challenger_must_beat_the_champion_of_the_history(
    output: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    best = add_version(0.95)
    run_promotion()
    worse = add_version(0.93)
    pointer = output / "models" / "digits" / "champion.json"
    if damage == "corrupt":
        pointer.write_text("{", encoding="utf-8")
    else:
        pointer.unlink()
    result = run_promotion()
    assert (result["verdict"], result["challenger"], result["champion"]) == ("keep", worse, best)
    assert f"continuing with {best}, which the history has as champion" in caplog.text
    better = add_version(0.99)
    assert run_promotion()["verdict"] == "promote"
    assert champion_version() == better
    pointer.unlink()
    assert (
        run_promotion()["reason"] == f"{better} is the champion: champion.json was lost, and is written again"
    )
    assert (champion_version(), json.loads(pointer.read_text())["previous"]) == (better, best)


def test_a_champion_that_was_deleted_is_replaced_by_a_model_that_keeps_the_floors(output: Path) -> None:
    deleted = add_version(0.99)
    run_promotion()
    shutil.rmtree(output / "models" / "digits" / "versions" / deleted)
    fresh = add_version(0.95)
    assert run_promotion(floors={"accuracy": 0.9})["reason"].startswith("the first model")
    assert champion_version() == fresh


def test_a_score_that_is_not_a_number_is_refused(output: Path) -> None:
    add_version(0.9)
    run_promotion()
    version = add_version(0.95)
    path = output / "models" / "digits" / "versions" / version / "metadata.json"
    record = {**json.loads(path.read_text()), "metrics": {"accuracy": float("nan")}}
    path.write_text(
        json.dumps({name: record[name] for name in record if name != "checksum"}), encoding="utf-8"
    )
    with pytest.raises(ValueError, match="accuracy is nan: it cannot be compared"):
        decide()


def test_a_comparison_goes_through_json_unchanged(output: Path) -> None:
    add_version(0.9)
    run_promotion(floors={"accuracy": 0.5})
    add_version(0.95)
    result = decide(floors={"accuracy": 0.5}, dry_run=True)
    names = "model verdict reason dry_run challenger champion metric scores policy holdout test rolls_back"
    assert set(result) == {*names.split(), "challenger_score", "champion_score"}
    assert (result["challenger_score"], result["champion_score"]) == (0.95, 0.9)
    assert Comparison.from_json(json.dumps(result)).to_json() == result
