"""The settings of the parts of `make cluster`: those of all, of the control plane, and of each worker."""

from __future__ import annotations

import base64
import json
import secrets
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from project import LocalError, read_env_file
from services import BUCKET, Services, write_secret
from services import PORTS as SERVICE_PORTS

WORKERS = ("w1", "w2")
JWT_SECRET = "AIRFLOW__API_AUTH__JWT_SECRET"  # noqa: S105 - names of settings
SECRET_KEY = "AIRFLOW__API__SECRET_KEY"  # noqa: S105 - the same
FERNET_KEY = "AIRFLOW__CORE__FERNET_KEY"
HOST = "BATCH_WORKER_HOST"
LOG_PORT = "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT"
# What only the API server and the scheduler need to know.
CONTROL_ONLY = ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", JWT_SECRET, FERNET_KEY)


@dataclass(frozen=True)
class ClusterSettings:
    """All settings of the cluster in ``home``; ``given``, from .env and the shell, come first."""

    home: Path
    given: Mapping[str, str]

    @cached_property
    def secrets(self) -> dict[str, str]:
        """The secrets, made once and kept in a file that only this user can read."""
        file = self.home / "secrets.json"
        if not file.exists():
            made = {
                name: secrets.token_urlsafe(24) for name in ("postgres", "celery", "redis", "s3_secret_key")
            }
            made["s3_access_key"] = secrets.token_hex(10)
            made[JWT_SECRET] = secrets.token_urlsafe(64)
            made[SECRET_KEY] = secrets.token_urlsafe(48)
            made[FERNET_KEY] = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
            write_secret(file, json.dumps(made))
        found: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
        return found

    @cached_property
    def ports(self) -> dict[str, int]:
        """The ports of the services, which are chosen once."""
        file = self.home / "ports.json"
        if not file.exists():
            write_secret(file, json.dumps(free_ports(SERVICE_PORTS)))
        found: dict[str, int] = json.loads(file.read_text(encoding="utf-8"))
        return found

    def check_ports(self) -> None:
        """Raise LocalError if another program has taken one of them since they were chosen."""
        for name, port in self.ports.items():
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError as error:
                    raise LocalError(
                        f"port {port}, for {name}, cannot be used ({error.strerror})\n"
                        f"  to do: stop the program that uses it, or, to have others chosen, remove "
                        f"{self.home / 'ports.json'}"
                    ) from None

    @property
    def services(self) -> Services:
        """The services beside Airflow."""
        return Services(self.home / "services", self.ports, self.secrets)

    @property
    def shared(self) -> dict[str, str]:
        """What every part has."""
        services = self.services
        return {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CORE__PARALLELISM": "8",
            SECRET_KEY: self.secrets[SECRET_KEY],
            "AIRFLOW__CELERY__BROKER_URL": services.broker_url,
            "AIRFLOW__CELERY__RESULT_BACKEND": services.result_backend,
            "AIRFLOW__CELERY__WORKER_CONCURRENCY": "2",
            "AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER": "1",
            # Longer than any task: a task that is not acknowledged by then is given to another worker, too.
            "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "86400",
            # A worker that is lost is noticed after two minutes. An API server may take one to start again.
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "120",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "10",
            "AIRFLOW__LOGGING__REMOTE_LOGGING": "True",
            "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER": f"s3://{BUCKET}/logs",
            "AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID": "aws_default",
            "AIRFLOW_CONN_AWS_DEFAULT": json.dumps({"conn_type": "aws"}),
            "BATCH_OUTPUT": f"s3://{BUCKET}/output",
            **services.s3_settings,
            **self.given,
        }

    @property
    def control(self) -> dict[str, str]:
        """What the API server, the scheduler, the DAG processor and the triggerer have."""
        own = {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.services.database_url,
            JWT_SECRET: self.secrets[JWT_SECRET],
            FERNET_KEY: self.secrets[FERNET_KEY],
        }
        return {**own, **self.shared}

    def worker_folder(self, name: str) -> Path:
        """Return the folder of a worker, with its checkout and its logs."""
        return self.home / name

    def checkout(self, name: str) -> Path:
        """Return a worker's copy of the project."""
        return self.worker_folder(name) / "checkout"

    def worker(self, name: str) -> dict[str, str]:
        """Return what a worker has; ``worker.env`` in its folder comes first."""
        shared = {key: value for key, value in self.shared.items() if key not in CONTROL_ONLY}
        own = {
            HOST: host_of(name),
            "AIRFLOW__CORE__HOSTNAME_CALLABLE": "worker_host.name",
            "PYTHONPATH": str(self.checkout(name)),
        }
        return {**shared, **own, **read_env_file(self.worker_folder(name) / "worker.env")}


def host_of(worker: str) -> str:
    """Return a worker's own address, where its log server listens."""
    return f"127.0.0.{11 + WORKERS.index(worker)}"


def free_ports(names: tuple[str, ...]) -> dict[str, int]:
    """Return a free port of 127.0.0.1 for each name."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in names]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return {name: probe.getsockname()[1] for name, probe in zip(names, probes, strict=True)}
