"""The columns of the weather's CSVs, as ``data/weather.schema.json`` describes them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from batch_serving.shared.root import PROJECT_ROOT

if TYPE_CHECKING:
    import jsonschema

SCHEMA_FILE = PROJECT_ROOT / "data" / "weather.schema.json"
NUMBER = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,15})?")
REASONS = {"minimum": "less than", "maximum": "more than", "enum": "not one of", "maxLength": "longer than"}


class ColumnType(Enum):
    """The type of a column's values."""

    TEXT = "text"
    TIME = "time"
    NUMBER = "number"
    WHOLE_NUMBER = "whole number"


@dataclass(frozen=True)
class Column:
    """One column: its JSON Schema, its type, and KMA's category, empty for what KMA does not send."""

    name: str
    schema: dict[str, Any]

    @cached_property
    def type(self) -> ColumnType:
        """The type of its values."""
        types = self.schema.get("type", ())
        if self.schema.get("format") == "date-time":
            return ColumnType.TIME
        if "number" in types:
            return ColumnType.NUMBER
        if types == "integer" or any(isinstance(value, int) for value in self.schema.get("enum", ())):
            return ColumnType.WHOLE_NUMBER
        return ColumnType.TEXT

    @property
    def category(self) -> str:
        """KMA's name for it; empty if KMA does not send it."""
        return str(self.schema.get("category", ""))

    def parse(self, text: str) -> str | int | float | None:
        """Return a CSV text as a value of this column's type; ValueError if it is not one."""
        if text == "":
            return None
        if self.type not in (ColumnType.NUMBER, ColumnType.WHOLE_NUMBER):
            return text
        if not NUMBER.fullmatch(text):
            raise ValueError(f"{text!r} is not a number")
        return float(text) if self.type is ColumnType.NUMBER else int(self.tidy(text))

    def tidy(self, text: str) -> str:
        """Return ``4.0`` as ``4`` in a column of whole numbers, any other text unchanged."""
        return re.sub(r"\.0+$", "", text) if self.type is ColumnType.WHOLE_NUMBER else text

    def problem(self, text: str) -> str:
        """Return why a CSV text does not fit this column, or an empty text."""
        if text == "":
            return ""
        if not text.isprintable():
            return "has a character that cannot be printed"
        try:
            value = self.parse(text)
        except ValueError:
            return f"not a {self.type.value}"
        error = next(self._validator.iter_errors(value), None)
        if error is None:
            return ""
        return f"{REASONS.get(str(error.validator), error.message)} {error.validator_value}"

    @cached_property
    def _validator(self) -> jsonschema.Draft202012Validator:
        import jsonschema

        return jsonschema.Draft202012Validator(self.schema)


@cache
def columns() -> dict[str, Column]:
    """Return each column by its name, in the order of the CSV."""
    properties = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))["properties"]
    return {name: Column(name, schema) for name, schema in properties.items()}
