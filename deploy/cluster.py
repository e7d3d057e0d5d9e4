"""The commands ``make cluster`` and ``make cluster-down``: Airflow on Celery, with all that it needs.

Everything is on 127.0.0.1: PostgreSQL with the metadata, Redis with the queue, SeaweedFS with the output and
the logs, and two workers, which have a copy of the project each and share no folder. Each part is started
again when it ends (deploy/components.py).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import checkouts
import programs
from cluster_checks import check_clocks, check_secrets
from cluster_settings import HOST, LOG_PORT, WORKERS, ClusterSettings, host_of
from components import Component
from instance import STOP_TIMEOUT_S, Instance, relative
from project import HOME, ROOT, LocalError, project_settings
from services import PROGRAMS, write_secret

from batch_serving.shared.command_line import Parser, end_in_order

CLUSTER_HOME = HOME / "cluster"
PREPARED = "prepare"  # the part that the others of Airflow come after
FROM_SHELL = ("PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "SSL_CERT_FILE", "HTTP_PROXY", "HTTPS_PROXY")
REFUSED = "refused.txt"  # why the cluster cannot be started
OURS = {"name", "command", "environment", "folder", "user", "address", "once", "after", "end_by"}


@dataclass
class Cluster(Instance):
    """The control plane, with the services and the workers."""

    parts: ClusterSettings = field(kw_only=True)
    project: Path = field(default=ROOT, kw_only=True)  # what the workers get copies of

    def _prepare(self) -> None:
        """Make the services' files, the workers' copies, and the list of parts; refuse what cannot work."""
        (self.home / REFUSED).unlink(missing_ok=True)
        self.parts.check_ports()
        self.parts.services.install()
        workers = {name: self.parts.worker(name) for name in WORKERS}
        check_secrets(self.settings, workers)
        for name in WORKERS:
            checkouts.copy(self.project, self.parts.checkout(name))
        listed = [_as_json(component) for component in self._components(workers)]
        write_secret(self.home / "parts.json", json.dumps(listed))

    def _command(self) -> list[str]:
        return [
            sys.executable, str(ROOT / "deploy" / "components.py"), "--parts", str(self.home / "parts.json"),
        ]  # fmt: skip

    def _components(self, workers: Mapping[str, Mapping[str, str]]) -> list[Component]:
        own = _without_the_shells(self.environment, self.settings)
        deploy = ROOT / "deploy"
        found = self.parts.services.components()
        found.append(
            Component(
                PREPARED, (sys.executable, str(deploy / "cluster.py"), PREPARED), own, str(ROOT), once=True
            )
        )
        for name in ("api-server", "scheduler", "dag-processor", "triggerer"):
            found.append(Component(name, ("airflow", name), own, str(ROOT), after=PREPARED))
        watch = (sys.executable, str(deploy / "watch.py"), str(self.dags_folder / "load_all.py"))
        found.append(Component("watch", watch, own, str(ROOT), after=PREPARED))
        for name, settings in workers.items():
            found.append(self._worker(name, settings))
        return found

    def _worker(self, name: str, settings: Mapping[str, str]) -> Component:
        checkout = self.parts.checkout(name)
        worker = Instance(
            self.parts.worker_folder(name) / "home", settings, dags_folder=checkout / "dags", say=self.say
        )
        environment = _without_the_shells(worker.environment, settings) | {
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(checkout / "plugins")
        }
        for setting in [one for one in environment if one.startswith("AIRFLOW__DATABASE__")]:
            del environment[setting]  # a worker has no way to the metadata
        host = settings[HOST]
        return Component(
            name,
            ("airflow", "celery", "worker", "--celery-hostname", f"{name}@{host}"),
            environment,
            str(checkout),
            address=f"{host}:{settings[LOG_PORT]}",
            after=PREPARED,
        )

    def _missing(self) -> list[str]:
        refused = self.home / REFUSED
        if refused.exists():
            raise LocalError(refused.read_text(encoding="utf-8"))
        missing = super()._missing()
        if missing and missing != ["the first DAGs"]:
            return missing
        return [f"worker {name}" for name in WORKERS if name not in self.workers()] or missing

    def workers(self) -> list[str]:
        """Return the names of the workers that answer."""
        from celery import Celery
        from kombu.exceptions import KombuError
        from redis.exceptions import RedisError

        app = Celery(broker=self.parts.services.broker_url)
        try:
            answers = app.control.ping(timeout=1.0)
        except (OSError, KombuError, RedisError):  # the broker starts, or is away
            return []
        return sorted(name.partition("@")[0] for answer in answers for name in answer)


def _without_the_shells(environment: Mapping[str, str], settings: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without what the shell has for other programs: tokens, keys of other clouds."""
    ours = ("AIRFLOW", "BATCH_", "PYTHON", "LC_", "OMP_", "OPENBLAS_")
    kept = {name: value for name, value in environment.items() if name.startswith(ours) or name in FROM_SHELL}
    hosts = ",".join([kept.get("NO_PROXY", ""), *map(host_of, WORKERS)])
    return {
        **kept,
        **settings,
        **{name: environment[name] for name in ("PYTHONPATH", "PATH")},
        "NO_PROXY": hosts,
    }


