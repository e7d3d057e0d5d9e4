"""What the project uses of dag-factory, its inside included.

``tests/schemas/test_building.py`` fails when dag-factory changes one of these.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache, reduce
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from schemas.airflow_internals import frames_of

if TYPE_CHECKING:
    from airflow.sdk import DAG

# Arguments that Airflow's DAG has and dag-factory drops without a word: set after the build.
DROPPED_BY_DAG_FACTORY = (
    "allowed_run_types",
    "deadline",
    "disable_bundle_versioning",
    "fail_fast",
    "jinja_environment_kwargs",
    "max_consecutive_failed_dag_runs",
    "owner_links",
    "rerun_with_latest_version",
)
# dag-factory reports each run of a DAG with this tag to its makers. It adds the tag itself.
TELEMETRY_TAG = "dagfactory"


# What dag-factory imports if it is there, for Airflow 2 and for what the checks refuse (code given by file).
# Without these its import takes 30 ms, and 140 ms with them.
NOT_NEEDED = (
    "airflow.operators.python",
    "airflow.providers.common.sql.sensors.sql",
    "airflow.sensors.python",
    "airflow.timetables.assets",
    "airflow.timetables.datasets",
)


@cache
def import_dag_factory() -> tuple[Any, Any]:
    """Return dag-factory's builder and its reader of ``__type__``."""
    with _as_if_not_installed(NOT_NEEDED):
        from dagfactory import dagbuilder
        from dagfactory.utils import cast_with_type
    # It looks up each task's operator again: 8 % of a build.
    dagbuilder.import_string = cache(dagbuilder.import_string)
    builder = dagbuilder.DagBuilder
    builder.own_set_dependencies = builder.set_dependencies
    builder.set_dependencies = staticmethod(_set_dependencies)
    builder._handle_http_sensor = staticmethod(_json_body)
    read_delta = dagbuilder.utils.get_time_delta
    # It reads texts only, which have no sign and no fraction: a timedelta stays what it is.
    dagbuilder.utils.get_time_delta = lambda given: (
        given if isinstance(given, timedelta) else read_delta(given)
    )
    return builder, cast_with_type


def _set_dependencies(
    tasks: dict[str, Any], operators: dict[str, Any], groups: dict[str, Any], made_groups: dict[str, Any]
) -> None:
    """Set the dependencies as dag-factory does, which looks for each task of a group as ``group.task``.

    It does not find a decorated one there, nor one of a group without a prefix, and raises KeyError.
    """
    for task_name, config in tasks.items():
        group = config.get("task_group")
        if group is not None:
            made = operators.get(task_name) or operators.get(group.child_id(task_name))
            operators.setdefault(f"{group.group_id}.{task_name}", made)
    import_dag_factory()[0].own_set_dependencies(tasks, operators, groups, made_groups)


def _json_body(_operator: type, arguments: dict[str, Any]) -> dict[str, Any]:
    """Send the mapping or list in ``data`` of an HttpOperator as JSON, if its headers say that it is.

    dag-factory does so, too, and sends templates unrendered.
    """
    headers, data = arguments.get("headers"), arguments.get("data")
    kinds = headers.items() if isinstance(headers, dict) else ()
    is_json = any(
        str(name).lower() == "content-type" and "application/json" in str(kind) for name, kind in kinds
    )
    if not is_json or not isinstance(data, dict | list):
        return arguments

    def body(context: Any, jinja_env: Any) -> str:
        """Return the text of the request; Airflow calls what it finds in a templated argument."""
        return json.dumps(_rendered(data, context, jinja_env))

    return {**arguments, "data": body}


def _rendered(value: Any, context: Any, jinja_env: Any) -> Any:
    """Return a value with each text in it rendered as a template."""
    if isinstance(value, dict):
        return {key: _rendered(item, context, jinja_env) for key, item in value.items()}
    if isinstance(value, list):
        return [_rendered(item, context, jinja_env) for item in value]
    return jinja_env.from_string(value).render(context) if isinstance(value, str) else value


