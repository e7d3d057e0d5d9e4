"""A YAML file as people read it: line numbers, colours, and each problem below its line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup, escape

from batch_page.rendering import markup

MOST_LINES = 5000


@dataclass(frozen=True)
class Line:
    """A line of a file, coloured, with its problems."""

    number: int
    text: Markup
    problems: list[dict[str, Any]] = field(default_factory=list)


def lines_of(text: str, problems: list[dict[str, Any]]) -> list[Line]:
    """Return the lines of a YAML file; a problem without a line is at the first."""
    by_line: dict[int, list[dict[str, Any]]] = {}
    coloured = _coloured(text)
    for problem in problems:
        number = min(max(1, int(problem.get("line") or 1)), max(1, len(coloured)))
        by_line.setdefault(number, []).append(problem)
    return [Line(number, line, by_line.get(number, [])) for number, line in enumerate(coloured, 1)]


def _coloured(text: str) -> list[Markup]:
    """Return the lines with a class for each kind of token; one of several lines is in each of them."""
    from pygments.lexers.data import YamlLexer
    from pygments.token import STANDARD_TYPES

    lines: list[list[str]] = [[]]
    for kind, value in YamlLexer(stripnl=False, ensurenl=False).get_tokens(text):
        name = STANDARD_TYPES.get(kind, "")
        for number, part in enumerate(value.split("\n")):
            if number:
                lines.append([])
                if len(lines) > MOST_LINES:
                    return [markup("".join(line)) for line in lines[:MOST_LINES]]
            if part:
                shown = str(escape(part))
                lines[-1].append(f'<span class="y-{name}">{shown}</span>' if name else shown)
    if lines and not lines[-1]:
        lines.pop()
    return [markup("".join(line)) for line in lines]
