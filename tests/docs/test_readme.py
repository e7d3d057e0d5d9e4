"""The README: short, its edits work, its mistake prints what is shown, and the Korean one says the same."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml
from pages import ROOT, Page, page

from callables import training

README, KOREAN = page("README.md"), page("docs/README.ko.md")
MAX_LINES = 120


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    folder = tmp_path / "dag_configs"
    shutil.copytree(ROOT / "dag_configs", folder)
    return folder


def apply(diff: str, folder: Path) -> Path:
    """Apply one diff of the README to the one file that has its lines."""
    old, new = ("\n".join(re.findall(rf"^\{sign}(.*)$", diff, re.MULTILINE)) for sign in "-+")
    having = [path for path in folder.glob("*.yaml") if old in path.read_text(encoding="utf-8")]
    assert len(having) == 1, old
    having[0].write_text(having[0].read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    return having[0]


def check(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "schemas", "check", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_it_is_short() -> None:
    assert len(README.text.splitlines()) <= MAX_LINES


def test_its_edits_are_right_and_the_model_trains(configs: Path, output: Path) -> None:
    edited = {apply(diff, configs).name for diff in README.of("diff")}
    assert edited == {"predict.yaml", "train_model.yaml", "promote_model.yaml"}
    assert check(configs).returncode == 0
    tasks = yaml.safe_load((configs / "train_model.yaml").read_text(encoding="utf-8"))["train_model"]["tasks"]
    run = {"run_id": "readme", "run_after": "2026-01-01T00:00:00+09:00"}
    result = training.train_challenger(**{**tasks["train_challenger"]["op_kwargs"], **run})
    assert 4 <= result["parameters"]["max_depth"] < 16


def test_its_mistake_prints_what_is_shown_and_fix_corrects_it(configs: Path) -> None:
    shown = next(output for block in README.blocks for _, output in block.commands if "DAG002" in output)
    path = configs / "predict.yaml"
    good = path.read_text(encoding="utf-8")
    path.write_text(good.replace("schedule:", "schedul:", 1), encoding="utf-8")
    found = check(configs)
    assert (found.returncode, found.stdout) == (1, shown)
    assert check("--fix", configs).returncode == 0
    assert path.read_text(encoding="utf-8") == good


def target(link: str, of: Page) -> str:
    """Return where a link leads: an address, or a path in the project."""
    return link if "://" in link else os.path.relpath(of.path.parent / link, ROOT)


def test_the_korean_one_has_the_same_blocks_commands_and_links() -> None:
    assert KOREAN.blocks == README.blocks
    assert Counter(KOREAN.code) >= Counter(set(README.code))
    assert set(KOREAN.code) == set(README.code)
    languages = {"README.md", "docs/README.ko.md"}
    english, korean = ({target(link, one) for link in one.links} - languages for one in (README, KOREAN))
    assert {
        link.replace("_en.png", "_ko.png") for link in english
    } == korean  # pictures in the reader's language


def test_each_leads_to_the_other_in_its_first_lines() -> None:
    for one, other in ((README, KOREAN), (KOREAN, README)):
        first = re.findall(r"\]\(([^)]+)\)", "\n".join(one.text.splitlines()[:4]))
        assert [target(link, one) for link in first] == [other.name]
