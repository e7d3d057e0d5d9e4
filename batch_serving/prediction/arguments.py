"""Checks of the arguments that YAML gives draw_rows, predict_rows and maintain_predictions."""

from __future__ import annotations

import re
from collections.abc import Iterator

from batch_serving.ml.arguments import column_problems, model_problems
from batch_serving.shared.checked_by import BadValue, Given, bad_values, known_values, named_values
from batch_serving.shared.run_context import parse_time, parse_zone
from batch_serving.shared.suggestions import did_you_mean

# One SELECT of columns by name, each with another name after AS if need be. Nothing else is judged.
PLAIN_QUERY = re.compile(
    r"\s*SELECT\s+(?!DISTINCT|ALL|TOP)(?P<columns>[\w\s.,]+?)\s+FROM\s(?!.*\b(UNION|EXCEPT|INTERSECT)\b).*",
    re.I | re.S,
)
COLUMN = re.compile(r"\s*(?:(?:\w+\.)*\w+\s+(?:AS\s+)?)?(?:\w+\.)*(?P<name>\w+)\s*", re.I)


def of_draw(given: Given) -> Iterator[BadValue]:
    """Check which rows draw_rows is to choose, and from where."""
    from batch_serving.prediction.watermark import check_watermark_name

    named, given = named_values(given), known_values(given)
    yield from model_problems(given)
    if "watermark" in given:
        yield from bad_values(("watermark",), check_watermark_name, given["watermark"])
    rows = given.get("rows", "random")
    if isinstance(rows, int):
        yield from _size_problems("rows", rows)
    elif rows == "random" and "sample_size" in given:
        yield from _size_problems("sample_size", given["sample_size"])
    for name in ("lag", "future_tolerance_s"):
        if isinstance(given.get(name), int | float) and given[name] < 0:
            yield BadValue((name,), f"{name} is {given[name]}", "it must be 0 or more")
    if isinstance(given.get("run_after"), str):
        yield from bad_values(("run_after",), parse_time, given["run_after"])
    yield from zone_problems(given)
    for name in ("cursor_column", "model") if rows == "incremental" else ():
        if name not in named:
            yield BadValue(("rows",), f"rows is 'incremental', which needs `{name}`", f"add `{name}`")
    yield from source_problems(named)
    yield from column_problems(given, ("row_id", "cursor_column"))
    yield from query_problems(given, ("row_id", "cursor_column"))


def claimed_by_draw(given: Given) -> dict[str, str]:
    """Return the watermark that YAML names: two DAGs with one would take each other's rows."""
    named = [given.get(name) for name in ("model", "watermark")]
    if given.get("rows") != "incremental" or not all(isinstance(name, str) for name in named):
        return {}
    return {"watermark": f"the watermark {named[1]!r} of model {named[0]!r}"}


def query_problems(given: Given, keys: tuple[str, ...]) -> Iterator[BadValue]:
    """Check whether a query that names its columns has those that these arguments name."""
    columns = columns_of(given["sql"]) if isinstance(given.get("sql"), str) else None
    for key in keys if columns is not None else ():
        name = given.get(key)
        if isinstance(name, str) and name.lower() not in [column.lower() for column in columns or ()]:
            hint = (
                did_you_mean(name, columns or ())
                or f"add it to the query, or name one of {', '.join(columns or ())}"
            )
            yield BadValue((key,), f"the query has no column {name!r}", hint)


def columns_of(sql: str) -> list[str] | None:
    """Return the columns of a plain query, None where its text does not say: ``*``, several parts, a
    template."""
    match = PLAIN_QUERY.fullmatch(sql)
    if match is None or "{{" in sql or "{%" in sql:
        return None
    found = [COLUMN.fullmatch(part) for part in match["columns"].split(",")]
    return [one["name"] for one in found if one] if all(found) else None


def _size_problems(name: str, size: int) -> Iterator[BadValue]:
    if size < 1:
        yield BadValue((name,), f"{name} is {size}", "it must be 1 or more")


def of_prediction(given: Given) -> Iterator[BadValue]:
    """Check where predict_rows reads from, and the time zone."""
    named, given = named_values(given), known_values(given)
    yield from model_problems(given)
    yield from source_problems(named)
    if "chunk_rows" in given:
        yield from _size_problems("chunk_rows", given["chunk_rows"])
    if given.get("champion_at"):
        yield from bad_values(("champion_at",), parse_time, given["champion_at"])
    yield from zone_problems(given)
    yield from column_problems(given, ("row_id",))
    yield from query_problems(given, ("row_id",))


def of_maintenance(given: Given) -> Iterator[BadValue]:
    """Check the model's name and the time zone of maintain_predictions."""
    given = known_values(given)
    yield from model_problems(given)
    yield from zone_problems(given)


def of_write(given: Given) -> Iterator[BadValue]:
    """Check the model's name, the time zone and the table of write_to_table."""
    from batch_serving.prediction.result_table import check_table_name

    given = known_values(given)
    yield from model_problems(given)
    yield from zone_problems(given)
    if isinstance(given.get("table"), str):
        yield from bad_values(("table",), check_table_name, given["table"])


def of_snapshot(given: Given) -> Iterator[BadValue]:
    """Check the name, and whether the query has the column of the ids, of take_snapshot."""
    from batch_serving.prediction.snapshots import check_snapshot_name

    given = known_values(given)
    if isinstance(given.get("name"), str):
        yield from bad_values(("name",), check_snapshot_name, given["name"])
    yield from column_problems(given, ("row_id",))
    yield from query_problems(given, ("row_id",))


def zone_problems(given: Given) -> Iterator[BadValue]:
    """Check the time zone."""
    if zone := given.get("timezone"):
        yield from bad_values(("timezone",), parse_zone, zone)


def source_problems(named: set[str]) -> Iterator[BadValue]:
    """Check that there is one source of rows: that it is named is enough, as a template is not known yet."""
    from batch_serving.prediction.row_source import RowSource

    names = ("dataset", "sql", "connection", "row_id")
    dataset, sql, connection, row_id = (name if name in named else None for name in names)
    path = ("sql",) if sql and not dataset else ("dataset",)
    yield from bad_values(path, RowSource, dataset, sql, connection, row_id)
