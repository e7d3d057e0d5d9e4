"""What `make up EXAMPLES=…` does: it keeps the choice of examples, and starts the database that they need."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import mariadb
from project import HOME, ROOT, LocalError, Say

from batch_serving.shared.suggestions import did_you_mean
from schemas.documents.examples import ALL, SETTING, choose, chosen_examples, example_names

EXAMPLES = ROOT / "examples"
STORE = "feature_store"  # the database, its user, its folder in Airflow's home, and the connection
CONNECTION = f"AIRFLOW_CONN_{STORE.upper()}"


def keep_choice(text: str) -> None:
    """Keep which examples are loaded, for this Airflow and the next; LocalError for an unknown one."""
    names = text.replace(",", " ").split()
    known = example_names(EXAMPLES)
    for name in names:
        if name not in (*known, *ALL):
            hint = did_you_mean(name, known) or f"there are {', '.join(known)}; 1 loads all"
            raise LocalError(f"there is no example {name!r}; {hint}")
    choose(HOME, names)


def chosen(settings: Mapping[str, str]) -> list[Path]:
    """Return the folders of the examples that an Airflow with these settings loads."""
    return chosen_examples(EXAMPLES, settings.get(SETTING), HOME)


def feature_store() -> mariadb.MariaDb:
    """Return the MariaDB that the examples share, started or not."""
    return mariadb.MariaDb(HOME / STORE, STORE)


def settings_of_examples(settings: Mapping[str, str], say: Say) -> dict[str, str]:
    """Return the settings that the chosen examples need beside these, once what they lead to is started.

    A connection that the user has set is used as it is.
    """
    if CONNECTION in settings or not _need_store(chosen(settings)):
        return {}
    server = feature_store()
    if server.process() is None:
        mariadb.install(say)
        say("starting MariaDB, the feature store of the examples")
        server.start()
    return {CONNECTION: server.connection()}


def _need_store(folders: list[Path]) -> bool:
    """Return whether one of the examples names the connection."""
    files = [file for folder in folders for file in (*folder.glob("*.yaml"), *folder.glob("*.py"))]
    return any(STORE in file.read_text(encoding="utf-8") for file in files)
