"""A line that is not YAML is reported, and the rest of the file is checked all the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.documents.reading import DocumentError, parse_document
from schemas.validation import check_paths

EMPTY = "airflow.providers.standard.operators.empty.EmptyOperator"
# Line 3 is replaced in each case; lines 2 and 8 have a mistake of their own.
LINES = [
    "example:",
    "  schedul: '@daily'",
    "  description: Trains a model",
    "  tags: [a, b]",
    "  tasks:",
    "    first:",
    f"      operator: {EMPTY}",
    "      retries: many",
    "    second:",
    f"      operator: {EMPTY}",
    "      dependencies: [first]",
]


def check(folder: Path, lines: list[str]) -> list[tuple[int, str]]:
    path = folder / "example.yaml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [(problem.line, problem.code) for problem in check_paths([path], build=False)]


@pytest.mark.parametrize(
    "line",
    [
        "\tdescription: Trains a model",
        "  description: [Trains",
        "  description: {a: 1",
        "  description: 'Trains a model",
        '  description: "Trains a model',
        "  description: Trains: a model",
        "  description Trains a model",
        "  description:'Trains a model'",
        "   description: Trains a model",
        " description: Trains a model",
        "  description: @daily",
        "  description: `daily`",
        "  description: %daily",
        "  description: */5 * * * *",
        "  description: *anchor",
        "  description: Trains]]: a",
        "  - description",
        "  tags: [a, b]]",
        "  description: !!python/name:os.system",
        "  description: 'it's'",
    ],
)
def test_one_broken_line_hides_nothing_else(tmp_path: Path, line: str) -> None:
    found = check(tmp_path, [*LINES[:2], line, *LINES[3:]])
    assert (2, "DAG002") in found
    assert (8, "DAG003") in found
    broken = [place for place, code in found if code in ("DAG001", "DAG006")]
    assert broken in ([3], [4])
    assert len(found) <= 4


@pytest.mark.parametrize("index", range(5, 11))
def test_a_tab_in_any_line_of_a_task(tmp_path: Path, index: int) -> None:
    lines = [line.replace("schedul:", "schedule:").replace("many", "1") for line in LINES]
    lines[index] = "\t" + lines[index].lstrip()
    assert check(tmp_path, lines) == [(index + 1, "DAG001")]


def test_a_tasks_first_line_without_a_colon(tmp_path: Path) -> None:
    lines = [line.replace("many", "1") for line in LINES]
    lines[8] = "    second"
    assert check(tmp_path, lines) == [(2, "DAG002"), (9, "DAG001")]


def test_several_broken_lines(tmp_path: Path) -> None:
    lines = list(LINES)
    lines[2] = "  description: [Trains"
    lines[3] = "\ttags: [a, b]"
    lines[10] = "      dependencies: [first"
    assert check(tmp_path, lines) == [
        (2, "DAG002"),
        (3, "DAG001"),
        (4, "DAG001"),
        (8, "DAG003"),
        (11, "DAG001"),
    ]


def test_what_a_lost_line_would_have_said_is_not_missed(tmp_path: Path) -> None:
    lines = [line.replace("schedul:", "schedule:").replace("many", "1") for line in LINES]
    lines[6] = "      operator: [" + EMPTY
    assert check(tmp_path, lines) == [(7, "DAG001")]


def test_bytes_that_are_not_utf8_hide_nothing(tmp_path: Path) -> None:
    path = tmp_path / "example.yaml"
    text = "\n".join(LINES).encode().replace(b"Trains", "학습".encode("cp949"))
    path.write_bytes(text)
    found = [(problem.line, problem.code) for problem in check_paths([path], build=False)]
    assert found == [(2, "DAG002"), (3, "DAG005"), (8, "DAG003")]


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "- a\n", "just a text\n", "[" * 500, "a: &a [*a]\n", "\x00"]
)
def test_what_gives_no_document_is_one_clear_error(text: str) -> None:
    with pytest.raises(DocumentError) as error:
        parse_document(Path("a.yaml"), "a.yaml", text)
    assert error.value.problems[-1].code in ("DAG001", "DAG005")


def test_a_broken_file_is_read_in_bounded_time(tmp_path: Path) -> None:
    lines = ["a:", *(f"  key{number}: [" for number in range(400))]
    assert len(check(tmp_path, lines)) >= 1
