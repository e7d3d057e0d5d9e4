"""A problem as data, and the ways to print it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

ERROR = "error"
WARNING = "warning"
INFORMATION = "information"

CODES = {
    "DAG001": "the text is not YAML",
    "DAG002": "unknown key",
    "DAG003": "a value of the wrong kind, or a required key is missing",
    "DAG004": "the same key twice",
    "DAG005": "the file cannot be read",
    "DAG006": "a YAML tag that makes Python objects",
    "DAG101": "a dotted path that does not resolve",
    "DAG102": "arguments that do not fit the function",
    "DAG103": "a schedule that is not one",
    "DAG104": "a task or task group that does not exist",
    "DAG105": "tasks that wait for each other",
    "DAG106": "a branch to a task that is not directly downstream",
    "DAG107": "a dag_id that another file has already",
    "DAG108": "Airflow refuses to build the DAG",
    "DAG109": "a date or time zone that is not one, or that does not apply",
    "DAG110": "a template that does not parse",
    "DAG111": "a template that pulls from a task that does not run before",
    "DAG112": "a join that is skipped with one side of a branch",
    "DAG113": "a start date that moves",
    "DAG114": "a name that Airflow does not take, or that is taken",
    "DAG115": "a template uses a name that it is not given",
    "DAG116": "a value that the function would refuse",
    "DAG201": "a path outside the allowed packages",
    "DAG202": "a module that is not for YAML",
    "DAG203": "what looks like a secret",
    "DAG204": "an environment variable, which nobody puts in",
    "DAG301": "the next runs",
    "DAG302": "a pool that must exist",
    "DAG303": "a connection that must exist",
}


@dataclass(frozen=True, order=True)
class Diagnostic:
    """One problem: where it is (1-based line and column), what it is, and the next action."""

    file: str
    line: int
    column: int
    code: str
    severity: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        """Return the line that a person reads, with the hint indented below."""
        text = f"{self.file}:{self.line}:{self.column}: {self.code} {self.severity}: {self.message}"
        return f"{text}\n  hint: {self.hint}" if self.hint else text


def as_text(diagnostics: Iterable[Diagnostic]) -> str:
    """Return one diagnostic after the other, sorted."""
    return "\n".join(map(str, sorted(diagnostics)))


def as_github(diagnostics: Iterable[Diagnostic]) -> str:
    """Return GitHub's workflow commands, which mark the lines of a pull request."""

    def escape(text: str) -> str:
        return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")

    lines = []
    for found in sorted(diagnostics):
        file = escape(found.file).replace(":", "%3A").replace(",", "%2C")
        place = f"file={file},line={found.line},col={found.column},title={found.code}"
        text = f"{found.message} ({found.hint})" if found.hint else found.message
        command = "notice" if found.severity == INFORMATION else found.severity
        lines.append(f"::{command} {place}::{escape(text)}")
    return "\n".join(lines)


def as_sarif(diagnostics: Iterable[Diagnostic]) -> str:
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
        for found in sorted(diagnostics)
    ]
    rules = [{"id": code, "shortDescription": {"text": text}} for code, text in CODES.items()]
    run = {"tool": {"driver": {"name": "batch-serving", "rules": rules}}, "results": results}
    log = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2, ensure_ascii=False)


def as_json(diagnostics: Iterable[Diagnostic]) -> str:
    """Return a JSON list of objects with the seven fields, sorted."""
    return json.dumps([asdict(found) for found in sorted(diagnostics)], indent=2, ensure_ascii=False)
