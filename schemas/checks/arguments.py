"""Arguments of functions: what a task or a callback gives its function fits the function's signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from batch_serving.shared.suggestions import suggest
from schemas.catalog.lookup import arguments_of_decorator, load_schema
from schemas.catalog.old_names import KEY_ADVICE
from schemas.catalog.signatures import schema_of
from schemas.checks.examples import GOOD_PRUNE, PRUNE, PRUNE_REST, PYTHON
from schemas.checks.kinds import action, kind_of, shown
from schemas.checks.paths import is_decorator, resolved
from schemas.documents.reading import Document
from schemas.documents.tasks import tasks_of
from schemas.documents.texts import mappings
from schemas.problems import WARNING, Fix, KeyPath, Problem, Rule

WRONG_ARGUMENTS = Rule(
    "DAG102",
    "arguments that do not fit the function",
    why="The function would fail when the task runs, or never see the value.",
    bad=f"{PRUNE}\nop_kwargs: {{modle: digits, {PRUNE_REST}}}",
    good=GOOD_PRUNE,
    scope="task",
)
NOT_A_CALLBACK = Rule(
    "DAG120",
    "a callback that does not take the context",
    why="Airflow calls a callback with the run's context; a function that does not take it fails.",
    bad="on_failure_callback: callables.models.prune",
    good="on_failure_callback: callables.notifications.notify_failure",
)
INTO_KEYWORDS = Rule(
    "DAG122",
    "an argument that goes into a function's ** arguments",
    why="A function that takes any argument takes a misspelt one, too: no one would notice.",
    bad=(
        f"{PYTHON}\npython_callable: airflow.providers.standard.decorators.bash.bash_task\n"
        "op_kwargs: {modle: digits}"
    ),
    good=GOOD_PRUNE,
    severity=WARNING,
    scope="task",
)
KEYWORD_ONLY = Rule(
    "DAG123",
    "a decorated function that takes an argument by keyword only",
    why="dag-factory gives a decorated function its arguments by position.",
    bad="decorator: airflow.sdk.task\npython_callable: callables.models.prune\nmodel: digits",
    good=GOOD_PRUNE,
    scope="task",
)


@dataclass(frozen=True)
class Call:
    """What YAML gives one function, and where.

    ``also`` names what the function gets beside that: from the context, by position, or from another place.
    ``whole``: it gets nothing else, so that what is missing is a problem; ``hint`` is for that.
    ``of_the_task``: the arguments stand among the keys of the task.
    """

    path: KeyPath
    function: Callable[..., Any]
    given: dict[str, Any]
    hint: str = ""
    also: tuple[str, ...] = ()
    whole: bool = True
    of_the_task: bool = False

    @property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """The function's parameters by name."""
        return dict(inspect.signature(self.function).parameters)


@dataclass
class _Fit:
    """What is found of one call: its problems, and the parameters that misspelt names are meant for."""

    problems: list[Problem] = field(default_factory=list)
    meant: set[str] = field(default_factory=set)


def check_arguments(document: Document) -> Iterator[Problem]:
    """What a task gives its function fits the function's signature."""
    for _, tasks, paths in tasks_of(document):
        for task_id, task in tasks.items():
            function = resolved(task.get("python_callable"))
            if not inspect.isfunction(function):
                continue
            if "decorator" not in task:
                yield from _check_called(document, paths[task_id], function, task)
            elif not task.get("expand") and is_decorator(str(task["decorator"])):
                yield from _check_decorated(document, paths[task_id], function, task)


def check_callbacks(document: Document) -> Iterator[Problem]:
    """What a callback is given, beside the context, fits the function's signature."""
    for path, mapping in mappings(document.data, ()):
        if document.is_free((*path, "callback")):
            continue
        function = resolved(mapping.get("callback"))
        if inspect.isfunction(function):
            given = {name: value for name, value in mapping.items() if name != "callback"}
            yield from _check_callback(document, path, function, given, "add it beside callback")
        for key, value in mapping.items():
            function = resolved(value) if str(key).endswith("_callback") else None
            if inspect.isfunction(function):
                hint = f"write {key}: {{callback: {value}, …}} with its arguments"
                yield from _check_callback(document, (*path, key), function, {}, hint)


