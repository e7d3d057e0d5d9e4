"""Labels of axes that do not overlap, whatever a class or a column is called: one line, with a tooltip.

A picture is laid out without the browser's fonts. So each label is drawn as digits of the same width, and its
text takes their place in the SVG: Korean is twice as wide as Latin letters, and matplotlib's font lacks it.
"""

from __future__ import annotations

import html
import itertools
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

MOST_COLUMNS = 24  # of a label; a Korean letter has two, a Latin one has one
TURNED_ABOVE = 4  # columns: labels below a picture are turned if one is wider
TURNED = {"rotation": 90, "rotation_mode": "anchor", "ha": "right", "va": "center"}
EMPTY = "(empty)"
WIDE_LETTERS = frozenset("MWmw@%Œœ")
ROOM = 1.1  # of a label's width: capital letters and other fonts are wider
_JOINER = "\u200d"


class Labels:
    """The labels of one figure."""

    def __init__(self) -> None:
        """Start without labels."""
        self._texts: list[tuple[str, str]] = []  # each label, and the name that it stands for

    def put(self, axis: Any, names: Sequence[str], **place: Any) -> None:
        """Give an axis of matplotlib one tick for each name, 0, 1, 2 and so on, and room for the names.

        ``place`` are properties of matplotlib's texts, such as their rotation.
        """
        labels = labels_of(names)
        axis.set_ticks(range(len(names)), ["0" * math.ceil(ROOM * columns(label)) for label in labels])
        for text, name, label in zip(axis.get_ticklabels(), names, labels, strict=True):
            text.set(gid=f"label-{len(self._texts)}", **place)
            self._texts.append((label, name))

    def in_svg(self, svg: str) -> str:
        """Return a picture with the names in it; one that is shortened is whole in its tooltip."""

        def named(found: re.Match[str]) -> str:
            label, name = (html.escape(text, quote=False) for text in self._texts[int(found[2])])
            return f"{found[1]}{label}<title>{name}</title></text>"

        return re.sub(r'(<g id="label-(\d+)">\s*<text [^>]*>)0*</text>', named, svg)


def are_wide(names: Sequence[str]) -> bool:
    """Return whether labels side by side would overlap, and have to be turned."""
    return any(columns(label) > TURNED_ABOVE for label in labels_of(names))


def labels_of(names: Sequence[str]) -> list[str]:
    """Return the label of each name: one short line, and different ones for different names."""
    lines = [list(_characters(_line_of(name))) for name in names]
    labels = [_shortened(line) for line in lines]
    for label in _repeated(labels):
        same = [place for place, other in enumerate(labels) if other == label]
        begin = _common([lines[place] for place in same])
        for place in same:
            labels[place] = _shortened_from(lines[place], begin)
    for label in _repeated(labels):
        same = [place for place, other in enumerate(labels) if other == label]
        for number, place in enumerate(same, start=1):
            labels[place] = f"{''.join(_fitting(list(_characters(label)), MOST_COLUMNS - 6))} ({number})"
    return labels


def _common(lines: list[list[str]]) -> int:
    """Return how many of the first characters are the same in all lines."""
    together = zip(*lines, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda found: len({*found}) == 1, together))


def _repeated(labels: list[str]) -> list[str]:
    return [label for label, number in Counter(labels).items() if number > 1]


def _line_of(name: str) -> str:
    kept = (" " if unicodedata.category(one) in ("Cc", "Zl", "Zp") else one for one in name)
    return " ".join("".join(one for one in kept if not _is_control(one)).split()) or EMPTY


def _shortened(line: list[str]) -> str:
    """Return a line without its middle, if it is too long."""
    if columns("".join(line)) <= MOST_COLUMNS:
        return "".join(line)
    head = _fitting(line, MOST_COLUMNS - MOST_COLUMNS // 3 - 1)
    tail = _fitting(line[::-1], MOST_COLUMNS // 3)[::-1]
    return f"{''.join(head).rstrip()}…{''.join(tail).lstrip()}"


def _shortened_from(line: list[str], begin: int) -> str:
    """Return the beginning of a line that is too long, and what follows where it differs from others."""
    if columns("".join(line)) <= MOST_COLUMNS:
        return "".join(line)
    head, rest = _fitting(line, MOST_COLUMNS // 3), line[begin:]
    tail = _fitting(rest, MOST_COLUMNS - MOST_COLUMNS // 3 - 2)
    end = "…" if len(tail) < len(rest) else ""
    return f"{''.join(head).rstrip()}…{''.join(tail).strip()}{end}"


def columns(text: str) -> int:
    """Return how wide a text is: two columns for each Korean letter or emoji, one for others."""
    return sum(map(_columns_of, _characters(text)))


def _is_control(one: str) -> bool:
    """Return whether a character only changes others, such as one that turns the direction of writing."""
    return unicodedata.category(one) in ("Cf", "Cs") and one != _JOINER


def _characters(text: str) -> Iterator[str]:
    """Yield the characters as a reader counts them: an accent belongs to its letter."""
    current = ""
    for one in text:
        joins = unicodedata.combining(one) or unicodedata.category(one) in ("Mn", "Me", "Mc")
        if current and not (joins or one == _JOINER or current.endswith(_JOINER) or _is_skin_tone(one)):
            yield current
            current = ""
        current += one
    if current:
        yield current


def _is_skin_tone(one: str) -> bool:
    return "\U0001f3fb" <= one <= "\U0001f3ff"


def _columns_of(character: str) -> int:
    is_wide = any(unicodedata.east_asian_width(one) in "WF" for one in character)
    return 2 if is_wide or character in WIDE_LETTERS else 1


def _fitting(characters: list[str], most: int) -> list[str]:
    """Return as many of the first characters as have room."""
    widths = itertools.accumulate(map(_columns_of, characters))
    return [character for character, width in zip(characters, widths, strict=True) if width <= most]
