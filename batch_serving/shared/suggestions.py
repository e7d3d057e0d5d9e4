"""Suggestions for names that are nearly right: the closest for a hint, the only close one for a fix."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

DIGITS = re.compile(r"\d")
OPPOSITES = (
    ("from", "to"),
    ("encode", "decode"),
    ("load", "dump"),
    ("min", "max"),
    ("upper", "lower"),
    ("first", "last"),
    ("before", "after"),
    ("include", "exclude"),
)
SHORT, LONG = 2, 5  # characters from which on one edit, and two, leave no doubt what is meant


@dataclass(frozen=True)
class Suggestion:
    """The closest known name. ``certain``: no other name is as close, so that it may be put in its place."""

    name: str
    certain: bool

    @property
    def hint(self) -> str:
        """Return the question that a hint asks."""
        return f"did you mean {self.name!r}?"


def suggest(name: str, known: Iterable[str]) -> Suggestion | None:
    """Return the closest of ``known``, or None where nothing is close.

    Close is what one typo away is (two in a longer name), as the optimal string alignment distance counts:
    a letter added, left out or replaced, or two neighbours swapped. What difflib finds similar beyond that is
    a hint, and never certain.
    """
    names = [one for one in dict.fromkeys(map(str, known)) if one != name and not _is_opposite(name, one)]
    best = nearest(name, names)
    if best:
        return Suggestion(best[0], certain=len(best) == 1 and not _is_another_number(name, best[0]))
    by_case = [one for one in names if one.lower() == name.lower()]
    if len(by_case) == 1:
        return Suggestion(by_case[0], certain=True)
    similar = _most_similar(name, names) or _most_similar(name.lower(), names)
    return Suggestion(similar, certain=False) if similar else None


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Return those of ``known`` that are nearest to ``name``, sorted; none where nothing is close."""
    allowed = 0 if len(name) < SHORT else 1 if len(name) < LONG else 2
    names = (one for one in dict.fromkeys(map(str, known)) if one != name)
    near = [(edits(name, one, allowed), one) for one in names if abs(len(one) - len(name)) <= allowed]
    least = min((distance for distance, _ in near), default=allowed + 1)
    return sorted(one for distance, one in near if distance == least <= allowed)


def _is_another_number(one: str, other: str) -> bool:
    """Return whether two names differ in their digits alone: load_2023 is not a typo of load_2024."""
    return DIGITS.sub("", one) == DIGITS.sub("", other)


def _is_opposite(one: str, other: str) -> bool:
    """Return whether one name says the opposite of the other, however similar they are: from_json, tojson."""
    mine, its = (text.lower().replace("_", "") for text in (one, other))
    pairs = [*OPPOSITES, *((second, first) for first, second in OPPOSITES)]
    return any(first in mine and mine.replace(first, second) == its for first, second in pairs)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``did you mean 'x'?`` for the closest of ``known``, or an empty text."""
    found = suggest(name, known)
    return found.hint if found else ""


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the one of ``known`` that ``name`` was most likely meant to be, or None."""
    found = suggest(name, known)
    return found.name if found else None


def meant(name: str, known: Iterable[str]) -> str | None:
    """Return ``name`` if it is known, or else the only name that is close to it, or None."""
    names = list(known)
    if name in names:
        return name
    found = suggest(name, names)
    return found.name if found and found.certain else None


def _most_similar(name: str, names: list[str]) -> str:
    import difflib

    return next(iter(difflib.get_close_matches(name, names, n=1, cutoff=0.6)), "")


def edits(one: str, other: str, limit: int) -> int:
    """Return the optimal string alignment distance of two texts, or ``limit + 1`` if it is greater."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for index, letter in enumerate(one, 1):
        two_before, before, row = before, row, [index]
        for place, found in enumerate(other, 1):
            cost = min(before[place] + 1, row[-1] + 1, before[place - 1] + (letter != found))
            swapped = index > 1 and place > 1 and letter == other[place - 2] and one[index - 2] == found
            row.append(min(cost, two_before[place - 2] + 1) if swapped else cost)
        if min(row) > limit:
            return limit + 1
    return row[-1]
