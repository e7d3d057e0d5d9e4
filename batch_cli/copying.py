"""A user's own copy of an example: its files, renamed, each in the folder where a user's own files are."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from batch_serving.shared.root import PROJECT_ROOT

SCHEMA_LINE = "$schema=../../schemas/"
IN_EXAMPLES = re.compile(
    r"^(?P<indent> *)tags: \[example\] *\n|(?<=tags: \[)example, *|(?<=\w), *example(?=[,\]])", re.M
)


class NotCopiedError(Exception):
    """Nothing was written; the text says why, and what to do."""


@dataclass(frozen=True)
class Copy:
    """An example and the name that everything of it gets.

    ``source`` is the folder of the example: YAML files, Python modules, and folders such as ``sql`` with what
    the YAML names by path.
    """

    source: Path
    name: str
    project: Path = PROJECT_ROOT

    @property
    def old(self) -> str:
        """The example's name."""
        return self.source.name

    def files(self) -> dict[Path, Path]:
        """Return where each file of the example goes. YAML is last: it names the others."""
        found = {file: self._place(file) for file in sorted(self.source.rglob("*")) if _is_source(file)}
        return dict(sorted(found.items(), key=lambda pair: pair[1].suffix == ".yaml"))

    def _place(self, file: Path) -> Path:
        inside = file.relative_to(self.source)
        if file.suffix == ".py":
            return self.project / "callables" / self.name / inside
        if file.suffix == ".yaml" and len(inside.parts) == 1:
            rest = "" if file.stem == self.old else f"_{file.stem.removeprefix(f'{self.old}_')}"
            return self.project / "dag_configs" / f"{self.name}{rest}.yaml"
        folder, *parts = inside.parts
        return self.project / "dag_configs" / folder / Path(self.name, *parts)

    def text(self, file: Path) -> str:
        """Return what a file of the copy holds: paths, ids and names are the copy's own."""
        text = file.read_text(encoding="utf-8")
        prose = list(_prose(file, text))
        found = []
        for number, line in enumerate(text.splitlines(keepends=True)):
            first = min((start for row, start in prose if row == number), default=len(line))
            found.append(self._renamed(line[:first]) + self._with_paths(line[first:]))
        renamed = "".join(found)
        if file.suffix == ".yaml":
            renamed = IN_EXAMPLES.sub("", renamed.replace(SCHEMA_LINE, "$schema=../schemas/", 1))
        return renamed

    def _renamed(self, text: str) -> str:
        return re.sub(rf"(?<![A-Za-z0-9_]){self.old}(?![A-Za-z0-9])", self.name, self._with_paths(text))

    def _with_paths(self, text: str) -> str:
        """Replace the paths of the example's files and functions; all that is replaced in comments."""
        for file, place in self.files().items():
            inside = file.relative_to(self.source).as_posix()
            text = text.replace(f"examples/{self.old}/{inside}", place.relative_to(self.project).as_posix())
            if file.suffix not in (".py", ".yaml"):
                own = place.relative_to(self.project / "dag_configs").as_posix()
                text = re.sub(rf"(?<![\w/]){re.escape(inside)}(?!\w)", own, text)
        return re.sub(rf"(?<!\w)examples\.{self.old}(?!\w)", f"callables.{self.name}", text)

    def write(self) -> list[Path]:
        """Write the copy and return its files; NotCopiedError if one of them is there already."""
        files = self.files()
        module = self.project / "callables" / f"{self.name}.py"  # a folder of this name would hide it
        places = [place for place in (module, *files.values()) if place.exists()]
        taken = [place.relative_to(self.project).as_posix() for place in places]
        if taken:
            raise NotCopiedError(f"there is already {', '.join(taken)}; choose another name")
        written: list[Path] = []
        try:
            for file, place in files.items():
                place.parent.mkdir(parents=True, exist_ok=True)
                with place.open("x", encoding="utf-8") as opened:
                    written.append(place)
                    opened.write(self.text(file))
        except BaseException as error:
            remove(written)
            if isinstance(error, OSError):
                raise NotCopiedError(
                    f"{error.filename}: {error.strerror}; correct it and try again"
                ) from None
            raise
        return written


def remove(written: list[Path]) -> None:
    """Remove these files, and the folders that are empty then."""
    for place in written:
        place.unlink(missing_ok=True)
        for folder in (place.parent, place.parent.parent):
            if folder.name not in ("dag_configs", "callables") and not any(folder.glob("[!_]*")):
                _remove_folder(folder)


def _remove_folder(folder: Path) -> None:
    """Remove a folder with nothing but bytecode in it."""
    for file in [*folder.glob("__pycache__/*"), *folder.glob("__pycache__")]:
        file.rmdir() if file.is_dir() else file.unlink()
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _is_source(file: Path) -> bool:
    hidden = any(part.startswith((".", "__pycache__")) for part in file.parts)
    return file.is_file() and not hidden and file.name != "README.md" and file.suffix != ".png"


def _prose(file: Path, text: str) -> Iterator[tuple[int, int]]:
    """Yield where comments and docstrings start: line from 0, and column. A word there stays a word."""
    if file.suffix == ".py":
        lines = io.StringIO(text).readline
        for token in tokenize.generate_tokens(lines):
            if token.type == tokenize.COMMENT:
                yield token.start[0] - 1, token.start[1]
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                for line in range(node.lineno, (node.end_lineno or node.lineno) + 1):
                    yield line - 1, node.col_offset if line == node.lineno else 0
    else:
        comment = re.compile(r"(^|\s)--" if file.suffix == ".sql" else r"(^|\s)#")
        for number, one in enumerate(text.splitlines()):
            if found := comment.search(one):
                yield number, found.start()
