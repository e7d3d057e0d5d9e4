"""A real SSH server on 127.0.0.1 with SFTP, whose files are in one folder."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

USER, PASSWORD = "batch", "pass/word?of=ssh"


@contextmanager
def sftp_server(folder: Path) -> Iterator[str]:
    """Run a server; yields the value of a connection to it, of the type sftp."""
    import asyncssh

    class Login(asyncssh.SSHServer):
        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return (username, password) == (USER, PASSWORD)

    async def run_command(process: asyncssh.SSHServerProcess) -> None:
        shell = await asyncio.create_subprocess_shell(process.command or "true", cwd=folder)
        process.exit(await shell.wait())

    key = asyncssh.generate_private_key("ssh-ed25519")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=Login,
            server_host_keys=[key],
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=str(folder).encode()),
            process_factory=run_command,
        )

    server = asyncio.run_coroutine_threadsafe(start(), loop).result(20)
    fields = {"conn_type": "sftp", "host": "127.0.0.1", "port": server.get_port(), "login": USER}
    public = " ".join(key.export_public_key().decode().split()[:2])
    try:
        yield json.dumps({**fields, "password": PASSWORD, "extra": {"host_key": public}})
    finally:
        loop.call_soon_threadsafe(server.close)
        asyncio.run_coroutine_threadsafe(server.wait_closed(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)
