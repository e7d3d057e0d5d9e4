"""The services that `make cluster` runs on 127.0.0.1: PostgreSQL, Redis, and SeaweedFS as object storage."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import programs
from components import Component, as_user
from project import LocalError

PROGRAMS = ("postgres", "redis")  # those that pip cannot install
DATABASE, RESULTS, BUCKET = "airflow", "celery", "batch"
POSTGRES_USERS = ("postgres", "nobody")  # it refuses to run as root
FOR_ROOT = Path("/var/lib")
VOLUME_MB = 256
READY_WITHIN_S = 90


@dataclass(frozen=True)
class Services:
    """Where the three services are, with which passwords; their files are in ``folder``."""

    folder: Path
    ports: Mapping[str, int]
    secrets: Mapping[str, str]

    @property
    def database_url(self) -> str:
        """The metadata database, as SQLAlchemy has it."""
        return f"postgresql+psycopg2://{self._login(DATABASE, 'postgres')}"

    @property
    def result_backend(self) -> str:
        """Where Celery writes how its tasks ended. With Redis, the scheduler would stop when Redis does.

        It has a user of its own: workers have no way to the metadata.
        """
        return f"db+postgresql+psycopg2://{self._login(RESULTS, 'celery')}"

    def _login(self, name: str, secret: str) -> str:
        return f"{name}:{self.secrets[secret]}@127.0.0.1:{self.ports['postgres']}/{name}"

    @property
    def broker_url(self) -> str:
        """The queue of Celery's tasks."""
        return f"redis://:{self.secrets['redis']}@127.0.0.1:{self.ports['redis']}/0"

    @property
    def s3_settings(self) -> dict[str, str]:
        """The settings by which every client of S3 finds the storage."""
        return {
            "AWS_ACCESS_KEY_ID": self.secrets["s3_access_key"],
            "AWS_SECRET_ACCESS_KEY": self.secrets["s3_secret_key"],
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.ports['s3']}",
        }

    def components(self) -> list[Component]:
        """Return what runs them."""
        return [self._postgres(), self._redis(), self._seaweedfs()]

    def install(self) -> None:
        """Make their files, once."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._install_postgres()
        redis = self.folder / "redis"
        redis.mkdir(exist_ok=True)
        write_secret(
            redis / "redis.conf",
            f"bind 127.0.0.1\nport {self.ports['redis']}\nrequirepass {self.secrets['redis']}\n"
            f"dir {json.dumps(str(redis))}\nappendonly yes\ndaemonize no\n",
        )
        self.install_seaweedfs()

    def install_seaweedfs(self) -> None:
        """Make the storage's files: who may use it."""
        keys = {"accessKey": self.secrets["s3_access_key"], "secretKey": self.secrets["s3_secret_key"]}
        identity = {
            "name": DATABASE,
            "credentials": [keys],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (self.folder / "seaweedfs").mkdir(parents=True, exist_ok=True)
        write_secret(self.folder / "seaweedfs" / "identities.json", json.dumps({"identities": [identity]}))

    def wait(self) -> None:
        """Wait until all three answer; LocalError names the one that does not."""
        for name, ask in (
            ("PostgreSQL", self.ask_postgres),
            ("Redis", self.ask_redis),
            ("SeaweedFS", self.ask_s3),
        ):
            _wait_for(name, ask)

    # --- what each answers: its clock, in seconds since 1970 ---

    def ask_postgres(self) -> float:
        """Return PostgreSQL's clock."""
        import psycopg2

        login = {"user": DATABASE, "password": self.secrets["postgres"], "dbname": "postgres"}
        connection = psycopg2.connect(
            host="127.0.0.1", port=self.ports["postgres"], connect_timeout=5, **login
        )
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
            return float(cursor.fetchone()[0])

    def ask_redis(self) -> float:
        """Return Redis's clock."""
        import redis

        with contextlib.closing(redis.Redis.from_url(self.broker_url, socket_timeout=5)) as client:
            seconds, microseconds = client.time()
            return float(seconds) + float(microseconds) / 1e6

    def ask_s3(self) -> float:
        """Return the clock of the storage, to the second, and make the bucket if it is not there."""
        from email.utils import parsedate_to_datetime

        client = self.s3_client()
        answer = client.list_buckets()
        if BUCKET not in [bucket["Name"] for bucket in answer["Buckets"]]:
            client.create_bucket(Bucket=BUCKET)
        return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]).timestamp()

    def s3_client(self) -> Any:
        """Return a client of the storage, which repeats no request."""
        import boto3
        from botocore.config import Config

        settings = self.s3_settings
        return boto3.client(
            "s3",
            endpoint_url=settings["AWS_ENDPOINT_URL"],
            aws_access_key_id=settings["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=settings["AWS_SECRET_ACCESS_KEY"],
            region_name=settings["AWS_DEFAULT_REGION"],
            config=Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 1}),
        )

    def make_databases(self) -> None:
        """Make the database of the metadata, and that of Celery's results with its user, once."""
        import psycopg2

        login = {"user": DATABASE, "password": self.secrets["postgres"], "dbname": "postgres"}
        connection = psycopg2.connect(host="127.0.0.1", port=self.ports["postgres"], **login)
        with contextlib.closing(connection):
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT datname FROM pg_database")
                known = {name for (name,) in cursor.fetchall()}
                if DATABASE not in known:
                    cursor.execute(f"CREATE DATABASE {DATABASE}")
                cursor.execute(f"REVOKE CONNECT ON DATABASE {DATABASE} FROM PUBLIC")
                cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (RESULTS,))
                if cursor.fetchone() is None:
                    cursor.execute(f"CREATE ROLE {RESULTS} LOGIN PASSWORD %s", (self.secrets["celery"],))
                if RESULTS not in known:
                    cursor.execute(f"CREATE DATABASE {RESULTS} OWNER {RESULTS}")

    # --- how each is started ---

    def _postgres(self) -> Component:
        data = self.postgres_folder()
        options = ["-D", str(data), "-p", str(self.ports["postgres"]), "-h", "127.0.0.1", "-k", ""]
        return Component(
            "postgres",
            (str(programs.find("postgres")), *options),
            environment=_plain_environment(),
            folder=str(data),
            user=_postgres_user(),
            end_by=signal.SIGINT,  # it does not wait for those who are connected
        )

    def postgres_folder(self) -> Path:
        """Return the data folder. For root it is elsewhere: the database runs as a user who cannot come here.

        Other passwords are another database: its name has a hash of them.
        """
        if _postgres_user() is None:
            return self.folder / "postgres"
        tag = hashlib.sha256(f"{self.folder} {self.secrets['postgres']}".encode()).hexdigest()[:12]
        return FOR_ROOT / f"batch-cluster-{tag}"

    def _install_postgres(self) -> None:
        data, user = self.postgres_folder(), _postgres_user()
        if (data / "PG_VERSION").exists():
            return
        new = data.with_name(f"{data.name}.new")  # a kill leaves no half of it in its place
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True, mode=0o700)
        with tempfile.NamedTemporaryFile("w") as password:  # only its user reads it
            password.write(self.secrets["postgres"])
            password.flush()
            if user is not None:
                shutil.chown(new, user)
                shutil.chown(password.name, user)
            command = [str(programs.find("initdb")), "-D", str(new), "-U", DATABASE, "-A", "scram-sha-256"]
            ended = subprocess.run(
                [*command, f"--pwfile={password.name}", "-E", "UTF8", "--locale=C.UTF-8"],
                cwd=new,
                env=_plain_environment(),
                capture_output=True,
                text=True,
                check=False,
                **as_user(user),
            )
        if ended.returncode:
            shutil.rmtree(new, ignore_errors=True)
            raise LocalError(f"PostgreSQL could not be prepared:\n{ended.stdout}{ended.stderr}".rstrip())
        new.rename(data)

    def _redis(self) -> Component:
        folder = self.folder / "redis"
        command = (str(programs.find("redis-server")), str(folder / "redis.conf"))
        return Component("redis", command, environment=_plain_environment(), folder=str(folder))

    def _seaweedfs(self) -> Component:
        folder = self.folder / "seaweedfs"
        options = [
            f"-dir={folder}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-filer",
            "-s3",
            "-volume.max=100",
        ]
        options += [f"-s3.config={folder / 'identities.json'}", f"-master.volumeSizeLimitMB={VOLUME_MB}"]
        # One master: without this, it takes 15 s to elect itself after it was killed.
        options += ["-master.peers=none", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"]
        for part in SEAWEEDFS:
            options += [f"-{part}.port={self.ports[part]}", f"-{part}.port.grpc={self.ports[f'{part}_grpc']}"]
        command = (str(Path(sys.executable).parent / "weed"), "server", *options)
        return Component("seaweedfs", command, environment=_plain_environment(), folder=str(folder))


SEAWEEDFS = ("master", "volume", "filer", "s3")
PORTS = ("postgres", "redis", *SEAWEEDFS, *(f"{part}_grpc" for part in SEAWEEDFS))


def _wait_for(name: str, ask: Callable[[], float]) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while True:
        try:
            ask()
            return
        except Exception as error:  # whatever its client raises while it starts
            if time.monotonic() > deadline:
                reason = f"{type(error).__name__}: {error}"
                raise LocalError(f"{name} does not answer after {READY_WITHIN_S} s: {reason}") from None
        time.sleep(0.3)


def _postgres_user() -> str | None:
    """Return who runs PostgreSQL, if this user is root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in POSTGRES_USERS if name in known)


def _plain_environment() -> dict[str, str]:
    """Return an environment without settings or secrets of others."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ") if name in os.environ}


def write_secret(file: Path, text: str) -> None:
    """Write a file that only this user can read, whole or not at all."""
    temporary = file.with_name(f".{file.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(text)
    temporary.replace(file)
