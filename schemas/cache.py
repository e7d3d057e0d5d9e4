"""Which texts have passed all checks, until the text or anything that the checks look at changes.

The DAG processor parses in a new process every few seconds: without this each of them would check every
unchanged file again. What failed is never kept: its cause may have been the machine, and be gone by now.
Losing it costs time, nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Iterable
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# The checks themselves, what is allowed, what is installed, and the functions that YAML names.
LOOKED_AT = ("schemas/*.py", "schemas/*.json", "callables/**/*.py", "pyproject.toml", "uv.lock")


class Passed:
    """Texts without a problem, by hash of text, name and defaults; saved in Airflow's home."""

    def __init__(self, purpose: str) -> None:
        """Read what earlier processes saved for this purpose; what no longer holds is left out."""
        home = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()
        self._file = home / f"dag_configs_{purpose}.json"
        self._world = world()
        self._old: set[str] = set()
        self._used: set[str] = set()
        self._old_places: dict[str, str] = {}
        self.places: dict[str, str] = {}  # the file of each dag_id
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            saved = json.loads(self._file.read_bytes())
            places = {str(dag_id): str(file) for dag_id, file in saved["places"].items()}
            passed = {str(key) for key in saved["passed"]}
            self._old_places, self.places = places, dict(places)
            if saved["world"] == self._world:
                self._old = passed

    @staticmethod
    def key(name: str, texts: Iterable[bytes]) -> str:
        """Return the hash that stands for a file of this name with these texts, its defaults' included."""
        digest = hashlib.sha256(name.encode())
        for text in texts:
            digest.update(len(text).to_bytes(8, "big") + text)
        return digest.hexdigest()[:32]

    def __contains__(self, key: str) -> bool:
        """Tell whether this text has passed before, and keep it for the next process if it has."""
        if key in self._old:
            self._used.add(key)
        return key in self._old

    def add(self, key: str) -> None:
        """Remember that this text has passed."""
        self._used.add(key)

    def save(self) -> None:
        """Save what was used, if anything is new or gone; a home that cannot be written is left as it is."""
        if self._used == self._old and self.places == self._old_places:
            return
        saved = {"world": self._world, "passed": sorted(self._used), "places": self.places}
        temporary = self._file.with_name(f".{self._file.name}.{uuid.uuid4().hex[:8]}")
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(saved), encoding="utf-8")
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
