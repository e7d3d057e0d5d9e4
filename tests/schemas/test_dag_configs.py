"""Each YAML in dag_configs/ is a test case of its own: a new file needs no new test."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.documents.reading import find_files
from schemas.reports.formats import as_text
from schemas.validation import check_paths

FOLDER = Path(__file__).resolve().parent.parent.parent / "dag_configs"


@pytest.mark.parametrize("path", [*find_files(FOLDER), FOLDER / "defaults.yml"], ids=lambda path: path.name)
def test_config(path: Path) -> None:
    assert as_text(check_paths([path])) == ""


def test_the_folder_as_a_whole() -> None:
    assert as_text(check_paths([FOLDER])) == ""


def test_the_four_are_there() -> None:
    names = {path.name for path in FOLDER.glob("*.yaml")}
    assert {"collect_weather.yaml", "predict.yaml", "promote_model.yaml", "train_model.yaml"} <= names
