"""Row ids that must be unique, also among more rows than fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from batch_serving.shared.wording import SHOWN

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class UniqueIds:
    """Finds ids that repeat; 8 bytes of memory for each, as only their hashes are kept."""

    def __init__(self, column: str, source: str) -> None:
        """Take the names of the column and of the source, for messages."""
        self._column, self._source = column, source
        self._hashes: list[np.ndarray] = []

    def add(self, ids: pd.Series) -> None:
        """Add the ids of a chunk; ValueError if one repeats within it."""
        repeated = ids[ids.duplicated()]
        if len(repeated):
            self._refuse(repeated.tolist())
        self._hashes.append(_hashes_of(ids.tolist()))

    def check(self, read_again: Callable[[], Iterable[str]]) -> None:
        """Raise ValueError if an id repeats; if two hashes are equal, ``read_again`` gives all ids again."""
        import numpy as np

        if len(self._hashes) < 2:
            return
        hashes = np.sort(np.concatenate(self._hashes))
        suspects = {*hashes[1:][hashes[1:] == hashes[:-1]].tolist()}
        if not suspects:
            return
        seen: set[str] = set()
        repeated = []
        for row in read_again():
            if _hashes_of([row])[0] in suspects:
                if row in seen:
                    repeated.append(row)
                seen.add(row)
        if repeated:
            self._refuse(repeated)

    def _refuse(self, repeated: list[str]) -> None:
        shown = ", ".join(map(repr, [*dict.fromkeys(repeated)][:SHOWN]))
        raise ValueError(
            f"row id {self._column!r} of {self._source} is not unique: {shown} repeats; "
            "use a column that is different in every row, or remove the repeated rows"
        )


def _hashes_of(ids: list[str]) -> np.ndarray:
    import numpy as np
    import pandas as pd

    return pd.util.hash_array(np.array(ids, dtype=object), categorize=False)
