"""Which rows a run predicts: all, some that were drawn, or those that are new.

``draw_rows`` passes the choice to ``predict_rows`` as JSON, through XCom.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batch_serving.prediction.unique_ids import UniqueIds
from batch_serving.shared.wording import counted

if TYPE_CHECKING:
    import pandas as pd

    from batch_serving.prediction.row_source import RowSource


@dataclass(frozen=True)
class AllRows:
    """All rows of the source."""

    def to_json(self) -> dict[str, Any]:
        """Return the values for XCom."""
        return {"rows": "all"}


@dataclass(frozen=True)
class DrawnRows:
    """Rows that were drawn at random, in the order of the draw."""

    row_ids: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the values for XCom."""
        return {"rows": "random", "row_ids": list(self.row_ids)}


@dataclass(frozen=True)
class NewRows:
    """Rows that no run has predicted, up to ``until`` in the cursor column; ``lag`` as draw_rows has it.

    ``until`` is a mark in the form of JSON. Which rows these are is decided when they are predicted, so that
    of two runs at the same time each predicts its own.
    """

    cursor_column: str
    watermark: str
    source: str
    until: Any
    lag: float = 0

    def to_json(self) -> dict[str, Any]:
        """Return the values for XCom."""
        return {"rows": "incremental", **vars(self)}


Selection = AllRows | DrawnRows | NewRows


def selection_from_json(text: str) -> Selection:
    """Return the selection that ``draw_rows`` returned, as JSON."""
    given = json.loads(text)
    if given["rows"] == "all":
        return AllRows()
    if given["rows"] == "random":
        return DrawnRows(tuple(given["row_ids"]))
    if given["rows"] == "incremental":
        return NewRows(
            given["cursor_column"],
            given["watermark"],
            given["source"],
            given["until"],
            given.get("lag", 0),  # an earlier release had none
        )
    if given["rows"] == "new":  # an XCom of an earlier release, read after an upgrade
        return NewRows(given["new_by"], given["progress"], given["of"], given["until"])
    raise ValueError(f"selection has rows {given['rows']!r}; pass what draw_rows returned")


def draw(source: RowSource, size: int, seed: int) -> DrawnRows:
    """Draw ``size`` rows: those whose hash with the seed is smallest, in that order.

    So the draw does not depend on the order of rows, and needs no more memory for more of them.
    """
    kept: list[tuple[int, str]] = []  # a heap of negative hashes: the greatest hash is first
    unique = UniqueIds(source.id_column, source.name)
    total = 0
    for frame in source.chunks():
        total += len(frame)
        unique.add(frame[source.id_column])
        for row in frame[source.id_column]:
            rank = -_hash64(f"{seed}:{row}")
            if len(kept) < size:
                heapq.heappush(kept, (rank, row))
            elif size > 0 and rank > kept[0][0]:
                heapq.heapreplace(kept, (rank, row))
    unique.check(lambda: (row for frame in source.chunks() for row in frame[source.id_column]))
    if not 0 < size <= total:
        rows = counted(size, "row")
        raise ValueError(f"cannot draw {rows} from {source.name}, which has {total}; correct `rows`")
    return DrawnRows(tuple(row for _, row in sorted(kept, reverse=True)))


def _hash64(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def drawn_rows(selection: DrawnRows, source: RowSource, chunks: Iterator[pd.DataFrame]) -> pd.DataFrame:
    """Return all rows that were drawn, in the order of the draw; ValueError if one has disappeared since."""
    import pandas as pd

    order = {row: place for place, row in enumerate(selection.row_ids)}
    drawn = pd.concat([frame[frame[source.id_column].isin(list(order))] for frame in chunks])
    UniqueIds(source.id_column, source.name).add(drawn[source.id_column])
    if len(drawn) != len(order):
        raise ValueError(
            f"{source.name} has {len(drawn)} of the {len(order)} drawn rows, {', '.join(order)}; "
            "clear draw_rows to draw again"
        )
    return drawn.sort_values(source.id_column, key=lambda ids: ids.map(order))
