"""Arguments of classes: what stands beside ``__type__``, and what a notifier is given."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

from batch_serving.shared.suggestions import suggest
from schemas.catalog.lookup import facts_of_task, find_definition
from schemas.checks.keys import SPECIAL_KEYS, UNKNOWN_KEY
from schemas.checks.kinds import as_yaml, shown
from schemas.documents.arguments import arguments_of
from schemas.documents.reading import Document
from schemas.documents.tasks import configs_of, tasks_of
from schemas.documents.texts import mappings
from schemas.problems import WARNING, KeyPath, Problem, Rule, fix_of

NO_SUCH_ARGUMENT = Rule(
    "DAG117",
    "an argument that a class does not have",
    why="dag-factory makes an object with these arguments: one that the class does not take breaks the DAG.",
    bad="dagrun_timeout: {__type__: datetime.timedelta, minuts: 5}",
    good="dagrun_timeout: {__type__: datetime.timedelta, minutes: 5}",
)
WRONG_CLASS_VALUE = Rule(
    "DAG118",
    "a value that a class does not take",
    why="A timedelta is made of numbers, and a Param's default must fit what the Param says.",
    bad="dagrun_timeout: {__type__: datetime.timedelta, minutes: five}",
    good="dagrun_timeout: {__type__: datetime.timedelta, minutes: 5}",
)
NOTIFIER_AS_TEXT = Rule(
    "DAG119",
    "a notifier that is given as plain text",
    why="dag-factory leaves it a class that no one calls: nothing would be sent.",
    bad="on_failure_callback: airflow.providers.slack.notifications.slack_webhook.SlackWebhookNotifier",
    good=(
        "on_failure_callback:\n"
        "  callback: airflow.providers.slack.notifications.slack_webhook.SlackWebhookNotifier\n"
        "  text: It failed"
    ),
)
PLAIN_PARAM = Rule(
    "DAG156",
    "a param that is meant as a Param, and is a plain mapping",
    why="Without __type__ the mapping itself is the value: {{ params.keep }} gives {'default': 3, …}.",
    bad="params: {keep: {default: 3, type: integer}}",
    good="params: {keep: {__type__: airflow.sdk.Param, default: 3, type: integer}}",
    severity=WARNING,
)
JSON_TYPES = frozenset({"string", "integer", "number", "boolean", "array", "object", "null"})
# A Param takes the keywords of JSON Schema, and some of Airflow's own for its form.
PARAM_KEYS = (
    *("__type__", "default", "description", "source", "type", "title", "enum", "const", "examples", "format"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength"),
    *("pattern", "items", "minItems", "maxItems", "uniqueItems", "properties", "required", "section"),
    *("values_display", "description_md", "custom_html_form", "additionalProperties", "anyOf", "oneOf"),
    *("allOf", "not", "if", "then", "else", "prefixItems", "contains", "minContains", "maxContains", "$ref"),
    *("minProperties", "maxProperties", "patternProperties", "propertyNames", "dependentRequired", "schema"),
    *("dependentSchemas", "unevaluatedItems", "unevaluatedProperties", "deprecated", "readOnly", "writeOnly"),
    *(
        "contentEncoding",
        "contentMediaType",
        "contentSchema",
        "$defs",
        "$id",
        "$schema",
        "$comment",
        "$anchor",
    ),
)
LARGEST_DURATION = 1e9  # of any unit: beyond it timedelta overflows


def check_types(document: Document) -> Iterator[Problem]:
    """The keys beside ``__type__``, and those of a notifier, are arguments of that class."""
    for path, mapping in mappings(document.data, ()):
        yield from _special_keys(document, path, mapping)
        for kind, key in (("types", "__type__"), ("notifiers", "callback")):
            definition = find_definition(kind, mapping.get(key))
            if definition is not None:
                name = str(mapping[key]).rpartition(".")[2]
                known = definition.get("properties")
                yield from _values(document, path, name, mapping, known or {})
                if known is not None:
                    yield from _unknown(document, path, name, mapping, {**known, key: {}, "__args__": {}})


def _special_keys(document: Document, path: KeyPath, mapping: dict[str, Any]) -> Iterator[Problem]:
    for name in mapping:
        if str(name).startswith("__") and name not in SPECIAL_KEYS:
            found = suggest(str(name), SPECIAL_KEYS)
            fix = fix_of(str(name), found)
            hint = found.hint if found else f"the keys are {', '.join(SPECIAL_KEYS)}"
            yield document.problem(
                UNKNOWN_KEY, (*path, name), f"unknown key {name!r}", hint, key=True, fix=fix
            )


def _unknown(
    document: Document, path: KeyPath, name: str, mapping: dict[str, Any], known: dict[str, Any]
) -> Iterator[Problem]:
    for given in mapping:
        if given not in known and not str(given).startswith("__"):
            arguments = [one for one in known if not one.startswith("__") and one != "callback"]
            found = suggest(str(given), [one for one in arguments if one not in mapping])
            fix = fix_of(str(given), found)
            hint = found.hint if found else f"the arguments are {', '.join(arguments)}"
            message = f"{name} has no argument {str(given)!r}"
            yield document.problem(NO_SUCH_ARGUMENT, (*path, given), message, hint, key=True, fix=fix)


def _values(
    document: Document, path: KeyPath, name: str, mapping: dict[str, Any], known: dict[str, Any]
) -> Iterator[Problem]:
    """A duration is of numbers, and a Param's default is of the type that it says."""
    if name == "timedelta":
        for key, value in mapping.items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if key in known and not (number and abs(value) < LARGEST_DURATION):
                message = (
                    f"{key} of a timedelta must be a number below {LARGEST_DURATION:,.0f}, got {shown(value)}"
                )
                yield document.problem(WRONG_CLASS_VALUE, (*path, key), message, "write a number")
    elif name == "Param":
        yield from _param(document, path, mapping)


