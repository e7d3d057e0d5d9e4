"""From files to problems: read → schema → checks → values and build → ignore comments."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from batch_serving.shared.extras import with_one_command
from batch_serving.shared.root import PROJECT_ROOT
from batch_serving.shared.suggestions import did_you_mean
from schemas.cache import Passed
from schemas.catalog.existing import connection_types
from schemas.catalog.imports import forget_failures
from schemas.checks.across import Known, check_claims, check_known, check_taken
from schemas.checks.build import check_build
from schemas.checks.connections import check_connection_types
from schemas.checks.ignores import apply_ignores
from schemas.checks.keys import UNKNOWN_KEY, check_keys
from schemas.checks.names import BECOMES_A_DAG, KEY_IS_NO_TEXT
from schemas.checks.paths import CODE_IN_A_FILE
from schemas.checks.registry import (
    BUILDING,
    CHECKS,
    KEYS,
    KEYS_ARE_TEXT,
    READING,
    REFUSED_VALUES,
    RULES,
    SAFETY,
    VALUES,
    Check,
    run_all,
)
from schemas.checks.schedules import check_defaults
from schemas.checks.secrets import SECRET, without_secrets
from schemas.checks.sound import with_meant_keys, without_unknown_keys, without_wrong_values
from schemas.checks.structure import check_kinds, violations_of
from schemas.checks.upcoming import check_upcoming
from schemas.checks.values import check_values
from schemas.checks.violations import Violation
from schemas.documents.files import find_template, search_path
from schemas.documents.reading import (
    DEFAULTS_NAMES,
    Document,
    DocumentError,
    decode_document,
    display_name,
    find_defaults,
    find_files,
    read_document,
)
from schemas.documents.rules import REFUSED, UNREADABLE
from schemas.documents.texts import texts
from schemas.problems import ERROR, Problem

MAX_LEVELS = 5  # of misspelt keys in each other: a DAG's, its tasks', a callback's
MAX_TEMPLATE = 100_000  # bytes
SUFFIXES = (".yaml", ".yml")
FILE_NAME = re.compile(r"[^\s{}'\"()]+\.\w{1,5}\b")
STATIC = (READING, KEYS, VALUES, KEYS_ARE_TEXT, *SAFETY, *CHECKS)


def check_paths(
    paths: Iterable[Path],
    *,
    build: bool = True,
    information: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _files: None,
    note: Callable[..., None] = lambda *_found: None,
) -> list[Problem]:
    """Return every problem of the files and folders given, sorted; OSError for a path that is not there.

    What passes all checks is built as Airflow would build it, unless ``build`` is off; without that Airflow
    is imported only where a path in the YAML needs it. What has passed before is not checked again.
    ``progress`` is called with how many files are checked, and how many there are; ``note`` with what is said
    of a folder once, and is no problem of a file. ``information`` adds the next runs, and the pools,
    connections and names that must exist elsewhere.
    """
    forget_failures()
    paths = list(paths)
    found: list[Problem] = []
    owners: dict[str, Path] = {}
    told: set[str] = set()
    decoded: list[tuple[Document, list[Path]]] = []
    passed = Passed("checked" if build else "checked_unbuilt")
    data_files = _data_files()
    files = list(expand(paths))
    for number, (path, root) in enumerate(files):
        progress(number, len(files))
        name = display_name(path)
        try:
            raw = path.read_bytes()
            defaults = find_defaults(path, root)
            document = decode_document(path, name, raw)
            seen = [raw, *(file.read_bytes() for file in defaults), data_files, _template_files(document)]
            key = Passed.key(name, seen)
            if key not in passed:
                problems = check_file(document, defaults, build=build)
                found += problems
                if not problems:
                    passed.add(key)
            found += check_taken(document, owners)
            decoded.append((document, defaults))
            if information:
                found += check_upcoming(document.with_defaults(_readable(defaults)), datetime.now(UTC), told)
        except DocumentError as error:
            found += error.problems
        except OSError as error:
            found.append(UNREADABLE.at_text(name, 1, 1, str(error.strerror), "make the file readable"))
        except Exception as error:  # one file that the checks cannot cope with hides no other
            found.append(_not_checked(name, error))
    progress(len(files), len(files))
    passed.save()
    documents = [document.with_defaults(_readable(defaults)) for document, defaults in decoded]
    zone_is_utc = list(check_defaults(documents))
    if information:
        found += zone_is_utc
    elif any(path.is_dir() for path in paths):
        note(*zone_is_utc)
    found += _check_across(documents, information)
    return sorted(set(_with_one_command(found)), key=Problem.order)


def _not_checked(name: str, error: Exception) -> Problem:
    reason = f"it cannot be checked: {type(error).__name__}: {error}"
    return REFUSED.at_text(name, 1, 1, reason, "please report this as a bug of the checker")


def _with_one_command(problems: list[Problem]) -> list[Problem]:
    """Return the problems; each hint that adds an extra adds all that are missing: one command does it."""
    hints = with_one_command(problem.hint for problem in problems)
    pairs = zip(problems, hints, strict=True)
    return [one if one.hint == hint else replace(one, hint=hint) for one, hint in pairs]


def _check_across(documents: list[Document], information: bool) -> Iterator[Problem]:
    """Yield what the files name and no file of their folders has, and what two of them have."""
    types = connection_types()
    known, others = Known(), _beside([document.path for document in documents])
    for document in [*documents, *_readable(others)]:
        try:
            known.add(document)
        except Exception as error:  # as below; what this file has is not known
            known.complete = False
            yield _not_checked(document.name, error)
    for document in documents:
        if document.is_defaults:
            continue
        try:
            found = [*check_claims(document, known), *check_connection_types(document, types)]
            if known.complete:
                found += check_known(document, known, information=information)
        except Exception as error:  # one file that the checks cannot cope with hides no other
            yield _not_checked(document.name, error)
            continue
        yield from apply_ignores(document, found, RULES)


def _beside(paths: list[Path]) -> list[Path]:
    """Return the other files of the folders that these files are in."""
    seen = {path.resolve() for path in paths}
    folders = {_root(path) or path.parent for path in paths}
    found = dict.fromkeys(file for folder in sorted(folders) for file in find_files(folder))
    return [file for file in found if file.resolve() not in seen]


def _data_files() -> bytes:
    """Return what says whether a file of ``data/`` has changed: the checks of values look into them."""
    files = sorted(path for path in (PROJECT_ROOT / "data").glob("*") if path.is_file())
    seen = [(path.name, path.stat().st_mtime_ns, path.stat().st_size) for path in files]
    return repr(seen).encode()


def _template_files(document: Document) -> bytes:
    """Return what says whether a file that the document may name as a template has changed."""
    folders = list(
        dict.fromkeys(
            folder
            for dag_id in document.dags
            for folder in search_path(document.path, document.config_of(dag_id))
        )
    )
    found: dict[Path, None] = {}
    todo = [text for _, text in texts(document.data, ())]
    while todo:
        names = {*FILE_NAME.findall(todo.pop())}
        fresh = [
            file for name in sorted(names) if (file := find_template(name, folders)) and file not in found
        ]
        found.update(dict.fromkeys(fresh))
        for file in fresh:  # a template may include others; a large file is data
            if file.stat().st_size > MAX_TEMPLATE:
                continue
            with contextlib.suppress(OSError, UnicodeDecodeError):
                todo.append(file.read_text(encoding="utf-8"))
    return repr([(str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in found]).encode()


def check_file(document: Document, defaults: list[Path], *, build: bool) -> list[Problem]:
    """Return every problem of one file, refused values and what Airflow refuses included."""
    readable = [] if document.is_defaults else _readable(defaults)
    sound, problems = _check_static(document.with_defaults(readable))
    ran = [*STATIC]
    if build:
        ran += [REFUSED_VALUES, BUILDING]
        problems += without_secrets(document, list(check_values(sound, problems)))
        if not any(_is_error(problem) for found in readable for problem in check_document(found)):
            # What a comment ignores is built all the same: Airflow must be able to take it.
            kept = apply_ignores(document, problems, RULES)
            problems += without_secrets(document, check_build(document, readable, kept))
    return apply_ignores(document, _one_each(problems), RULES, _codes(ran))


def check_document(document: Document) -> list[Problem]:
    """Return the problems of one document that can be found without calling functions or building DAGs.

    Each check sees the document as it was meant, and without what is wrong and reported: one mistake hides
    no other, and is reported once. No text that looks like a secret is shown.
    """
    _, problems = _check_static(document)
    return apply_ignores(document, _one_each(problems), RULES)


def _check_static(document: Document) -> tuple[Document, list[Problem]]:
    """Return the document without what is wrong in it, and all problems that need no build."""
    named, unknown, departures = _with_keys_corrected(document)
    kinds = list(check_kinds(named, departures))
    sound = without_wrong_values(without_unknown_keys(named, unknown), kinds)
    unsafe = list(run_all(SAFETY, named))
    problems = [
        *document.problems,
        *unknown,
        *kinds,
        *KEYS_ARE_TEXT.run(document),
        *unsafe,
        *run_all(CHECKS, sound),
    ]
    problems = _without_what_follows(document, problems)
    problems = [one for one in problems if one.line not in document.guessed or _is_sure(document, one)]
    secret = {(problem.line, problem.column) for problem in unsafe if problem.code == SECRET.code}
    shown = [one for one in problems if one.code == SECRET.code or (one.line, one.column) not in secret]
    return sound, without_secrets(document, shown)


def _without_what_follows(document: Document, problems: list[Problem]) -> list[Problem]:
    """Return the problems without those that only follow from another one."""
    unread = {(one.line, one.column) for one in document.problems}
    unsafe = {(one.line, one.column) for one in problems if one.code in (CODE_IN_A_FILE.code, SECRET.code)}
    unreal = {one.path for one in problems if one.code == BECOMES_A_DAG.code}
    kept = []
    for one in problems:
        place = (one.line, one.column)
        follows = place in unread or (one.code == UNKNOWN_KEY.code and place in unsafe)
        if one.path[:1] in unreal and one.code != BECOMES_A_DAG.code:
            follows = not one.code.startswith("DAG2")
        if one in document.problems or not follows:
            kept.append(one)
    return kept


def _is_sure(document: Document, problem: Problem) -> bool:
    """Return whether a problem is one of its line whatever the line was meant to be."""
    return problem in document.problems or problem.code.startswith("DAG2")


def _with_keys_corrected(document: Document) -> tuple[Document, list[Problem], list[Violation]]:
    """Return the document with the keys that are meant, their problems, and what the schema says of it."""
    unknown: list[Problem] = []
    for _ in range(MAX_LEVELS):
        departures = violations_of(document)
        seen = {problem.path for problem in unknown}
        fresh = [problem for problem in check_keys(document, departures) if problem.path not in seen]
        unknown += fresh
        corrected = any(problem.fix for problem in fresh)
        document = with_meant_keys(document, fresh)
        if not corrected:
            return document, unknown, departures
    return document, unknown, violations_of(document)


def _one_each(problems: list[Problem]) -> list[Problem]:
    """Return the problems without those that an alias repeats: one mistake stands in one place."""
    first: dict[tuple[int, int, str], Problem] = {}
    kept: dict[Problem, None] = {}
    unknown = {(one.line, one.column) for one in problems if one.of_key and one.code != KEY_IS_NO_TEXT.code}
    for problem in problems:
        if problem.code == KEY_IS_NO_TEXT.code and (problem.line, problem.column) in unknown:
            continue  # a key such as no, where now is meant
        known = first.setdefault((problem.line, problem.column, problem.code), problem)
        if known.path == problem.path or not problem.is_in_the_file:
            kept.setdefault(problem)
    return list(kept)


def _codes(checks: Iterable[Check]) -> Collection[str]:
    return {rule.code for check in checks for rule in check.rules}


def _is_error(problem: Problem) -> bool:
    return problem.severity == ERROR


def _readable(paths: list[Path]) -> list[Document]:
    """Return those defaults files that can be read; the problems of each are reported as its own."""
    found = []
    for path in paths:
        with contextlib.suppress(DocumentError):
            found.append(read_document(path))
    return found


def expand(paths: Iterable[Path]) -> Iterator[tuple[Path, Path]]:
    """Yield (file, topmost folder whose defaults apply) for each file meant, each once.

    Raises FileNotFoundError for a path that is not there and a folder without YAML, ValueError for a file
    that is not YAML by its name.
    """
    seen: set[Path] = set()
    for path in paths:
        if path.is_dir():
            found = [*sorted(file for name in DEFAULTS_NAMES for file in path.rglob(name)), *find_files(path)]
            if not found:
                raise FileNotFoundError(f"no YAML file in {path}")
        elif path.is_file() and path.suffix.lower() not in SUFFIXES:
            raise ValueError(f"{path} is not a YAML file ({', '.join(SUFFIXES)})")
        elif path.exists():
            found = [path]
        else:
            hint = did_you_mean(path.name, _names_beside(path))
            raise FileNotFoundError(f"{path} does not exist{f'; {hint}' if hint else ''}")
        for file in found:
            if file.resolve() not in seen:
                seen.add(file.resolve())
                yield file, _root(file) or (path if path.is_dir() else path.parent)


def _names_beside(path: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return [one.name for one in path.parent.iterdir()]
    return []


def _root(path: Path) -> Path | None:
    """Return the folder ``dag_configs`` or ``examples`` that ``path`` is in: it is checked as loaded."""
    folders = [folder for folder in path.parents if folder.name == "dag_configs"]
    folders += [folder for folder in path.parents if folder.resolve() == PROJECT_ROOT / "examples"]
    return folders[0] if folders else None
