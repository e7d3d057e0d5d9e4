"""The rules about a file as a whole: is it YAML, does it mean one thing, and does Airflow build it."""

from __future__ import annotations

from schemas.problems import Rule

SYNTAX = Rule(
    "DAG001",
    "the text is not YAML",
    why="A line that is not YAML cannot be read. The lines around it are checked all the same.",
    bad="tags: [model",
    good="tags: [model]",
    can_be_ignored=False,
)
WRONG_VALUE = Rule(
    "DAG003",
    "a value of the wrong kind, or a required key is missing",
    why="Airflow fails late, or takes the value for something else: the text 'false' is true.",
    bad="catchup: 'false'",
    good="catchup: false",
)
GIVEN_TWICE = Rule(
    "DAG004",
    "the same key twice",
    why="YAML takes the last of two equal keys and forgets the first.",
    bad="description: Hourly\ndescription: Daily",
    good="description: Daily",
)
UNREADABLE = Rule(
    "DAG005",
    "the file cannot be read",
    why="A file is UTF-8 text, of a sane size, and a mapping of dag_id to DAG.",
    bad="- my_dag",
    good="my_dag:\n  tasks:\n    first: {operator: airflow.providers.standard.operators.empty.EmptyOperator}",
    scope="file",
    can_be_ignored=False,
)
PYTHON_TAG = Rule(
    "DAG006",
    "a YAML tag that makes a Python object",
    why="Such a tag imports or runs Python when the file is read.",
    bad="description: !!python/name:os.system",
    good="description: plain text",
    can_be_ignored=False,
)
REFUSED = Rule(
    "DAG108",
    "Airflow refuses to build the DAG",
    why="This is Airflow's own objection, found by building the DAG as it would.",
    bad="operator: airflow.providers.standard.operators.empty.EmptyOperator\nexecutor: KubernetesExecutor",
    good="operator: airflow.providers.standard.operators.empty.EmptyOperator",
    scope="task",
    can_be_ignored=False,
)
