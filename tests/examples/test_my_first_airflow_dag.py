"""The example ``my_first_airflow_dag``: its settings, its callbacks, and a run under a real scheduler."""

from __future__ import annotations

import re
from datetime import date, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import yaml
from running_airflow import ROOT

from examples.my_first_airflow_dag.callbacks import print_failure, print_success

if TYPE_CHECKING:
    from conftest import Gallery

FOLDER = ROOT / "examples" / "my_first_airflow_dag"


def test_its_schedule_tries_and_tags() -> None:
    dag = yaml.safe_load((FOLDER / "my_first_airflow_dag.yaml").read_text())["my_first_airflow_dag"]
    defaults = yaml.safe_load((FOLDER.parent / "defaults.yml").read_text())
    assert (dag["schedule"], defaults["timezone"]) == ("0 8 * * *", "Asia/Seoul")
    assert {"mlops", "study"} < set(dag["tags"])
    assert (dag["default_args"]["retries"], dag["default_args"]["retry_delay"]) == (1, 300)
    assert dag["tasks"]["sleep"]["retries"] == 3


def test_callbacks_print_the_task_its_run_and_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    task = SimpleNamespace(task_id="sleep", run_id="manual__1")
    print_success({"ti": task})
    print_failure({"ti": task, "exception": ValueError("no time")})
    assert capsys.readouterr().out.splitlines() == [
        "sleep has succeeded, in run manual__1",
        "sleep has failed, in run manual__1: no time",
    ]


@pytest.mark.slow
@pytest.mark.needs("mariadb")
def test_it_sleeps_prints_five_dates_and_calls_back(gallery: Gallery) -> None:
    run = gallery.run("my_first_airflow_dag")
    assert gallery.tasks(run) == {"print_date": "success", "sleep": "success", "templated": "success"}
    path = f"/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances/sleep"
    assert gallery.api.get(path)["duration"] >= 5
    found = re.findall(
        r"(\d{4}-\d\d-\d\d) and (\d) days are (\d{4}-\d\d-\d\d)", gallery.log(run, "templated")
    )
    shown = sorted(set(found))
    first = date.fromisoformat(shown[0][0])
    assert shown == [(str(first), str(number), str(first + timedelta(days=number))) for number in range(5)]
    assert "templated has succeeded, in run" in gallery.log(run, "templated")
