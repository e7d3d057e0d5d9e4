"""Which of the pipelines in ``examples/`` are loaded beside those of ``dag_configs/``: none unless chosen."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

SETTING = "BATCH_EXAMPLES"
CHOICE = "examples"  # the file in Airflow's home in which `make up EXAMPLES=…` keeps what was chosen
ALL = ("1", "all")


def example_names(folder: Path) -> list[str]:
    """Return the names of all examples, sorted: the folders that have a YAML file."""
    return sorted({file.parent.name for file in folder.glob("*/*.yaml")})


def chosen_examples(folder: Path) -> list[Path]:
    """Return the folders of the examples that are loaded.

    The setting BATCH_EXAMPLES names them, with blanks between them (``1``: all); without it, the file
    ``examples`` in Airflow's home does. What there is no folder for is left out: `make up` refuses it.
    """
    chosen = _choice().split()
    if not chosen:
        return []
    names = example_names(folder)
    return [folder / name for name in names if name in chosen or set(chosen) & set(ALL)]


def _choice() -> str:
    if (given := os.environ.get(SETTING)) is not None:
        return given
    home = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()
    with suppress(OSError, UnicodeDecodeError):
        return (home / CHOICE).read_text(encoding="utf-8")
    return ""


def choose(home: Path, names: Sequence[str]) -> None:
    """Keep a choice of examples in Airflow's home, for the next time that the DAGs are loaded."""
    home.mkdir(parents=True, exist_ok=True)
    temporary = home / f".{CHOICE}.{os.getpid()}"
    temporary.write_text(" ".join(names), encoding="utf-8")
    temporary.replace(home / CHOICE)
