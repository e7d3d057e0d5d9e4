"""Problems as text, JSON, GitHub's workflow commands and SARIF."""

from __future__ import annotations

import json
from collections.abc import Iterable

from schemas.checks.registry import RULES
from schemas.problems import ERROR, INFORMATION, WARNING, Problem

COLOURS = {ERROR: "31;1", WARNING: "33", INFORMATION: "34"}  # of a terminal: red, yellow, blue


def as_text(problems: Iterable[Problem], *, colours: bool = False) -> str:
    """Return one problem after the other, sorted by place; the severity in its colour if wanted."""
    lines = []
    for problem in sorted(problems, key=Problem.order):
        text, word = str(problem), f" {problem.severity}: "
        if colours:
            text = text.replace(word, f" \033[{COLOURS[problem.severity]}m{problem.severity}\033[0m: ", 1)
        lines.append(text)
    return "\n".join(lines)


def summary(problems: Iterable[Problem]) -> str:
    """Return the last line of the text: how many errors and warnings there are."""
    severities = [problem.severity for problem in problems]
    errors, warnings = severities.count(ERROR), severities.count(WARNING)
    if not errors and not warnings:
        return "no problems found"
    return f"{_counted(errors, 'error')}, {_counted(warnings, 'warning')}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def as_github(problems: Iterable[Problem]) -> str:
    """Return GitHub's workflow commands, which mark the lines of a pull request."""

    def escape(text: str) -> str:
        return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")

    lines = []
    for found in sorted(problems, key=Problem.order):
        file = escape(found.file).replace(":", "%3A").replace(",", "%2C")
        place = f"file={file},line={found.line},col={found.column},title={found.code}"
        text = f"{found.message} ({found.hint})" if found.hint else found.message
        command = "notice" if found.severity == INFORMATION else found.severity
        lines.append(f"::{command} {place}::{escape(text)}")
    return "\n".join(lines)


def as_sarif(problems: Iterable[Problem]) -> str:
    """Return a SARIF 2.1.0 log, as code review and editors read it."""
    results = [
        {
            "ruleId": found.code,
            "level": "note" if found.severity == INFORMATION else found.severity,
            "message": {"text": f"{found.message}\n{found.hint}".strip()},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": found.file},
                        "region": {"startLine": found.line, "startColumn": found.column},
                    }
                }
            ],
        }
        for found in sorted(problems, key=Problem.order)
    ]
    rules = [
        {"id": code, "shortDescription": {"text": rule.title}, "fullDescription": {"text": rule.why}}
        for code, rule in RULES.items()
    ]
    run = {"tool": {"driver": {"name": "batch-serving", "rules": rules}}, "results": results}
    log = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2, ensure_ascii=False)


def as_json(problems: Iterable[Problem]) -> str:
    """Return a JSON list of objects with the seven fields, sorted by place."""
    found = [
        {
            "file": problem.file,
            "line": problem.line,
            "column": problem.column,
            "code": problem.code,
            "severity": problem.severity,
            "message": problem.message,
            "hint": problem.hint,
        }
        for problem in sorted(problems, key=Problem.order)
    ]
    return json.dumps(found, indent=2, ensure_ascii=False)
