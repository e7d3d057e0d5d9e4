"""Rows to predict, chunk by chunk: from a CSV, or from a SQL query through an Airflow connection.

Only the columns that are asked for are read.
"""

from __future__ import annotations

import contextlib
import csv
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batch_serving.ml.columns import NO_VALUE
from batch_serving.ml.file_forms import check_form
from batch_serving.ml.values import is_missing, text_of
from batch_serving.prediction.csv_shape import check_shape
from batch_serving.prediction.sql_rows import Rows, query
from batch_serving.shared.errors import InvalidValueError
from batch_serving.shared.paths import project_path
from batch_serving.shared.reading import local_copy
from batch_serving.shared.wording import counted

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

ROW_NUMBER = "(row number)"  # unlike any column's name
CHUNK_ROWS = 10_000


@dataclass(frozen=True)
class Wanted:
    """The columns to read beside the row id: those of numbers, and those of which each value is needed."""

    numbers: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()

    def with_texts(self, *names: str) -> Wanted:
        """Return the same columns and some more."""
        return Wanted(self.numbers, (*self.texts, *names))


@dataclass(frozen=True)
class RowSource:
    """Where rows come from: ``dataset``, a CSV with a header line, or ``sql`` and a ``connection``."""

    dataset: str | None
    sql: str | None
    connection: str | None
    row_id: str | None

    def __post_init__(self) -> None:
        """Refuse anything but one source."""
        hint = "give either dataset, or sql and connection"
        if self.dataset is not None and self.sql is not None:
            raise InvalidValueError("dataset and sql are both given", hint)
        if self.dataset is None and self.sql is None:
            raise InvalidValueError("there is no source of rows", hint)
        if self.sql is not None and not (self.connection and self.row_id):
            raise InvalidValueError(
                "sql needs an Airflow connection and a column of row ids", "add `connection` and `row_id`"
            )

    @property
    def name(self) -> str:
        """The source, for messages."""
        return f"dataset {self.dataset!r}" if self.dataset else f"the query through {self.connection!r}"

    @property
    def identity(self) -> str:
        """What distinguishes the source from others: of a query its text, without the values in it."""
        query = re.sub(r"'[^']*'|\b\d+\b", "?", " ".join(str(self.sql).split()))
        return self.name if self.dataset else f"{query!r} through {self.connection!r}"

    @property
    def id_column(self) -> str:
        """The column of the row ids; without one in the CSV, the row's number from 0."""
        return self.row_id or ROW_NUMBER

    def chunks(self, wanted: Wanted = Wanted(), rows: int = CHUNK_ROWS) -> Iterator[pd.DataFrame]:
        """Yield the rows, ``rows`` at a time: the ids as text, and those of the wanted columns that there
        are.

        From a CSV, numbers are what pandas makes of them and texts are texts; a query gives the database's
        own values. Memory does not grow with the number of rows. Raises FileNotFoundError or ValueError with
        the remedy.
        """
        number = 0
        with self._query(wanted, rows) if self.sql is not None else self._csv(wanted, rows) as frames:
            for frame in frames:
                if self.row_id is None:
                    ids = [str(row) for row in range(number, number + len(frame))]
                    frame.insert(0, ROW_NUMBER, ids)
                else:
                    frame[self.row_id] = self._ids(frame, self.row_id)
                number += len(frame)
                yield frame

    def _ids(self, frame: pd.DataFrame, row_id: str) -> list[str]:
        """Return the text of each row's id; ValueError if one is empty."""
        if row_id not in frame.columns:
            raise ValueError(f"{self.name} has no column {row_id!r} for `row_id`")
        # In an id, a text such as NA is a value.
        values = frame[row_id].tolist()
        empty = sum(
            1 for value in values if value == "" or (is_missing(value) and not isinstance(value, str))
        )
        if empty:
            raise ValueError(f"row id {row_id!r} of {self.name} is empty in {counted(empty, 'row')}")
        return [text_of(value) for value in values]

    @contextmanager
    def _query(self, wanted: Wanted, rows: int) -> Iterator[Iterator[pd.DataFrame]]:
        with query(str(self.connection), str(self.sql), rows) as (names, parts):
            if repeated := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"{self.name} has two columns named {', '.join(map(repr, repeated))}")
            places = [place for place, name in enumerate(names) if self._is_wanted(name, wanted)]
            yield (_frame(part, names, places) for part in parts)

    def _is_wanted(self, name: str, wanted: Wanted) -> bool:
        return name == self.row_id or name in wanted.numbers or name in wanted.texts

    @contextmanager
    def _csv(self, wanted: Wanted, rows: int) -> Iterator[Iterator[pd.DataFrame]]:
        import pandas as pd

        wrong = f"dataset {self.dataset!r} is not a CSV in UTF-8 with a header line"
        place = project_path(str(self.dataset))
        with contextlib.ExitStack() as stack:
            try:
                path = stack.enter_context(local_copy(place))
            except FileNotFoundError:
                raise FileNotFoundError(
                    f"dataset {self.dataset!r} does not exist at {place}; correct `dataset` in the YAML"
                ) from None
            except IsADirectoryError:
                raise ValueError(f"dataset {self.dataset!r} is a folder; name a file in it") from None
            try:
                check_shape(str(self.dataset), path)
                yield pd.read_csv(path, chunksize=rows, **self._csv_options(path, wanted))
            except UnicodeDecodeError as error:
                check_form(str(self.dataset), path.read_bytes())  # names the encoding
                raise ValueError(f"{wrong}: {error}") from None
            except (csv.Error, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
                raise ValueError(f"{wrong}: {error}") from None

    def _csv_options(self, path: Path, wanted: Wanted) -> dict[str, Any]:
        import pandas as pd

        options: dict[str, Any] = {"encoding": "utf-8-sig", "keep_default_na": False}
        names = list(pd.read_csv(path, nrows=0, **options).columns)
        # A row's id may be NA; in any other column that means "no value".
        options["na_values"] = {name: list(NO_VALUE) for name in names if name != self.row_id}
        options["dtype"] = dict.fromkeys({*wanted.texts, self.row_id} & {*names}, str)
        # Without any column pandas would not know the number of rows.
        options["usecols"] = [name for name in names if self._is_wanted(name, wanted)] or names[:1]
        return options


def _frame(part: Rows, names: list[str], places: list[int]) -> pd.DataFrame:
    """Return some columns of rows, with the values unchanged: pandas would make floats of most of them."""
    import pandas as pd

    columns = {names[place]: pd.Series([row[place] for row in part], dtype=object) for place in places}
    return pd.DataFrame(columns, index=range(len(part)))
