"""maintain_predictions, killed at any moment or run by several tasks: it leaves what one clean run leaves."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest
from kills import Forks
from predicting import at, predict
from thorough import tries
from trees import tree

from batch_serving.registry.store import ModelStore
from callables import training

pytestmark = pytest.mark.slow

KILLS = tries(20, 60)
ROUNDS = 8
SEED = 20260101
SETUP = """
import os
import filelock, joblib, matplotlib.figure, matplotlib.backends.backend_svg, pandas, sklearn.naive_bayes, upath
from predicting import maintain
from batch_serving.cards import card

def run(line):
    times, folder = line.split()
    os.environ["BATCH_OUTPUT"] = folder
    children = []
    for _ in range(int(times) - 1):
        children.append(os.fork())
        if children[-1] == 0:
            children = None
            break
    maintain()
    if children is None:
        os._exit(0)
    for child in children:
        if os.waitpid(child, 0)[1]:
            os._exit(1)
"""


def predicted_rows(output: Path) -> list[str]:
    """All rows of predictions, each once: between two steps of a compaction, two files have them."""
    files = (output / "predictions" / "digits").glob("date=*/*.csv")
    return sorted({row for file in files for row in file.read_text(encoding="utf-8").splitlines()[1:]})


def age_leftovers(output: Path) -> None:
    """Make temporary files of a killed task as old as they must be to be removed."""
    for path in output.rglob(".*.tmp"):
        os.utime(path, (0, 0))


@pytest.fixture
def template(champion: str, output: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The output of three days and of today, and a card of long ago."""
    training.predict_holdout(model="digits", version=champion)
    for days_ago in (3, 2, 1, 0):
        for minute in (0, 5, 10):
            predict(**at(days_ago, minute))
    os.utime(str(ModelStore("digits").folder(champion) / "card.html"), (0, 0))
    # So that the forks find the tests' own modules.
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent / "support"))
    return output


def test_a_kill_at_any_moment_leaves_what_a_clean_run_leaves(
    template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = predicted_rows(template)
    draw = random.Random(SEED)
    killed, number = 0, 0
    with Forks(SETUP) as forks:
        forks.run(f"1 {copy(template, tmp_path / 'first')}")  # imports what is left to import
        clean = copy(template, tmp_path / "clean")
        length = forks.run(f"1 {clean}")
        expected = tree(clean)
        assert expected != tree(template)
        while killed < KILLS:
            number += 1
            folder = copy(template, tmp_path / f"kill-{number}")
            killed += forks.kill(f"1 {folder}", draw.uniform(0, length))
            assert predicted_rows(folder) == rows
            age_leftovers(folder)
            forks.run(f"1 {folder}")
            assert tree(folder) == expected
            shutil.rmtree(folder)
    with capsys.disabled():
        print(
            f"\n  {killed} kills of maintain_predictions ({length:.2f} s each): all rows kept, the same files"
        )


def test_several_at_the_same_time_leave_what_one_leaves(template: Path, tmp_path: Path) -> None:
    with Forks(SETUP) as forks:
        clean = copy(template, tmp_path / "clean")
        forks.run(f"1 {clean}")
        expected = tree(clean)
        for number in range(ROUNDS):
            folder = copy(template, tmp_path / f"together-{number}")
            forks.run(f"4 {folder}")
            assert tree(folder) == expected


def copy(template: Path, folder: Path) -> Path:
    return Path(shutil.copytree(template, folder))
