"""Reading on after a line that is not YAML: each such line is reported, and the rest of the file is read.

A line is repaired as it was probably meant, or left out, whichever lets the parser come furthest. What is
repaired is checked like any other line. Nothing is ever loaded from such a file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from schemas.documents.repairs import OPENS, Repair, hint_for, in_plain_words, indent_of, repairs
from schemas.documents.rules import SYNTAX, UNREADABLE
from schemas.documents.yaml_loader import YamlLoader
from schemas.problems import Problem

MAX_DEPTH = 100
MAX_BROKEN_LINES = 50
MAX_IN_A_ROW = 4  # lines in a row that are left out


class TooDeepError(Exception):
    """Values nested deeper than MAX_DEPTH, from the given line and column on (1-based)."""

    def __init__(self, line: int, column: int) -> None:
        """Keep the place."""
        super().__init__(f"the values are nested more than {MAX_DEPTH} deep")
        self.line, self.column = line, column


@dataclass(frozen=True)
class LeftOut:
    """A line that was left out: the indentations that it may have had, and whether it may hold a mapping."""

    indents: tuple[int, ...]
    holds_a_mapping: bool


@dataclass(frozen=True)
class Composed:
    """A file as YAML nodes, and what was wrong with its text.

    ``text`` is what the nodes were made from. ``left_out`` has the lines (from 0) that were left out,
    ``guessed`` those that were kept where they may not belong.
    """

    node: yaml.Node | None
    text: str = ""
    problems: tuple[Problem, ...] = ()
    left_out: Mapping[int, LeftOut] = field(default_factory=dict)
    guessed: tuple[int, ...] = ()


def compose(name: str, text: str) -> Composed:
    """Return the nodes of ``text``; raises TooDeepError, or yaml.YAMLError where no line can be blamed."""
    problems: list[Problem] = []
    left_out: dict[int, LeftOut] = {}
    guessed: list[int] = []
    lines = text.split("\n")
    while True:
        try:
            repaired = "\n".join(lines)
            return Composed(_nodes(repaired), repaired, tuple(problems), left_out, tuple(guessed))
        except yaml.MarkedYAMLError as error:
            repair = _best_repair(lines, error)
            if repair is None or len(problems) >= MAX_BROKEN_LINES:
                problems.append(_as_problem(name, lines, error, None))
                raise UnrepairedError(*problems) from error
            problems.append(_as_problem(name, lines, error, repair))
            if (
                repair.left_out
                and {repair.line - number for number in range(1, MAX_IN_A_ROW)} <= left_out.keys()
            ):
                # Nothing fits any more: what is wrong stands above, and is reported.
                raise UnrepairedError(*problems[: -MAX_IN_A_ROW + 1]) from error
            if repair.left_out or repair.indents:
                line = lines[repair.line]
                holds = OPENS.search(line) is not None or "{" in line
                left_out[repair.line] = LeftOut(repair.indents or (indent_of(line),), holds)
            if not repair.left_out and not repair.certain:
                guessed.append(repair.line)
            lines[repair.line] = repair.text
        except yaml.reader.ReaderError as error:  # a character that YAML does not allow
            place = next((number for number, line in enumerate(lines) if NOT_ALLOWED.search(line)), None)
            if place is None:
                raise UnrepairedError(UNREADABLE.at_text(name, 1, 1, str(error.reason))) from error
            match = NOT_ALLOWED.search(lines[place])
            column = match.start() + 1 if match else 1
            message = "the text has a control character, which YAML does not allow"
            problems.append(SYNTAX.at_text(name, place + 1, column, message, "remove the character"))
            lines[place] = NOT_ALLOWED.sub(" ", lines[place])


class UnrepairedError(Exception):
    """A text of which no more can be read; holds all problems so far."""

    def __init__(self, *problems: Problem) -> None:
        """Keep the problems."""
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def _nodes(text: str) -> yaml.Node | None:
    # The C composer calls itself for each level: the depth must be known before it starts.
    depth = 0
    for event in yaml.parse(text, YamlLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                mark: Any = event.start_mark
                raise TooDeepError(mark.line + 1, mark.column + 1)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    node: yaml.Node | None = YamlLoader(text).get_single_node()
    return node


def _reached(error: yaml.MarkedYAMLError | None) -> tuple[int, float]:
    """Return how far the parser came: (whether only aliases and anchors are wrong, the line from 0)."""
    if error is None:
        return (2, 0)
    mark = error.problem_mark or error.context_mark
    return (int(isinstance(error, yaml.composer.ComposerError)), mark.line if mark else -1)


def _next_error(lines: list[str]) -> tuple[int, float]:
    try:
        _nodes("\n".join(lines))
    except yaml.MarkedYAMLError as error:
        return _reached(error)
    except (yaml.YAMLError, TooDeepError):
        return (-1, 0)
    return _reached(None)


def _best_repair(lines: list[str], error: yaml.MarkedYAMLError) -> Repair | None:
    """Return the repair of one line that lets the parser come furthest; None if none lets it go on."""
    best, found = _reached(error), None
    for repair in repairs(lines, error):
        reached = _next_error([*lines[: repair.line], repair.text, *lines[repair.line + 1 :]])
        if reached > best:
            best, found = reached, repair
        if reached == _reached(None):
            break
    return found


# All but the characters that YAML 1.1 calls printable.
NOT_ALLOWED = re.compile("[^\t\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _as_problem(name: str, lines: list[str], error: yaml.MarkedYAMLError, repair: Repair | None) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    text = " ".join(str(error.problem or error).split())
    message, hint, fix = in_plain_words(text), hint_for(text), None
    if repair is not None:
        message, hint, fix = repair.message, repair.hint, repair.fix
        if repair.line != line:
            body = lines[repair.line]
            line, column = repair.line, len(body) - len(body.lstrip())
    found = SYNTAX.at_text(name, line + 1, column + 1, message, hint)
    return replace(found, fix=fix)
