"""Airflow's own example DAGs, written as YAML: what is right there must pass the checker.

What YAML cannot say (an operator of the example's own, an object of a class that it may not name) makes a DAG
unconvertible. Functions become one that takes a single text, as the examples' own are not in ``callables``.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from datetime import date, time, timedelta
from enum import Enum
from pathlib import Path
from typing import Any

import yaml

STAND_IN = "airflow.providers.common.sql.hooks.handlers.fetch_one_handler"
ITS_ARGUMENT = {"cursor": "none"}
NOT_COPIED = frozenset(
    {
        *("task_id", "dag", "task_group", "default_args", "op_args", "op_kwargs", "python_callable"),
        *("multiple_outputs", "start_date", "end_date", "_airflow_from_operator", "templates_dict"),
        *("kwargs_to_upstream", "custom_operator_name", "trigger_kwargs", "start_trigger_args"),
    }
)
DAG_VALUES = (
    *("description", "doc_md", "catchup", "max_active_runs", "max_active_tasks", "dagrun_timeout"),
    *("template_searchpath", "render_template_as_native_obj", "is_paused_upon_creation", "owner_links"),
)


class UnconvertibleError(Exception):
    """YAML cannot say this; the text says what."""


def example_folders() -> list[Path]:
    """Return the folders of example DAGs that Airflow and the installed providers ship."""
    import airflow
    import airflow.providers

    found = [Path(airflow.__file__).parent / "example_dags"]
    for place in airflow.providers.__path__:
        found += [folder for folder in Path(place).rglob("example_dags") if folder.is_dir()]
    return sorted(found)


def example_dags() -> Iterator[Any]:
    """Yield each example DAG that loads, once."""
    from airflow.dag_processing.dagbag import DagBag

    seen: set[str] = set()
    for folder in example_folders():
        bag = DagBag(dag_folder=str(folder), safe_mode=False)
        for dag_id, dag in sorted(bag.dags.items()):
            if dag_id not in seen:
                seen.add(dag_id)
                yield dag


def as_yaml(dag: Any) -> str:
    """Return a DAG as the text of a YAML file; raises UnconvertibleError."""
    config: dict[str, Any] = {"schedule": _schedule(dag.schedule)}
    if dag.start_date is not None:
        config["start_date"] = dag.start_date.date().isoformat()
    for name in DAG_VALUES:
        value = getattr(dag, name, None)
        if value is not None and value != inspect.signature(type(dag)).parameters[name].default:
            config[name] = _value(value)
    if dag.tags:
        config["tags"] = sorted(dag.tags)
    if dag.params:
        config["params"] = {name: _param(dag.params.get_param(name)) for name in dag.params}
    if dag.default_args:
        config["default_args"] = _arguments(dag.default_args)
    groups = {
        _name(group_id): _group(group)
        for group_id, group in dag.task_group.get_task_group_dict().items()
        if group_id
    }
    if groups:
        config["task_groups"] = groups
    config["tasks"] = {_name(task.task_id): _task(task) for task in dag.topological_sort()}
    return yaml.safe_dump({dag.dag_id: config}, sort_keys=False, allow_unicode=True)


def _name(identifier: str) -> str:
    return identifier.replace(".", "__")


def _group(group: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if group.parent_group is not None and group.parent_group.group_id:
        found["parent_group_name"] = _name(group.parent_group.group_id)
    if group.tooltip:
        found["tooltip"] = group.tooltip
    return found


def _task(task: Any) -> dict[str, Any]:
    from airflow.sdk.definitions.mappedoperator import MappedOperator

    if isinstance(task, MappedOperator):
        cls, given = task.operator_class, dict(task.partial_kwargs)
        mapped = getattr(task._get_specified_expand_input(), "value", None)
        if not isinstance(mapped, dict):
            raise UnconvertibleError("expand_kwargs")
    else:
        cls, given, mapped = type(task), dict(task._BaseOperator__init_kwargs), {}
    own = _operator(cls, task)
    if "decorator" in own:  # the rest is for the function
        taken = {name for one in cls.__mro__ for name in inspect.signature(one.__init__).parameters}
        given = {key: value for key, value in given.items() if key in taken and key != "definition_name"}
    found = {**own, **_arguments(given)}
    if mapped:
        if "decorator" in own:
            raise UnconvertibleError("a mapped function of the example's own")
        found["expand"] = {key: _value(value) for key, value in mapped.items() if key not in NOT_COPIED}
        if not found["expand"]:
            raise UnconvertibleError("a mapped function")
    if task.upstream_task_ids:
        found["dependencies"] = sorted(_name(one) for one in task.upstream_task_ids)
    if task.task_group is not None and task.task_group.group_id:
        found["task_group_name"] = _name(task.task_group.group_id)
    return found


def _operator(cls: type, task: Any) -> dict[str, Any]:
    """Return how YAML names an operator or a decorator, with a function where it takes one."""
    from airflow.sdk.bases.decorator import DecoratedOperator
    from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

    path = f"{cls.__module__}.{cls.__name__}"
    decorated = issubclass(cls, DecoratedOperator)
    if decorated or cls.__name__.startswith("_"):
        name = str(getattr(task, "custom_operator_name", "")).removeprefix("@task").lstrip(".") or "python"
        decorator = ProvidersManagerTaskRuntime().taskflow_decorators.get(name)
        if decorator is None:
            raise UnconvertibleError(path)
        where = f"{decorator.__module__}.{decorator.__name__}"
        return {"decorator": where, "python_callable": STAND_IN, **ITS_ARGUMENT}
    if not path.startswith("airflow.providers."):
        if path.endswith(".EmptyOperator"):
            return {"operator": "airflow.providers.standard.operators.empty.EmptyOperator"}
        raise UnconvertibleError(f"the operator {path}")
    if ".example_dags." in path:
        raise UnconvertibleError("an operator of the example's own")
    function = "python_callable" in inspect.signature(cls).parameters or "python_callable" in vars(task)
    return {"operator": path} | ({"python_callable": STAND_IN, "op_kwargs": ITS_ARGUMENT} if function else {})


def _arguments(given: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _value(value)
        for key, value in given.items()
        if key not in NOT_COPIED and not key.endswith("_callback") and value is not None
    }


def _value(value: Any) -> Any:
    """Return what YAML has for a value."""
    if isinstance(value, Enum):
        return _value(value.value if isinstance(value, str) else value.name)
    if isinstance(value, bool | int | float) or value is None:
        return value
    if isinstance(value, str | Path):
        return str(value)
    if isinstance(value, dict):
        return {str(key): _value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_value(item) for item in value]
    return _time(value) if isinstance(value, timedelta | date | time) else _object(value)


def _time(value: timedelta | date | time) -> Any:
    if isinstance(value, timedelta):
        return {"__type__": "datetime.timedelta", "seconds": value.total_seconds()}
    if isinstance(value, time):
        parts = {"hour": value.hour, "minute": value.minute, "second": value.second}
        return {"__type__": "datetime.time", **parts}
    return value.isoformat()


def _object(value: Any) -> Any:
    """Return what YAML has for one of Airflow's objects."""
    from airflow.sdk import Asset, AssetAlias
    from airflow.sdk.definitions.param import ParamsDict

    if isinstance(value, Asset):
        return value.uri
    if isinstance(value, AssetAlias):
        return {"__type__": "airflow.sdk.AssetAlias", "name": value.name}
    if isinstance(value, ParamsDict):
        return {name: _param(value.get_param(name)) for name in value}
    if "XComArg" in type(value).__name__:
        return f"{{{{ ti.xcom_pull(task_ids='{_name(value.operator.task_id)}') }}}}"
    raise UnconvertibleError(f"an object of {type(value).__module__}.{type(value).__name__}")


def _param(param: Any) -> Any:
    schema = {key: _value(value) for key, value in param.schema.items()}
    default = (
        {}
        if re.search("NotSet|ArgNotSet|Undefined", type(param.value).__name__)
        else {"default": param.value}
    )
    return {"__type__": "airflow.sdk.Param", **default, "description": param.description or "", **schema}


def _schedule(schedule: Any) -> Any:
    from airflow.sdk import Asset, AssetAll, AssetAny

    if schedule is None or isinstance(schedule, str):
        return schedule
    if isinstance(schedule, Asset):
        return {"__type__": "airflow.sdk.Asset", "uri": schedule.uri}
    if isinstance(schedule, AssetAll | AssetAny):
        key = "__and__" if isinstance(schedule, AssetAll) else "__or__"
        return {key: [_schedule(one) for one in schedule.objects]}
    if isinstance(schedule, list | tuple):
        return [_value(one) for one in schedule]
    if isinstance(schedule, timedelta):
        return {
            "__type__": "airflow.timetables.interval.DeltaDataIntervalTimetable",
            "__args__": [{"__type__": "datetime.timedelta", "seconds": schedule.total_seconds()}],
        }
    raise UnconvertibleError(f"the schedule {type(schedule).__name__}")
