"""The registry: one rule has one code, and its examples are what it says."""

from __future__ import annotations

import importlib
import pkgutil
import textwrap
from pathlib import Path

import pytest

import schemas
from schemas.checks.registry import ALL, RULES
from schemas.problems import Problem, Rule
from schemas.validation import check_paths

EMPTY = "operator: airflow.providers.standard.operators.empty.EmptyOperator"
# Their examples need a second file, a module that is broken on purpose, or a connection.
WITHOUT_EXAMPLE = {"DAG107", "DAG140", "DAG155"}


def as_file(rule: Rule, example: str) -> str:
    """Return a whole file around an example."""
    task = f"my_dag:\n  schedule: '@daily'\n  tasks:\n    my_task:\n{textwrap.indent(example, ' ' * 6)}\n"
    if rule.scope == "file":
        return f"{example}\n"
    if rule.scope == "tasks":
        return f"my_dag:\n  schedule: '@daily'\n  tasks:\n{textwrap.indent(example, ' ' * 4)}\n"
    if rule.scope == "task":
        return task
    tasks = "" if "tasks:" in example else f"\n  tasks:\n    my_task: {{{EMPTY}}}"
    return f"my_dag:\n{textwrap.indent(example, '  ')}{tasks}\n"


def check(folder: Path, text: str) -> list[Problem]:
    path = folder / "example.yaml"
    path.write_text(text, encoding="utf-8")
    return check_paths([path], information=True)


@pytest.mark.parametrize(
    "rule", [r for r in RULES.values() if r.code not in WITHOUT_EXAMPLE], ids=lambda r: r.code
)
def test_the_bad_example_breaks_its_rule_and_the_good_one_does_not(rule: Rule, tmp_path: Path) -> None:
    bad = check(tmp_path, as_file(rule, rule.bad))
    assert rule.code in {problem.code for problem in bad}
    assert {problem.severity for problem in bad if problem.code == rule.code} == {rule.severity}
    good = check(tmp_path, as_file(rule, rule.good))
    assert [str(problem) for problem in good if problem.severity != "information"] == []
    if rule.code != "DAG301":  # both have next runs
        assert rule.code not in {problem.code for problem in good}


def test_each_rule_has_one_code_and_one_place_in_the_registry() -> None:
    found: dict[str, Rule] = {}
    for module in pkgutil.walk_packages(schemas.__path__, "schemas."):
        if module.name.endswith("__main__"):
            continue
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, Rule):
                assert found.setdefault(value.code, value) is value, f"two rules have code {value.code}"
    assert found.keys() == RULES.keys()
    assert all(RULES[code] is rule for code, rule in found.items())


def test_every_rule_has_a_check_that_can_be_called() -> None:
    assert all(callable(check.run) and check.rules for check in ALL)
    assert {rule.code for check in ALL for rule in check.rules} == RULES.keys()


def test_errors_of_safety_cannot_be_ignored() -> None:
    safety = [rule for code, rule in RULES.items() if code.startswith("DAG2") and rule.severity == "error"]
    assert safety
    assert not any(rule.can_be_ignored for rule in safety)
