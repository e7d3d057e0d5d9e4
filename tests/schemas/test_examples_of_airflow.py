"""What Airflow's own examples do is right: the checker accepts each of them that YAML can say."""

from __future__ import annotations

from pathlib import Path

import pytest
from examples_as_yaml import UnconvertibleError, as_yaml, example_dags

from schemas.problems import ERROR
from schemas.validation import check_paths

pytestmark = pytest.mark.slow

FEWEST = 70  # of those that Airflow 3.3 and the providers in uv.lock ship


def test_each_example_that_yaml_can_say_passes(tmp_path: Path) -> None:
    accepted, unconvertible, refused = [], {}, {}
    for dag in example_dags():
        path = tmp_path / f"{dag.dag_id}.yaml"
        try:
            path.write_text(as_yaml(dag), encoding="utf-8")
        except UnconvertibleError as error:
            unconvertible[dag.dag_id] = str(error)
            continue
        errors = [str(problem) for problem in check_paths([path]) if problem.severity == ERROR]
        if errors:
            refused[dag.dag_id] = errors
        else:
            accepted.append(dag.dag_id)
    print(f"\nexamples {len(accepted) + len(refused) + len(unconvertible)}, accepted {len(accepted)}")
    print(f"refused {len(refused)}, not to be said in YAML {len(unconvertible)}: {unconvertible}")
    for lines in refused.values():
        print(*lines, sep="\n")
    assert refused == {}
    assert len(accepted) >= FEWEST
