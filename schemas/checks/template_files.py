"""Files of templates: they are there, and hold one statement of SQL where only one is taken."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from batch_serving.shared.root import PROJECT_ROOT
from batch_serving.shared.suggestions import suggest
from schemas.catalog.lookup import facts_of_task
from schemas.checks.examples import BASH
from schemas.checks.rendered import Text, included, names_a_file, rendered_texts, template_file, with_contents
from schemas.documents.files import find_template, search_path
from schemas.documents.reading import Document, display_name
from schemas.documents.tasks import configs_of
from schemas.documents.texts import is_template, texts
from schemas.problems import WARNING, Problem, Rule, fix_of

COMMAND_IS_A_FILE = Rule(
    "DAG133",
    "a command that Airflow takes for a file",
    why="Airflow reads a command that ends in .sh from a file of that name, as a template.",
    bad=f"{BASH}\nbash_command: /opt/report.sh",
    good=f"{BASH}\nbash_command: '/opt/report.sh '",
    severity=WARNING,
    scope="task",
)


_SQL = "operator: airflow.providers.common.sql.operators.sql.SQLExecuteQueryOperator\nconn_id: store"


NO_SUCH_FILE = Rule(
    "DAG144",
    "a template file that does not exist",
    why="Airflow reads a text with such an end from a file of that name; without it, the task fails.",
    bad=f"{_SQL}\nsql: no_such_file.sql",
    good=f"{_SQL}\nsql: SELECT 1",
    scope="task",
)


NO_SUCH_FOLDER = Rule(
    "DAG149",
    "a folder of template_searchpath that does not exist",
    why="No template is found there. A folder is relative to the YAML's own, or to the project.",
    bad="template_searchpath: sqll",
    good="template_searchpath: data",
    severity=WARNING,
)


_TWO = "DELETE FROM a; DELETE FROM b"


SEVERAL_STATEMENTS = Rule(
    "DAG145",
    "several statements in one SQL text",
    why="SQLite and MySQL refuse more than one statement at a time, unless the operator splits them.",
    bad=f"{_SQL}\nsql: {_TWO}",
    good=f"{_SQL}\nsql: {_TWO}\nsplit_statements: true",
    severity=WARNING,
    scope="task",
)


QUOTED_SQL = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"[^\"]*\"|`[^`]*`|\$(\w*)\$.*?\$\1\$", re.DOTALL)


# A trigger or a routine is one statement with its body, which has semicolons of its own.
BODY = re.compile(
    r"\bCREATE\b[^;]*?\b(?:TRIGGER|PROCEDURE|FUNCTION|EVENT)\b[^;]*?\bBEGIN\b.*?\bEND\s*(?=;\s*(?:CREATE\b|\Z)|\Z)",
    re.DOTALL | re.IGNORECASE,
)


def check_files(document: Document) -> Iterator[Problem]:
    """A file of a template is there, those that it includes too, and a command is not taken for one."""
    for found in with_contents(document):
        if found.rendered is False:
            continue
        folders = search_path(document.path, document.config_of(found.dag_id))
        for name in sorted(included(found.text, needed=True)):
            if find_template(name, folders) is None:
                yield found.problem(_no_such_file(document, found, name, folders, "the template includes"))
    for found in rendered_texts(document):
        if not names_a_file(found) or template_file(document, found) is not None:
            continue
        folders = search_path(document.path, document.config_of(found.dag_id))
        if found.key == "bash_command" and found.text.endswith((".sh", ".bash")):
            message = "Airflow takes a command that ends in .sh for the file of a template"
            hint = "put a blank at its end, in quotes, or put the file where templates are searched"
            yield document.problem(COMMAND_IS_A_FILE, found.path, message, hint)
            continue
        yield _no_such_file(document, found, found.text, folders, f"{found.of} takes")


def check_searchpath(document: Document) -> Iterator[Problem]:
    """The folders in which templates are searched exist."""
    for path, config in configs_of(document):
        given = config.get("template_searchpath")
        for at, folder in texts(given, (*path, "template_searchpath")):
            places = [document.path.parent.resolve(), PROJECT_ROOT]
            if is_template(folder) or any((place / folder).is_dir() for place in places):
                continue
            others = [one.name for place in places for one in sorted(place.iterdir()) if one.is_dir()]
            near = suggest(folder, others)
            message = f"there is no folder {folder!r} beside the YAML or in the project"
            hint = near.hint if near else "create it, or remove it from template_searchpath"
            yield document.problem(NO_SUCH_FOLDER, at, message, hint, fix=fix_of(folder, near))


def _no_such_file(document: Document, found: Text, name: str, folders: list[Path], who: str) -> Problem:
    near = suggest(name, _files_in(folders[:-1], name))
    what = f"{who} {name!r}" if "includes" in who else f"{who} {name!r} for the name of a file"
    hint = near.hint if near else _where_to_put(document, name, folders)
    return document.problem(
        NO_SUCH_FILE, found.path, f"{what}, which does not exist", hint, fix=fix_of(name, near)
    )


def _where_to_put(document: Document, name: str, folders: list[Path]) -> str:
    """Return the places where the file is looked for: first the one beside the YAML."""
    beside = document.path.parent
    others = [folder for folder in folders if folder not in (beside.resolve(), PROJECT_ROOT)]
    places = [f"beside the YAML ({display_name(beside / name)})"]
    places += [f"into {display_name(folder)}" for folder in others]
    places += ["into the project's folder"]
    return f"put it {' or '.join(places)}, or name its folder in template_searchpath"


def _files_in(folders: list[Path], name: str) -> list[str]:
    """Return the files that a name of this folder and ending may be meant for."""
    parent, ending = Path(name).parent, Path(name).suffix
    found = [file for folder in folders for file in sorted((folder / parent).glob(f"*{ending}"))]
    return [(parent / file.name).as_posix() for file in found]


def check_statements(document: Document) -> Iterator[Problem]:
    """Several statements of SQL are split, where the operator can: most databases take one at a time."""
    for found in with_contents(document):
        facts = facts_of_task(found.task)
        can_split = "split_statements" in facts.get("properties", {})
        if found.key != "sql" or ".sql" not in facts.get("x-template-ext", ()):
            continue
        if can_split and "split_statements" in found.task:
            continue
        number = count_statements(found.text)
        if number > 1:
            message = f"{number} statements in one sql: most databases take one at a time"
            hint = "add split_statements: true, or give sql a list"
            if not can_split:
                hint = f"write one statement: {found.of} takes the result of one"
            yield found.problem(document.problem(SEVERAL_STATEMENTS, found.path, message, hint))


def count_statements(sql: str) -> int:
    """Return how many statements a text has: parts between semicolons, outside of quotes and comments."""
    bare = QUOTED_SQL.sub(lambda match: "" if match[0].startswith(("--", "/*")) else "x", sql)
    bare = BODY.sub("x", bare)
    return sum(1 for part in bare.split(";") if part.strip())
