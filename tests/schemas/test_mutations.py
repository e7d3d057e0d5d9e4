"""Single mistakes, made in the four real files: each one is told, in the line where it was made."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from schemas.diagnostics import Diagnostic
from schemas.documents import find_files
from schemas.validation import check_paths

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "dag_configs"
KEY = re.compile(r"^(\s*)([a-z_]+):(?= |$)")
PATH = re.compile(r"(?:callables|airflow)(?:\.\w+)+")
# Keys whose names are the person's own: another name is another thing, and no mistake.
FREE_KEYS = frozenset({"promote_model", "train_model", "predict", "collect_weather", "version", "f1_macro"})
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


def mutations_of(path: Path) -> Iterator[Mutation]:
    lines = path.read_text(encoding="utf-8").splitlines()
    in_text = False
    task_depth = 4
    indent = 0
    for number, line in enumerate(lines):
        found = KEY.match(line)
        depth = len(line) - len(line.lstrip())
        if in_text and (not line.strip() or depth > indent):
            continue  # within a doc_md
        in_text = False
        if line.lstrip().startswith("#"):
            continue
        if line.rstrip().endswith("|"):
            in_text, indent = True, depth

        def changed(kind: str, new: str, number: int = number) -> Mutation:
            return Mutation(
                str(path), kind, number + 1, "\n".join([*lines[:number], new, *lines[number + 1 :]]) + "\n"
            )

        params = found and depth > 4 and found[2] in ("default", "type", "title", "description")
        if found and found[2] not in FREE_KEYS and depth != task_depth and not params:
            yield changed("typo", line.replace(found[2], transpose(found[2]), 1))
            yield changed("letter", line.replace(found[2], drop(found[2]), 1))
            if not line.rstrip().endswith((":", "&dataset", "&comparison", "|")):
                doubled = [*lines[: number + 1], line, *lines[number + 1 :]]
                yield Mutation(str(path), "twice", number + 2, "\n".join(doubled) + "\n")
        for match in PATH.finditer(line):
            yield changed("path", line.replace(match[0], transpose_end(match[0]), 1))
            yield changed("outside", line.replace(match[0], "os.system", 1))
        if "dependencies: [" in line:
            name = line.partition("[")[2].partition("]")[0]
            yield changed("dependency", line.replace(f"[{name}]", f"[{transpose(name)}]"))
            yield changed("dependency-text", line.replace(f"[{name}]", name))
        for key in ("better_task", "otherwise_task"):
            if f"{key}:" in line:
                yield changed("branch", re.sub(rf"({key}: )(\w+)", lambda m: m[1] + transpose(m[2]), line))
        if "schedule:" in line and "[" not in line:
            yield changed("cron", re.sub(r'"[^"]*"', '"61 * * * *"', line))
            yield changed("preset", re.sub(r'"[^"]*"', '"@hourli"', line))
        if "xcom_pull" in line:
            yield changed(
                "xcom", re.sub(r"task_ids='(\w+)'", lambda m: f"task_ids='{transpose(m[1])}'", line)
            )
        if "}}" in line:
            yield changed("template", line.replace("}}", "}", 1))
        # What an estimator takes is the estimator's to say.
        if re.search(r": \d+(\.\d+)?\b", line) and not re.search("parameters:|distribution:", line):
            yield changed("number", re.sub(r": \d+(\.\d+)?\b", ": many", line, count=1))
        if (
            found
            and found[2] in ("dataset", "target", "model", "metric", "estimator", "run_id")
            and "&" not in line
            and "*" not in line
        ):
            yield changed("mapping", f"{found[1]}{found[2]}: {{oops: 1}}")
        for right, wrong in ENUMS.items():
            if right in line:
                yield changed("enum", line.replace(right, wrong))
        if found and found[2] in ("operator", "python_callable"):
            yield Mutation(
                str(path), "removed", number + 1, "\n".join([*lines[:number], *lines[number + 1 :]]) + "\n"
            )
        if found and depth >= 2 and not line.rstrip().endswith(("|", ":")):
            yield changed("tab", "\t" + line.lstrip())


def transpose_end(path: str) -> str:
    head, _, last = path.rpartition(".")
    return f"{head}.{transpose(last)}"


MUTATIONS = [mutation for path in find_files(FOLDER) for mutation in mutations_of(path)]


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> dict[Mutation, list[Diagnostic]]:
    """What the checker says of each mutated file, checked beside the real defaults."""
    folder = tmp_path_factory.mktemp("mutations") / "dag_configs"
    folder.mkdir()
    shutil.copy(FOLDER / "defaults.yml", folder)
    found = {}
    for mutation in MUTATIONS:
        path = folder / Path(mutation.file).name
        path.write_text(mutation.text, encoding="utf-8")
        found[mutation] = check_paths([path])
        path.unlink()
    return found


def test_there_are_enough() -> None:
    assert len(MUTATIONS) >= 300
    assert len({mutation.kind for mutation in MUTATIONS}) >= 12


def test_every_mistake_is_told(reported: dict[Mutation, list[Diagnostic]]) -> None:
    missed = [str(mutation) for mutation, diagnostics in reported.items() if not diagnostics]
    print(f"detected: {len(MUTATIONS) - len(missed)} of {len(MUTATIONS)}")
    assert missed == []


def test_every_mistake_is_told_in_its_line(reported: dict[Mutation, list[Diagnostic]]) -> None:
    elsewhere = [
        f"{mutation}: {'; '.join(f'{found.line} {found.code} {found.message}' for found in diagnostics)}"
        for mutation, diagnostics in reported.items()
        # What is missing has no line: its task is named, a line or two above. A misspelt required key is told in its place.
        if diagnostics
        and mutation.line not in [found.line for found in diagnostics]
        and not (
            mutation.kind == "removed" and any(0 < mutation.line - found.line <= 3 for found in diagnostics)
        )
    ]
    assert elsewhere == []


def test_the_files_as_they_are_give_nothing() -> None:
    assert check_paths([FOLDER]) == []