def _check_callback(
    document: Document, path: KeyPath, function: Callable[..., Any], given: dict[str, Any], hint: str
) -> Iterator[Problem]:
    parameters = inspect.signature(function).parameters
    first = next(iter(parameters.values()), None)
    by_position = first is not None and first.kind in (first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD)
    takes_any = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    if "context" in parameters or takes_any:
        also: tuple[str, ...] = ("context",)
    elif by_position and first is not None:
        also = (first.name,)
    else:
        message = f"{function.__name__}() does not take the context that Airflow calls it with"
        yield document.problem(NOT_A_CALLBACK, path, message, "name a function for callbacks", key=True)
        return
    also = (*also, *_unsound(document, path))
    yield from fit(document, Call(path, function, given, hint, also, path not in document.damaged))


def _check_called(
    document: Document, path: KeyPath, function: Callable[..., Any], task: dict[str, Any]
) -> Iterator[Problem]:
    """Check ``op_args`` and ``op_kwargs``, those within ``partial`` and each of those in ``expand``."""
    mapped, partial = (found if isinstance(found, dict) else {} for found in _parts(task))
    shared: dict[str, Any] = {}
    place: KeyPath = (*path, "op_kwargs")
    for where, found in (((*path, "op_kwargs"), task), ((*path, "partial", "op_kwargs"), partial)):
        if isinstance(found.get("op_kwargs"), dict):
            shared |= found["op_kwargs"]
            place = where
    positional = task.get("op_args") or partial.get("op_args")
    too_many, by_position = _by_position(function, positional if isinstance(positional, list) else [])
    if too_many:
        hint = "give them in op_kwargs, by name"
        yield document.problem(WRONG_ARGUMENTS, (*path, "op_args"), too_many, hint, key=True)
        return
    # Airflow gives what is called so.
    also = (*load_schema()["x-template-names"], "context", *by_position)
    incomplete = (
        path in document.damaged or place in document.damaged or "op_kwargs" in _unsound(document, path)
    )
    if isinstance(entries := mapped.get("op_kwargs"), list):
        sound = {*shared} <= {*inspect.signature(function).parameters}  # a typo there is reported there
        for index, entry in enumerate(entries):
            if isinstance(entry, dict):
                at = (*path, "expand", "op_kwargs", index)
                call = Call(at, function, entry, "add it here", (*shared, *also), sound and not incomplete)
                yield from fit(document, call)
        yield from fit(document, Call(place, function, shared, whole=False))
    else:
        whole = not {"op_args", "op_kwargs"} & {*mapped} and not incomplete
        yield from fit(document, Call(place, function, shared, "add it to op_kwargs", also, whole))


def _parts(task: dict[str, Any]) -> tuple[Any, Any]:
    return task.get("expand"), task.get("partial")


def _unsound(document: Document, path: KeyPath) -> set[str]:
    """Return the keys of a task whose values were left out because they are wrong, which is reported."""
    return {str(one[-1]) for one in document.left_out if one[:-1] == path}


def _by_position(function: Callable[..., Any], values: list[Any]) -> tuple[str, list[str]]:
    """Return (what is wrong, the names of the parameters that ``op_args`` fills)."""
    accepted = list(inspect.signature(function).parameters.values())
    fitting = [one for one in accepted if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    if len(values) > len(fitting) and not any(one.kind is one.VAR_POSITIONAL for one in accepted):
        message = f"{function.__name__}() takes {len(fitting)} arguments by position, not {len(values)}"
        return message, []
    return "", [one.name for one in fitting[: len(values)]]


def _check_decorated(
    document: Document, path: KeyPath, function: Callable[..., Any], task: dict[str, Any]
) -> Iterator[Problem]:
    """dag-factory gives a decorated function those keys of the task that it takes by position, too."""
    parameters = inspect.signature(function).parameters
    only = [one.name for one in parameters.values() if one.kind is one.KEYWORD_ONLY]
    if only:
        message = f"{function.__name__}() takes {only[0]!r} by keyword only, which dag-factory cannot give it"
        hint = "use a PythonOperator with op_kwargs"
        yield document.problem(KEYWORD_ONLY, (*path, "decorator"), message, hint)
        return
    # What the function does not take is the decorator's: mode of a sensor, requirements of a virtualenv.
    definitions = load_schema()["$defs"]
    known = {*definitions["task"]["properties"], "python_callable"}
    known |= {*definitions["default_args"]["properties"]} - {*parameters}
    given = {key: value for key, value in task.items() if key not in known}
    if {*given} - {*parameters}:
        taken = arguments_of_decorator(str(task["decorator"])) - {*parameters}
        given = {key: value for key, value in given.items() if key not in taken}
    whole = path not in document.damaged
    also = tuple(load_schema()["x-template-names"])
    yield from fit(document, Call(path, function, given, "add it to the task", also, whole, of_the_task=True))


def fit(document: Document, call: Call) -> Iterator[Problem]:
    """Yield what does not fit: unknown names, values of another type, and what is missing."""
    found = _Fit()
    parameters = call.parameters
    for name, value in call.given.items():
        if name not in parameters:
            _unknown(document, call, str(name), parameters, found)
        elif problem := _wrong_type(document, call, name, value, parameters[name]):
            found.problems.append(problem)
    yield from found.problems
    missing = [
        one.name
        for one in parameters.values()
        if one.default is one.empty
        and one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)
        and one.name not in {*call.given, *call.also, *found.meant}
    ]
    if missing and call.whole:
        message = f"{call.function.__name__}() needs {', '.join(map(repr, missing))}"
        yield document.problem(WRONG_ARGUMENTS, call.path, message, call.hint, key=True)


