"""What looks like a secret, in values and in comments. The text itself is never shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from schemas.checks.examples import BASH
from schemas.documents.reading import Document
from schemas.documents.texts import texts
from schemas.problems import Problem, Rule

SECRET = Rule(
    "DAG203",
    "what looks like a secret",
    why="The text is in git, in Airflow's database and in its UI.",
    bad=(f"{BASH}\nbash_command: ./load\nenv: {{DB_PASSWORD: hunter2hunter2}}"),
    good=(f"{BASH}\nbash_command: ./load\nenv: {{DB_PASSWORD: '{{{{ conn.warehouse.password }}}}'}}"),
    scope="task",
    can_be_ignored=False,
)
SECRETS = (
    (re.compile(r"hooks\.slack\.com/(services|workflows)/\w{3,}[\w/-]*"), "a Slack webhook"),
    (re.compile(r"\bxox[abprs]-[\w-]{10,}"), "a Slack token"),
    (re.compile(r"\bgh[pousr]_[A-Za-z0-9]{16,}"), "a GitHub token"),
    (re.compile(r"\bAKIA[0-9A-Z]{16}\b"), "an AWS key"),
    (re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----"), "a private key"),
    (re.compile(r"\bBearer\s+[\w.~+/-]{16,}"), "a bearer token"),
    # The lengths are bounded: a search must not grow with the square of a long line.
    (
        re.compile(r"\b\w{1,20}://[^/\s:@{]{1,100}:(?!pass|secret|\*|x+@|\.)[^/\s:@{]{1,200}@"),
        "a password in a URL",
    ),
    (
        re.compile(r"(?i)\b(service_?key|api_?key|access_?token|password|passwd)=[^\s&{$'\"]{6,}"),
        "a key or password",
    ),
)
SECRET_KEY = re.compile(
    r"(?i)^(.*_)?(password|passwd|secret|token|api_?key|service_?key|private_?key|secret_(access_)?key)$"
)
NO_SECRET = re.compile(r"example|[a-z0-9_.-]+(/[a-z0-9_.-]+)+")  # a word for the reader, a path
SHORTEST = 8  # characters of a text that may be a secret by its key's name


@dataclass(frozen=True)
class Found:
    """One text that looks like a secret: where it stands, and what it looks like."""

    line: int
    column: int
    text: str
    kind: str


def check_secrets(document: Document) -> Iterator[Problem]:
    """No text looks like a secret, not even in a comment."""
    hint = "put it into an Airflow Connection, and name the connection here"
    for found in _secrets(document):
        yield SECRET.at_text(document.name, found.line, found.column, f"this looks like {found.kind}", hint)


def secret_texts(document: Document) -> list[str]:
    """Return what looks like a secret, so that nothing shows it."""
    return [found.text for found in _secrets(document)]


def without_secrets(document: Document, problems: list[Problem]) -> list[Problem]:
    """Return the problems without what looks like a secret, which may be cut off where it is shown."""
    secrets = secret_texts(document)
    return [_without(secrets, problem) for problem in problems] if secrets else problems


def _without(secrets: list[str], problem: Problem) -> Problem:
    message, hint, fix = problem.message, problem.hint, problem.fix
    for secret in secrets:
        for length in range(len(secret), SHORTEST - 1, -1):
            message, hint = (text.replace(secret[:length], "***") for text in (message, hint))
        if fix and (secret in fix.old or secret in fix.new):
            fix = None
    return replace(problem, message=message, hint=hint, fix=fix)


def _secrets(document: Document) -> Iterator[Found]:
    for number, line in enumerate(document.text.split("\n"), start=1):
        found = ((pattern.search(line), kind) for pattern, kind in SECRETS)
        match, kind = next(((match, kind) for match, kind in found if match), (None, ""))
        if match:
            spans = [span for span in document.positions.values.values() if span.line == number]
            columns = [span.column for span in spans if span.column <= match.start() + 1]
            whole = line[match.start() :].split()[0] if kind != "a bearer token" else match[0]
            yield Found(number, max(columns, default=match.start() + 1), whole.strip("'\"],}"), kind)
    for path, text in texts(document.data, ()):
        if _is_secret_by_its_key(str(path[-1]), text):
            span = document.positions.find(path, key=False)
            yield Found(span.line, span.column, text, f"the secret {str(path[-1])!r}")


def _is_secret_by_its_key(key: str, text: str) -> bool:
    if not SECRET_KEY.match(key) or len(text) < SHORTEST or "{" in text or "$" in text:
        return False
    return not NO_SECRET.fullmatch(text) and not any(pattern.search(text) for pattern, _ in SECRETS)
