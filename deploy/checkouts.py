"""The workers' copies of the project, and whether they are the same as the project here."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from project import LocalError

FOLDERS = (
    "batch_cli",
    "batch_page",
    "batch_serving",
    "callables",
    "dag_configs",
    "dags",
    "data",
    "deploy",
    "examples",
    "plugins",
    "schemas",
)
PARTS = (*FOLDERS, "pyproject.toml", "uv.lock")
NOT_COPIED = ("__pycache__", "images", "secrets")
LEFT_OUT = shutil.ignore_patterns(*NOT_COPIED)
IDENTITY = "identity.json"


@dataclass(frozen=True)
class Identity:
    """What a checkout is: its commit (empty without git), its packages, and all files that tasks read."""

    commit: str
    lock: str
    files: str


def identity_of(folder: Path) -> Identity:
    """Return what a checkout is now; LocalError if its lock file is missing."""
    lock = folder / "uv.lock"
    if not lock.is_file():
        raise LocalError(f"{folder} has no uv.lock; copy the whole project there")
    return Identity(_commit(folder), hashlib.sha256(lock.read_bytes()).hexdigest(), _hash_of_files(folder))


def _commit(folder: Path) -> str:
    kept = folder / IDENTITY  # of a copy, which has no .git
    if kept.is_file():
        return str(json.loads(kept.read_text(encoding="utf-8"))["commit"])
    command = ["git", "-C", str(folder), "rev-parse", "HEAD"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return ended.stdout.strip() if ended.returncode == 0 else ""


def _hash_of_files(folder: Path) -> str:
    digest = hashlib.sha256()
    for part in PARTS:
        for file in sorted(_files_of(folder / part)):
            digest.update(f"{file.relative_to(folder)}\0".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _files_of(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    found = []
    for folder, folders, names in os.walk(path):
        folders[:] = [name for name in folders if name not in NOT_COPIED]
        found += [Path(folder, name) for name in names]
    return found


def copy(source: Path, target: Path) -> None:
    """Make ``target`` a copy of what tasks need of ``source``, whole or not at all."""
    new, old = target.with_name(f"{target.name}.new"), target.with_name(f"{target.name}.old")
    for left in (new, old):
        shutil.rmtree(left, ignore_errors=True)
    new.mkdir(parents=True)
    for part in PARTS:
        path = source / part
        if path.is_dir():
            shutil.copytree(path, new / part, ignore=LEFT_OUT, symlinks=True)
        elif path.exists():
            shutil.copy2(path, new / part)
    (new / IDENTITY).write_text(json.dumps(asdict(identity_of(source))), encoding="utf-8")
    if target.exists():
        target.rename(old)
    new.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def check_same(own: Path, others: dict[str, Path]) -> None:
    """Raise LocalError if one of the other checkouts differs from one's own in commit, packages or files."""
    expected = asdict(identity_of(own))
    for name, folder in others.items():
        found = asdict(identity_of(folder))
        differing = [key for key, value in expected.items() if found[key] != value]
        if differing:
            what = {"commit": "the commit", "lock": "uv.lock", "files": "files that tasks read"}[differing[0]]
            raise LocalError(
                f"the checkout of {name} ({folder}) differs in {what} from this one: a task would do "
                "different things on different workers\n"
                "  to do: `make cluster-down`, then `make cluster`, which copies it again"
            )
