"""What Airflow refuses is reported where it is: at the task, the value, the group or the defaults at fault."""

from __future__ import annotations

import re
import sys
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from airflow.serialization.serialized_objects import DagSerialization

from schemas.building import MOST_FAULTS, build_dags
from schemas.documents.reading import DocumentError, parse_document, read_document

ROOT = Path(__file__).resolve().parent.parent.parent
EMPTY = "operator: airflow.providers.standard.operators.empty.EmptyOperator"
OPERATORS = '''
from airflow.sdk import BaseNotifier, BaseOperator, task

class Picky(BaseOperator):
    """Refuses a number below one, and can be made to fail when Airflow stores it."""

    template_fields = ("held",)

    def __init__(self, *, number=1, held=None, **kwargs):
        super().__init__(**kwargs)
        if number < 1:
            raise ValueError("number is too small")  # does not name the task
        self.held = held if held != "odd" else Odd()

class Odd:
    def serialize(self):
        raise RuntimeError("cannot be stored")

class PickyNotifier(BaseNotifier):
    def __init__(self, *, number=1):
        super().__init__()
        if number < 1:
            raise ValueError("number is too small")

    def notify(self, context): ...

class PickyValue:
    def __init__(self, number=1):
        if number < 1:
            raise ValueError("number is too small")

def picky(**arguments):
    raise ValueError("this decorator refuses everything")

def run(number=1): ...
'''


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module below ``callables`` with operators that refuse their arguments; returns its dotted path."""
    import callables

    name = f"picky_{uuid.uuid4().hex[:8]}"
    (tmp_path / f"{name}.py").write_text(OPERATORS, encoding="utf-8")
    monkeypatch.setattr(callables, "__path__", [*callables.__path__, str(tmp_path)])
    yield f"callables.{name}"
    sys.modules.pop(f"callables.{name}", None)


FAULTS = {
    "a task": ("a: {operator: M.Picky, number: 0}", ["a"]),
    "each of three tasks": (
        "a: {operator: M.Picky, number: 0}\n    b: {operator: M.Picky}\n"
        "    c: {operator: M.Picky, number: -1, dependencies: [a, b]}\n    d: {operator: M.Picky, number: -2}",
        ["a", "c", "d"],
    ),
    "a task in a group": ("a: {operator: M.Picky, number: 0, task_group_name: g}", ["a"]),
    "a mapped task": (
        "a: {operator: M.Picky, partial: {number: 0}, expand: {owner: [x]}, pool_slots: 0}",
        ["a"],
    ),
    "a callback of a task": (
        "b: {operator: M.Picky}\n    a: {operator: M.Picky, on_failure_callback: {callback: M.PickyNotifier, number: 0}}",
        ["a"],
    ),
    "a decorated task": ("a: {decorator: M.picky, python_callable: M.run}", ["a"]),
    "a task that cannot be stored": ("b: {operator: M.Picky}\n    a: {operator: M.Picky, held: odd}", ["a"]),
    "an executor that is not there": (
        "b: {operator: M.Picky}\n    a: {operator: M.Picky, executor: KubernetesExecutor}",
        ["a"],
    ),
    "building and storing": (
        "a: {operator: M.Picky, held: odd}\n    b: {operator: M.Picky, number: 0}",
        ["a", "b"],
    ),
}


def build(text: str, *, store: bool = True) -> list[str]:
    """Return where problems are when a text is built: the lines, without the code and the message."""
    document = parse_document(Path("x.yaml"), "x.yaml", text)
    try:
        build_dags(document, [], store=store)
    except DocumentError as error:
        assert all("DAG108 error: Airflow refuses it: " in str(problem) for problem in error.problems)
        lines = text.splitlines()
        return [lines[problem.line - 1][problem.column - 1 :] for problem in error.problems]
    return []


def with_tasks(tasks: str, module: str) -> str:
    return f"example:\n  task_groups: {{g: {{}}}}\n  tasks:\n    {tasks}\n".replace("M.", f"{module}.")


@pytest.mark.parametrize(("tasks", "at_fault"), FAULTS.values(), ids=FAULTS)
def test_each_task_that_airflow_refuses_is_reported_at_its_own_line(
    module: str, tasks: str, at_fault: list[str]
) -> None:
    found = build(with_tasks(tasks, module))
    assert sorted(line.split(":")[0] for line in found) == at_fault


def test_a_task_in_a_list_is_reported_at_its_entry(module: str) -> None:
    text = f"example:\n  tasks:\n    - {{task_id: a, {EMPTY}}}\n    - {{operator: M.Picky, task_id: b, number: 0}}\n"
    (found,) = build(text.replace("M.", f"{module}."))
    assert found.startswith("{operator")


def test_a_value_is_reported_where_it_is(module: str) -> None:
    text = f"""example:
  tasks:
    a: {{{EMPTY}}}
    b:
      operator: M.Picky
      held:
        inner: [1, {{__type__: M.PickyValue, number: 0}}]
  params:
    p: {{__type__: M.PickyValue, number: -1}}
