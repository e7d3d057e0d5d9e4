"""Random right configs, made from the schema: the checker finds nothing in them, and all of them load."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.building import build_dags
from schemas.catalog.lookup import load_schema
from schemas.documents.reading import read_document
from schemas.reports.formats import as_text
from schemas.validation import check_document

STANDARD = "airflow.providers.standard"
NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,15}", fullmatch=True).filter(lambda name: name not in RESERVED)
RESERVED = {"default", "y", "n", "yes", "no", "on", "off", "true", "false", "null"}
TEXTS = st.text(st.characters(codec="utf-8", categories=("L", "N", "Zs")), max_size=20)
SECONDS = st.integers(1, 10_000)
DURATION = st.builds(
    lambda number: {"__type__": "datetime.timedelta", "minutes": number}, st.integers(1, 600)
)
TRIGGER_RULES = load_schema()["$defs"]["task"]["properties"]["trigger_rule"]["enum"]

COMMON = {
    "depends_on_past": st.booleans(),
    "doc_md": TEXTS,
    "execution_timeout": st.none() | DURATION,
    "owner": st.sampled_from(["ml", "data"]),
    "pool_slots": st.integers(1, 5),
    "priority_weight": st.integers(1, 100),
    "retries": st.integers(0, 5),
    "retry_delay": SECONDS | DURATION,
    "trigger_rule": st.sampled_from([rule for rule in TRIGGER_RULES if rule != "all_done_setup_success"]),
    "outlets": st.lists(st.from_regex(r"s3://bucket/[a-z]{1,9}", fullmatch=True), max_size=2, unique=True),
}
OPERATORS: list[st.SearchStrategy[dict[str, Any]]] = [
    st.fixed_dictionaries({"operator": st.just(f"{STANDARD}.operators.empty.EmptyOperator")}),
    st.fixed_dictionaries(
        {
            "operator": st.just(f"{STANDARD}.operators.bash.BashOperator"),
            "bash_command": TEXTS | st.just("echo {{ run_id }}"),
        },
        optional={"append_env": st.booleans(), "env": st.dictionaries(NAMES, TEXTS, max_size=2)},
    ),
    st.fixed_dictionaries(
        {
            "operator": st.just(f"{STANDARD}.operators.python.PythonOperator"),
            "python_callable": st.just("callables.prediction.draw_rows"),
            "op_kwargs": st.fixed_dictionaries(
                {"dataset": TEXTS, "run_id": st.just("{{ run_id }}")}, optional={"rows": st.integers(1, 99)}
            ),
        }
    ),
    st.fixed_dictionaries(
        {"operator": st.just(f"{STANDARD}.sensors.filesystem.FileSensor"), "filepath": TEXTS},
        optional={"poke_interval": SECONDS, "mode": st.sampled_from(["poke", "reschedule"])},
    ),
]
SCHEDULES = st.sampled_from(["@daily", "@hourly", "none", "*/5 * * * *", "0 6 * * 1-5"]) | st.just(
    ["s3://bucket/asset"]
)


@st.composite
def tasks(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    """One to six tasks; each depends on some of those before it, so that there is no cycle."""
    found: dict[str, dict[str, Any]] = {}
    for name in draw(st.lists(NAMES, min_size=1, max_size=6, unique=True)):
        task = draw(st.one_of(OPERATORS)) | draw(st.fixed_dictionaries({}, optional=COMMON))
        if found and (before := draw(st.lists(st.sampled_from(sorted(found)), max_size=3, unique=True))):
            task["dependencies"] = before
        found[name] = task
    return found


@st.composite
def dags(draw: st.DrawFn) -> dict[str, Any]:
    dag = draw(
        st.fixed_dictionaries(
            {"start_date": st.dates(), "schedule": SCHEDULES},
            optional={
                "catchup": st.booleans(),
                "dagrun_timeout": DURATION,
                "description": TEXTS,
                "fail_fast": st.just(False),
                "max_active_runs": st.integers(1, 20),
                "tags": st.lists(st.sampled_from(["a", "b"]), unique=True),
                "timezone": st.sampled_from(["UTC", "Asia/Seoul", "America/New_York"]),
                "default_args": st.fixed_dictionaries(
                    {}, optional={"retries": COMMON["retries"], "owner": COMMON["owner"]}
                ),
            },
        )
    )
    named = draw(tasks())
    if draw(st.booleans()):
        return dag | {"tasks": [{"task_id": name, **task} for name, task in named.items()]}
    return dag | {"tasks": named}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(NAMES, dags(), min_size=1, max_size=3))
def test_a_right_config_gives_nothing_and_loads(config: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.yaml"
        path.write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
        document = read_document(path)
        assert as_text(check_document(document)) == ""
        built = {dag.dag_id: dag for dag in build_dags(document, [])}
    assert built.keys() == config.keys()
    for dag_id, written in config.items():
        wanted = (
            written["tasks"]
            if isinstance(written["tasks"], dict)
            else {task["task_id"]: task for task in written["tasks"]}
        )
        assert {task.task_id: task.upstream_task_ids for task in built[dag_id].tasks} == {
            name: set(task.get("dependencies", [])) for name, task in wanted.items()
        }
