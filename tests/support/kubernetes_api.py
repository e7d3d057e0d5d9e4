"""The part of the Kubernetes API that runs a pod, as a real HTTP server on 127.0.0.1.

A pod is pending, then it runs, and then it ends: one step for each time that it is read. It fails if its image
has ``broken`` in its name.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

POD = re.compile(r"/api/v1/namespaces/(?P<namespace>[^/]+)/pods(/(?P<name>[^/]+)(?P<log>/log)?)?")
EVENTS = re.compile(r"/api/v1/namespaces/[^/]+/events")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class KubernetesApi:
    """A cluster that keeps the pods it was sent."""

    server: HTTPServer
    token: str
    at: str = field(default_factory=_now)  # the log of a pod that ended long ago is not read
    pods: dict[str, dict[str, Any]] = field(default_factory=dict)
    created: list[dict[str, Any]] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.server.expect_request(re.compile("/api/.*")).respond_with_handler(self._answer)

    @property
    def connection(self) -> str:
        """The value of a connection to this cluster."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "tests",
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
            "clusters": [{"name": "tests", "cluster": {"server": self.server.url_for("")}}],
            "users": [{"name": "tests", "user": {"token": self.token}}],
        }
        return json.dumps({"conn_type": "kubernetes", "extra": {"kube_config": json.dumps(config)}})

    def _answer(self, request: Request) -> Response:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return _status(401, "Unauthorized")
        if EVENTS.fullmatch(request.path):
            return _answer({"apiVersion": "v1", "kind": "EventList", "metadata": {}, "items": []})
        found = POD.fullmatch(request.path)
        if found is None:
            return _status(404, f"no {request.path}")
        name = found["name"]
        if name is None:
            return (
                self._create(request, found["namespace"]) if request.method == "POST" else self._list(request)
            )
        if name not in self.pods:
            return _status(404, f'pods "{name}" not found')
        if found["log"]:
            return Response(f"{self.at} 3 rows scored\n", content_type="text/plain")
        if request.method == "DELETE":
            self.deleted.append(name)
            return _answer(self.pods.pop(name))
        return _answer(self._step(self.pods[name]))

    def _create(self, request: Request, namespace: str) -> Response:
        pod = json.loads(request.data)
        containers = pod.get("spec", {}).get("containers", [])
        if not containers or not all(one.get("name") and one.get("image") for one in containers):
            return _status(422, "spec.containers: a name and an image are required")
        self.created.append(json.loads(request.data))
        pod["metadata"] |= {"namespace": namespace, "uid": "1", "creationTimestamp": self.at}
        pod["status"] = {"phase": "Pending"}
        self.pods[pod["metadata"]["name"]] = pod
        return _answer(pod, 201)

    def _list(self, request: Request) -> Response:
        selected = dict(
            part.split("=", 1)
            for part in request.args.get("labelSelector", "").split(",")
            if "=" in part and "!=" not in part
        )
        items = [pod for pod in self.pods.values() if selected.items() <= pod["metadata"]["labels"].items()]
        return _answer({"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": items})

    def _step(self, pod: dict[str, Any]) -> dict[str, Any]:
        container = pod["spec"]["containers"][0]
        state: dict[str, Any]
        if pod["status"]["phase"] == "Pending":
            phase, state = "Running", {"running": {"startedAt": self.at}}
        else:
            fails = "broken" in container["image"]
            phase, reason = ("Failed", "Error") if fails else ("Succeeded", "Completed")
            end = {"exitCode": int(fails), "startedAt": self.at, "finishedAt": self.at, "reason": reason}
            state = {"terminated": end}
        status = {"name": container["name"], "image": container["image"], "imageID": "", "restartCount": 0}
        pod["status"] = {"phase": phase, "containerStatuses": [{**status, "ready": False, "state": state}]}
        return pod


def _answer(body: dict[str, Any], code: int = 200) -> Response:
    return Response(json.dumps(body), status=code, content_type="application/json")


def _status(code: int, message: str) -> Response:
    status = {"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "message": message}
    return _answer(status, code)
