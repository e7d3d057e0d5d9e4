"""What a wrong dotted path is meant for: a class that has moved, or one that is called nearly so."""

from __future__ import annotations

from collections.abc import Iterable

from batch_serving.shared.suggestions import Suggestion, nearest, suggest
from schemas.catalog.imports import UnresolvedError, allowed_packages, is_allowed, is_private, resolve
from schemas.catalog.lookup import find_definition, load_schema
from schemas.catalog.old_names import CLASS_ADVICE, CLASS_NAMES, CLASSES_GONE, PATHS
from schemas.catalog.providers import paths_today, provider_hint
from schemas.problems import Fix, fix_of

KINDS = {
    "operator": "operators",
    "decorator": "decorators",
    "callback": "notifiers",
    "__type__": "types",
}


def path_today(key: str, text: str) -> tuple[str, Fix | None]:
    """Return (hint, fix) with the path of what is called so now: Airflow 2 had its classes elsewhere."""
    if text in PATHS:
        return f"write {PATHS[text]}", Fix(text, PATHS[text])
    if key == "decorator" and (path := decorator_called(text)):
        return f"write {path}", Fix(text, path)
    name = text.rpartition(".")[2]
    known = load_schema()["$defs"].get(KINDS.get(key, ""), {})
    for wanted, certain in ((CLASS_NAMES.get(name, name), True), (CLASS_ADVICE.get(name, ""), False)):
        full = [path for path in known if path.rpartition(".")[2] == wanted] or paths_today(wanted)
        if full:
            near = suggest(text, full)
            meant = near.name if near else full[0]
            if missing := provider_hint(meant) or (provider_hint(text) if not certain else ""):
                return f"write {meant}; {missing}", None
            sure = certain and len(full) == 1 and (_is_old(text) or text.startswith("airflow.providers."))
            fix = Fix(text, meant) if sure or (near and near.certain) else None
            return f"did you mean {meant!r}?", fix
    if name in CLASSES_GONE:
        return CLASSES_GONE[name], None
    if missing := provider_hint(text):
        return missing, None
    if near := near_path(text, known) or suggest(text, allowed_packages()):
        return near.hint, fix_of(text, near)
    return _package_today(text)


def near_path(text: str, known: Iterable[str]) -> Suggestion | None:
    """Return the dotted path that is meant: its class is called the same or nearly so.

    Of several with that name it is the nearest as a whole, and never certain. A path that only looks alike is
    none: all classes of a provider do.
    """
    names: dict[str, list[str]] = {}
    for path in known:
        names.setdefault(path.rpartition(".")[2], []).append(path)
    name = text.rpartition(".")[2]
    meant = Suggestion(name, certain=True) if name in names else suggest(name, names)
    if meant is None or not (name in names or nearest(name, [meant.name])):
        return None
    paths = names[meant.name]
    near = suggest(text, paths)
    if near is None:
        return Suggestion(paths[0], certain=False)
    return Suggestion(near.name, certain=near.certain and len(paths) == 1)


def decorator_called(text: str) -> str:
    """Return the dotted path of what Python code writes as ``@task.branch``: YAML cannot name it so."""
    prefix, _, name = text.rpartition(".")
    if prefix not in ("task", "airflow.sdk.task", "airflow.decorators.task"):
        return ""
    known = load_schema()["$defs"]["decorators"]
    return next((path for path, facts in known.items() if facts["x-name"] == name), "")


def _package_today(text: str) -> tuple[str, Fix | None]:
    """Return (hint, fix) for a path whose package is nearly an allowed one, and which is there under it."""
    parts = text.split(".")
    for package in allowed_packages():
        length = package.count(".") + 1
        near = suggest(".".join(parts[:length]), [package])
        if near is None or not near.certain or len(parts) <= length:
            continue
        meant = ".".join([package, *parts[length:]])
        if is_private(meant):
            continue
        try:
            resolve(meant)
        except UnresolvedError:
            return f"did you mean {package!r}?", None
        return f"did you mean {meant!r}?", Fix(text, meant)
    return "", None


def _is_old(text: str) -> bool:
    """Return whether a path is one that Airflow 2 had, or a class's name alone."""
    return text.startswith(("airflow.operators.", "airflow.sensors.", "airflow.contrib.")) or "." not in text


def hint_for_path(key: str, text: str, error: UnresolvedError) -> tuple[str, Fix | None]:
    """Return (hint, fix) for an allowed path that names nothing; a fix only for one that names something."""
    if key == "decorator" and (meant := decorator_called(text)):
        return f"write {meant}", Fix(text, meant)
    if provider_hint(text):
        return path_today(key, text)
    if meant := _what_is_there(key, error.meant):
        return error.hint, Fix(text, meant)
    if text.startswith("airflow.providers."):
        hint, fix = path_today(key, text)
        if fix or not error.hint:
            return hint or error.hint, fix
    near = near_path(text, load_schema()["$defs"].get(KINDS.get(key, ""), {}))
    if near:
        return near.hint, fix_of(text, near)
    return error.hint, None


def path_meant(key: str, text: str) -> str:
    """Return the dotted path that is meant for one that is wrong, empty where that is not certain."""
    if not is_allowed(text):
        fix = path_today(key, text)[1]
    else:
        try:
            resolve(text)
        except UnresolvedError as error:
            fix = hint_for_path(key, text, error)[1]
        else:
            return ""
    return fix.new if fix else ""


def _what_is_there(key: str, text: str) -> str:
    """Return the path, corrected further if it needs that, if it names something; empty if it does not."""
    for _ in text.split("."):  # one correction for each part at most
        if not text or find_definition(KINDS.get(key, ""), text) is not None:
            return text
        try:
            return text if callable(resolve(text)) else ""
        except UnresolvedError as error:
            text = error.meant
    return ""
