"""The KubernetesExecutor runs the pipelines: its own code and the real client, against a stand-in for the cluster's API."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest
import yaml
from databases import PASSWORD, database
from kubernetes_cluster import KubernetesCluster, machine_environment
from running_airflow import ROOT, Running, copied, started, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.extra("kubernetes", "cluster"),
    pytest.mark.needs("postgres"),
    pytest.mark.timeout(900),
]

TEMPLATE = ROOT / "deploy" / "kubernetes" / "pod_template.yaml"


PATIENT = """
patient:
  schedule: none
  default_args: {retries: 1, retry_delay: 1, retry_exponential_backoff: 0}
  tasks:
    work:
      operator: airflow.providers.standard.operators.bash.BashOperator
      bash_command: sleep 5
"""


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, KubernetesCluster]]:
    """An Airflow on PostgreSQL whose tasks are pods."""
    folder = tmp_path_factory.mktemp("kubernetes")
    project = copied(
        folder / "project", "dags", "dag_configs", "batch_serving", "callables", "schemas", "data"
    )
    (project / "dag_configs" / "patient.yaml").write_text(PATIENT, encoding="utf-8")
    pods = folder / "pods"
    pods.mkdir()
    with (
        database("postgres", tmp_path_factory.mktemp("postgres")) as found,
        KubernetesCluster(pods, "a-token", {}) as cluster,
    ):
        login = f"service:{quote(PASSWORD, safe='')}@127.0.0.1:{found.port}/service"
        settings = {
            "AIRFLOW__CORE__EXECUTOR": "KubernetesExecutor",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{login}",
            "AIRFLOW__KUBERNETES_EXECUTOR__NAMESPACE": "batch",
            "AIRFLOW__KUBERNETES_EXECUTOR__IN_CLUSTER": "False",
            "AIRFLOW__KUBERNETES_EXECUTOR__CONFIG_FILE": str(cluster.write_config()),
            "AIRFLOW__KUBERNETES_EXECUTOR__POD_TEMPLATE_FILE": str(TEMPLATE),
            "AIRFLOW__KUBERNETES_EXECUTOR__DELETE_WORKER_PODS": "False",
            "AIRFLOW__KUBERNETES_EXECUTOR__WORKER_PODS_CREATION_BATCH_SIZE": "4",
        }
        with started(project, settings, {"train_model", "promote_model", "predict", "patient"}) as running:
            cluster.overrides = machine_environment(running.instance.environment)
            yield running, cluster


def test_train_promote_and_predict_run_in_pods(airflow: tuple[Running, KubernetesCluster]) -> None:
    running, cluster = airflow
    running.api.patch("/dags/promote_model", {"is_paused": False})
    assert running.run("train_model")["state"] == "success"
    running.quiet("train_model", "promote_model")
    assert running.api.runs("promote_model")[-1]["state"] == "success"
    run = running.run("predict")
    assert run["state"] == "success"
    assert list(running.output.glob("predictions/digits/date=*/predict.manual*.csv"))
    labels = [pod["metadata"]["labels"] for pod in cluster.created]
    assert {label["dag_id"] for label in labels} >= {"train_model", "promote_model", "predict"}
    assert "Failed" not in {pod["status"]["phase"] for pod in cluster.pods.values()}


def test_each_pod_is_that_of_the_template(airflow: tuple[Running, KubernetesCluster]) -> None:
    _, cluster = airflow
    expected = yaml.safe_load(TEMPLATE.read_text(encoding="utf-8"))["spec"]
    assert cluster.created
    for pod in cluster.created:
        spec = pod["spec"]
        (container,) = spec["containers"]
        assert container["name"] == "base"
        assert container["image"] == expected["containers"][0]["image"]
        assert container["resources"] == expected["containers"][0]["resources"]
        assert spec["securityContext"] == expected["securityContext"]
        assert spec["restartPolicy"] == "Never"


def test_a_pod_that_is_gone_is_tried_again(airflow: tuple[Running, KubernetesCluster]) -> None:
    running, cluster = airflow
    before = len(cluster.created)
    run_id = running.api.trigger("patient")
    wait_until(lambda: len(cluster.created) > before, "the pod")
    name = cluster.created[before]["metadata"]["name"]
    wait_until(lambda: name in cluster.processes, "its process")
    cluster.processes[name].kill()
    assert running.ended("patient", run_id)["state"] == "success"
    assert len(cluster.created) == before + 2
