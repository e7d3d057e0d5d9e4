"""Ignore comments: ``# ignore[DAG112]: the reason``, at the end of a line, or alone above it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from schemas.documents.reading import Document
from schemas.problems import WARNING, Problem, Rule

IGNORES_NOTHING = Rule(
    "DAG007",
    "an ignore comment that ignores nothing",
    why="The problem is gone: the comment would hide the next one of its kind.",
    bad="description: Daily  # ignore[DAG113]: the date moves on purpose",
    good="description: Daily",
    severity=WARNING,
    can_be_ignored=False,
)
BAD_IGNORE = Rule(
    "DAG008",
    "an ignore comment without a reason, or for a code that cannot be ignored",
    why="Who reads the file later must know why, and an error of safety is never ignored.",
    bad="start_date: 2 days  # ignore[DAG113]",
    good="start_date: 2 days  # ignore[DAG113]: this DAG has no history",
    can_be_ignored=False,
)
COMMENT = re.compile(r"(?:^|(?<=\s))#\s*ignore\[([^\]]*)\]\s*(?::\s*(.*?))?\s*$")

NEARLY = re.compile(r"(?i)(?:^|(?<=\s))#\s*ignore\b.*DAG\d{3}")


@dataclass(frozen=True)
class Ignore:
    """One ignore comment: where it stands, the line that it is about, its codes and its reason."""

    line: int
    column: int
    target: int
    codes: tuple[str, ...]
    reason: str


def apply_ignores(
    document: Document, problems: list[Problem], rules: dict[str, Rule], checked: Collection[str] = ()
) -> list[Problem]:
    """Return the problems that no comment ignores, with those of the comments themselves.

    ``checked`` are the codes that were looked for: a comment for one of them that ignores nothing is a
    problem, too.
    """
    ignores = list(_ignores(document)) if "ignore" in document.text.lower() else []
    if not ignores:
        return problems
    used: set[tuple[Ignore, str]] = set()
    kept = []
    for problem in problems:
        own = [one for one in ignores if one.target == problem.line and problem.code in one.codes]
        found = next((one for one in own if one.reason), None)
        if found is not None and _can_be_ignored(problem, rules):
            used.add((found, problem.code))
        else:
            kept.append(problem)
            used |= {(one, problem.code) for one in own}
    for ignore in ignores:
        kept += _problems_of(document, ignore, rules, {code for one, code in used if one == ignore}, checked)
    return kept


def _can_be_ignored(problem: Problem, rules: dict[str, Rule]) -> bool:
    return rules[problem.code].can_be_ignored


def _ignores(document: Document) -> Iterator[Ignore]:
    lines = document.text.split("\n")
    inside = _lines_of_texts(document)
    for index, line in enumerate(lines):
        match = COMMENT.search(line)
        if match is None and NEARLY.search(line) and not _is_inside(index + 1, line.index("#") + 1, inside):
            yield Ignore(index + 1, line.index("#") + 1, index + 1, (), "")
        if match is None or _is_inside(index + 1, match.start() + 1, inside):
            continue
        codes = tuple(code.strip().upper() for code in match[1].split(",") if code.strip())
        alone = not line[: match.start()].strip()
        target = index + 1
        if alone:  # the next line that has anything but a comment
            below = (number for number in range(index + 1, len(lines)) if _has_yaml(lines[number]))
            target = next(below, index) + 1
        yield Ignore(index + 1, match.start() + 1, target, codes, match[2] or "")


def _has_yaml(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _lines_of_texts(document: Document) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Return the first and last (line, column) of each text that a # may be in without starting a comment."""
    text, found = document.text, []
    for span in document.positions.values.values():
        body = text[span.start : span.end].rstrip()
        if "#" in body and body[:1] in ("'", '"', "|", ">"):
            lines = body.split("\n")
            end = (span.line + len(lines) - 1, (span.column if len(lines) == 1 else 1) + len(lines[-1]))
            start = (span.line, span.column) if body[0] in "'\"" else (span.line + 1, 1)  # below the header
            found.append((start, end))
    return found


def _is_inside(line: int, column: int, texts: list[tuple[tuple[int, int], tuple[int, int]]]) -> bool:
    return any(start <= (line, column) < end for start, end in texts)


def _problems_of(
    document: Document,
    ignore: Ignore,
    rules: dict[str, Rule],
    used: set[str],
    checked: Collection[str],
) -> Iterator[Problem]:
    def bad(message: str, hint: str) -> Problem:
        return BAD_IGNORE.at_text(document.name, ignore.line, ignore.column, message, hint)

    if not ignore.codes:
        message = "the ignore comment does not have the form that is read"
        yield bad(message, "write # ignore[DAG112]: the reason")
    elif not ignore.reason:
        codes = ", ".join(ignore.codes)
        yield bad("the ignore comment has no reason", f"write # ignore[{codes}]: the reason")
    for code in ignore.codes:
        rule = rules.get(code)
        if rule is None:
            hint = "the codes are in docs/checker.md; python -m schemas explain lists them"
            yield bad(f"there is no code {code!r}", hint)
        elif not rule.can_be_ignored:
            yield bad(f"{code} cannot be ignored: {rule.title}", "remove the comment, and correct the line")
        elif code in checked and code not in used and ignore.reason:
            message = f"the comment ignores {code}, which this line does not have"
            yield IGNORES_NOTHING.at_text(
                document.name, ignore.line, ignore.column, message, "remove the comment"
            )
