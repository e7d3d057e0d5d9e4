"""Reading YAML so that every key and value still knows its line and column."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from schemas.diagnostics import ERROR, Diagnostic
from schemas.merging import merge

DEFAULTS_NAMES = ("defaults.yml", "defaults.yaml")
MAX_NODES = 100_000  # aliases expanded; a file that needs more is an attack or a mistake

MAX_DEPTH = 100
TEXT_TAG = "tag:yaml.org,2002:str"
MAX_TAGS = 10_000
_tags: dict[str, str] = {}


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The safe loader, in C where that is there, which remembers what a plain scalar is.

    Finding it takes half the time of reading a file, and the same keys and paths come again and again.
    """

    def resolve(self, kind: type, value: Any, implicit: Any) -> str:
        """Return the tag of a node that has none of its own."""
        if kind is not yaml.ScalarNode or not implicit[0]:
            return super().resolve(kind, value, implicit)
        if (tag := _tags.get(value)) is None:
            tag = super().resolve(kind, value, implicit)
            if len(_tags) < MAX_TAGS:
                _tags[value] = tag
        return tag


KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """One YAML file: its text, its data, and where each key and value stands."""

    path: Path
    name: str  # as shown to people: relative to the project
    text: str
    data: dict[str, Any]
    keys: dict[KeyPath, tuple[int, int]] = field(repr=False)
    values: dict[KeyPath, tuple[int, int]] = field(repr=False)
    odd_keys: dict[KeyPath, str] = field(default_factory=dict, repr=False)  # those that YAML reads as no text
    shared: dict[str, Any] = field(default_factory=dict, repr=False)  # what the defaults files give each DAG

    def with_defaults(self, defaults: Iterable[Document]) -> Document:
        """Return this document as it is below these defaults files, the last of which wins."""
        shared: dict[str, Any] = {}
        for found in defaults:
            shared = merge(found.data, shared)
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

    def problem(
        self,
        code: str,
        path: KeyPath,
        message: str,
        hint: str = "",
        *,
        key: bool = False,
        severity: str = ERROR,
    ) -> Diagnostic:
        """Return a diagnostic at the value (or the key) at ``path``, or at its nearest parent."""
        first = self.keys if key else self.values
        position = first.get(path) or self.values.get(path)
        while position is None and path:
            path = path[:-1]
            position = self.keys.get(path) or self.values.get(path)
        line, column = position or (1, 1)
        return Diagnostic(self.name, line, column, code, severity, message, hint)


class DocumentError(Exception):
    """A file that gives no document; holds the diagnostics that say why."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        """Keep the diagnostics; the text is theirs."""
        super().__init__("\n".join(map(str, diagnostics)))
        self.diagnostics = diagnostics


def find_files(folder: Path) -> list[Path]:
    """Return the YAML files below ``folder`` that hold DAGs, sorted."""
    found = (path for path in folder.rglob("*") if path.suffix in (".yaml", ".yml"))
    return sorted(
        path
        for path in found
        if path.name not in DEFAULTS_NAMES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )


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
    """Return ``path`` as people name it: with its folder, as in ``dag_configs/predict.yaml``.

    A name that is not UTF-8 is shown as far as it is.
    """
    path = Path(os.fsencode(path).decode("utf-8", "replace"))
    for folder in path.parents:
        if folder.name == "dag_configs":
            return path.relative_to(folder.parent).as_posix()
    try:
        return path.relative_to(Path.cwd()).as_posix()
    except ValueError:
        return path.as_posix()


def read_document(path: Path) -> Document:
    """Read one file; raises DocumentError with every problem that stands in the way."""
    name = display_name(path)
    try:
        return decode_document(path, name, path.read_bytes())
    except OSError as error:
        raise DocumentError(Diagnostic(name, 1, 1, "DAG005", ERROR, f"{error.strerror}")) from error


def quick_document(path: Path, name: str, raw: bytes) -> Document:
    """Return the document of a text that has passed all checks before, without the places of its keys."""
    text = raw.decode("utf-8-sig")
    return Document(path, name, text, yaml.load(text, Loader), {}, {})  # noqa: S506 - the safe loader


def decode_document(path: Path, name: str, raw: bytes) -> Document:
    """Parse the bytes of a file; raises DocumentError with every problem that stands in the way."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"byte {error.start} is not UTF-8"
        raise DocumentError(
            Diagnostic(name, 1, 1, "DAG005", ERROR, message, "save the file as UTF-8")
        ) from error
    return parse_document(path, name, text)


