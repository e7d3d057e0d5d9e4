"""Texts: templates that do not parse or point at nothing, and secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from schemas.diagnostics import WARNING, Diagnostic
from schemas.documents import Document, KeyPath
from schemas.operators import did_you_mean
from schemas.tasks import ancestors, full_ids, tasks_of

XCOM_PULL = re.compile(r"""xcom_pull\(\s*(?:task_ids\s*=\s*)?(['"])([\w.-]+)\1""")
SECRETS = (
    (re.compile(r"hooks\.slack\.com/(services|workflows)/\w{3,}"), "a Slack webhook"),
    (re.compile(r"xox[abprs]-[\w-]{10,}"), "a Slack token"),
    (re.compile(r"\bAKIA[0-9A-Z]{16}\b"), "an AWS key"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"), "a private key"),
    (re.compile(r"\w+://[^/\s:@{]+:[^/\s:@{]+@"), "a password in a URL"),
    (
        re.compile(r"(?i)\b(service_?key|api_?key|access_?token|password|passwd)=[^\s&{$'\"]{6,}"),
        "a key or password",
    ),
)
SECRET_KEY = re.compile(r"(?i)^(.*_)?(password|passwd|secret|token|api_?key|service_?key|private_key)$")


def texts(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """Yield (path, text) of every text in ``value``."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from texts(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from texts(item, (*path, index))


def check_templates(document: Document) -> Iterator[Diagnostic]:
    """Every Jinja template in a task parses."""
    import jinja2

    environment = jinja2.Environment(extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"])  # noqa: S701 - only parsed
    for _, tasks, paths in tasks_of(document):
        for task_id, task in tasks.items():
            for path, text in texts(task, paths[task_id]):
                if path[-1] in ("doc_md", "doc") or not ("{{" in text or "{%" in text or "{#" in text):
                    continue
                try:
                    environment.parse(text)
                except jinja2.TemplateSyntaxError as error:
                    message = f"the template does not parse: {error.message}"
                    yield document.problem(
                        "DAG110", path, message, "templates are {{ value }} and {% statement %}"
                    )


def check_references(document: Document) -> Iterator[Diagnostic]:
    """What a template pulls from another task comes from one that exists and runs before."""
    for dag_id, tasks, paths in tasks_of(document):
        known = full_ids(document, dag_id, tasks)
        for task_id, task in tasks.items():
            before = ancestors(document, dag_id, tasks, task_id)
            for path, text in texts(task, paths[task_id]):
                for match in XCOM_PULL.finditer(text):
                    pulled = match[2]
                    if pulled not in known:
                        message = f"the template pulls from task {pulled!r}, which does not exist"
                        yield document.problem("DAG111", path, message, did_you_mean(pulled, known))
                    elif known[pulled] not in before:
                        message = (
                            f"the template pulls from {pulled!r}, which need not have run before {task_id!r}"
                        )
                        hint = f"add {known[pulled]} to dependencies"
                        yield document.problem("DAG111", path, message, hint, severity=WARNING)


def check_secrets(document: Document) -> Iterator[Diagnostic]:
    """No text looks like a secret. The text itself is not shown."""
    for path, text in texts(document.data, ()):
        kind = next((kind for pattern, kind in SECRETS if pattern.search(text)), None)
        named = SECRET_KEY.match(str(path[-1])) and len(text) >= 6 and "{" not in text and "$" not in text
        if kind or named:
            message = f"this looks like {kind or f'the secret {path[-1]!r}'}"
            hint = "put it into an Airflow Connection, and name the connection here"
            yield document.problem("DAG203", path, message, hint)
