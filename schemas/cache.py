"""What the checks said of a text, kept until the text or anything that the checks look at changes.

The DAG processor parses in a new process every few seconds: without this each of them would check every
unchanged file again. Losing it costs time, nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Iterable
from dataclasses import asdict
from functools import cache
from pathlib import Path

from schemas.diagnostics import Diagnostic

ROOT = Path(__file__).resolve().parent.parent
# The checks themselves, what is allowed, what is installed, and the functions that YAML names.
LOOKED_AT = ("schemas/*.py", "schemas/*.json", "callables/**/*.py", "pyproject.toml", "uv.lock")


class Checked:
    """Diagnostics by the hash of a file's text, its name and its defaults; saved in Airflow's home."""

    def __init__(self, purpose: str) -> None:
        """Read what earlier processes saved for this purpose; what no longer holds is left out."""
        home = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()
        self._file = home / f"dag_configs_{purpose}.json"
        self._world = world()
        self._old: dict[str, list[dict]] = {}
        self._used: dict[str, list[dict]] = {}
        self._old_places: dict[str, str] = {}
        self.places: dict[str, str] = {}  # the file of each dag_id
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            saved = json.loads(self._file.read_bytes())
            self._old_places = saved["places"]
            self.places = dict(self._old_places)
            if saved["world"] == self._world:
                self._old = saved["checks"]

    @staticmethod
    def key(name: str, texts: Iterable[bytes]) -> str:
        """Return the hash that stands for a file of this name with these texts, its defaults' included."""
        digest = hashlib.sha256(name.encode())
        for text in texts:
            digest.update(len(text).to_bytes(8, "big") + text)
        return digest.hexdigest()[:32]

    def get(self, key: str) -> list[Diagnostic] | None:
        """Return what was found, or None if it is not known."""
        if (found := self._old.get(key)) is None:
            return None
        self._used[key] = found
        return [Diagnostic(**fields) for fields in found]

    def put(self, key: str, diagnostics: Iterable[Diagnostic]) -> None:
        """Remember what was found."""
        self._used[key] = [asdict(diagnostic) for diagnostic in diagnostics]

    def save(self) -> None:
        """Save what was used, if anything is new or gone; a home that cannot be written is left as it is."""
        if self._used == self._old and self.places == self._old_places:
            return
        temporary = self._file.with_name(f".{self._file.name}.{uuid.uuid4().hex[:8]}")
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(
                json.dumps({"world": self._world, "checks": self._used, "places": self.places}),
                encoding="utf-8",
            )
            temporary.replace(self._file)


@cache
def world() -> str:
    """Return a hash of everything beside the YAML that a check's result depends on, by time and size."""
    digest = hashlib.sha256(os.environ.get("AIRFLOW__CORE__EXECUTOR", "").encode())
    for pattern in LOOKED_AT:
        for path in sorted(ROOT.glob(pattern)):
            with contextlib.suppress(OSError):
                stat = path.stat()
                digest.update(f"{path}:{stat.st_mtime_ns}:{stat.st_size}\n".encode())
    return digest.hexdigest()
