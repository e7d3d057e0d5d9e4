"""Another API server of a running Airflow, with other settings: the same runs and users, other output."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import requests
from local import free_ports
from running_airflow import ROOT, Running, wait_until


@contextlib.contextmanager
def api_server(running: Running, folder: Path, settings: dict[str, str]) -> Iterator[str]:
    """Run one with these settings, and yield its address; its output goes to a file in ``folder``."""
    port = free_ports()["AIRFLOW__API__PORT"]
    address = f"http://127.0.0.1:{port}"
    environment = running.instance.environment | settings
    environment |= {"AIRFLOW__API__PORT": port, "AIRFLOW__API__BASE_URL": address}
    with (folder / "api-server.log").open("wb") as log:
        process = subprocess.Popen(
            ["airflow", "api-server"], env=environment, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        wait_until(lambda: _answers(address), "the API server")
        yield address
    finally:
        process.terminate()
        process.wait(60)


def _answers(address: str) -> bool:
    with contextlib.suppress(requests.RequestException):
        return requests.get(f"{address}/api/v2/version", timeout=5).ok
    return False


@contextlib.contextmanager
def silent_server() -> Iterator[str]:
    """Listen on loopback, take connections and say nothing, as a storage behind a dead network does; its URL."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0), backlog=128)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
