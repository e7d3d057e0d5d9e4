"""SeaweedFS, a real object storage in one program, which can be killed and started again with all that it has."""

from __future__ import annotations

import contextlib
import secrets
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from cluster_settings import free_ports
from services import BUCKET, PORTS, Services

DOWN_S = 0.5  # between a kill and the next start


class SeaweedFs:
    """A server with its files in one folder."""

    def __init__(self, folder: Path) -> None:
        names = ("postgres", "redis", "s3_access_key", "s3_secret_key")
        self.services = Services(folder, free_ports(PORTS), {name: secrets.token_hex(12) for name in names})
        self.services.install_seaweedfs()
        self._process: subprocess.Popen[bytes] | None = None
        self.kills = 0

    def start(self) -> None:
        """Start it and wait until it answers."""
        (component,) = [one for one in self.services.components() if one.name == "seaweedfs"]
        with (self.services.folder / "seaweedfs.log").open("ab") as log:
            self._process = subprocess.Popen(
                component.command, env=component.environment, cwd=component.folder, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                self.services.ask_s3()  # it makes the bucket
                self._use()
                return
            except Exception:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def _use(self) -> None:
        """Write and read an object: some seconds after it answers, the storage cannot do that yet."""
        client = self.services.s3_client()
        client.put_object(Bucket=BUCKET, Key="probe", Body=b"probe" * 1000)
        assert client.get_object(Bucket=BUCKET, Key="probe")["Body"].read()

    def kill(self) -> None:
        """End it at once."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    @contextlib.contextmanager
    def killed(self, after_s: float) -> Iterator[None]:
        """Kill it so many seconds after the block has begun, and start it again; it runs when the block has ended."""

        def work() -> None:
            time.sleep(after_s)
            self.kill()
            self.kills += 1
            time.sleep(DOWN_S)
            self.start()

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            thread.join()
