"""What a version's record says of a feature: which values it takes, and which of them are unusual.

One rule for a column of a CSV, of a query, and for one value in a request: so all are read alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from batch_serving.ml.columns import is_number, out_of_range
from batch_serving.ml.values import FLAGS, is_missing, number_of, text_of

FEW_CATEGORIES = 20
FEWEST_ROWS_WITHOUT_A_KNOWN_TEXT = 20  # where training had more categories than that


@dataclass(frozen=True)
class FeatureRule:
    """A feature of a version: ``low`` and ``high`` are its training range, ``categories`` its texts.

    ``categories`` is None for numbers, and for texts of which there were too many to record.
    """

    name: str
    dtype: str
    low: float | None = None
    high: float | None = None
    categories: tuple[str, ...] | None = None
    had_gaps: bool = True
    kind: str | None = None  # of a column that is more than a number or a category

    @classmethod
    def of(cls, feature: dict[str, Any]) -> FeatureRule:
        """Return the rule of what the record has; KeyError or TypeError if it has something else."""
        categories = feature.get("categories")
        shares = feature.get("distribution", {}).get("shares")
        return cls(
            feature["name"],
            feature["dtype"],
            feature.get("min"),
            feature.get("max"),
            None if categories is None else tuple(categories),
            # The last share is that of empty cells.
            had_gaps=not shares or bool(shares[-1]),
            kind=feature.get("kind"),
        )

    @cached_property
    def is_number(self) -> bool:
        """Whether it is a feature of numbers; true and false count as numbers."""
        return is_number(self.dtype)

    @cached_property
    def accepts_flags(self) -> bool:
        """Whether true and false are numbers for it: it was 0 and 1, or true and false, in training."""
        if self.dtype == "bool":
            return True
        return self.low is not None and self.high is not None and self.low >= 0 and self.high <= 1

    @cached_property
    def needed(self) -> str:
        """What a value of a feature of numbers must be, for messages."""
        return "a number, true or false" if self.accepts_flags else "a number"

    @cached_property
    def known(self) -> frozenset[str]:
        """The texts of training."""
        return frozenset(self.categories or ())

    @cached_property
    def spelling(self) -> dict[float, str]:
        """How training spells 1 and 0, if its texts were flags beside gaps; empty for other texts."""
        texts = self.categories or ()
        if not texts or not all(text.lower() in FLAGS for text in texts):
            return {}
        return {FLAGS[text.lower()]: text for text in texts}

    def number(self, value: Any) -> float | None:
        """Return a value as a number, NaN if it is missing, None if it is not a number."""
        return number_of(value, accepts_flags=self.accepts_flags)

    def text(self, value: Any) -> str | None:
        """Return the text of a value, None if it is missing; flags in the spelling of training."""
        if is_missing(value):
            return None
        if self.spelling:
            number = number_of(value, accepts_flags=True)
            if number is not None and number in self.spelling:
                return self.spelling[number]
        return text_of(value)

    def is_outside(self, number: float) -> bool:
        """Return whether a number is beyond the training range, with some slack."""
        if self.low is None or self.high is None:
            return False
        return bool(out_of_range(number, self.low, self.high))

    def knows_none(self, rows: int, unknown: int) -> bool:
        """Return whether it is a mistake that ``unknown`` of so many rows with a text are new: all of them.

        A single row may well have a new text; so may a few, where training had many.
        """
        known = self.categories or ()
        fewest = 2 if len(known) <= FEW_CATEGORIES else FEWEST_ROWS_WITHOUT_A_KNOWN_TEXT
        return bool(known) and rows >= fewest and unknown == rows
