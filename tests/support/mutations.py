"""Single mistakes, made in the four real files, for the tests and benchmarks that count what is found of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from schemas.documents.reading import find_files

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "dag_configs"
KEY = re.compile(r"^(\s*)([a-z_]+):(?= |$)")
PATH = re.compile(r"(?:callables|airflow)(?:\.\w+)+")
# Keys whose names the user chooses: another name is another thing, and no mistake.
FREE_KEYS = frozenset({"promote_model", "train_model", "predict", "collect_weather", "version", "f1_macro"})
TASK_DEPTH = 4  # of the blanks before a task_id
ENUMS = {"direction: maximize": "direction: [maximise]", "on_tie: keep": "on_tie: 7"}


@dataclass(frozen=True)
class Mutation:
    """One mistake: the file, what kind, the line (1-based) where it stands, and the text with it."""

    file: str
    kind: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{Path(self.file).stem}-{self.line}-{self.kind}"


def transpose(word: str) -> str:
    """Swap two letters in the middle, as fingers do; a letter twice is dropped once."""
    middle = max(1, len(word) // 2)
    swapped = word[: middle - 1] + word[middle] + word[middle - 1] + word[middle + 1 :]
    return swapped if swapped != word else word[: middle - 1] + word[middle:]


def drop(word: str) -> str:
    """Leave out the last letter."""
    return word[:-1]


@dataclass(frozen=True)
class Line:
    """One line of a file: its number from 0, all lines, and its key if it has one."""

    file: str
    lines: tuple[str, ...]
    number: int

    @property
    def text(self) -> str:
        return self.lines[self.number]

    @property
    def key(self) -> str:
        found = KEY.match(self.text)
        return found[2] if found else ""

    @property
    def depth(self) -> int:
        return len(self.text) - len(self.text.lstrip())

    def ends_with(self, *endings: str) -> bool:
        return self.text.rstrip().endswith(endings)

    def made(self, kind: str, *new: str, line: int = 0) -> Mutation:
        """Return the file with ``new`` lines in place of this one; ``line`` counts from this one."""
        text = [*self.lines[: self.number], *new, *self.lines[self.number + 1 :]]
        return Mutation(self.file, kind, self.number + 1 + line, "\n".join(text) + "\n")


def yaml_lines(path: Path) -> Iterator[Line]:
    """Yield the lines that have YAML: no comments, and nothing within a text of several lines."""
    lines = tuple(path.read_text(encoding="utf-8").splitlines())
    text_depth: int | None = None
    for number in range(len(lines)):
        line = Line(str(path), lines, number)
        if text_depth is not None and (not line.text.strip() or line.depth > text_depth):
            continue
        text_depth = line.depth if line.ends_with("|") else None
        if not line.text.lstrip().startswith("#"):
            yield line


def of_keys(line: Line) -> Iterator[Mutation]:
    """A key with two letters swapped or one left out, given twice, removed, or indented with a tab."""
    params = line.depth > 4 and line.key in ("default", "type", "title", "description")
    if line.key and line.key not in FREE_KEYS and line.depth != TASK_DEPTH and not params:
        yield line.made("typo", line.text.replace(line.key, transpose(line.key), 1))
        yield line.made("letter", line.text.replace(line.key, drop(line.key), 1))
        if not line.ends_with(":", "&dataset", "&comparison", "|"):
            yield line.made("twice", line.text, line.text, line=1)
    if line.key in ("operator", "python_callable"):
        yield line.made("removed")
    if line.key and line.depth >= 2 and not line.ends_with("|", ":"):
        yield line.made("tab", "\t" + line.text.lstrip())


def of_names(line: Line) -> Iterator[Mutation]:
    """A path, a dependency, a branch target or a pulled task that is misspelt, or not allowed."""
    for match in PATH.finditer(line.text):
        yield line.made("path", line.text.replace(match[0], transpose_end(match[0]), 1))
        yield line.made("outside", line.text.replace(match[0], "os.system", 1))
    if "dependencies: [" in line.text:
        name = line.text.partition("[")[2].partition("]")[0]
        yield line.made("dependency", line.text.replace(f"[{name}]", f"[{transpose(name)}]"))
        yield line.made("dependency-text", line.text.replace(f"[{name}]", name))
    if line.key in ("better_task", "otherwise_task"):
        yield line.made("branch", re.sub(r"(: )(\w+)", lambda m: m[1] + transpose(m[2]), line.text, count=1))
    if "xcom_pull" in line.text:
        pulled = re.sub(r"task_ids='(\w+)'", lambda m: f"task_ids='{transpose(m[1])}'", line.text)
        yield line.made("xcom", pulled)


def of_values(line: Line) -> Iterator[Mutation]:
    """A schedule, a template or a value that is wrong, or of another kind."""
    if line.key == "schedule" and "[" not in line.text:
        yield line.made("cron", re.sub(r'"[^"]*"', '"61 * * * *"', line.text))
        yield line.made("preset", re.sub(r'"[^"]*"', '"@hourli"', line.text))
    if "}}" in line.text:
        yield line.made("template", line.text.replace("}}", "}", 1))
    # What an estimator takes is for the estimator to say.
    if re.search(r": \d+(\.\d+)?\b", line.text) and not re.search("parameters:|distribution:", line.text):
        yield line.made("number", re.sub(r": \d+(\.\d+)?\b", ": many", line.text, count=1))
    plain = "&" not in line.text and "*" not in line.text
    if line.key in ("dataset", "target", "model", "metric", "estimator", "run_id") and plain:
        yield line.made("mapping", f"{' ' * line.depth}{line.key}: {{oops: 1}}")
    for right, wrong in ENUMS.items():
        if right in line.text:
            yield line.made("enum", line.text.replace(right, wrong))


def mutations_of(path: Path) -> Iterator[Mutation]:
    """Yield every single mistake that is made in a file."""
    for line in yaml_lines(path):
        yield from (*of_keys(line), *of_names(line), *of_values(line))


def transpose_end(path: str) -> str:
    head, _, last = path.rpartition(".")
    return f"{head}.{transpose(last)}"


MUTATIONS = [mutation for path in find_files(FOLDER) for mutation in mutations_of(path)]
