"""The image, compose.yaml and Kubernetes' files, each read by the program that it is for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import healthcheck
import pytest
import yaml
from pytest_httpserver import HTTPServer
from running_airflow import ROOT

BIN = Path(sys.executable).parent
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
SET = {"BATCH_OUTPUT": "s3://bucket/output", "BATCH_LOGS": "s3://bucket/logs"}


def ran(*command: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        cwd=ROOT, env={**os.environ, **more}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_image_passes_hadolint() -> None:
    found = ran("hadolint", "deploy/Dockerfile")
    assert (found.returncode, found.stdout) == (0, "")


def test_the_image_has_every_package_and_no_secret() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    packages = project["tool"]["uv"]["build-backend"]["module-name"]
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert allowed[1] == "*"
    for name in (*packages, "dags", "dag_configs", "data", "plugins"):
        assert f"COPY {name} {name}" in DOCKERFILE
        assert f"!{name}" in allowed
    assert "**/.env" in allowed


def test_the_image_is_installed_from_the_lock_file_and_runs_as_nobody_special() -> None:
    assert all("--frozen --no-dev" in line for line in DOCKERFILE.splitlines() if "uv sync" in line)
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert "USER 50000:50000" in last
    assert "HEALTHCHECK" in last
    assert "ENTRYPOINT" not in last  # the executor's pods and the chart give whole commands
    assert not re.search(r"apt-get|gcc|/opt/uv", last)


def composed(**settings: str) -> dict[str, Any]:
    found = ran("docker-compose", "-f", "deploy/compose.yaml", "config", **settings)
    assert found.returncode == 0, found.stderr
    result: dict[str, Any] = yaml.safe_load(found.stdout)
    return result


def test_compose_has_what_keeps_each_service_running() -> None:
    services = composed(**SET)["services"]
    assert set(services) == {
        "postgres", "redis", "migrate", "api-server", "scheduler", "dag-processor", "triggerer", "worker",
    }  # fmt: skip
    for name, service in services.items():
        assert service["restart"] == ("on-failure" if name == "migrate" else "unless-stopped")
        assert service["deploy"]["resources"]["limits"]["memory"]
        if service["image"] == "batch-serving:latest":
            assert service["init"] is True
            assert service["cap_drop"] == ["ALL"]
    assert services["worker"]["stop_grace_period"] == "20m0s"  # above the longest execution_timeout
    assert services["api-server"]["ports"][0]["host_ip"] == "127.0.0.1"


def test_compose_has_secrets_as_files_and_workers_do_not_know_those_of_the_control_plane() -> None:
    found = composed(**SET)
    assert all(set(secret) <= {"name", "file"} for secret in found["secrets"].values())
    worker = {one["source"] for one in found["services"]["worker"]["secrets"]}
    assert not worker & {"sql_alchemy_conn", "jwt_secret", "fernet_key", "postgres_password"}
    text = (ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8")
    assert not re.search(r"(PASSWORD|SECRET_KEY|JWT_SECRET|FERNET_KEY|BROKER_URL): *\S", text)


@pytest.mark.parametrize("missing", SET)
def test_compose_refuses_to_start_without_a_place_for_the_output(missing: str) -> None:
    given = {name: value for name, value in SET.items() if name != missing}
    found = ran("docker-compose", "-f", "deploy/compose.yaml", "config", "--quiet", **given, **{missing: ""})
    assert found.returncode != 0
    assert missing in found.stderr
    assert "such as s3://bucket/" in found.stderr


def test_the_pod_template_is_what_kubernetes_and_the_executor_expect() -> None:
    path = "deploy/kubernetes/pod_template.yaml"
    found = ran("kubernetes-validate", "--strict", path)
    assert found.returncode == 0, found.stdout + found.stderr
    pod = yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))
    (container,) = pod["spec"]["containers"]
    assert container["name"] == "base"
    assert pod["spec"]["restartPolicy"] == "Never"
    assert pod["spec"]["securityContext"]["runAsUser"] == 50000


def test_the_values_are_yaml_without_a_secret_of_their_own() -> None:
    for name in ("values.yaml", "values-celery.yaml"):
        text = (ROOT / "deploy" / "kubernetes" / name).read_text(encoding="utf-8")
        assert isinstance(yaml.safe_load(text), dict)
        assert not re.search(r"(?i)(password|secretkey|jwtsecret|fernetkey): *['\"]?\w", text)


def test_a_container_is_healthy_or_says_why_not(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__API__PORT", str(httpserver.port))
    httpserver.expect_oneshot_request("/api/v2/version").respond_with_data("{}")
    assert healthcheck.check(["airflow", "api-server"]) == ""
    httpserver.expect_request("/api/v2/version").respond_with_data("", status=500)
    assert "500" in healthcheck.check(["airflow", "api-server"])
    assert healthcheck.check(["airflow", "version"]) == ""


@pytest.mark.slow
def test_a_scheduler_that_does_not_run_is_not_healthy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{BIN}{os.pathsep}{os.environ['PATH']}")
    assert healthcheck.check(["airflow", "scheduler"]) != ""
