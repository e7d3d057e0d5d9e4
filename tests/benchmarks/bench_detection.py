"""How many single mistakes in the four files are reported: by this project, by stock dag-factory, by its lint.

"Loading" counts an exception of ``load_yaml_dags(config_filepath=…)``, its strictest way; with a folder of
files it logs the same and goes on without the DAG.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent


def main() -> None:
    """Print the table."""
    from batch_serving.shared.command_line import end_in_order

    end_in_order()
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["AIRFLOW_HOME"] = temporary
        os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "ERROR"
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        sys.path.insert(0, str(TESTS / "support"))
        from mutations import FOLDER, MUTATIONS

        folder = Path(temporary) / "dag_configs"
        folder.mkdir()
        shutil.copy(FOLDER / "defaults.yml", folder)
        found: dict[str, Counter[str]] = {name: Counter() for name in WAYS}
        for mutation in MUTATIONS:
            path = folder / Path(mutation.file).name
            path.write_text(mutation.text, encoding="utf-8")
            for name, finds in WAYS.items():
                found[name][mutation.kind] += finds(path)
            path.unlink()
    kinds = Counter(mutation.kind for mutation in MUTATIONS)
    print("Single mistakes reported, by kind\n")
    print(f"  {'':<18}{'made':>6}" + "".join(f"{name:>22}" for name in WAYS))
    for kind, made in kinds.most_common():
        print(f"  {kind:<18}{made:>6}" + "".join(f"{found[name][kind]:>22}" for name in WAYS))
    total = sum(kinds.values())
    cells = (f"{sum(found[name].values())} ({sum(found[name].values()) / total:.0%})" for name in WAYS)
    print(f"  {'all':<18}{total:>6}" + "".join(f"{cell:>22}" for cell in cells))


def by_this_project(path: Path) -> bool:
    from schemas.validation import check_paths

    return bool(check_paths([path]))


def by_loading(path: Path) -> bool:
    from dagfactory import load_yaml_dags

    try:
        load_yaml_dags({}, config_filepath=str(path), defaults_config_path=str(path.parent))
    except Exception:
        return True
    return False


def by_lint(path: Path) -> bool:
    from dagfactory.__main__ import _check_yaml_syntax

    try:
        return _check_yaml_syntax(path) is not None
    except Exception:
        return True


WAYS: dict[str, Callable[[Path], bool]] = {
    "this project": by_this_project,
    "stock, loading": by_loading,
    "dagfactory lint": by_lint,
}

if __name__ == "__main__":
    main()
