"""A real yaml-language-server, spoken to as an editor does: JSON-RPC over its standard streams."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

VERSION = "1.25.0"
TIMEOUT_S = 30
INSTALL_TIMEOUT_S = 240
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def install(folder: Path) -> Path:
    """Install the server below ``folder`` unless it is there, and return its program."""
    program = folder / "node_modules" / ".bin" / "yaml-language-server"
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--prefix", str(folder), "--no-package-lock", "--no-audit", "--no-fund"]
        # The machine's own certificates, as `make setup` takes them: a company's proxy has one of its own.
        environment = dict(os.environ)
        if CERTIFICATES.exists():
            environment.setdefault("NODE_EXTRA_CA_CERTS", str(CERTIFICATES))
        found = subprocess.run(
            [*command, f"yaml-language-server@{VERSION}"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=INSTALL_TIMEOUT_S,
        )
        if found.returncode:
            pytest.fail(f"npm could not install yaml-language-server:\n{found.stderr[-1000:]}")
    return program


class Editor:
    """One session with the server: opens texts, and asks for what an editor shows."""

    def __init__(self, program: Path, root: Path) -> None:
        self._process = subprocess.Popen(
            [str(program), "--stdio"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._messages: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self._number = 0
        self._request("initialize", {"processId": None, "rootUri": root.as_uri(), "capabilities": {}})
        self._send({"method": "initialized", "params": {}})
        settings = {
            "yaml": {"validate": True, "completion": True, "hover": True, "schemaStore": {"enable": False}}
        }
        self._send({"method": "workspace/didChangeConfiguration", "params": {"settings": settings}})

    def close(self) -> None:
        """End the server."""
        self._process.kill()
        self._process.wait()

    def open(self, path: Path, text: str) -> list[dict[str, Any]]:
        """Open ``text`` as the file at ``path`` and return the problems that the server marks."""
        document = {"uri": path.as_uri(), "languageId": "yaml", "version": 1, "text": text}
        self._send({"method": "textDocument/didOpen", "params": {"textDocument": document}})
        while True:
            message = self._next()
            if (
                message.get("method") == "textDocument/publishDiagnostics"
                and message["params"]["uri"] == path.as_uri()
            ):
                return message["params"]["diagnostics"]

    def completions(self, path: Path, line: int, character: int) -> dict[str, str]:
        """Return what the server offers at a place (0-based): label → explanation."""
        place = {"textDocument": {"uri": path.as_uri()}, "position": {"line": line, "character": character}}
        found = self._request("textDocument/completion", place)
        items = found["items"] if isinstance(found, dict) else found
        return {item["label"]: str(item.get("documentation", "")) for item in items}

    def hover(self, path: Path, line: int, character: int) -> str:
        """Return what the server explains at a place (0-based)."""
        place = {"textDocument": {"uri": path.as_uri()}, "position": {"line": line, "character": character}}
        found = self._request("textDocument/hover", place)
        return json.dumps(found, ensure_ascii=False)

    def _request(self, method: str, params: dict[str, Any]) -> Any:
        self._number += 1
        self._send({"id": self._number, "method": method, "params": params})
        while True:
            message = self._next()
            if message.get("id") == self._number and "method" not in message:
                return message.get("result")

    def _next(self) -> dict[str, Any]:
        message = self._messages.get(timeout=TIMEOUT_S)
        if (
            "method" in message and "id" in message
        ):  # the server asks: it gets what an editor without settings says
            items = (
                message.get("params", {}).get("items", [])
                if message["method"] == "workspace/configuration"
                else None
            )
            self._send({"id": message["id"], "result": None if items is None else [None] * len(items)})
        return message

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        self._process.stdin.flush()

    def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        while header := stream.readline():
            if header.lower().startswith(b"content-length:"):
                length = int(header.split(b":")[1])
                stream.readline()
                self._messages.put(json.loads(stream.read(length)))
