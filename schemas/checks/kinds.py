"""Kinds of values in words, and what to write in place of a value of the wrong kind."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import yaml

from schemas.catalog.signatures import JOINED, TEMPLATE

A_TIMEDELTA = {"__type__": "datetime.timedelta", "minutes": 5}
# JSON's types as someone who writes YAML calls them.
TYPE_NAMES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "null",
    "number": "a number",
    "object": "a mapping",
    "string": "text",
}
PLURALS = {"integer": "whole numbers", "number": "numbers", "string": "texts"}
DURATION_WORDS = re.compile(r"(\d+)\s*(second|minute|hour|day|week)s?")
YES, NO = ("true", "yes", "on"), ("false", "no", "off")


def as_yaml(value: Any) -> str:
    """Return a value as one line of YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1000, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...").strip()


def shown(value: Any, written: str = "") -> str:
    """Return a value as it stands in YAML, shortened; a text in quotes.

    ``written`` is what the file has, where that may differ: YAML reads 12:30:00 as a number of seconds.
    """
    if written and not isinstance(value, str | dict | list | date) and written != as_yaml(value):
        return f"{written}, which YAML reads as {as_yaml(value)}"
    if isinstance(value, str):
        text = repr(value)
    elif isinstance(value, date):
        text = f"the date {value.isoformat()}"
    else:
        text = as_yaml(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def kind_of(schema: dict[str, Any]) -> str:
    """Return what a schema takes, in words; empty if it does not say. Templates are not named."""
    names = dict.fromkeys(_kinds(schema))
    plain = [name for name in names if name != "null"] or [*names]
    return " or ".join(plain)


def _kinds(schema: dict[str, Any]) -> list[str]:
    if "x-kind" in schema:
        return [str(schema["x-kind"])]
    if schema.get("$ref") == "#/$defs/asset_condition":
        return ["an asset, given by __type__"]
    if "anyOf" in schema:
        kinds = [kind for kind in schema["anyOf"] if not _is(kind, JOINED) and not _is(kind, TEMPLATE)]
        return [name for kind in kinds or schema["anyOf"] for name in _kinds(kind)]
    if schema.get("required") == ["__type__"]:
        return ["an object, given by __type__"]
    if "enum" in schema:
        return [f"one of {', '.join(map(str, schema['enum']))}"]
    if _is(schema, TEMPLATE):
        return ["a template"]
    items = schema.get("items") or schema.get("additionalProperties")
    if isinstance(items, dict) and items.get("type") in PLURALS:
        return [f"{TYPE_NAMES[schema['type']]} of {PLURALS[items['type']]}"]
    types = schema.get("type", [])
    return [TYPE_NAMES[name] for name in ([types] if isinstance(types, str) else types)]


def _is(schema: dict[str, Any], other: dict[str, Any]) -> bool:
    return {key: value for key, value in schema.items() if key != "description"} == other


def action(schema: dict[str, Any], key: str, value: Any, written: str = "") -> str:
    """Return what to write in place of a value of the wrong kind; ``written`` is what the file has."""
    kind, text = kind_of(schema), str(value).strip()
    if value is None:
        return f"give {key} a value, or remove the key"
    if "timedelta" in kind:
        return f"write {as_yaml(_timedelta(value))}"
    if "true or false" in kind and text.lower() in (*YES, *NO):
        return f"write {'true' if text.lower() in YES else 'false'}, without quotes"
    if "mapping" in kind:
        return "write a mapping: a key, a colon and a value"
    if "number" in kind and isinstance(value, float):
        return f"write {kind}"
    if "number" in kind:
        return f"write {text}, without quotes" if _is_number(text) else "write a number"
    if "list" in kind and not isinstance(value, dict | list):
        return f"write {as_yaml([value])}"
    if "given by __type__" in kind:
        return f"say what it is, as in {type_example(schema)}"
    if "text" in kind and not isinstance(value, dict | list):
        return f"put it in quotes: '{written or (as_yaml(value) if isinstance(value, bool) else text)}'"
    return f"write {kind}"


def type_example(schema: dict[str, Any]) -> str:
    """Return an example of a value with ``__type__``."""
    if "asset" in str(schema.get("x-kind", "")) or schema.get("$ref") == "#/$defs/asset_condition":
        return "{__type__: airflow.sdk.Asset, uri: 's3://bucket/key'}"
    return as_yaml(schema.get("examples", [A_TIMEDELTA])[0])


def _timedelta(value: Any) -> dict[str, Any]:
    """Return the timedelta that a number of seconds or words such as ``10 minutes`` mean."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"__type__": "datetime.timedelta", "seconds": value}
    if match := DURATION_WORDS.fullmatch(str(value).strip()):
        return {"__type__": "datetime.timedelta", f"{match[2]}s": int(match[1])}
    return A_TIMEDELTA


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?", text) is not None