def _as_json(component: Component) -> dict[str, Any]:
    return {name: value for name, value in asdict(component).items() if name in OURS}


def cluster(say: Any) -> Cluster:
    """Return this project's cluster."""
    CLUSTER_HOME.mkdir(parents=True, exist_ok=True)
    CLUSTER_HOME.chmod(0o700)
    parts = ClusterSettings(CLUSTER_HOME, _without_local(project_settings(say)))
    return Cluster(CLUSTER_HOME, parts.control, say=say, parts=parts)


def _without_local(settings: dict[str, str]) -> dict[str, str]:
    """Return the settings without those of deploy/local.env that are for one machine only."""
    local = {"AIRFLOW__CORE__EXECUTOR": "LocalExecutor", "AIRFLOW__CORE__PARALLELISM": "4"}
    return {name: value for name, value in settings.items() if local.get(name) != value}


def up() -> int:
    """Start the cluster, or print where it is already running."""
    try:
        programs.install(PROGRAMS, _say)
    except programs.ProgramsError as error:
        raise LocalError(str(error)) from None
    found = cluster(_say)
    if found.processes():
        _say("the cluster is already running")
        checkouts.check_same(ROOT, {name: found.parts.checkout(name) for name in WORKERS})
        found.wait_until_healthy()
    else:
        found.start()
    print(f"\n  {found.address}\n  user      admin\n  password  {found.password()}")
    print(f"  output    {found.settings['BATCH_OUTPUT']} at {found.settings['AWS_ENDPOINT_URL']}")
    names = ", ".join(found.workers())
    print(f"  workers   {names}, each with a copy of the project in {relative(found.home)}\n")
    print("  An edit in dag_configs/ reaches the workers with the next `make cluster-down cluster`.")
    print(f"  Everything runs in the background, with its output in {relative(found.log_file)}.")
    print("  `make cluster-down` stops it, and keeps all data.")
    return 0


def down() -> int:
    """Stop the cluster."""
    found = cluster(lambda _: None)
    if found.processes():
        print(f"cluster: stopping; a running task has {STOP_TIMEOUT_S} s to end", flush=True)
    print("cluster: stopped" if found.stop() else "cluster: nothing was running")
    return 0


def prepare() -> int:
    """Wait for the services, compare clocks, and make the database; run by components.py before Airflow."""
    home = Path(os.environ["AIRFLOW_HOME"])
    services = ClusterSettings(home, {}).services
    clocks = {"PostgreSQL": services.ask_postgres, "Redis": services.ask_redis, "SeaweedFS": services.ask_s3}
    try:
        services.wait()
        check_clocks(clocks)
    except LocalError as error:
        (home / REFUSED).write_text(str(error), encoding="utf-8")  # for the command that waits
        raise
    services.make_databases()
    return subprocess.run(["airflow", "db", "migrate"], env=os.environ, check=False).returncode


def _say(text: str) -> None:
    print(f"cluster: {text}", flush=True)


def _parser() -> Parser:
    parser = Parser(
        prog="deploy/cluster.py", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("command", choices=["up", "down", PREPARED], help="what to do")
    return parser


def main(arguments: list[str]) -> int:
    """Run one command; 1 where something prevented it."""
    end_in_order()
    command = _parser().parse_args(arguments).command
    try:
        return {"up": up, "down": down, PREPARED: prepare}[command]()
    except LocalError as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