def parse_document(path: Path, name: str, text: str) -> Document:
    """Parse ``text``; raises DocumentError with every problem that stands in the way."""
    try:
        # The C composer calls itself for each level: the depth must be known before it starts.
        _check_depth(name, text)
        # YAML is parsed once, into nodes that know their place; data is made from the same nodes.
        loader = Loader(text)
        node = loader.get_single_node()
    except yaml.YAMLError as error:
        raise DocumentError(_syntax_error(name, error)) from error
    if not isinstance(node, yaml.MappingNode):
        message = "the file has no DAG" if node is None else "the file is not a mapping of dag_id to DAG"
        hint = "start with a dag_id and a colon, and indent the DAG below it"
        raise DocumentError(Diagnostic(name, 1, 1, "DAG005", ERROR, message, hint))
    walk = _Walk(name)
    try:
        walk.mapping(node, ())
    except RecursionError:
        message = "the values are nested too deeply, or an alias holds itself"
        raise DocumentError(Diagnostic(name, 1, 1, "DAG005", ERROR, message)) from None
    if walk.problems:
        raise DocumentError(*sorted(walk.problems))
    try:
        data = loader.construct_document(node)
    except yaml.YAMLError as error:
        raise DocumentError(_syntax_error(name, error)) from error
    except ValueError as error:  # a date such as 2026-02-30; PyYAML does not say where
        raise DocumentError(_bad_scalar(name, node, error)) from error
    return Document(path, name, text, data, walk.keys, walk.values, walk.odd_keys)


def _check_depth(name: str, text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                mark: Any = event.start_mark
                line, column = mark.line + 1, mark.column + 1
                message = f"the values are nested more than {MAX_DEPTH} deep"
                raise DocumentError(Diagnostic(name, line, column, "DAG005", ERROR, message))
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _syntax_error(name: str, error: yaml.YAMLError) -> Diagnostic:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    problem = " ".join(str(getattr(error, "problem", None) or error).split())
    if "unhashable key" in problem:
        hint = "put a template in quotes: '{{ … }}'"
        return Diagnostic(name, line, column, "DAG001", ERROR, "a mapping stands where a key should", hint)
    if isinstance(error, yaml.constructor.ConstructorError):
        hint = "write plain YAML; name a function by its dotted path"
        return Diagnostic(name, line, column, "DAG006", ERROR, problem, hint)
    hint = "indent with spaces" if "\\t" in problem else ""
    if "cannot start any token" in problem:
        hint = "indent with spaces, not with a tab; put a text that starts with @ or ` in quotes"
    if any(words in problem for words in ("find expected", "mapping values are not allowed")):
        hint = "look at this line and the one above: 'key: value' with a blank after the colon, quotes closed"
    return Diagnostic(name, line, column, "DAG001", ERROR, problem, hint)


def _bad_scalar(name: str, node: yaml.Node, error: ValueError) -> Diagnostic:
    """Find the scalar that cannot be made into a value, by trying each one."""
    for scalar in _scalars(node):
        try:
            Loader("").construct_object(scalar)
        except ValueError:
            line, column = _position(scalar)
            hint = "put it in quotes if it is meant as text"
            return Diagnostic(name, line, column, "DAG003", ERROR, f"{scalar.value!r}: {error}", hint)
    return Diagnostic(name, 1, 1, "DAG003", ERROR, str(error))


def _scalars(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.ScalarNode):
        yield node
    else:
        for child in node.value:
            for part in child if isinstance(child, tuple) else (child,):
                yield from _scalars(part)


class _Walk:
    """Collects the positions of keys and values, merges and aliases followed, and keys given twice."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.keys: dict[KeyPath, tuple[int, int]] = {}
        self.values: dict[KeyPath, tuple[int, int]] = {}
        self.odd_keys: dict[KeyPath, str] = {}
        self.problems: list[Diagnostic] = []
        self.nodes = 0

    def value(self, node: yaml.Node, path: KeyPath) -> None:
        self._count(node)
        self.values[path] = _position(node)
        if isinstance(node, yaml.MappingNode):
            self.mapping(node, path)
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self.value(item, (*path, index))

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> None:
        seen: dict[str, int] = {}
        own = []
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                for merged in _merged(value):
                    self._count(merged)
                    self.mapping(merged, path)
            else:
                own.append((key, value))
        for key, value in own:
            name = key.value if isinstance(key, yaml.ScalarNode) else str(key.start_mark.line)
            if name in seen:
                line, column = _position(key)
                message = f"key {name!r} is given again; it stands in line {seen[name]} too"
                hint = "YAML would silently take the last; remove one"
                problem = Diagnostic(self.name, line, column, "DAG004", ERROR, message, hint)
                if problem not in self.problems:
                    self.problems.append(problem)
            seen[name] = key.start_mark.line + 1
            self.keys[(*path, name)] = _position(key)
            if isinstance(key, yaml.ScalarNode) and key.tag != TEXT_TAG:
                self.odd_keys[(*path, name)] = key.tag.rpartition(":")[2]
            self.value(value, (*path, name))

    def _count(self, node: yaml.Node) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            line, column = _position(node)
            message = f"the file has more than {MAX_NODES:,} values once its aliases are followed"
            raise DocumentError(
                Diagnostic(
                    self.name, line, column, "DAG005", ERROR, message, "split it, or remove the aliases"
                )
            )


def _merged(node: yaml.Node) -> Iterator[yaml.MappingNode]:
    nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
    return (item for item in nodes if isinstance(item, yaml.MappingNode))


def _position(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1
