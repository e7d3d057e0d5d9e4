"""No usage data leaves the machine, in whatever way Airflow is started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from dag_runs import DAY, SCRIPT
from pytest_httpserver import HTTPServer
from werkzeug import Response

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def environment(tmp_path: Path, httpserver: HTTPServer) -> dict[str, str]:
    """An environment with AIRFLOW_HOME, the DAGs folder and BATCH_OUTPUT set; a proxy sees all requests."""
    httpserver.expect_request("").respond_with_response(Response(status=502))
    proxy = httpserver.url_for("")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    return {
        **clean,
        "AIRFLOW_HOME": str(tmp_path / "home"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "BATCH_OUTPUT": str(tmp_path / "output"),
        "HTTP_PROXY": proxy,
        "HTTPS_PROXY": proxy,
        "NO_PROXY": "",
    }


def run(*command: str, env: dict[str, str]) -> str:
    found = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


def requests(httpserver: HTTPServer) -> list[str]:
    return [f"{request.method} {request.full_path}" for request, _ in httpserver.log]


def test_each_dag_runs_and_sends_no_request(environment: dict[str, str], httpserver: HTTPServer) -> None:
    airflow = str(Path(sys.executable).with_name("airflow"))
    run(airflow, "db", "migrate", env=environment)
    run(airflow, "dags", "test", "train_model", env=environment)
    others = ("promote_model", "predict", "collect_weather")
    run(sys.executable, "-c", SCRIPT, DAY, "{}", *others, env=environment)
    output = Path(environment["BATCH_OUTPUT"])
    assert (output / "models" / "digits" / "champion.json").exists()
    assert len(list(output.glob("predictions/digits/*/*.csv"))) == 1
    assert (output / "weather" / "latest.csv").exists()
    assert requests(httpserver) == []


def test_the_proxy_would_have_seen_it(environment: dict[str, str], httpserver: HTTPServer) -> None:
    metrics = {"dag_hash": "x", "status": "success", "task_count": 1}
    code = f"from dagfactory import telemetry; telemetry.emit_usage_metrics_if_enabled('dag_run', {metrics})"
    run(sys.executable, "-c", code, env=environment)
    assert len(httpserver.log) == 1
