"""The workflow of the code host calls .ci/run: the quick part for each change, everything at night."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"


def workflow() -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    return found


def last_step(job: str) -> str:
    return str(workflow()["jobs"][job]["steps"][-1]["run"])


def test_the_workflow_is_one_that_the_code_host_accepts() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    found = subprocess.run([*command, str(WORKFLOW)], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def test_the_quick_part_runs_for_each_change_and_everything_at_night_and_by_hand() -> None:
    started_by = workflow()[True]  # YAML 1.1 reads the key `on` as true
    assert set(started_by) == {"push", "pull_request", "schedule", "workflow_dispatch"}
    assert last_step("quick") == ".ci/run quick"
    assert last_step("everything") == ".ci/run"


def test_ci_run_refuses_a_part_that_does_not_exist() -> None:
    found = subprocess.run([".ci/run", "slow"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (2, "usage: .ci/run [quick|all]\n")