@contextmanager
def _as_if_not_installed(modules: tuple[str, ...]) -> Iterator[None]:
    """Make imports of these modules fail, except of those that are imported already."""
    hidden = [name for name in modules if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


class _OwnConfig(dict[str, Any]):
    """A config that one DAG alone has: dag-factory copies its argument, 2 % of a build, and need not."""

    def __deepcopy__(self, memo: dict[int, Any]) -> _OwnConfig:
        return self


def build_dag(dag_id: str, config: dict[str, Any]) -> DAG:
    """Return the DAG of a config, which dag-factory changes and keeps parts of."""
    builder, _ = import_dag_factory()
    dag: DAG = builder(dag_id, _OwnConfig(config), {}, yml_dag="").build()["dag"]
    for name in DROPPED_BY_DAG_FACTORY:
        if config.get(name) is not None:
            setattr(dag, name, _deadlines(config[name]) if name == "deadline" else config[name])
    if dag.deadline:
        _test_without_deadlines(dag)
    dag.tags = {tag for tag in dag.tags if tag != TELEMETRY_TAG}
    return dag


def _test_without_deadlines(dag: DAG) -> None:
    """Let ``dag.test()``, as in ``airflow dags test``, leave the deadlines out.

    Airflow 3.3 looks for them in its database, where those of a DAG that is only tested are not, and fails.
    """
    run_test = dag.test

    def test(*arguments: Any, **named: Any) -> Any:
        deadlines, dag.deadline = dag.deadline, None
        try:
            return run_test(*arguments, **named)
        finally:
            dag.deadline = deadlines

    setattr(dag, "test", test)  # noqa: B010 - a method of this one DAG


def _deadlines(given: Any) -> Any:
    """Return Airflow's deadline alerts of what YAML gives: alerts, or mappings of callback and interval."""
    if isinstance(given, list):
        return [_deadlines(one) for one in given]
    if not isinstance(given, dict):
        return given
    from airflow.sdk.definitions.callback import AsyncCallback, SyncCallback
    from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

    from schemas.catalog.imports import resolve

    path, interval = given["callback"], given.get("interval")
    if interval is None:
        raise ValueError("deadline has no interval: the seconds after which it is missed")
    seconds = interval.total_seconds() if isinstance(interval, timedelta) else float(interval)
    arguments = {name: value for name, value in given.items() if name != "callback"}
    kind = AsyncCallback if iscoroutinefunction(resolve(path)) else SyncCallback
    callback = kind(path, {**arguments, "interval": seconds})
    # A number: with a timedelta, Airflow 3.3 answers 500 when a run is cleared before its deadline.
    return DeadlineAlert(DeadlineReference.DAGRUN_QUEUED_AT, seconds, callback)


def make_values(value: Any) -> Any:
    """Return a copy with an object for each ``__type__``, ``__and__``, ``__or__`` and ``__join__``."""
    if isinstance(value, list):
        return [make_values(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "__type__" in value:
        _, cast_with_type = import_dag_factory()
        return make_values(cast_with_type(value))
    if "__and__" in value:
        return reduce(lambda left, right: left & right, map(make_values, value["__and__"]))
    if "__or__" in value:
        return reduce(lambda left, right: left | right, map(make_values, value["__or__"]))
    if "__join__" in value:
        return "".join(str(make_values(item)) for item in value["__join__"])
    return {key: make_values(item) for key, item in value.items()}


class Part(NamedTuple):
    """What dag-factory was working on when it raised: the name in the YAML, or its id in Airflow."""

    kind: Literal["task", "dependencies", "group"]
    name: str


def part_being_built(error: BaseException) -> Part | None:
    """Return the part of a DAG that dag-factory was building when it raised, or None if it was none."""
    builder, _ = import_dag_factory()
    for frame in reversed([*frames_of(error)]):
        if frame.f_code is builder.make_nested_task_groups.__code__:
            return Part("group", frame.f_locals["task_group_name"])
        if frame.f_code is builder.own_set_dependencies.__code__:
            return Part("dependencies", frame.f_locals["name"])
        if frame.f_code is builder.build.__code__ and "task_name" in frame.f_locals:
            return Part("task", frame.f_locals["task_name"])
    return None
