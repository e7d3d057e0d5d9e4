"""Texts that Airflow or a shell reads: templates that do not parse, environment variables, file names."""

from __future__ import annotations

import re
from collections.abc import Iterator

from schemas.checks.examples import BASH
from schemas.checks.rendered import with_contents
from schemas.documents.reading import Document
from schemas.documents.texts import is_template, parse_strictly, parse_template, texts
from schemas.problems import WARNING, Problem, Rule

DOES_NOT_PARSE = Rule(
    "DAG110",
    "a template that does not parse",
    why="The task would fail when it renders its arguments.",
    bad=f"{BASH}\nbash_command: echo '{{{{ ds }}'",
    good=f"{BASH}\nbash_command: echo '{{{{ ds }}}}'",
    scope="task",
)
VARIABLE_STAYS = Rule(
    "DAG204",
    "an environment variable that is not replaced",
    why="Stock dag-factory puts the value in, secrets too, and shows it in the DAG's doc; here text is text.",
    bad=("operator: airflow.providers.standard.sensors.filesystem.FileSensor\nfilepath: $DATA/digits.csv"),
    good=(
        "operator: airflow.providers.standard.sensors.filesystem.FileSensor\n"
        "filepath: '{{ var.value.data }}/digits.csv'"
    ),
    severity=WARNING,
    scope="task",
)
DOC_IS_A_FILE = Rule(
    "DAG206",
    "a doc_md that Airflow reads from a file",
    why="Airflow reads a doc_md that ends in .md from any file of that name, and shows it in the UI.",
    bad="doc_md: /etc/notes.md",
    good="doc_md: Trains a model.",
    can_be_ignored=False,
)
# What other programs than Jinja have in braces: Go templates ({{.Names}}), awk ({{print $1}}), dates ({%y}).
OF_ANOTHER_PROGRAM = re.compile(r"\{\{-?\s*(\.|\$|print\b|range\b|end\b|json\b)|\{%[A-Za-z]\b|\$\w")
VARIABLE = re.compile(r"\$\{[A-Za-z_]\w*\}|\$[A-Z_][A-Z0-9_]*\b")
# A shell or a program reads the text below these keys, or a reader of the UI does.
SHELL = re.compile(
    r"(?i)(^|_)(bash|cmds?|commands?|arguments|sql|env|env_vars|doc|docs|description|html|text|regex|pattern)(_|$)"
)


def check_templates(document: Document) -> Iterator[Problem]:
    """Every Jinja template in a task, in default_args or in a callback parses."""
    import jinja2

    for found in with_contents(document):
        if found.rendered is False or not is_template(found.text) or parse_template(found.text):
            continue
        try:
            parse_strictly(found.text)
        except (jinja2.TemplateSyntaxError, RecursionError) as error:
            message = f"the template does not parse: {getattr(error, 'message', 'nested too deeply')}"
            line = getattr(error, "lineno", None)
            at = f" in line {line}" if found.file and line else ""
            problem = document.problem(DOES_NOT_PARSE, found.path, f"{message}{at}", _syntax_hint(found.text))
            yield found.problem(problem)


def _syntax_hint(text: str) -> str:
    if "{#" in text and "#}" not in text:  # ${#array[@]} of a shell
        return "Jinja takes {# for a comment: write {% raw %}…{% endraw %} around what the shell is to read"
    if OF_ANOTHER_PROGRAM.search(text):
        return "if another program is to read the braces, write {% raw %}…{% endraw %} around them"
    return "write a value as {{ value }} and a statement as {% statement %}"


def check_environment(document: Document) -> Iterator[Problem]:
    """No text waits for an environment variable: none is put in, and only a shell would do it later."""
    for path, text in texts(document.data, ()):
        match = None if re.search(r"\s", text) else VARIABLE.search(text)
        if match and not any(SHELL.search(str(key)) for key in path[1:]):
            message = f"{match[0]!r} stays unchanged: environment variables are not put into YAML"
            hint = "write the value, or a template with an Airflow Variable: {{ var.value.NAME }}"
            yield document.problem(VARIABLE_STAYS, path, message, hint)


def check_doc_files(document: Document) -> Iterator[Problem]:
    """No doc_md is taken for the name of a file that Airflow then reads."""
    for path, text in texts(document.data, ()):
        if path[-1] == "doc_md" and text.strip().endswith(".md") and len(path) <= 2:
            message = "Airflow reads a doc_md that ends in .md from a file"
            hint = "write the text itself, or end it with a full stop"
            yield document.problem(DOC_IS_A_FILE, path, message, hint)
