"""Every file of the corpus: a valid one gives no problem, any other the complete text beside it.

After a change of wording: ``UPDATE_CORPUS=1 pytest tests/schemas/test_corpus.py``, then read the difference.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from schemas.checks.registry import RULES
from schemas.reports.formats import as_text
from schemas.validation import check_paths

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
VALID = sorted((CONFIGS / "valid").glob("*.yaml"))
WARNINGS = sorted((CONFIGS / "warnings").glob("*.yaml"))
INVALID = sorted((CONFIGS / "invalid").glob("*.yaml"))


@pytest.fixture(autouse=True)
def in_the_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths in the texts are relative to the working directory."""
    monkeypatch.chdir(CONFIGS)


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_valid(path: Path) -> None:
    assert as_text(check_paths([path])) == ""


@pytest.mark.parametrize("path", [*INVALID, *WARNINGS], ids=lambda path: path.stem)
def test_what_is_printed(path: Path) -> None:
    printed = as_text(check_paths([path])) + "\n"
    expected = path.with_suffix(".txt")
    if os.environ.get("UPDATE_CORPUS"):
        expected.write_text(printed, encoding="utf-8")
    assert printed == expected.read_text(encoding="utf-8")
    assert (" error: " in printed) == (path in INVALID)


def test_the_corpus_is_found() -> None:
    assert len(VALID) >= 3
    assert len(INVALID) >= 100


def test_every_code_has_a_file() -> None:
    reported = "".join(path.with_suffix(".txt").read_text(encoding="utf-8") for path in INVALID)
    reported += "".join(path.read_text(encoding="utf-8") for path in (CONFIGS / "warnings").glob("*.txt"))
    # test_main.py has DAG107, which needs two files, and DAG3xx, which needs a request; test_values.py has DAG140,
    # and test_connections.py DAG155, which needs a connection.
    assert [code for code in RULES if code not in reported] == [
        "DAG107",
        "DAG140",
        "DAG155",
        "DAG301",
        "DAG302",
        "DAG303",
        "DAG304",
        "DAG305",
    ]
