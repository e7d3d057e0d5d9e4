"""Rows of a request through a champion, with the checks that ``predict_rows`` makes of a file's rows.

Value by value instead of column by column with pandas: for one row of 64 numbers 0.3 ms instead of 16 ms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from batch_serving.api.bodies import Row, Rows
from batch_serving.api.problems import MOST_SHOWN, RefusedError, RowProblem, quoted
from batch_serving.api.sources import Answer
from batch_serving.ml.json_values import number_for_json
from batch_serving.ml.notations import read_number
from batch_serving.ml.units import is_known
from batch_serving.prediction.feature_rules import FeatureRule
from batch_serving.shared.suggestions import did_you_mean
from batch_serving.shared.unreachable import UnreachableError
from batch_serving.shared.wording import SHOWN, counted

if TYPE_CHECKING:
    import pandas as pd

ABSENT = object()
LARGEST_FLOAT32 = 3.4028234663852886e38  # trees calculate with 32 bits
Cell = float | str | None


class TableModel:
    """A loaded champion and the rules of its features; used by several threads at the same time."""

    def __init__(self, model: Any, record: dict[str, Any]) -> None:
        """Take the model and its version's record; KeyError or TypeError if that is not one."""
        self._model = model
        self._rules = [FeatureRule.of(feature) for feature in record["features"]]
        self._row_id: str | None = record.get("row_id")
        self._version = str(record["version"])

    def columns(self) -> list[dict[str, Any]]:
        """Return name and kind of each column, and the range or the texts of training."""
        found = []
        for rule in self._rules:
            one: dict[str, Any] = {"name": rule.name, "kind": "number" if rule.is_number else "text"}
            if rule.kind is not None:
                one["kind"] = rule.kind
            if rule.is_number:
                one |= {"min": rule.low, "max": rule.high}
            elif rule.categories is not None:
                one["texts"] = list(rule.categories[:20])
            found.append(one)
        return found

    def try_out(self) -> None:
        """Predict one row of training values; any exception says that the model cannot predict.

        A model of images is not tried out: the record has none, and its files may be gone.
        """
        if any(rule.kind == "image" for rule in self._rules):
            return
        self.answer(Rows([self.example()]))

    def example(self) -> Row:
        """Return a row from the middle of the training ranges."""
        return {rule.name: _sample(rule) for rule in self._rules}

    def answer(self, rows: Rows) -> Answer:
        """Return value and probabilities for each row; RefusedError with every problem by row and column."""
        reading = _Reading(self._rules, rows.rows)
        id_column = rows.row_id or self._row_id
        ids = _ids(rows, id_column, reading.problems)
        columns = [reading.column(rule) for rule in self._rules]
        reading.check_known(self._version)
        if reading.problems:
            problems = sorted(reading.problems, key=lambda one: -1 if one.row is None else one.row)
            raise RefusedError(
                422, f"{counted(len(problems), 'problem')} in {counted(len(rows.rows), 'row')}",
                "correct them; GET /models/<name> lists the columns", problems,
            )  # fmt: skip
        predictions = self._predict(columns, len(rows.rows))
        for prediction, row_id in zip(predictions, ids, strict=True):
            if row_id is not ABSENT:
                prediction["id"] = row_id
        return Answer(predictions, self._extra(reading, rows, id_column))

    def _extra(self, reading: _Reading, rows: Rows, id_column: str | None) -> dict[str, Any]:
        names = {rule.name for rule in self._rules}
        ignored = sorted({name for row in rows.rows for name in row} - names - {id_column})
        warnings = sorted(reading.warnings, key=lambda one: one.row or 0)
        return {
            "warnings": [one.to_json() for one in warnings[:MOST_SHOWN]],
            "warning_count": len(warnings),
            "ignored_columns": ignored[:MOST_SHOWN],
        }

    def _predict(self, columns: list[list[Cell]], rows: int) -> list[dict[str, Any]]:
        from batch_serving.ml.estimators import predict_classes

        frame = self._frame(columns, rows)
        try:
            found = predict_classes(self._model, frame)
        except UnreachableError as error:  # of the storage that has the images
            raise RefusedError(503, str(error), "try again", retry_s=5) from error
        except Exception as error:  # of any estimator, about values that it cannot use
            raise self._cannot_predict(frame, error) from error
        values = [number_for_json(value) for value in found.values.tolist()]
        if found.probability is None:
            return [{"prediction": value} for value in values]
        classes = [str(value) for value in found.classes.tolist()]
        return [
            {
                "prediction": value,
                "probability": share,
                "probabilities": dict(zip(classes, shares, strict=True)),
            }
            for value, share, shares in zip(
                values, found.probability.tolist(), found.probabilities.tolist(), strict=True
            )
        ]

    def _frame(self, columns: list[list[Cell]], rows: int) -> pd.DataFrame:
        import numpy as np
        import pandas as pd

        names = [rule.name for rule in self._rules]
        if all(rule.is_number for rule in self._rules):
            # One block: 0.4 ms for 64 columns, instead of 3 ms column by column.
            return pd.DataFrame(np.array(columns, dtype=float).T.reshape(rows, len(names)), columns=names)
        made = {
            rule.name: pd.Series(column, dtype=float if rule.is_number else object)
            for rule, column in zip(self._rules, columns, strict=True)
        }
        return pd.DataFrame(made, columns=names)

    def _cannot_predict(self, frame: pd.DataFrame, error: Exception) -> RefusedError:
        """Return the answer for rows that the model raises at, with the first such row."""
        row = self._first_refused(frame)
        shown = f"the model cannot use this row: {type(error).__name__}: {str(error)[:300]}"
        problem = RowProblem(row, None, shown, "send values such as those of training")
        values = {} if row is None else frame.iloc[row].to_dict()
        for name, value in values.items():
            if isinstance(value, float) and abs(value) > LARGEST_FLOAT32:
                text = f"{value:g} is too large for the model, which calculates with 32 bits"
                problem = RowProblem(row, str(name), text, "send a value of the training range")
                break
        return RefusedError(422, "the model cannot predict these rows", problem.hint, [problem])

    def _first_refused(self, frame: pd.DataFrame) -> int | None:
        """Return the first row without which the rows before it can be predicted, by halving."""
        good, bad = 0, len(frame)  # the first `good` rows can be predicted, the first `bad` cannot
        while bad - good > 1:
            middle = (good + bad) // 2
            if self._can_predict(frame.iloc[good:middle]):
                good = middle
            else:
                bad = middle
        return good if not self._can_predict(frame.iloc[good:bad]) else None

    def _can_predict(self, frame: pd.DataFrame) -> bool:
        from batch_serving.ml.estimators import predict_classes

        try:
            predict_classes(self._model, frame)
        except Exception:
            return False
        return True


