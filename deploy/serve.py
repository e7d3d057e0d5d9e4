"""What ``make serve`` runs: ``batch serve``, with the connection to the examples' own database."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gallery import CONNECTION, feature_store
from project import ROOT

from batch_serving.shared.env import read_env_file


def main() -> None:
    """Become the server; it reads the other settings itself."""
    environment = dict(os.environ)
    store = feature_store()
    if CONNECTION not in {*environment, *_in_file()} and store.process() is not None:
        environment[CONNECTION] = store.connection()
    program = Path(sys.executable).with_name("batch")
    os.execve(program, [str(program), "serve"], environment)  # noqa: S606 # no shell


def _in_file() -> set[str]:
    try:
        return {*read_env_file(ROOT / ".env")}
    except ValueError:  # the server says so, with the line
        return set()


if __name__ == "__main__":
    main()
