"""Reading YAML so that every key and value still knows its line and column, whatever is wrong beside it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from batch_serving.shared.root import PROJECT_ROOT
from schemas.documents.defaults import merge, merge_files
from schemas.documents.paths import is_free
from schemas.documents.rules import GIVEN_TWICE, UNREADABLE
from schemas.documents.yaml_loader import YamlLoader
from schemas.problems import ERROR, Fix, KeyPath, Positions, Problem, Rule

DEFAULTS_NAMES = ("defaults.yml", "defaults.yaml")


@dataclass(frozen=True)
class Document:
    """One YAML file: its text, its data, and where each key and value stands.

    ``problems`` is what was wrong with the text; nothing is loaded from a document that has any. ``damaged``
    has the paths of mappings that may lack something: a line in them could not be read. ``left_out`` has
    those of wrong values that the checks do not see, ``guessed`` the lines that may mean something else.
    """

    path: Path
    name: str  # as shown to users: relative to the project
    text: str
    data: dict[str, Any]
    positions: Positions = field(default_factory=Positions, repr=False)
    odd_keys: dict[KeyPath, str] = field(default_factory=dict, repr=False)  # those that YAML reads as no text
    shared: dict[str, Any] = field(default_factory=dict, repr=False)  # what the defaults files give each DAG
    problems: tuple[Problem, ...] = ()
    damaged: frozenset[KeyPath] = frozenset()
    left_out: frozenset[KeyPath] = frozenset()
    guessed: frozenset[int] = frozenset()

    def with_defaults(self, defaults: Iterable[Document]) -> Document:
        """Return this document with these defaults files above it, the last of which wins."""
        shared: dict[str, Any] = {}
        for found in defaults:
            shared = merge_files(found.data, shared)
        return replace(self, shared=shared)

    @property
    def is_defaults(self) -> bool:
        """Whether this holds shared defaults and no DAGs."""
        return self.path.name in DEFAULTS_NAMES

    @property
    def dags(self) -> dict[str, dict[str, Any]]:
        """The DAGs of this file by dag_id, as written."""
        if self.is_defaults:
            return {}
        return {str(name): config for name, config in self.data.items() if name != "default"}

    def config_of(self, dag_id: str) -> dict[str, Any]:
        """Return a DAG with all defaults in it, those of the files above it included."""
        levels = (self.dags[dag_id], self.data.get("default"), self.shared)
        own, default, shared = (level if isinstance(level, dict) else {} for level in levels)
        return merge(own, merge(default, shared))

    def default_args_of(self, dag_id: str) -> dict[str, Any]:
        """Return the ``default_args`` of a DAG, with all defaults in it."""
        found = self.config_of(dag_id).get("default_args")
        return found if isinstance(found, dict) else {}

    def is_free(self, path: KeyPath) -> bool:
        """Return whether what is at ``path`` is the user's own data, whose keys name no code."""
        return is_free(path, in_defaults=self.is_defaults)

    def written(self, path: KeyPath) -> str:
        """Return a value as it stands in the file; empty for one of several lines, or from elsewhere."""
        span = self.positions.values.get(path)
        text = self.text[span.start : span.end] if span else ""
        return "" if "\n" in text else text

    def problem(
        self,
        rule: Rule,
        path: KeyPath,
        message: str,
        hint: str = "",
        *,
        key: bool = False,
        fix: Fix | None = None,
    ) -> Problem:
        """Return a problem about the value (or the key) at ``path``."""
        return Problem(
            self.name,
            path,
            rule.code,
            rule.severity,
            message,
            hint,
            key,
            fix,
            positions=self.positions,
        )


class DocumentError(Exception):
    """A file from which no DAG can be made; holds the problems that say why."""

    def __init__(self, *problems: Problem) -> None:
        """Keep the problems; the text is theirs."""
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def find_files(folder: Path) -> list[Path]:
    """Return the YAML files below ``folder`` that hold DAGs, sorted; nothing hidden is among them."""
    return [Path(path) for path in list_files(folder)]


def list_files(folder: Path) -> list[str]:
    """Return what ``find_files`` does, as texts: 1,000 files take 1.3 ms, and 3.5 ms as paths."""
    return sorted(_yaml_files(os.fspath(folder)), key=lambda path: path.split("/"))


def _yaml_files(folder: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if not entry.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError, PermissionError):  # removed meanwhile, or not for us
        return
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            yield from _yaml_files(entry.path)
        elif entry.name.endswith((".yaml", ".yml")) and entry.name not in DEFAULTS_NAMES and entry.is_file():
            yield entry.path


def find_defaults(path: Path, root: Path) -> list[Path]:
    """Return the defaults files for ``path``, from ``root`` down to its folder; the last one wins."""
    folders = [path.parent, *path.parent.parents]
    folders = folders[: folders.index(root) + 1] if root in folders else folders[:1]
    found = []
    for folder in reversed(folders):
        candidates = [folder / name for name in DEFAULTS_NAMES if (folder / name).is_file()]
        found += candidates[:1]
    return found