class _Reading:
    """Reads the rows of one request column by column, and collects what is wrong and what is unusual."""

    def __init__(self, rules: Sequence[FeatureRule], rows: list[Row]) -> None:
        self._names, self._rows = {rule.name for rule in rules}, rows
        self.problems: list[RowProblem] = []
        self.warnings: list[RowProblem] = []
        self._unknown: list[tuple[FeatureRule, int, list[int]]] = []  # rule, rows with a text, unknown ones

    def column(self, rule: FeatureRule) -> list[Cell]:
        """Return the values of a column in the form of training."""
        values = [row.get(rule.name, ABSENT) for row in self._rows]
        numbers = _plain_numbers(values) if rule.is_number else None
        if numbers and not (rule.is_outside(min(numbers)) or rule.is_outside(max(numbers))):
            return [*numbers]  # 100 rows of 64 numbers in 2 ms instead of 5
        found: list[Cell] = [*numbers] if numbers else []
        if not numbers:
            found = [self._cell(rule, place, value) for place, value in enumerate(values)]
        if rule.is_number:
            self._look_at_numbers(rule, found)
        else:
            self._look_at_texts(rule, found)
        return found

    def _cell(self, rule: FeatureRule, row: int, value: Any) -> Cell:
        """Return one value; None, with a problem, if it is none that the column can have."""
        if value is ABSENT:
            hint = did_you_mean(rule.name, [name for name in self._rows[row] if name not in self._names])
            hint = hint or "add it; null means that it has no value"
            self.problems.append(RowProblem(row, rule.name, f"column {rule.name!r} is missing", hint))
        elif isinstance(value, float) and not math.isfinite(value):
            shown = "NaN is not a value of JSON" if math.isnan(value) else "the number is infinite"
            hint = "write null if there is no value"
            self.problems.append(RowProblem(row, rule.name, shown, hint))
        elif isinstance(value, dict | list):
            what = "an object" if isinstance(value, dict) else "a list"
            text = f"must be {rule.needed if rule.is_number else 'a text'}, got {what}"
            self.problems.append(RowProblem(row, rule.name, text, "write one value"))
        elif not rule.is_number:
            return rule.text(value)
        else:
            return self._number(rule, row, value)
        return None

    def _number(self, rule: FeatureRule, row: int, value: Any) -> float | None:
        number = rule.number(value)
        if number is None:
            text = f"must be {rule.needed}, got {quoted(value)}"
            self.problems.append(RowProblem(row, rule.name, text, _number_hint(value)))
        elif math.isinf(number):
            text = f"{quoted(value)} is infinite, or too large for a number of 64 bits"
            self.problems.append(RowProblem(row, rule.name, text, "write a finite number"))
        else:
            return number
        return None

    def _look_at_numbers(self, rule: FeatureRule, numbers: list[Cell]) -> None:
        for row, number in enumerate(numbers):
            if not isinstance(number, float):
                continue  # a problem
            if math.isnan(number):
                self._empty(rule, row)
            elif rule.is_outside(number):
                text = f"{number:.15g} is outside the training range, {rule.low:.15g} to {rule.high:.15g}"
                self.warnings.append(RowProblem(row, rule.name, text, "is its unit that of training?"))

    def _look_at_texts(self, rule: FeatureRule, texts: list[Cell]) -> None:
        unknown = []
        for row, text in enumerate(texts):
            if text is None:
                self._empty(rule, row)
            elif rule.categories is not None and text not in rule.known:
                unknown.append(row)
                hint = did_you_mean(str(text), rule.categories) or "the model ignores it"
                shown = f"the model has never seen {quoted(text)}"
                self.warnings.append(RowProblem(row, rule.name, shown, hint))
        self._unknown.append((rule, sum(text is not None for text in texts), unknown))

    def _empty(self, rule: FeatureRule, row: int) -> None:
        if not rule.had_gaps:
            text = "it is empty, and the model was trained on rows without gaps"
            self.warnings.append(RowProblem(row, rule.name, text, "send a value"))

    def check_known(self, version: str) -> None:
        """Add a problem for each column of which no text was in training: all would be predicted alike."""
        for rule, rows, unknown in self._unknown:
            if rule.knows_none(rows, len(unknown)):
                shown = ", ".join(map(repr, (rule.categories or ())[:SHOWN]))
                value = quoted(self._rows[unknown[0]][rule.name])
                text = f"no row has a text that {version} knows: {value} for example"
                hint = f"it was trained on {shown}; give the values as the training data has them"
                self.problems.append(RowProblem(unknown[0], rule.name, text, hint))


