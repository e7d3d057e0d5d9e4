"""Imports flow one way: the contracts of ``make lint`` find what breaks that, and the page shows what holds."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import import_graph
import pytest

ROOT = Path(__file__).resolve().parent.parent
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")


@pytest.mark.parametrize("plan", import_graph.PLANS)
def test_the_rooms_have_no_circle(plan: str) -> None:
    arrows = import_graph.arrows_of(import_graph.import_graph(), plan)
    print(import_graph.mermaid(import_graph.reduced(arrows)))
    assert len(import_graph.in_order(arrows)) == len(arrows)


def test_the_page_shows_the_graph_as_it_is() -> None:
    page = import_graph.PAGE.read_text(encoding="utf-8")
    assert all(f"<!-- imports: {plan} -->" in page for plan in import_graph.PLANS)
    assert import_graph.with_plans(page, import_graph.import_graph()) == page, "run: make graph ARGS=--write"


def test_an_arrow_that_a_longer_way_implies_is_left_out() -> None:
    arrows = {"top": {"middle", "bottom"}, "middle": {"bottom"}, "bottom": set[str](), "alone": set[str]()}
    assert import_graph.mermaid(import_graph.reduced(arrows)) == (
        "flowchart TD\n  alone\n  top --> middle\n  middle --> bottom"
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    for name in import_graph.PACKAGES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dags", "deploy"):  # without these the project's own folders of these names would join them
        (folder / name / "__init__.py").touch()
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(LINT_IMPORTS), "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_contracts_hold(project: Path) -> None:
    found = lint(project)
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize(
    ("module", "statement"),
    [
        ("batch_serving/shared/env.py", "from callables import models"),
        ("batch_serving/registry/store.py", "from batch_serving.ml import drift"),
        ("batch_serving/ml/drift.py", "from batch_serving.weather import kma"),
        ("batch_serving/prediction/shadow.py", "from batch_serving.promotion import gate"),
        ("batch_serving/ml/drift.py", "import airflow"),
        ("callables/models.py", "from schemas import loading"),
        ("callables/models.py", "import dagfactory"),
        ("schemas/loading.py", "from callables import models"),
        ("schemas/documents/reading.py", "from schemas import validation"),
        ("schemas/documents/tasks.py", "from schemas.documents import graph"),
        ("deploy/local.py", "from dags import load_all"),
        ("dags/load_all.py", "from deploy import local"),
    ],
)
def test_an_import_against_the_layers_is_found_also_inside_a_function(
    project: Path, module: str, statement: str
) -> None:
    path = project / module
    good = path.read_text(encoding="utf-8")
    path.write_text(f"{good}\n\ndef late() -> None:\n    {statement}\n", encoding="utf-8")
    try:
        found = lint(project)
    finally:
        path.write_text(good, encoding="utf-8")
    assert (found.returncode, "Broken contracts" in found.stdout) == (1, True), found.stdout
