"""What the values of a column of texts are: numbers in some notation, times, placeholders, or words."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from batch_serving.ml import notations, units
from batch_serving.ml.encodings import mojibake
from batch_serving.ml.notations import Number, is_placeholder, read_number
from batch_serving.ml.time_texts import is_time
from batch_serving.shared.wording import SHOWN, counted

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

MOST_TYPOS = 0.2  # of a column's values may be texts among numbers; with more the column is text
SAMPLE = 400  # different values, evenly spaced, that say whether a column can be numbers or times at all
FEWEST_IN_SAMPLE = 0.5  # a column of which 0.8 are numbers never has fewer: 12 standard deviations
FEWEST_NUMBERS = 10  # different ones, for which many placeholders do not make a column of categories
MOST_CODES = 20  # different numbers beside which 3+ is a category
_TOP_CODED = re.compile(r"\s*[<>≤≥]=?\s*\d+(\.\d+)?\s*|\s*\d+\s*(\+|or more|이상|이하|미만|초과)\s*")
_LONGEST = 30  # characters of a value in a message
PLAIN, OTHER_NUMBER, PLACEHOLDER, TIME, WORD, TOP_CODED, UNKNOWN_UNIT = range(7)


def quoted(value: object) -> str:
    """Return a value for a message, shortened if it is long."""
    text = str(value)
    return repr(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…")


@dataclass
class TextColumn:
    """The present values of a column: each different one is looked at once.

    ``kinds`` has the kind of each row (PLAIN, OTHER_NUMBER, …), ``present`` the rows with a value.
    """

    present: pd.Series
    texts: list[str]
    codes: np.ndarray
    numbers: dict[int, Number] = field(default_factory=dict)  # in another notation, by the value's place

    @classmethod
    def of(cls, column: pd.Series) -> TextColumn:
        """Look at a column; its missing values do not count."""
        import pandas as pd

        present = column.dropna()
        codes, values = pd.factorize(present.astype(str))
        return cls(present, values.tolist(), codes)

    @cached_property
    def sample(self) -> list[int]:
        """The kinds of some of the different values, evenly spaced."""
        return [self._kind(text) for text in self.texts[:: max(1, len(self.texts) // SAMPLE)]]

    def _sample_share(self, *kinds: int) -> float:
        others = sum(kind != PLACEHOLDER for kind in self.sample)
        return sum(kind in kinds for kind in self.sample) / max(1, others)

    @cached_property
    def kinds(self) -> np.ndarray:
        """The kind of each row's value: 1 s for 100,000 different ones, so only if the sample asks for it."""
        import numpy as np

        of_values = [self._kind(text, place) for place, text in enumerate(self.texts)]
        kinds: np.ndarray = np.array(of_values, dtype=int).take(self.codes)
        return kinds

    def _kind(self, text: str, place: int | None = None) -> int:
        if is_placeholder(text):
            return PLACEHOLDER
        if is_time(text):
            return TIME
        number = read_number(text)
        if number is None:
            return TOP_CODED if _TOP_CODED.fullmatch(text) else WORD
        if number.notations and place is not None:
            self.numbers[place] = number
        if number.unit and not units.is_known(number.unit):
            return UNKNOWN_UNIT
        return OTHER_NUMBER if number.notations else PLAIN

    def rows(self, kind: int) -> pd.Series:
        """Return the values of one kind, by line."""
        found: pd.Series = self.present[self.kinds == kind]
        return found

    def share(self, *kinds: int) -> float:
        """Return which part of the values, without placeholders, has one of the kinds."""
        import numpy as np

        found = int(np.isin(self.kinds, kinds).sum())
        return found / max(1, len(self.present) - int((self.kinds == PLACEHOLDER).sum()))

    def number_problem(self, subject: str) -> str:
        """Return that a column's values are numbers in another notation, or few are none; empty if not."""
        if self._sample_share(PLAIN, OTHER_NUMBER, TOP_CODED) < FEWEST_IN_SAMPLE:
            return ""
        if self.share(PLAIN, OTHER_NUMBER, TOP_CODED) < 1 - MOST_TYPOS:
            return ""
        # 3+ beside 0, 1 and 2 is a category; <0.5 beside many numbers is a measurement.
        is_coded = len(self._places(PLAIN)) + len(self._places(OTHER_NUMBER)) <= MOST_CODES
        if is_coded and self.share(PLAIN, OTHER_NUMBER) < 1 - MOST_TYPOS:
            return ""
        others = self.rows(OTHER_NUMBER)
        if len(others) and self._means_numbers():
            return self._notation_problem(subject, others)
        return self._few_texts(subject)

    def _means_numbers(self) -> bool:
        """Return whether numbers in other notations are quantities, not the names of categories."""
        if len(self.rows(PLAIN)) > MOST_TYPOS * len(self.present):
            return True
        found = [self.numbers[place] for place in self._places(OTHER_NUMBER)]
        first = Counter(number.notations for number in found).most_common(1)[0][0]
        if notations.UNIT in first and notations.CURRENCY not in first:
            return units.are_quantities({number.unit for number in found if number.unit}, len(found))
        return len(found) >= max(notations.MAY_BE_CATEGORIES.get(name, 1) for name in first)

    def _places(self, kind: int) -> list[int]:
        import numpy as np

        return [int(place) for place in np.unique(self.codes[self.kinds == kind])]

    def _notation_problem(self, subject: str, others: pd.Series) -> str:
        counts = Counter(int(place) for place in self.codes[self.kinds == OTHER_NUMBER])
        by_notation: Counter[tuple[str, ...]] = Counter()
        for place, rows in counts.items():
            by_notation[self.numbers[place].notations] += rows
        main = by_notation.most_common(1)[0][0]
        line, text = next(
            (line, text)
            for line, text, code in zip(
                others.index, others, self.codes[self.kinds == OTHER_NUMBER], strict=True
            )
            if self.numbers[int(code)].notations == main
        )
        number = self.numbers[self.texts.index(str(text))]
        found = {self.numbers[place].unit for place in counts} - {""}
        message = (
            f"{subject} has {number.text} in {counted(len(others), 'row')}, "
            f"which would be read as texts: line {line} has {quoted(text)}; {_remedy(number, found)}"
        )
        rest = self.present[(self.kinds != PLAIN) & (self.kinds != OTHER_NUMBER)]
        return f"{message}; {_shown(rest)}" if len(rest) else message

    def _few_texts(self, subject: str) -> str:
        """Return which few texts are among plain numbers, or what stands for "no value" there."""
        texts = self.present[self.kinds != PLAIN]
        plain = len(self._places(PLAIN))
        if (
            len(texts)
            and (self.kinds != PLAIN).sum() == (self.kinds == TOP_CODED).sum()
            and plain <= MOST_CODES
        ):
            return ""
        many = len(texts) > MOST_TYPOS * len(self.present)
        if texts.empty or (many and plain < FEWEST_NUMBERS):
            return ""
        message = f"{subject} has numbers, except in {counted(len(texts), 'row')}: {_shown(texts)}"
        is_gap = len(texts) == len(self.rows(PLACEHOLDER))
        return f"{message}; leave the field empty if there is no value" if is_gap else message

    def time_example(self) -> str:
        """Return where a column of dates or times has the first one; empty if it has few."""
        if self._sample_share(TIME) < 1 - MOST_TYPOS:
            return ""
        line, text = next((line, text) for line, text in self.present.items() if is_time(str(text)))
        return f"line {line} has {quoted(text)}"

    def unit_example(self) -> str:
        """Return where a column has many different numbers before one unknown unit; empty if it has not."""
        if self._sample_share(UNKNOWN_UNIT) < 1 or PLACEHOLDER in self.sample:
            return ""
        found, places = self.rows(UNKNOWN_UNIT), self._places(UNKNOWN_UNIT)
        if len(found) < len(self.present) or len(places) < FEWEST_NUMBERS:
            return ""
        if len({self.numbers[place].unit for place in places}) != 1:
            return ""
        return f"line {found.index[0]} has {quoted(found.iloc[0])}"

    def mojibake_example(self) -> str:
        """Return where a column has the first text that was read in a wrong encoding; empty if in no row."""
        for text in [text for text in self.texts if not text.isascii()][:SAMPLE]:
            if before := mojibake(text):
                line = self.present.index[self.texts.index(text) == self.codes][0]
                was = f", which was {quoted(before)}" if before != text else ""
                return f"line {line} has {quoted(text)}{was}"
        return ""

    def not_numbers(self, subject: str) -> str:
        """Return in which lines a column that must have numbers has something else, and what to do."""
        if problem := self.number_problem(subject):
            return problem
        wrong = self.present[self.kinds != PLAIN]
        if wrong.empty:
            return ""
        if example := self.time_example():
            return f"{subject} has dates or times as texts: {example}; give numbers"
        if len(self.numbers) and len(self.rows(OTHER_NUMBER)) >= len(wrong) / 2:
            return self._notation_problem(subject, self.rows(OTHER_NUMBER))
        return f"{subject} has texts in {counted(len(wrong), 'row')}: {_shown(wrong)}"


def _shown(values: pd.Series) -> str:
    return ", ".join(f"line {line} has {quoted(value)}" for line, value in values[:SHOWN].items())


def _remedy(number: Number, units_of_column: set[str]) -> str:
    if notations.FRACTION in number.notations:
        return "make two columns of it, or write a fraction as a decimal number such as 0.5"
    if notations.DURATION in number.notations:
        return "write how many hours or seconds it is"
    if not number.plain:
        return "write it with a sign"
    if not number.unit or notations.CURRENCY in number.notations:
        return f"write {number.plain}"
    if len(units_of_column) > 1 and not any(map(units.multiplier, units_of_column)):
        return f"write {number.plain}: all in one unit, and that into the column's name"
    return f"write {number.plain}, and the unit into the column's name"
