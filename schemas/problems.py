"""A problem as data: what it is about, by its key path, until it is printed; and the rule that it breaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from batch_serving.shared.suggestions import Suggestion

ERROR = "error"
WARNING = "warning"
INFORMATION = "information"

KeyPath = tuple[str | int, ...]


class Span(NamedTuple):
    """Where a key or value stands: line and column, 1-based, and its characters ``text[start:end]``."""

    line: int
    column: int
    start: int
    end: int


@dataclass(frozen=True)
class Positions:
    """Where each key and each value of a file stands."""

    keys: Mapping[KeyPath, Span] = field(default_factory=dict)
    values: Mapping[KeyPath, Span] = field(default_factory=dict)

    def find(self, path: KeyPath, *, key: bool) -> Span:
        """Return where the value (or the key) at ``path`` stands, or the nearest parent in the file."""
        found = (self.keys if key else self.values).get(path) or self.values.get(path)
        while found is None and path:
            path = path[:-1]
            found = self.keys.get(path) or self.values.get(path)
        return found or Span(1, 1, 0, 0)


@dataclass(frozen=True)
class Fix:
    """The one safe correction: ``new`` for ``old``, which stands once in the text of the key or value."""

    old: str
    new: str


def fix_of(name: str, found: Suggestion | None) -> Fix | None:
    """Return the fix that puts a certain suggestion in the name's place."""
    return Fix(name, found.name) if found and found.certain else None


@dataclass(frozen=True)
class Problem:
    """One problem of one file. Line and column are looked up when they are asked for.

    ``path`` is the key path of what it is about; a problem of the text itself, which no key path names, has
    ``place`` (line and column).
    """

    file: str
    path: KeyPath
    code: str
    severity: str
    message: str
    hint: str = ""
    of_key: bool = False
    fix: Fix | None = None
    place: tuple[int, int] | None = None
    positions: Positions = field(default_factory=Positions, repr=False, compare=False)

    @property
    def span(self) -> Span:
        """Where it stands in the file."""
        if self.place:
            return Span(*self.place, 0, 0)
        return self.positions.find(self.path, key=self.of_key)

    @property
    def is_in_the_file(self) -> bool:
        """Whether its key or value is written in this file, and does not come from a defaults file."""
        return self.path in (self.positions.keys if self.of_key else self.positions.values)

    @property
    def line(self) -> int:
        """The line, from 1."""
        return self.span.line

    @property
    def column(self) -> int:
        """The column, from 1."""
        return self.span.column

    def as_warning(self) -> Problem:
        """Return it as a warning: the file loads all the same."""
        return replace(self, severity=WARNING)

    def order(self) -> tuple[str, int, int, str, str, str]:
        """Return the key by which problems are sorted: by their place, then by their code and text."""
        span = self.span
        return (self.file, span.line, span.column, self.code, self.message, self.hint)

    def __str__(self) -> str:
        """Return the line that is printed, with the hint indented below."""
        text = f"{self.file}:{self.line}:{self.column}: {self.code} {self.severity}: {self.message}"
        return f"{text}\n  hint: {self.hint}" if self.hint else text


@dataclass(frozen=True)
class Rule:
    """One rule, one code: what is wrong, why it matters, and YAML with and without the mistake.

    ``scope`` says where the examples stand: ``file``, ``dag`` (keys of a DAG), ``tasks`` (a DAG's tasks) or
    ``task`` (keys of a task).
    """

    code: str
    title: str
    why: str
    bad: str
    good: str
    severity: str = ERROR
    scope: str = "dag"
    can_be_ignored: bool = True

    def at_text(self, file: str, line: int, column: int, message: str, hint: str = "") -> Problem:
        """Return a problem of the text itself, at a line and column."""
        return Problem(file, (), self.code, self.severity, message, hint, place=(line, column))
