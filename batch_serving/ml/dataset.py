"""The rows of one file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

ROW_NUMBER_NAMES = ("row_number", "_row_number", "__row_number")  # where the file has no column of ids


@dataclass(frozen=True)
class Dataset:
    """Rows read from one file: ``frame`` has the row ids (text), the features and the target."""

    location: str
    sha256: str
    frame: pd.DataFrame
    row_id: str
    target: str

    @property
    def features(self) -> list[str]:
        """The columns that a model may learn from, in the file's order."""
        return [str(name) for name in self.frame.columns if name not in (self.row_id, self.target)]
