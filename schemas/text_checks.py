"""Texts: templates that do not parse, environment variables that nobody puts in, and secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from schemas.diagnostics import ERROR, WARNING, Diagnostic
from schemas.documents import Document, KeyPath
from schemas.tasks import tasks_of

if TYPE_CHECKING:
    import jinja2
    import jinja2.nodes

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
VARIABLE = re.compile(r"\$\{[A-Za-z_]\w*\}|\$[A-Z_][A-Z0-9_]*\b")
# A shell or a program reads the text below these keys, or a person does.
SHELL = re.compile(
    r"(?i)(^|_)(bash|cmds?|commands?|arguments|sql|env|env_vars|doc|docs|description|html|text|regex|pattern)(_|$)"
)


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


def is_template(text: str) -> bool:
    """Tell whether Jinja would find anything in ``text``."""
    return "{{" in text or "{%" in text or "{#" in text


@cache
def parse_template(text: str) -> jinja2.nodes.Template | None:
    """Return the syntax tree of a template; None if the text is none, or does not parse."""
    if not is_template(text):
        return None
    import jinja2

    try:
        return _environment().parse(text)
    except (jinja2.TemplateSyntaxError, RecursionError):
        return None


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    class Anything(dict):
        """Has whatever is asked for: filters and tests have a check of their own."""

        def get(self, _name: str, _default: object = None) -> object:
            return str

        def __contains__(self, _name: object) -> bool:
            return True

    found = jinja2.Environment(extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"])  # noqa: S701 - only parsed
    found.filters, found.tests = Anything(), Anything()
    return found


def check_templates(document: Document) -> Iterator[Diagnostic]:
    """Every Jinja template in a task parses."""
    import jinja2

    for _, tasks, paths in tasks_of(document):
        for task_id, task in tasks.items():
            for path, text in texts(task, paths[task_id]):
                if path[-1] in ("doc_md", "doc") or not is_template(text):
                    continue
                try:
                    _environment().parse(text)
                except (jinja2.TemplateSyntaxError, RecursionError) as error:
                    message = f"the template does not parse: {getattr(error, 'message', 'nested too deeply')}"
                    yield document.problem(
                        "DAG110", path, message, "templates are {{ value }} and {% statement %}"
                    )


def check_environment(document: Document) -> Iterator[Diagnostic]:
    """No text waits for an environment variable: none is put in, and only a shell would do it later."""
    for path, text in texts(document.data, ()):
        match = None if re.search(r"\s", text) else VARIABLE.search(text)
        if match and not any(SHELL.search(str(key)) for key in path[1:]):
            message = f"{match[0]!r} stays as it is: environment variables are not put into YAML"
            hint = "write the value, or a template with an Airflow Variable: {{ var.value.NAME }}"
            yield document.problem("DAG204", path, message, hint, severity=WARNING)


def check_files(document: Document) -> Iterator[Diagnostic]:
    """No text is taken for the name of a file that Airflow then reads."""
    for path, text in texts(document.data, ()):
        if path[-1] == "doc_md" and text.strip().endswith(".md") and len(path) <= 2:
            message = "Airflow reads a doc_md that ends in .md from a file"
            yield document.problem(
                "DAG201", path, message, "write the text itself, or end it with a full stop"
            )
    for dag_id, tasks, paths in tasks_of(document):
        searched = document.config_of(dag_id).get("template_searchpath")
        for task_id, task in tasks.items():
            command = task.get("bash_command")
            if isinstance(command, str) and command.endswith((".sh", ".bash")) and not searched:
                message = "Airflow takes a command that ends in .sh for the file of a template"
                hint = "put a blank at its end, in quotes, or give the DAG a template_searchpath"
                path = (*paths[task_id], "bash_command")
                yield document.problem("DAG110", path, message, hint, severity=WARNING)


def check_secrets(document: Document) -> Iterator[Diagnostic]:
    """No text looks like a secret, in a comment neither. The text itself is not shown."""
    for place, _, kind in _secrets(document):
        message = f"this looks like {kind}"
        hint = "put it into an Airflow Connection, and name the connection here"
        yield Diagnostic(document.name, *place, "DAG203", ERROR, message, hint)


def secret_texts(document: Document) -> list[str]:
    """Return what looks like a secret, so that nothing shows it."""
    return [text for _, text, _ in _secrets(document)]


def _secrets(document: Document) -> Iterator[tuple[tuple[int, int], str, str]]:
    """Yield (line and column, text, what it looks like)."""
    for number, line in enumerate(document.text.splitlines(), start=1):
        found = ((pattern.search(line), kind) for pattern, kind in SECRETS)
        if first := next(((match, kind) for match, kind in found if match), None):
            match, kind = first
            places = [place for place in document.values.values() if place[0] == number]
            value = max((place for place in places if place[1] <= match.start() + 1), default=None)
            whole = line[match.start() :].split()[0] if kind != "a bearer token" else match[0]
            yield value or (number, match.start() + 1), whole.strip("'\"],}"), kind
    for path, text in texts(document.data, ()):
        named = SECRET_KEY.match(str(path[-1])) and len(text) >= 8 and "{" not in text and "$" not in text
        if (
            named
            and not NO_SECRET.fullmatch(text)
            and not any(pattern.search(text) for pattern, _ in SECRETS)
        ):
            place = document.values.get(path) or (1, 1)
            yield place, text, f"the secret {str(path[-1])!r}"
