"""A stand-in for Kubernetes: the part of its API that runs pods, on 127.0.0.1, whose pods are processes of this machine.

It keeps the API's contract as far as the KubernetesExecutor goes: pods are created, listed, watched from a resourceVersion
on, patched, deleted, and their logs are read. What a pod's container would run is run here, with its environment.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

POD = re.compile(r"/api/v1/namespaces/(?P<namespace>[^/]+)/pods(?:/(?P<name>[^/]+)(?P<log>/log)?)?")
VERBS = ["create", "delete", "get", "list", "patch", "watch"]
POD_RESOURCE = {"name": "pods", "singularName": "pod", "namespaced": True, "kind": "Pod", "verbs": VERBS}
DISCOVERY = {  # what a client asks first: which resources there are
    "/version": {"major": "1", "minor": "33", "gitVersion": "v1.33.0"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": [POD_RESOURCE]},
}
WATCH_S = 30.0  # a watch ends by itself, as that of a real server does
Json = dict[str, Any]


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class KubernetesCluster:
    """Pods, what happened to them, and the processes that they are; ``overrides`` is what differs outside a pod."""

    folder: Path
    token: str
    overrides: Mapping[str, str]
    pods: dict[str, Json] = field(default_factory=dict)
    events: list[tuple[int, str, Json]] = field(default_factory=list)
    created: list[Json] = field(default_factory=list)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def __enter__(self) -> KubernetesCluster:
        handler = type("Handler", (_Handler,), {"cluster": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
            process.wait(30)

    def write_config(self) -> Path:
        """Write the file by which a client finds this cluster; return it."""
        file = self.folder / "kubeconfig"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "tests",
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
            "clusters": [
                {"name": "tests", "cluster": {"server": f"http://127.0.0.1:{self._server.server_port}"}}
            ],
            "users": [{"name": "tests", "user": {"token": self.token}}],
        }
        file.write_text(json.dumps(config), encoding="utf-8")
        return file

    def create(self, namespace: str, pod: Json) -> Json:
        """Take a pod, and run its container."""
        name = pod["metadata"]["name"]
        self.created.append(json.loads(json.dumps(pod)))
        pod["metadata"] |= {"namespace": namespace, "uid": name, "creationTimestamp": _now()}
        self._change("ADDED", name, pod, {"phase": "Pending"})
        threading.Thread(target=self._run, args=(name,), daemon=True).start()
        return pod

    def _run(self, name: str) -> None:
        """Be the kubelet of one pod: its container runs to its end."""
        container = self.pods[name]["spec"]["containers"][0]
        command = [*(container.get("command") or ()), *(container.get("args") or ())]
        own = {one["name"]: one.get("value") or "" for one in container.get("env") or ()}
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = process = subprocess.Popen(
                command, env={**own, **self.overrides}, cwd=self.folder, stdout=log, stderr=subprocess.STDOUT
            )
            self._change("MODIFIED", name, self.pods[name], self._status(name, "Running", {"running": {}}))
            code = process.wait()
        if name in self.pods:
            end = {"exitCode": code, "reason": "Error" if code else "Completed", "finishedAt": _now()}
            status = self._status(name, "Failed" if code else "Succeeded", {"terminated": end})
            self._change("MODIFIED", name, self.pods[name], status)

    def _status(self, name: str, phase: str, state: Json) -> Json:
        container = self.pods[name]["spec"]["containers"][0]
        about = {"name": container["name"], "image": container["image"], "imageID": "", "restartCount": 0}
        return {"phase": phase, "containerStatuses": [{**about, "ready": phase == "Running", "state": state}]}

    def _change(self, kind: str, name: str, pod: Json, status: Json | None = None) -> None:
        with self.changed:
            version = len(self.events) + 1
            pod["metadata"]["resourceVersion"] = str(version)
            if status is not None:
                pod["status"] = status
            if kind == "DELETED":
                self.pods.pop(name, None)
            else:
                self.pods[name] = pod
            self.events.append((version, kind, json.loads(json.dumps(pod))))
            self.changed.notify_all()

    def patch(self, name: str, change: Json) -> Json:
        """Merge labels and annotations into a pod."""
        pod = self.pods[name]
        for part, values in (change.get("metadata") or {}).items():
            pod["metadata"][part] = {**(pod["metadata"].get(part) or {}), **values}
        self._change("MODIFIED", name, pod)
        return pod

    def delete(self, name: str) -> Json:
        """End a pod's process and forget it."""
        pod = self.pods[name]
        process = self.processes.get(name)
        if process is not None and process.poll() is None:
            process.terminate()
        self._change("DELETED", name, pod)
        return pod


