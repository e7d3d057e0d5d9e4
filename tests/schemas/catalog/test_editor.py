"""What an editor shows while YAML is written: a real yaml-language-server on the project's schema."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from language_server import Editor, install

pytestmark = [pytest.mark.slow, pytest.mark.needs("npm")]

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "dag_configs"
TEXT = (FOLDER / "predict.yaml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def editor() -> Iterator[Editor]:
    session = Editor(install(ROOT / ".venv" / "editor"), ROOT)
    yield session
    session.close()


def line_of(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines()) if part in line)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_what_is_right_is_not_marked(editor: Editor, path: Path) -> None:
    assert editor.open(path, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("schedule:", "schedul:"),
        ("python_callable:", "python_calable:"),
        ("dependencies: [draw_rows]", "dependencies: draw_rows"),
        ("dependencies:", "trigger_rule: all_sucess\n      dependencies:"),
    ],
)
def test_a_mistake_is_marked_in_its_line(editor: Editor, old: str, new: str) -> None:
    text = TEXT.replace(old, new, 1)
    marked = editor.open(FOLDER / f"mistake_{abs(hash(new))}.yaml", text)
    assert line_of(text, new.split("\n")[0]) in [problem["range"]["start"]["line"] for problem in marked]


def test_the_arguments_of_an_operator_are_offered_with_their_explanation(editor: Editor) -> None:
    operator = "      operator: airflow.providers.standard.operators.bash.BashOperator"
    text = "\n".join([TEXT.splitlines()[0], "daily:", "  tasks:", "    one:", operator, "      "])
    path = FOLDER / "completion.yaml"
    editor.open(path, text)
    offered = editor.completions(path, 5, 6)
    assert {"bash_command", "append_env", "retries", "dependencies", "trigger_rule"} <= offered.keys()
    assert "python_callable" not in offered
    assert "to be executed" in offered["bash_command"]


def test_dag_keys_and_operators_are_offered(editor: Editor) -> None:
    path = FOLDER / "offers.yaml"
    text = "\n".join([TEXT.splitlines()[0], "daily:", "  ", "  tasks:", "    one:", "      operator: "])
    editor.open(path, text)
    assert {"schedule", "catchup", "max_active_runs"} <= editor.completions(path, 2, 2).keys()
    offered = editor.completions(path, 5, 16)
    assert any(label.endswith("bash.BashOperator") for label in offered)


def test_an_argument_is_explained_under_the_pointer(editor: Editor) -> None:
    path = FOLDER / "hover.yaml"
    editor.open(path, TEXT)
    line = line_of(TEXT, "python_callable:")
    assert "dotted path" in editor.hover(path, line, 8)