def meant_argument(function: Callable[..., Any], name: str, known: Iterable[str]) -> tuple[str, str, bool]:
    """Return (hint, the parameter meant, whether that is certain) for a name that is not an argument.

    A function can say what its arguments were called before: its attribute ``renamed_arguments``.
    """
    names = list(known)
    renamed = getattr(function, "renamed_arguments", {}).get(name)
    if renamed in names:
        return f"did you mean {renamed!r}?", renamed, True
    found = suggest(name, names)
    return (found.hint, found.name, found.certain) if found else ("", "", False)


def _unknown(
    document: Document, call: Call, name: str, parameters: dict[str, inspect.Parameter], found: _Fit
) -> None:
    takes_any = next((one.name for one in parameters.values() if one.kind is one.VAR_KEYWORD), "")
    known = [one for one in parameters if one != takes_any]
    free = [one for one in known if one not in call.given]
    hint, meant, certain = meant_argument(call.function, name, free)
    if not meant:
        hint, meant, certain = (*meant_argument(call.function, name, known)[:2], False)
    if meant:
        found.meant.add(meant)
    at = (*call.path, name)
    if takes_any:
        message = f"{name!r} goes into **{takes_any} of {call.function.__name__}(): a typo would go unnoticed"
        more = hint or "give the function an argument of this name"
        found.problems.append(document.problem(INTO_KEYWORDS, at, message, more, key=True))
        return
    fix = Fix(name, meant) if certain else None
    message = f"{call.function.__name__}() has no argument {name!r}"
    if call.of_the_task and not certain:
        hint = KEY_ADVICE.get(name) or hint
    hint = hint or f"remove it; the arguments are {', '.join(known) or 'none'}"
    found.problems.append(document.problem(WRONG_ARGUMENTS, at, message, hint, key=True, fix=fix))


def _wrong_type(
    document: Document, call: Call, name: str, value: Any, parameter: inspect.Parameter
) -> Problem | None:
    kind = schema_of(parameter.annotation)
    if not kind or _fits(value, kind):
        return None
    wanted, written = kind_of(kind), document.written((*call.path, name))
    message = f"{name} of {call.function.__name__}() must be {wanted}, got {shown(value, written)}"
    renamed = getattr(call.function, "renamed_values", {}).get(name, {})
    new = renamed.get(value) if isinstance(value, str) else None
    options = [option for part in kind.get("anyOf", [kind]) for option in part.get("enum", ())]
    near = suggest(value, [str(option) for option in options]) if isinstance(value, str) else None
    hint, fix = action(kind, name, value, written), None
    if new or near:
        meant, certain = (new, True) if new else (near.name, near.certain) if near else ("", False)
        hint, fix = f"did you mean {meant!r}?", Fix(str(value), meant) if certain else None
    return document.problem(WRONG_ARGUMENTS, (*call.path, name), message, hint, fix=fix)


def _fits(value: Any, kind: dict[str, Any]) -> bool:
    """Return whether a value is of this kind; a template may become any, and joined parts are a text."""
    import jsonschema

    if isinstance(value, dict) and "__join__" in value:
        value = "joined"
    if isinstance(value, dict) and "__type__" in value:
        return True  # what it makes is for the type to say
    if isinstance(value, str) and ("{{" in value or "{%" in value):
        return True
    return bool(jsonschema.Draft202012Validator(kind).is_valid(value))