class _Handler(BaseHTTPRequestHandler):
    cluster: KubernetesCluster
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PATCH(self) -> None:
        self._answer("PATCH")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def _answer(self, method: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        found = POD.fullmatch(parts.path)
        if self.headers.get("Authorization") != f"Bearer {self.cluster.token}":
            return self._status(401, "Unauthorized")
        if parts.path.rstrip("/") in DISCOVERY:
            return self._json(200, DISCOVERY[parts.path.rstrip("/")])
        if found is None:
            return self._status(404, f"no {parts.path}")
        name = found["name"]
        if name is None and method == "POST":
            return self._json(201, self.cluster.create(found["namespace"], json.loads(body)))
        if name is None:
            return self._watch(asked) if asked.get("watch", "").lower() == "true" else self._list(asked)
        if name not in self.cluster.pods:
            return self._status(404, f'pods "{name}" not found')
        if found["log"]:
            return self._send(200, (self.cluster.folder / f"{name}.log").read_bytes(), "text/plain")
        if method == "PATCH":
            return self._json(200, self.cluster.patch(name, json.loads(body)))
        if method == "DELETE":
            return self._json(200, self.cluster.delete(name))
        return self._json(200, self.cluster.pods[name])

    def _list(self, asked: Mapping[str, str]) -> None:
        with self.cluster.changed:
            items = [pod for pod in self.cluster.pods.values() if _is_selected(pod, asked)]
            about = {"resourceVersion": str(len(self.cluster.events))}
            self._json(200, {"apiVersion": "v1", "kind": "PodList", "metadata": about, "items": items})

    def _watch(self, asked: Mapping[str, str]) -> None:
        """Stream what happens to the pods, from a resourceVersion on."""
        seen = int(asked.get("resourceVersion") or 0)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            while True:
                with self.cluster.changed:
                    is_new = self.cluster.changed.wait_for(
                        lambda seen=seen: len(self.cluster.events) > seen, WATCH_S
                    )
                    new = self.cluster.events[seen:]
                if not is_new:
                    break
                for version, kind, pod in new:
                    seen = version
                    if _is_selected(pod, asked):
                        self._chunk(json.dumps({"type": kind, "object": pod}).encode() + b"\n")
            self._chunk(b"")
        except OSError:  # the client has gone
            self.close_connection = True

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _status(self, code: int, message: str) -> None:
        self._json(
            code,
            {"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "message": message},
        )

    def _json(self, code: int, body: Json) -> None:
        self._send(code, json.dumps(body).encode(), "application/json")

    def _send(self, code: int, data: bytes, kind: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _is_selected(pod: Json, asked: Mapping[str, str]) -> bool:
    """Return whether a pod has the labels that are asked for: ``a=b``, ``a!=b``, ``a`` and ``!a``."""
    labels = pod["metadata"].get("labels") or {}
    for part in filter(None, asked.get("labelSelector", "").split(",")):
        found = re.fullmatch(r"!?([^!=]+)(!?==?)?(.*)", part)
        assert found is not None, part
        name, operator, value = found.groups()
        if operator is None:
            fits = (name in labels) is not part.startswith("!")
        else:
            fits = (labels.get(name) == value) is (operator != "!=")
        if not fits:
            return False
    return True


def machine_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what the pods' processes need of this machine, without the way to the metadata."""
    kept = {name: value for name, value in environment.items() if "DATABASE__" not in name}
    return {**kept, "PATH": environment.get("PATH", os.environ["PATH"])}
