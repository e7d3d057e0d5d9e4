"""A task in a pod: what the cluster is asked for, the pod's log, and its end."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from dag_runs import DAY, Project
from kubernetes_api import KubernetesApi
from pytest_httpserver import HTTPServer

pytestmark = [pytest.mark.slow, pytest.mark.extra("kubernetes")]


def test_a_task_ends_as_its_pod_does(
    httpserver: HTTPServer, project: Project, example: Callable[[str], str]
) -> None:
    cluster = KubernetesApi(httpserver, token="token-of-the-cluster")
    text = example("in_a_pod")
    project.add("good.yaml", text)
    project.add("broken.yaml", text.replace("in_a_pod", "broken").replace("score:1.4", "broken:1.4"))
    states = project.run("in_a_pod", "broken", cluster=cluster.connection)
    right = {"in_a_pod": {"score": "success"}, "broken": {"score": "failed"}}
    assert states == right, project.output[-6000:]
    pod = cluster.created[0]
    (container,) = pod["spec"]["containers"]
    assert container["image"] == "registry.example.com/score:1.4"
    assert container["command"] + container["args"] == ["python", "-m", "score", "--day", DAY]
    assert cluster.deleted == [one["metadata"]["name"] for one in cluster.created]
    assert "3 rows scored" in project.output
    assert cluster.token not in project.output