def display_name(path: Path) -> str:
    """Return ``path`` as shown to users: with its folder, as in ``dag_configs/predict.yaml``.

    What is not UTF-8 in it is replaced.
    """
    if path.is_relative_to(PROJECT_ROOT / "examples"):
        path = path.relative_to(PROJECT_ROOT)
    text = os.fsencode(path).decode("utf-8", "replace")
    _, found, rest = f"/{text}".rpartition("/dag_configs/")
    if found:
        return f"dag_configs/{rest}"
    try:
        return Path(text).relative_to(Path.cwd()).as_posix()
    except ValueError:
        return Path(text).as_posix()


def read_document(path: Path) -> Document:
    """Read one file that must be YAML; raises DocumentError with every problem that its text has."""
    name = display_name(path)
    try:
        document = _decoded(path, name, path.read_bytes())
    except OSError as error:
        raise DocumentError(UNREADABLE.at_text(name, 1, 1, f"{error.strerror}")) from error
    if any(problem.severity == ERROR for problem in document.problems):
        raise DocumentError(*document.problems)
    return document


def quick_document(path: Path, name: str, raw: bytes, data: dict[str, Any] | None = None) -> Document:
    """Return the document of a text that passed all checks before, without the positions of its keys.

    ``data`` is what the text holds, if that is known; otherwise the text is parsed.
    """
    text = raw.decode("utf-8-sig")
    if data is None:
        data = yaml.load(text, YamlLoader)  # noqa: S506 - the safe loader
    return Document(path, name, text, data)


@lru_cache(maxsize=512)
def _decoded(path: Path, name: str, raw: bytes) -> Document:
    """Return the document of a file's bytes.

    Each check of one file reads all of its folder: an editor asks for one after each change.
    """
    return decode_document(path, name, raw)


def decode_document(path: Path, name: str, raw: bytes) -> Document:
    """Return the document of a file's bytes, with what is wrong in ``problems``.

    Raises DocumentError if nothing of it can be read.
    """
    try:
        return parse_document(path, name, raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
        message = f"byte {error.start} is not UTF-8"
        problem = UNREADABLE.at_text(name, line, column, message, "save the file as UTF-8")
    try:
        document = parse_document(path, name, raw.decode("utf-8-sig", "replace"))
    except DocumentError as error:
        raise DocumentError(problem, *error.problems) from error
    return replace(document, problems=(problem, *document.problems))


def parse_document(path: Path, name: str, text: str) -> Document:
    """Return the document of a text; raises DocumentError if nothing of it can be read."""
    # Imported here: what only builds DAGs that passed before needs neither, and they take 5 ms.
    from schemas.documents.nodes import Places, TooManyValuesError, Walk, construct
    from schemas.documents.recovery import TooDeepError, UnrepairedError, compose

    try:
        composed = compose(name, text)
    except TooDeepError as error:
        raise DocumentError(UNREADABLE.at_text(name, error.line, error.column, str(error))) from error
    except UnrepairedError as error:
        raise DocumentError(*error.problems) from error
    if not isinstance(composed.node, yaml.MappingNode):
        if composed.problems:
            raise DocumentError(*composed.problems)
        message = (
            "the file has no DAG" if composed.node is None else "the file must be a mapping of dag_id to DAG"
        )
        hint = "start with a dag_id and a colon, and indent the DAG below it"
        raise DocumentError(*composed.problems, UNREADABLE.at_text(name, 1, 1, message, hint))
    walk = Walk(name, Places(text, composed.text), in_defaults=path.name in DEFAULTS_NAMES)
    try:
        walk.mapping(composed.node, ())
        data = construct(composed.node)
    except RecursionError:
        message = "the values are nested too deeply, or an alias holds itself"
        raise DocumentError(UNREADABLE.at_text(name, 1, 1, message, "remove the alias")) from None
    except TooManyValuesError as error:
        raise DocumentError(UNREADABLE.at_text(name, *error.place, str(error), error.hint)) from error
    return Document(
        path,
        name,
        text,
        data,
        Positions(walk.keys, walk.values),
        walk.odd_keys,
        problems=_once(composed.problems, walk.problems),
        damaged=walk.damaged_by(composed.left_out),
        guessed=frozenset(line + 1 for line in composed.guessed),
    )


def _once(of_text: tuple[Problem, ...], of_nodes: list[Problem]) -> tuple[Problem, ...]:
    """Return all problems of a text, but for the second anchor in a line whose key is given twice."""
    from schemas.documents.repairs import ANCHOR_TWICE

    twice = {problem.line for problem in of_nodes if problem.code == GIVEN_TWICE.code}
    kept = [one for one in of_text if not (one.message.startswith(ANCHOR_TWICE) and one.line in twice)]
    return (*kept, *of_nodes)
