"""Airflow's REST API, for the commands, the demo and the tests."""

from __future__ import annotations

import time
from typing import Any, Protocol

import requests
from project import LocalError

DATABASE_TRIES = 10


class Server(Protocol):
    """An Airflow with a login."""

    @property
    def address(self) -> str:
        """Where the UI and the API are."""

    def password(self) -> str:
        """Return the password of the user ``admin``."""


def new_session() -> requests.Session:
    """Return an HTTP session that connects to this machine directly, whatever proxy the shell names."""
    session = requests.Session()
    session.trust_env = False
    return session


class Api:
    """The REST API, as the admin of one instance."""

    def __init__(self, server: Server) -> None:
        """Log in."""
        self._base = f"{server.address}/api/v2"
        login = {"username": "admin", "password": server.password()}
        self._session = new_session()
        answer = self._session.post(f"{server.address}/auth/token", json=login, timeout=30)
        if not answer.ok:
            raise LocalError(
                f"the API server rejects the login with HTTP {answer.status_code}; its output has the reason"
            )
        self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        for left in reversed(range(DATABASE_TRIES)):
            try:
                answer = self._session.request(method, self._base + path, timeout=30, **arguments)
            except requests.ReadTimeout:
                if method != "GET" or not left:  # another call may have done what it should
                    raise
                continue
            # SQLite takes one writer at a time: a call that found the database locked has changed nothing.
            if answer.status_code != 500 or "Database error" not in answer.text:
                break
            time.sleep(1)
        if not answer.ok:
            raise LocalError(f"{method} {path}: HTTP {answer.status_code} {answer.text[:300]}")
        return answer.json() if answer.content else None

    def get(self, path: str, **query: Any) -> Any:
        """GET a path below /api/v2."""
        return self._call("GET", path, params=query)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """POST a body to a path below /api/v2."""
        return self._call("POST", path, json=body)

    def patch(self, path: str, body: dict[str, Any]) -> Any:
        """PATCH a path below /api/v2."""
        return self._call("PATCH", path, json=body)

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Return the runs of a DAG, the newest first."""
        found: list[dict[str, Any]] = self.get(f"/dags/{dag_id}/dagRuns", order_by="-run_after", limit=100)[
            "dag_runs"
        ]
        return found

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None) -> str:
        """Unpause a DAG, start a manual run of it and return its run_id."""
        self.patch(f"/dags/{dag_id}", {"is_paused": False})
        run = self.post(f"/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": conf or {}})
        return str(run["dag_run_id"])