""".replace("M.", f"{module}.")
    assert [line[:9] for line in build(text)] == ["{__type__", "p: {__typ"]


def test_defaults_that_no_task_can_have_are_reported_once_and_at_the_defaults() -> None:
    text = f"example:\n  default_args: {{pool_slots: 0}}\n  tasks:\n    a: {{{EMPTY}}}\n    b: {{{EMPTY}}}\n"
    assert build(text) == ["default_args: {pool_slots: 0}"]


def test_a_group_is_reported_at_its_own_line(module: str) -> None:
    groups = "g: {default_args: {on_failure_callback: {callback: M.PickyNotifier, number: 0}}}"
    text = f"example:\n  task_groups:\n    {groups}\n  tasks:\n    a: {{{EMPTY}}}\n".replace(
        "M.", f"{module}."
    )
    (found,) = build(text)
    assert found.startswith("g: ")


def test_what_is_about_no_part_is_reported_at_the_dag(module: str) -> None:
    text = f"example:\n  on_failure_callback: {{callback: M.PickyNotifier, number: 0}}\n  tasks:\n    a: {{{EMPTY}}}\n"
    (found,) = build(text.replace("M.", f"{module}."))
    assert found == "example:"


def test_a_dag_of_many_faults_is_not_built_forever(module: str) -> None:
    tasks = "\n    ".join(f"t{number}: {{operator: M.Picky, number: 0}}" for number in range(MOST_FAULTS + 5))
    assert len(build(with_tasks(tasks, module))) == MOST_FAULTS


VALID = [
    *sorted((ROOT / "tests/configs/valid").glob("*.yaml")),
    *sorted((ROOT / "dag_configs").glob("*.yaml")),
]


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_building_twice_gives_equal_dags(path: Path) -> None:
    """dag-factory changes what it is given: nothing of that reaches the document, or the next build."""
    document = read_document(path)
    before = repr(document.data)
    first, second = ([DagSerialization.to_dict(dag) for dag in build_dags(document, [])] for _ in range(2))
    assert first == second
    assert repr(document.data) == before


def test_dags_that_share_defaults_share_no_part_of_them() -> None:
    shared = """default:
  tags: [one]
  params: {{p: {{__type__: airflow.sdk.Param, default: 1}}, q: [1, 2]}}
  default_args:
    on_failure_callback: {{callback: callables.notifications.notify_failure, connection: x}}
    retry_policy: {{__type__: airflow.sdk.ExceptionRetryPolicy, rules: {{__type__: builtins.list, items: []}}}}
"""
    shared = re.sub(r"    retry_policy.*\n", "", shared).format()
    defaults = parse_document(
        Path("defaults.yml"), "defaults.yml", shared.removeprefix("default:\n").replace("\n  ", "\n")[2:]
    )
    text = "".join(f"{name}:\n  tasks:\n    a: {{{EMPTY}}}\n" for name in ("one", "two", "three"))
    for document, levels in (
        (parse_document(Path("x.yaml"), "x.yaml", shared + text), []),
        (parse_document(Path("x.yaml"), "x.yaml", text), [defaults]),
    ):
        one, two, three = build_dags(document, levels)
        one.default_args["changed"] = True
        one.params["q"].append(3)
        one.params["p"] = 2
        one.tags.add("changed")
        assert len(three.get_task("a").on_failure_callback) == 1
        for other in (two, three):
            assert "changed" not in other.default_args
            assert (other.params["p"], other.params["q"]) == (1, [1, 2])
            assert other.tags == {"one"}


def test_tags_of_nested_defaults_files_all_count_and_a_dags_own_replace_them() -> None:
    files = [
        parse_document(Path("defaults.yml"), "defaults.yml", f"tags: [{tags}]\nstart_date: 2026-01-01\n")
        for tags in ("team, model", "hourly, team")
    ]
    text = f"a:\n  tasks: {{one: {{{EMPTY}}}}}\nb:\n  tags: [own]\n  tasks: {{one: {{{EMPTY}}}}}\n"
    document = parse_document(Path("x.yaml"), "x.yaml", text)
    dags = {dag.dag_id: dag.tags for dag in build_dags(document, files)}
    assert dags == {"a": {"hourly", "model", "team"}, "b": {"own"}}
    assert document.with_defaults(files).config_of("a")["tags"] == ["hourly", "model", "team"]


def test_what_operators_take_is_made_of_what_yaml_can_give(tmp_path: Path) -> None:
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "one.sql").write_text("SELECT '{{ ds }}'")
    sql, sensors = "airflow.providers.common.sql.operators.sql", "airflow.providers.standard.sensors"
    handler = "airflow.providers.common.sql.hooks.handlers.fetch_one_handler"
    path = tmp_path / "x.yaml"
    path.write_text(
        "example:\n  start_date: 2026-01-01\n  template_searchpath: sql\n  tasks:\n"
        f"    ask: {{operator: {sql}.SQLExecuteQueryOperator, conn_id: c, sql: one.sql, handler: {handler}}}\n"
        f"    other: {{operator: {sensors}.external_task.ExternalTaskSensor, external_dag_id: x, "
        "execution_delta: {__type__: datetime.timedelta, hours: 2}}\n"
    )
    (dag,) = build_dags(read_document(path), [])
    assert dag.template_searchpath == [str(tmp_path / "sql"), str(tmp_path), str(ROOT)]
    assert dag.get_task("ask").handler.__name__ == "fetch_one_handler"
    assert dag.get_task("other").execution_delta == timedelta(hours=2)
    ask = dag.get_task("ask")
    ask.resolve_template_files()
    assert ask.sql == "SELECT '{{ ds }}'"