def _plain_numbers(values: list[Any]) -> list[float] | None:
    """Return finite numbers as floats, quickly; None if some value is something else."""
    if not {*map(type, values)} <= {int, float}:
        return None
    try:
        numbers = [float(value) for value in values]
    except OverflowError:
        return None
    return numbers if all(map(math.isfinite, numbers)) else None


def _number_hint(value: Any) -> str:
    if isinstance(value, bool):
        return "write 1 or 0, if that is what it means"
    found = read_number(value) if isinstance(value, str) else None
    if found and found.plain and (not found.unit or is_known(found.unit)):
        return f"write {found.plain}"
    return "write a number, or null if there is none"


def _ids(rows: Rows, column: str | None, problems: list[RowProblem]) -> list[Any]:
    """Return the id of each row, ABSENT where it has none; a row that has an empty one is a problem."""
    if column is None:
        return [ABSENT] * len(rows.rows)
    found = []
    for place, row in enumerate(rows.rows):
        value = row.get(column, ABSENT)
        if value is ABSENT and rows.row_id is not None:
            hint = did_you_mean(column, row) or "add it to the row"
            problems.append(RowProblem(place, column, f"column {column!r} for `row_id` is missing", hint))
        elif value is None or value == "":
            problems.append(RowProblem(place, column, "the row id is empty", "give each row its id"))
        elif isinstance(value, dict | list) or (isinstance(value, float) and not math.isfinite(value)):
            problems.append(
                RowProblem(place, column, "a row id must be a text or a number", "write one value")
            )
        found.append(value)
    return found


def _sample(rule: FeatureRule) -> Any:
    if rule.dtype == "bool":
        return False
    if rule.is_number and rule.low is not None and rule.high is not None:
        middle = rule.low + (rule.high - rule.low) / 2
        return middle if rule.dtype.startswith("float") else int(middle)
    return rule.categories[0] if rule.categories else None
