"""Values that a function would refuse, reported by its own check; the texts are in the corpus."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from batch_serving.ml import estimators
from batch_serving.shared.root import PROJECT_ROOT
from schemas.problems import Problem
from schemas.validation import check_paths

TASK = """
values:
  schedule: "@hourly"
  tasks:
    one:
      operator: airflow.providers.standard.operators.python.PythonOperator
      python_callable: callables.{function}
      op_kwargs: {{{given}}}
"""
RUN = 'run_id: "{{ run_id }}", run_after: "{{ dag_run.run_after.isoformat() }}"'
TRAIN = f"model: m, dataset: data/digits.csv, target: digit, row_id: row_id, metric: accuracy, {RUN}"


def check(tmp_path: Path, function: str, given: str) -> list[Problem]:
    folder = tmp_path / "dag_configs"
    folder.mkdir(exist_ok=True)
    file = folder / "values.yaml"
    file.write_text(TASK.format(function=function, given=given), encoding="utf-8")
    return check_paths([file])


@pytest.mark.parametrize(
    "given",
    [
        # Ends that a distribution never reaches.
        "estimator: sklearn.linear_model.LogisticRegression, search_space: {C: {distribution: uniform, low: 0, "
        "high: 10}}",
        "estimator: sklearn.ensemble.HistGradientBoostingClassifier, search_space: {max_bins: {distribution: "
        "randint, low: 2, high: 256}}",
        # An estimator that cannot be made without others, and one that accepts any value.
        "estimator: sklearn.ensemble.VotingClassifier, parameters: {voting: soft}",
        "estimator: sklearn.linear_model.LogisticRegression, parameters: {C: .inf, max_iter: 5}",
        "estimator: sklearn.ensemble.RandomForestClassifier, search_space: {max_depth: [3, null], n_estimators: "
        "{distribution: randint, low: 5, high: 50}}",
        # What it can do depends on settings that are known later.
        "estimator: sklearn.linear_model.SGDClassifier, search_space: {loss: [log_loss]}, other_metrics: "
        "[neg_log_loss]",
        'estimator: sklearn.linear_model.SGDClassifier, parameters: {loss: "{{ var.value.x }}"}, other_metrics: '
        "[neg_log_loss]",
        "estimator: sklearn.linear_model.SGDClassifier, parameters: {loss: log_loss}, other_metrics: "
        "[neg_log_loss, r2]",
        'estimator: "{{ var.value.estimator }}", parameters: {anything: 1}',
        'estimator: sklearn.linear_model.LogisticRegression, parameters: {C: "{{ var.value.x }}"}',
    ],
)
def test_what_training_would_accept_is_not_reported(tmp_path: Path, given: str) -> None:
    assert check(tmp_path, "training.train_challenger", f"{TRAIN}, {given}") == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        # A number in the search space does not change what an estimator can do.
        (
            "estimator: sklearn.svm.LinearSVC, search_space: {C: [1, 10]}",
            "needs predict_proba, which this LinearSVC",
        ),
        (
            "estimator: sklearn.linear_model.SGDClassifier, parameters: {loss: hinge}, search_space: {alpha: "
            "{distribution: loguniform, low: 0.001, high: 1}}",
            "needs predict_proba, which this SGDClassifier",
        ),
        (
            'estimator: sklearn.svm.LinearSVC, parameters: "{{ var.value.x }}"',
            "which this LinearSVC does not have",
        ),
        ("estimator: sklearn.linear_model.Ridge", "is for classes, but Ridge predicts numbers"),
    ],
)
def test_a_metric_that_can_never_be_measured_is_reported(tmp_path: Path, given: str, message: str) -> None:
    found = check(tmp_path, "training.train_challenger", f"{TRAIN}, {given}, other_metrics: [neg_log_loss]")
    assert any(message in problem.message for problem in found), found


def test_an_estimator_that_holds_another_one_has_its_methods(tmp_path: Path) -> None:
    given = (
        "estimator: sklearn.semi_supervised.SelfTrainingClassifier, other_metrics: [f1_makro, neg_log_loss]"
    )
    (found,) = check(tmp_path, "training.train_challenger", f"{TRAIN}, {given}")
    assert found.message == "metric 'f1_makro' is not known"


def test_a_policy_that_is_known_when_the_task_runs_is_not_reported(tmp_path: Path) -> None:
    given = 'model: m, metric: "{{ var.value.x }}", direction: minimize, floors: {r2: 0.5}'
    assert check(tmp_path, "promotion.compare", given) == []
    given = 'model: m, metric: accuracy, floors: "{{ var.value.x }}", confidence: 1'
    (found,) = check(tmp_path, "promotion.compare", given)
    assert (found.code, found.message) == ("DAG116", "confidence is 1")

    given = 'model: m, metric: max_error, direction: "{{ var.value.x }}", floors: null, guardrails: null'
    assert check(tmp_path, "promotion.compare", given) == []


def test_fractions_are_refused_for_a_parameter_of_whole_numbers(tmp_path: Path) -> None:
    given = f"{TRAIN}, estimator: sklearn.ensemble.RandomForestClassifier, search_space: {{max_depth: {{distribution: "
    found = check(tmp_path, "training.train_challenger", f"{given} uniform, low: 2, high: 10}}}}")
    assert {problem.message.partition(" Got")[0] for problem in found} == {
        "The 'max_depth' parameter of RandomForestClassifier must be an int in the range [1, inf) or None."
    }


def test_a_custom_estimator_need_not_declare_its_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sklearn.base import BaseEstimator, ClassifierMixin

    class Custom(ClassifierMixin, BaseEstimator):
        """It gets its methods from another estimator, and only when it is fitted."""

        def __init__(self, depth: int = 1) -> None:
            self.depth = depth

    monkeypatch.setattr(estimators, "resolve", lambda path, key: Custom)
    given = f"{TRAIN}, estimator: callables.custom.Custom, parameters: {{depth: 3}}"
    assert check(tmp_path, "training.train_challenger", given) == []


@pytest.mark.parametrize(
    ("function", "given", "message"),
    [
        ("promotion.compare", "model: m, metric: accuracy, roll_back: maybe", "roll_back is 'maybe'"),
        ("prediction.draw_rows", "run_id: a, dataset: data/digits.csv, rows: all, sample_size: 0", ""),
        ("prediction.draw_rows", "run_id: a, dataset: null, sql: select 1, connection: c, row_id: i", ""),
        ("prediction.draw_rows", "run_id: a, dataset: data/digits.csv, watermark: a/b", "watermark is 'a/b'"),
        ("prediction.predict_rows", f"model: m, selection: '{{}}', {RUN}", "there is no source of rows"),
        ("prediction.predict_rows", f"{TRAIN}, timezone: America", "timezone is 'America'"),
    ],
)
def test_a_value_is_reported_where_it_counts(tmp_path: Path, function: str, given: str, message: str) -> None:
    if function.endswith("predict_rows"):
        given = given.replace("target: digit, row_id: row_id, metric: accuracy", "selection: '{}'")
    found = check(tmp_path, function, given)
    assert [problem.message.startswith(message) for problem in found] == ([True] if message else [])


def test_arguments_that_are_mapped_are_checked_too(tmp_path: Path) -> None:
    text = TASK.format(function="promotion.compare", given="model: m, metric: acuracy")
    text = (
        text.replace("op_kwargs:", "partial:\n        op_kwargs:")
        + "      expand: {templates_dict: [{a: 1}]}\n"
    )
    (tmp_path / "dag_configs").mkdir()
    file = tmp_path / "dag_configs" / "values.yaml"
    file.write_text(text, encoding="utf-8")
    (found,) = check_paths([file])
    assert (found.code, found.line, found.message) == ("DAG116", 9, "metric 'acuracy' is not known")


def test_rows_of_a_query_need_its_connection(tmp_path: Path) -> None:
    given = 'sql: "select * from {{ var.value.x }}", run_id: a, row_id: id'
    (found,) = check(tmp_path, "prediction.draw_rows", given)
    assert found.message == "sql needs an Airflow connection and a column of row ids"
    assert check(tmp_path, "prediction.draw_rows", f"{given}, connection: db") == []


def test_a_check_that_fails_hides_no_other_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from callables import training

    def fails(given: dict) -> None:
        print("not part of the report")
        raise SystemExit(f"no check of {sorted(given)}")

    monkeypatch.setattr(training.predict_holdout, "check_values", fails, raising=False)
    (found,) = check(tmp_path, "training.predict_holdout", 'model: m, version: "{{ var.value.x }}"')
    assert (found.severity, found.message) == (
        "warning",
        f"the values cannot be checked: SystemExit in test_values.py:{fails.__code__.co_firstlineno + 2}",
    )


def test_only_the_check_asks_and_a_parse_imports_nothing_heavy() -> None:
    """The same file through the loader: its wrong values are left to the task, and scikit-learn is not imported."""
    script = (
        "import sys\nfrom pathlib import Path\nfrom schemas.validation import check_paths\n"
        "found = check_paths([Path('tests/configs/invalid/values_of_training.yaml')], build=False)\n"
        "print(found, sorted({'sklearn', 'pandas', 'airflow'} & {*sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=PROJECT_ROOT,
        env={**os.environ},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[] []\n"