def _param(document: Document, path: KeyPath, mapping: dict[str, Any]) -> Iterator[Problem]:
    import jsonschema

    for key in mapping:
        if key not in PARAM_KEYS and not str(key).startswith(("__", "x-")):
            found = suggest(str(key), PARAM_KEYS)
            message = f"Param has no argument {key!r}"
            fix = fix_of(str(key), found) if found and found.name not in mapping else None
            hint = (
                found.hint
                if found
                else "its arguments are default, description and the keywords of JSON Schema"
            )
            yield document.problem(NO_SUCH_ARGUMENT, (*path, key), message, hint, key=True, fix=fix)

    kind = {key: value for key, value in mapping.items() if key not in ("__type__", "default", "description")}
    try:
        fits = jsonschema.Draft202012Validator(kind).is_valid(mapping.get("default"))
    except Exception as error:  # what stands beside __type__ is not JSON Schema
        message = f"the type of a Param must be one of JSON Schema's, got {shown(mapping.get('type'))}"
        hint = "write string, integer, number, boolean, array, object or 'null'"
        if "type" not in mapping:
            message = f"the Param is not JSON Schema: {str(error).splitlines()[0]:.80}"
        at = (*path, "type") if "type" in mapping else path
        yield document.problem(WRONG_CLASS_VALUE, at, message, hint)
        return
    if mapping.get("default") is not None and not fits:
        message = f"the default {shown(mapping['default'])} does not fit what the Param says"
        yield document.problem(
            WRONG_CLASS_VALUE, (*path, "default"), message, "correct the default or the type"
        )


def check_params(document: Document) -> Iterator[Problem]:
    """The params of DAGs and tasks are JSON: a date without quotes is none."""
    places = [(path, config.get("params")) for path, config in configs_of(document)]
    places += [
        (paths[task_id], task.get("params"))
        for _, tasks, paths in tasks_of(document)
        for task_id, task in tasks.items()
    ]
    places += [
        ((*path, "default_args"), config["default_args"].get("params"))
        for path, config in configs_of(document)
        if isinstance(config.get("default_args"), dict)
    ]
    for one in arguments_of(document):
        if one.key == "conf" and "trigger_dag_id" in facts_of_task(one.task).get("properties", {}):
            yield from _dates_in_json(document, "conf", one.path, one.value)
    for path, params in places:
        yield from _plain_params(document, (*path, "params"), params)
        yield from _dates_in_json(document, "a param", (*path, "params"), params)


def _dates_in_json(document: Document, what: str, path: KeyPath, value: Any) -> Iterator[Problem]:
    for at, leaf in _leaves(value, path):
        if isinstance(leaf, date):
            message = f"{what} must be JSON, got {shown(leaf)}"
            hint = f"put the date in quotes: '{leaf.isoformat()}'"
            yield document.problem(WRONG_CLASS_VALUE, at, message, hint)


def _plain_params(document: Document, path: KeyPath, params: Any) -> Iterator[Problem]:
    """Yield each mapping that has only what a Param takes, and a default or a type of JSON Schema."""
    for name, value in params.items() if isinstance(params, dict) else ():
        if not isinstance(value, dict) or not {*value} <= {*PARAM_KEYS} - {"__type__"}:
            continue
        types = value.get("type")
        named = (
            {*types}
            if isinstance(types, list) and all(isinstance(one, str) for one in types)
            else {str(types)}
        )
        if "default" in value or named <= JSON_TYPES:
            message = f"the value of {name} is this mapping itself, and not a Param with a default"
            given = "default: …" if "default" not in value else f"default: {as_yaml(value['default'])}"
            hint = f"write {{__type__: airflow.sdk.Param, {given}, …}}"
            yield document.problem(PLAIN_PARAM, (*path, name), message, hint)


def _leaves(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    items = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    )
    if items is None:
        yield path, value
    else:
        for key, item in items:
            yield from _leaves(item, (*path, key))


def check_notifiers(document: Document) -> Iterator[Problem]:
    """A notifier is given as a mapping: as plain text dag-factory would leave it a class."""
    for path, mapping in mappings(document.data, ()):
        for key, value in mapping.items():
            if str(key).endswith("_callback") and find_definition("notifiers", value) is not None:
                message = f"{str(value).rpartition('.')[2]} as plain text is never called"
                hint = f"write {key}: {{callback: {value}, …}} with its arguments"
                yield document.problem(NOTIFIER_AS_TEXT, (*path, key), message, hint)
