"""What the README says is true: its commands exist, its edits work, its output is what is printed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from callables import training
from schemas.diagnostics import as_text
from schemas.validation import check_paths

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    folder = tmp_path / "dag_configs"
    shutil.copytree(ROOT / "dag_configs", folder)
    return folder


def apply(block: str, folder: Path) -> Path:
    """Apply one diff of the README to the one file that has its lines."""
    lines = block.splitlines()
    old = "\n".join(line[1:] for line in lines if line.startswith("-"))
    new = "\n".join(line[1:] for line in lines if line.startswith("+"))
    having = [path for path in folder.glob("*.yaml") if old in path.read_text(encoding="utf-8")]
    assert len(having) == 1, old
    having[0].write_text(having[0].read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    return having[0]


def test_every_command_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"`make ([a-z]+)", README)) | set(
        re.findall(r"^\$ make ([a-z]+)", README, re.MULTILINE)
    )
    assert named
    assert named <= targets


def test_every_file_named_exists() -> None:
    for name in re.findall(r"(?:\(|`)((?:dag_configs|deploy|data|dags|schemas|callables)/[\w./]*)", README):
        assert (ROOT / name).exists(), name


def test_the_edits_are_right_and_the_model_trains(configs: Path, output: Path) -> None:
    edited = {apply(block, configs).name for block in blocks("diff")}
    assert edited == {"predict.yaml", "train_model.yaml", "promote_model.yaml"}
    assert as_text(check_paths([configs])) == ""
    tasks = yaml.safe_load((configs / "train_model.yaml").read_text(encoding="utf-8"))["train_model"]["tasks"]
    run = {"run_id": "readme", "run_after": "2026-01-01T00:00:00+09:00", "candidates": 2}
    result = training.train_challenger(**{**tasks["train_challenger"]["op_kwargs"], **run})
    assert 4 <= result["parameters"]["max_depth"] < 16


def test_the_slip_prints_what_is_shown(configs: Path) -> None:
    shown = next(block for block in blocks("console") if "DAG002" in block).split("\n", 1)[1]
    path = configs / "predict.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("schedule:", "schedul:", 1), encoding="utf-8")
    command = [sys.executable, "-m", "schemas", "check", str(configs)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.stdout == shown


def test_the_new_pipeline_is_right(configs: Path) -> None:
    (configs / "draw_daily.yaml").write_text(blocks("yaml")[0], encoding="utf-8")
    assert as_text(check_paths([configs])) == ""
