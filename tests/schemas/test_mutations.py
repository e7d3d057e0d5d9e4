"""Single mistakes, made in the four real files: each one is reported, in the line where it was made."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from mutations import FOLDER, MUTATIONS, Mutation

from schemas.problems import Problem
from schemas.validation import check_paths

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> dict[Mutation, list[Problem]]:
    """What the checker says of each mutated file, checked beside the real defaults."""
    folder = tmp_path_factory.mktemp("mutations") / "dag_configs"
    folder.mkdir()
    shutil.copy(FOLDER / "defaults.yml", folder)
    found = {}
    for mutation in MUTATIONS:
        path = folder / Path(mutation.file).name
        path.write_text(mutation.text, encoding="utf-8")
        found[mutation] = check_paths([path])
        path.unlink()
    return found


def test_there_are_enough() -> None:
    assert len(MUTATIONS) >= 300
    assert len({mutation.kind for mutation in MUTATIONS}) >= 12


def test_every_mistake_is_reported(reported: dict[Mutation, list[Problem]]) -> None:
    missed = [str(mutation) for mutation, problems in reported.items() if not problems]
    assert missed == []


def test_every_mistake_is_reported_in_its_line(reported: dict[Mutation, list[Problem]]) -> None:
    elsewhere = [
        f"{mutation}: {'; '.join(f'{found.line} {found.code} {found.message}' for found in problems)}"
        for mutation, problems in reported.items()
        # What is missing has no line: its task is named, a line or two above.
        if problems
        and mutation.line not in [found.line for found in problems]
        and not (
            mutation.kind == "removed" and any(0 < mutation.line - found.line <= 3 for found in problems)
        )
    ]
    assert elsewhere == []


def test_the_files_as_they_are_give_nothing() -> None:
    assert check_paths([FOLDER]) == []


def test_one_mistake_is_one_problem(reported: dict[Mutation, list[Problem]]) -> None:
    several = [
        f"{mutation}: {'; '.join(map(str, problems))}"
        for mutation, problems in reported.items()
        if len(problems) > 1
    ]
    assert several == []
