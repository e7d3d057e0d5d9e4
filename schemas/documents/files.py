"""Files that a document names: where templates are searched, and what they hold."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from batch_serving.shared.root import PROJECT_ROOT


def search_path(file: Path, config: dict[str, Any]) -> list[Path]:
    """Return the folders in which the templates of a DAG are searched, the first one first.

    Those of its ``template_searchpath``, each relative to the folder of the YAML file or to the project, and
    then these two themselves: a checkout can be moved.
    """
    given = config.get("template_searchpath") or []
    listed = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    places = [file.parent.resolve(), PROJECT_ROOT]
    own = [place / str(entry) for entry in listed for place in places]
    existing = [folder for folder in own if folder.is_dir()]
    return list(dict.fromkeys([*existing, *places]))


def find_template(name: str, folders: Iterable[Path]) -> Path | None:
    """Return the file of a template that Airflow would read, None if there is none.

    As Jinja finds it: below one of the folders, and never above it. A leading slash means nothing.
    """
    parts = [part for part in name.split("/") if part and part != "."]
    if ".." in parts:
        return None
    return next((file for folder in folders if (file := folder.joinpath(*parts)).is_file()), None)
