"""What the checker says of a dataset before a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch_serving.ml.arguments import column_problems, model_problems


def problems(path: Path) -> list[str]:
    given = {"dataset": str(path), "target": "y"}
    return [f"{one.message} / {one.hint}" for one in column_problems(given, ("target",))]


def test_a_dataset_that_cannot_be_read_is_not_one_that_does_not_exist(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    (tmp_path / "rows2.csv").touch()
    assert problems(path) == [f"dataset '{path}' does not exist / did you mean 'rows2.csv'?"]
    path.symlink_to("unmounted/rows.csv")
    assert problems(path) == [
        f"dataset {path} cannot be read: {path} is a link to a place that does not exist; mount that place, "
        "or correct the link / "
    ]
    path.unlink()
    path.mkdir()
    assert problems(path) == [f"dataset '{path}' is a folder / name a file in it"]
    path.rmdir()
    path.write_text("id,x\n1,2\n", encoding="utf-8")
    assert problems(path)[0].startswith(f"{path} has no column 'y'")


def test_a_name_is_judged_without_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checker also runs where the storage is not installed, or not reached."""
    monkeypatch.setenv("BATCH_OUTPUT", "gs://bucket")
    assert list(model_problems({"model": "digits"})) == []
    assert [one.message for one in model_problems({"model": "di gits"})] == [
        "model 'di gits' is not a plain name"
    ]
