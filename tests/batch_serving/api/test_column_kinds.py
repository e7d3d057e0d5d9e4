"""Rows with texts and images over the API: learnt from by their words and pixels."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from batch_serving.api.problems import RefusedError
from batch_serving.api.table_model import Rows, TableModel
from batch_serving.registry.store import ModelStore
from callables import training

COLOURS = {"dark": 20, "light": 230}
TEXTS = {"dark": "as black as night", "light": "as bright as day"}


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TableModel:
    """A model of an image and a text in each row."""
    monkeypatch.setenv("BATCH_OUTPUT", str(tmp_path))
    (tmp_path / "images").mkdir()
    rows = ["id,file,text,answer"]
    for number in range(40):
        answer = list(COLOURS)[number % 2]
        Image.new("L", (8, 8), COLOURS[answer] + number // 4).save(tmp_path / "images" / f"{number}.png")
        rows.append(f"{number},images/{number}.png,{TEXTS[answer]} {number},{answer}")
    (tmp_path / "data.csv").write_text("\n".join(rows))
    made = training.train_challenger(
        model="pictures",
        dataset=str(tmp_path / "data.csv"),
        target="answer",
        row_id="id",
        estimator="sklearn.linear_model.LogisticRegression",
        metric="accuracy",
        column_kinds={"file": "image", "text": "text"},
        run_id="run",
        run_after="2026-01-01T00:00:00+00:00",
    )
    store = ModelStore("pictures")
    return TableModel(store.load(made["version"]), store.metadata(made["version"]))


def test_a_model_of_images_is_served_and_says_what_its_columns_are(served: TableModel) -> None:
    served.try_out()
    assert {one["name"]: one["kind"] for one in served.columns()} == {"file": "image", "text": "text"}
    row = {"file": "images/1.png", "text": "bright, and never seen like this", "id": "7"}
    answer = served.answer(Rows([row]))
    assert answer.predictions[0]["prediction"] == "light"
    assert answer.extra["warnings"] == []


def test_the_row_whose_image_is_missing_is_named(served: TableModel) -> None:
    rows = [{"file": f"images/{name}.png", "text": "day", "id": name} for name in ("0", "1", "gone", "3")]
    with pytest.raises(RefusedError) as refused:
        served.answer(Rows(rows))
    assert refused.value.status == 422
    (problem,) = refused.value.problems
    assert problem.row == 2
    assert "1 file does not exist" in problem.problem
    assert "images/gone.png" in problem.problem


def test_images_that_cannot_be_read_for_now_are_no_fault_of_the_rows(
    served: TableModel, tmp_path: Path
) -> None:
    (tmp_path / "images").rename(tmp_path / "elsewhere")
    (tmp_path / "images").write_text("no folder", encoding="utf-8")
    with pytest.raises(RefusedError) as refused:
        served.answer(Rows([{"file": "images/1.png", "text": "day", "id": "1"}]))
    assert (refused.value.status, refused.value.retry_s) == (503, 5)
    assert "images/1.png cannot be read" in refused.value.error
