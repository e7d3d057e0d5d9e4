"""Output of a few hours of work, and pages about it."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from months_of_output import Amounts, write_all

from batch_page import checking, pipelines, view


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is remembered of the pages of another test."""
    monkeypatch.setattr(pipelines, "_LISTED", pipelines.Expiring(0))
    monkeypatch.setattr(view.REMEMBERED, "_answers", type(view.REMEMBERED._answers)())
    monkeypatch.setattr(checking.CHECKING, "_result", None)
    monkeypatch.setattr(checking.CHECKING, "_seen", None)


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Nine versions, three days of predictions and of weather; where they are, and the champion."""
    folder = tmp_path_factory.mktemp("written") / "output"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BATCH_OUTPUT", str(folder))
        return folder, write_all(folder, Amounts(), datetime.now(UTC))


@pytest.fixture
def champion(output: Path, written: tuple[Path, str]) -> str:
    """The same in this test's own output; the champion."""
    shutil.copytree(written[0], output)
    return written[1]
