"""Which of the pipelines in ``examples/`` are loaded beside those of ``dag_configs/``: none unless chosen."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from batch_serving.shared.root import airflow_home

SETTING = "BATCH_EXAMPLES"
CHOICE = "examples"  # the file in Airflow's home in which `make up EXAMPLES=…` keeps what was chosen
ALL = ("1", "all")


def example_names(folder: Path) -> list[str]:
    """Return the names of all examples, sorted: the folders that have a YAML file."""
    return sorted({file.parent.name for file in folder.glob("*/*.yaml")})


def chosen_examples(folder: Path, setting: str | None = None, home: Path | None = None) -> list[Path]:
    """Return the folders of the examples that are loaded.

    The setting BATCH_EXAMPLES names them, with blanks between them (``1``: all); without it, the file
    ``examples`` in Airflow's home does. What there is no folder for is left out: `make up` refuses it.
    """
    given = os.environ.get(SETTING) if setting is None else setting
    chosen = {*(_kept(home or airflow_home()) if given is None else given).split()}
    if not chosen:
        return []
    return [folder / name for name in example_names(folder) if name in chosen or chosen & {*ALL}]


def _kept(home: Path) -> str:
    with suppress(OSError, UnicodeDecodeError):
        return (home / CHOICE).read_text(encoding="utf-8")
    return ""


def choose(home: Path, names: Sequence[str]) -> None:
    """Keep a choice of examples in Airflow's home, for the next time that the DAGs are loaded."""
    home.mkdir(parents=True, exist_ok=True)
    temporary = home / f".{CHOICE}.{os.getpid()}"
    temporary.write_text(" ".join(names), encoding="utf-8")
    temporary.replace(home / CHOICE)
