"""A version that is trained again from its record: equal, or what has changed since."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from training_data import SETTINGS
from trees import tree

from batch_serving.ml import environment
from batch_serving.ml.reproduction import reproduce
from batch_serving.ml.reproduction_report import Reproduction
from batch_serving.registry.store import ModelStore
from batch_serving.registry.versions import ModelStoreError
from batch_serving.shared.files import seal, unseal
from batch_serving.shared.root import PROJECT_ROOT
from callables import training


@pytest.fixture
def dataset(output: Path, tmp_path: Path) -> Path:
    """A part of the digits, which a test may change."""
    lines = (PROJECT_ROOT / "data" / "digits.csv").read_text(encoding="utf-8").splitlines()[:401]
    path = tmp_path / "digits.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def trained(dataset: Path, **change: Any) -> str:
    version = training.train_challenger(**{**SETTINGS, "dataset": str(dataset), **change})["version"]
    training.predict_holdout(model="digits", version=version)
    return str(version)


def again(version: str) -> Reproduction:
    return reproduce(ModelStore("digits"), version)


def edit_record(version: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a version's record, with the checksum that belongs to it."""
    path = Path(str(ModelStore("digits").folder(version) / "metadata.json"))
    record = unseal(path.read_bytes())
    change(record)
    path.write_bytes(seal(record))


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"search_space": None},
        {"seed": 3},
        {"estimator": "sklearn.ensemble.RandomForestClassifier", "parameters": {"n_estimators": 5}}
        | {"search_space": {"max_depth": [2, 4, 8]}},
    ],
)
def test_a_version_gives_the_same_results_again_and_nothing_is_saved(
    dataset: Path, output: Path, change: dict[str, Any]
) -> None:
    version = trained(dataset, **change)
    before = tree(output)
    found = again(version)
    assert (found.differences, found.changes, found.notes) == ([], [], [])
    assert found.report().startswith(f"reproduced: digits {version}: 2 metrics, the chosen parameters")
    assert found.report().endswith("holdout predictions are equal")
    assert found.to_json()["reproduced"]
    assert tree(output) == before


def test_without_the_file_of_predictions_the_model_predicts_them(dataset: Path) -> None:
    version = trained(dataset)
    Path(str(ModelStore("digits").folder(version) / "holdout_predictions.csv")).unlink()
    assert again(version).differences == []


def test_a_changed_dataset_is_named_with_what_differs(dataset: Path) -> None:
    version = trained(dataset)
    lines = dataset.read_text(encoding="utf-8").splitlines()
    dataset.write_text("\n".join(lines[:301]) + "\n", encoding="utf-8")
    found = again(version)
    assert len(found.changes) == 1
    assert found.changes[0].startswith(f"data: {dataset} has the SHA-256 ")
    assert any(text.startswith("holdout rows: ") for text in found.differences)
    assert any(text.startswith("accuracy: ") for text in found.differences)
    assert found.report().startswith(f"differs: digits {version}; compared were 2 metrics")


def test_another_library_is_named_whether_results_differ_or_not(dataset: Path) -> None:
    version = trained(dataset)
    edit_record(version, lambda record: record["libraries"].update({"scikit-learn": "1.0"}))
    found = again(version)
    assert found.differences == []
    assert "although  library: scikit-learn 1.0 is recorded, " in found.report()
    edit_record(version, lambda record: record["metrics"].update(accuracy=0.5))
    found = again(version)
    assert found.differences[0].startswith("accuracy: 0.5 recorded, ")
    assert "changed   library: scikit-learn 1.0 is recorded, " in found.report()


def test_another_machine_is_named(dataset: Path) -> None:
    version = trained(dataset)
    edit_record(version, lambda record: record["machine"].update(processor="abacus"))
    assert again(version).changes[0].startswith("machine: processor 'abacus' is recorded, ")
    edit_record(version, lambda record: record.pop("machine"))
    assert again(version).changes == ["machine: not recorded"]


def test_it_computes_with_as_many_threads_as_the_training_did(dataset: Path) -> None:
    version = trained(dataset)
    assert ModelStore("digits").metadata(version)["machine"]["threads"]["blas"] == 1  # as tests are run
    with environment.with_threads_of({"threads": {"blas": 2}}):
        assert again(version).changes == []
        assert environment.machine()["threads"]["blas"] == 2


def test_differing_predictions_are_counted_and_without_a_change_the_cause_is_not_known(dataset: Path) -> None:
    version = trained(dataset)
    path = Path(str(ModelStore("digits").folder(version) / "holdout_predictions.csv"))
    header, *rows = csv.reader(path.read_text(encoding="utf-8").splitlines())
    rows[0][2] = str((int(rows[0][2]) + 1) % 10)
    rows[1][3] = str(float(rows[1][3]) - 0.25)
    path.write_text("".join(f"{','.join(row)}\n" for row in [header, *rows]), encoding="utf-8")
    found = again(version)
    assert found.differences == [
        f"holdout predictions: 1 of {len(rows)}",
        f"probabilities: 1 of {len(rows)}, by 0.25 at most",
    ]
    assert "cause     not known: data, libraries and machine are those of the record" in found.report()


def test_a_search_that_its_time_budget_ended_is_repeated_as_far_as_it_came(dataset: Path) -> None:
    version = trained(dataset, time_budget_s=0, n_candidates=4)
    found = again(version)
    assert found.differences == []
    assert found.notes[0].startswith("1 of 4 candidates were tried, as the run did: its time budget of 0 s")


def test_what_cannot_be_trained_again_says_why(dataset: Path) -> None:
    version = trained(dataset)
    dataset.unlink()
    digest = ModelStore("digits").metadata(version)["dataset"]["sha256"]
    with pytest.raises(ModelStoreError, match=f"put the file with the SHA-256 {digest} there again"):
        again(version)
    edit_record(version, lambda record: record.pop("settings"))
    with pytest.raises(ValueError, match="does not have all settings of its training; an earlier"):
        again(version)
    edit_record(version, lambda record: record.update(settings={"colour": "red"}))
    with pytest.raises(ValueError, match="settings that this release does not know"):
        again(version)
    json.dumps(Reproduction("m", "v", ["a", "b"], [], [], []).to_json())
