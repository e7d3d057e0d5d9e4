"""The page of pipelines: its tables have the arguments that the functions have, and its YAML is right."""

from __future__ import annotations

import importlib
import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pages import ROOT, page

PAGE = page("docs/pipelines.md")
SECTIONS = dict(re.findall(r"^### (callables\.\S+)\n(.*?)(?=^##|\Z)", PAGE.text, re.MULTILINE | re.DOTALL))


def function_of(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def rows_of(section: str) -> dict[str, str]:
    """Return each argument in a section's table with the cell of its default."""
    found = re.findall(r"^\| (`[^|]+) \| ([^|]*?) ?\| [^|]+ \|$", section, re.MULTILINE)
    return {name: default for cell, default in found for name in re.findall(r"`(\w+)`", cell)}


@pytest.mark.parametrize("path", SECTIONS)
def test_a_table_has_the_arguments_of_the_function(path: str) -> None:
    assert set(rows_of(SECTIONS[path])) == set(inspect.signature(function_of(path)).parameters)


@pytest.mark.parametrize("path", SECTIONS)
def test_a_default_in_a_table_is_that_of_the_function(path: str) -> None:
    """A cell with one value in code style, or one number, is the default itself; other cells explain it."""
    parameters = inspect.signature(function_of(path)).parameters
    for name, cell in rows_of(SECTIONS[path]).items():
        default = parameters[name].default
        if re.fullmatch(r"`\w+`|[\d.]+", cell):
            assert str(default) == cell.strip("`"), name


@pytest.mark.parametrize("file", sorted((ROOT / "dag_configs").glob("*.yaml")), ids=lambda file: file.stem)
def test_every_task_function_of_the_pipelines_is_on_the_page(file: Path) -> None:
    for dag_id, dag in yaml.safe_load(file.read_text(encoding="utf-8")).items():
        assert f"\n## {dag_id}\n" in PAGE.text
        for task_id, task in dag["tasks"].items():
            assert task["python_callable"] in SECTIONS, task_id
            assert f"`{task_id}`" in PAGE.text


@pytest.mark.parametrize("text", PAGE.of("yaml"), ids=lambda text: text.partition(":")[0])
def test_the_yaml_is_right(text: str, tmp_path: Path) -> None:
    configs = tmp_path / "dag_configs"
    shutil.copytree(ROOT / "dag_configs", configs)
    (configs / "shown.yaml").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "schemas", "check", str(configs)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout
