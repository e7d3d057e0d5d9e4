"""Two to six mistakes in one file: one run reports each of them at its line, and nothing else."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mutations import FOLDER, MUTATIONS, Mutation

from schemas.problems import Problem
from schemas.validation import check_paths

pytestmark = pytest.mark.slow

FILES = 300
SEED = 20261126
# With one of these in the line that names the function or the operator, its arguments cannot be judged.
HIDES_ARGUMENTS = frozenset({"path", "outside", "removed", "typo", "letter", "tab"})


@dataclass(frozen=True)
class Mixture:
    """A file with several mistakes, and the lines (1-based) where they stand now."""

    file: str
    text: str
    made: tuple[tuple[Mutation, int], ...]

    def found_by(self, problems: list[Problem]) -> list[Mutation]:
        """Return the mistakes that are reported at their line; what is missing, at its task's, just above."""
        lines = {problem.line for problem in problems}
        return [
            mutation
            for mutation, line in self.made
            if line in lines or (mutation.kind == "removed" and lines & set(range(line - 4, line)))
        ]


def original_line(mutation: Mutation) -> int:
    """Return the index of the line that a mutation changes, or after which it adds one."""
    return mutation.line - (2 if mutation.kind == "twice" else 1)


def task_of(lines: list[str], index: int) -> int | None:
    """Return the line where the task starts that a line belongs to."""
    for place in range(index, -1, -1):
        depth = len(lines[place]) - len(lines[place].lstrip())
        if lines[place].strip() and depth <= 4:
            return place if depth == 4 and lines[place].rstrip().endswith(":") else None
    return None


def hides(lines: list[str], one: Mutation, other: Mutation) -> bool:
    """Return whether the first mistake makes it impossible to judge the second."""
    first, second = original_line(one), original_line(other)
    names_code = lines[first].strip().startswith(("python_callable", "operator"))
    is_argument = len(lines[second]) - len(lines[second].lstrip()) >= 8
    same_task = task_of(lines, first) is not None and task_of(lines, first) == task_of(lines, second)
    return names_code and is_argument and same_task and one.kind in HIDES_ARGUMENTS


def mixtures() -> Iterator[Mixture]:
    rng = random.Random(SEED)
    by_file = {file: [one for one in MUTATIONS if one.file == file] for file in {m.file for m in MUTATIONS}}
    for _ in range(FILES):
        file = rng.choice(sorted(by_file))
        lines = Path(file).read_text(encoding="utf-8").splitlines()
        chosen: list[Mutation] = []
        wanted = rng.randint(2, 6)
        for mutation in rng.sample(by_file[file], len(by_file[file])):
            apart = original_line(mutation) not in map(original_line, chosen)
            if apart and not any(
                hides(lines, a, b) for o in chosen for a, b in ((o, mutation), (mutation, o))
            ):
                chosen.append(mutation)
            if len(chosen) == wanted:
                break
        yield mixed(file, lines, chosen)


def mixed(file: str, lines: list[str], chosen: list[Mutation]) -> Mixture:
    """Make all changes in one text, from the last line to the first."""
    text = list(lines)
    for mutation in sorted(chosen, key=original_line, reverse=True):
        index = original_line(mutation)
        if mutation.kind == "removed":
            del text[index]
        elif mutation.kind == "twice":
            text.insert(index + 1, lines[index])
        else:
            text[index] = mutation.text.splitlines()[index]
    moved = {"removed": -1, "twice": 1}
    made = tuple(
        (one, one.line + sum(moved.get(o.kind, 0) for o in chosen if original_line(o) < original_line(one)))
        for one in chosen
    )
    return Mixture(file, "\n".join(text) + "\n", made)


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Mixture, list[Problem]]]:
    folder = tmp_path_factory.mktemp("mixtures") / "dag_configs"
    folder.mkdir()
    shutil.copy(FOLDER / "defaults.yml", folder)
    found = []
    for mixture in mixtures():
        path = folder / Path(mixture.file).name
        path.write_text(mixture.text, encoding="utf-8")
        found.append((mixture, check_paths([path])))
        path.unlink()
    return found


def test_98_of_100_mistakes_are_reported_at_their_line(checked: list[tuple[Mixture, list[Problem]]]) -> None:
    made = [mutation for mixture, _ in checked for mutation, _ in mixture.made]
    found = [mutation for mixture, problems in checked for mutation in mixture.found_by(problems)]
    assert len(checked) >= 300
    assert len(found) / len(made) >= 0.98, f"{len(found)} of {len(made)}"


def test_a_mistake_is_one_problem(checked: list[tuple[Mixture, list[Problem]]]) -> None:
    made = sum(len(mixture.made) for mixture, _ in checked)
    problems = sum(len(found) for _, found in checked)
    assert problems / made <= 1.05, f"{problems} problems of {made} mistakes"


def test_a_file_with_mistakes_always_has_problems(checked: list[tuple[Mixture, list[Problem]]]) -> None:
    assert [mixture.file for mixture, problems in checked if not problems] == []
