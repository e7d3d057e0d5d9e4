"""All rules, each with its check: what ``check`` reports, ``explain`` explains and docs/checker.md lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from schemas.checks import (
    across,
    arguments,
    build,
    classes,
    connections,
    functions,
    graph,
    ignores,
    keys,
    names,
    needed_dates,
    paths,
    references,
    rendered,
    schedules,
    secrets,
    sensors,
    skips,
    structure,
    template_files,
    template_names,
    templates,
    upcoming,
    values,
)
from schemas.documents import reading, rules
from schemas.documents.reading import Document
from schemas.problems import Problem, Rule


@dataclass(frozen=True)
class Check:
    """A function that yields problems, and the rules that it yields problems of."""

    run: Callable[..., Any]
    rules: tuple[Rule, ...]


# What is wrong with the text: found while the file is read.
READING = Check(
    reading.parse_document,
    (rules.SYNTAX, rules.GIVEN_TWICE, rules.UNREADABLE, rules.PYTHON_TAG),
)
# Keys and kinds of values: the checks after them see the document without what these find.
KEYS = Check(keys.check_keys, (keys.UNKNOWN_KEY, keys.GIVEN_IN_BOTH))
VALUES = Check(structure.check_kinds, (rules.WRONG_VALUE,))
KEYS_ARE_TEXT = Check(names.check_keys_are_text, (names.KEY_IS_NO_TEXT,))
# What is not safe: these see the document with all that is wrong in it.
SAFETY = (
    Check(secrets.check_secrets, (secrets.SECRET,)),
    Check(paths.check_no_code_by_file, (paths.CODE_IN_A_FILE,)),
    Check(
        paths.check_paths,
        (
            paths.UNRESOLVED,
            paths.WRONG_KIND,
            paths.NOT_ALLOWED,
            paths.NOT_FOR_YAML,
            paths.TYPE_IS_NO_CLASS,
            paths.DEFINED_ELSEWHERE,
        ),
    ),
    Check(templates.check_doc_files, (templates.DOC_IS_A_FILE,)),
)
# Each of these looks at one subject, and leaves what it cannot judge.
CHECKS = (
    Check(names.check_names, (names.BAD_NAME, names.NAME_TWICE, names.BECOMES_A_DAG, names.RESERVED_NAME)),
    Check(
        classes.check_types,
        (classes.NO_SUCH_ARGUMENT, classes.WRONG_CLASS_VALUE, keys.UNKNOWN_KEY),
    ),
    Check(classes.check_params, (classes.WRONG_CLASS_VALUE, classes.PLAIN_PARAM)),
    Check(classes.check_notifiers, (classes.NOTIFIER_AS_TEXT,)),
    Check(
        arguments.check_arguments,
        (arguments.WRONG_ARGUMENTS, arguments.INTO_KEYWORDS, arguments.KEYWORD_ONLY),
    ),
    Check(
        arguments.check_callbacks,
        (arguments.WRONG_ARGUMENTS, arguments.INTO_KEYWORDS, arguments.NOT_A_CALLBACK),
    ),
    Check(needed_dates.check_dates_needed, (template_names.NO_LOGICAL_DATE,)),
    Check(functions.check_functions, (functions.NOT_CALLED_SO,)),
    Check(
        schedules.check_schedule,
        (
            schedules.NOT_A_SCHEDULE,
            schedules.CRON_WITH_SECONDS,
            schedules.NEVER_RUNS,
            schedules.CRON_WITHOUT_ZONE,
        ),
    ),
    Check(schedules.check_assets, (schedules.NOT_AN_ASSET, schedules.SCHEDULE_IN_A_LIST)),
    Check(schedules.check_dates, (schedules.WRONG_DATE, schedules.MOVING_DATE)),
    Check(schedules.check_span, (schedules.WRONG_DATE,)),
    Check(graph.check_dependencies, (graph.NO_SUCH_TASK, graph.DEPENDENCY_TWICE)),
    Check(graph.check_cycles, (graph.CYCLE, graph.GROUPS_NESTED)),
    Check(skips.check_branches, (skips.NOT_DOWNSTREAM,)),
    Check(skips.check_joins, (skips.SKIPPED_JOIN,)),
    Check(skips.check_short_circuits, (skips.SHORT_CIRCUITED,)),
    Check(references.check_pulls, (references.NOT_BEFORE,)),
    Check(references.check_results, (references.NOT_BEFORE, references.TEXT_IN_EXPAND)),
    Check(rendered.check_rendering, (rendered.NOT_TEMPLATED,)),
    Check(templates.check_templates, (templates.DOES_NOT_PARSE,)),
    Check(
        template_names.check_template_names,
        (template_names.UNKNOWN_NAME, template_names.NO_LOGICAL_DATE, template_names.UNDECLARED_PARAM),
    ),
    Check(values.check_agreement, (values.REFUSED_VALUE,)),
    Check(templates.check_environment, (templates.VARIABLE_STAYS,)),
    Check(template_files.check_files, (template_files.COMMAND_IS_A_FILE, template_files.NO_SUCH_FILE)),
    Check(template_files.check_searchpath, (template_files.NO_SUCH_FOLDER,)),
    Check(template_files.check_statements, (template_files.SEVERAL_STATEMENTS,)),
    Check(sensors.check_timeouts, (sensors.ENDS_BEFORE,)),
)
# What needs the functions' own libraries, Airflow, other files, or all problems.
REFUSED_VALUES = Check(values.check_values, (values.REFUSED_VALUE, values.CHECK_FAILS))
ACROSS_FILES = Check(across.check_taken, (across.TAKEN,))
NO_DEFAULTS = Check(schedules.check_defaults, (schedules.ZONE_IS_UTC,))
CLAIMS = Check(across.check_claims, (across.TAKEN_TWICE,))
KNOWN_NAMES = Check(across.check_known, (across.NEARLY_THERE, across.NOT_HERE))
CONNECTION_TYPES = Check(connections.check_connection_types, (connections.TYPE_IS_MISSING,))
BUILDING = Check(build.check_build, (rules.REFUSED,))
IGNORES = Check(ignores.apply_ignores, (ignores.IGNORES_NOTHING, ignores.BAD_IGNORE))
INFORMATION = Check(upcoming.check_upcoming, (upcoming.NEXT_RUNS, upcoming.POOL, upcoming.CONNECTION))

ALL = (
    READING,
    KEYS,
    VALUES,
    KEYS_ARE_TEXT,
    *SAFETY,
    *CHECKS,
    REFUSED_VALUES,
    ACROSS_FILES,
    CLAIMS,
    KNOWN_NAMES,
    CONNECTION_TYPES,
    NO_DEFAULTS,
    BUILDING,
    IGNORES,
    INFORMATION,
)
RULES: dict[str, Rule] = {
    rule.code: rule
    for rule in sorted((rule for check in ALL for rule in check.rules), key=lambda one: one.code)
}


def run_all(checks: tuple[Check, ...], document: Document) -> Iterator[Problem]:
    """Yield what these checks find in a document."""
    for check in checks:
        yield from check.run(document)
