"""``python -m schemas``: check DAG files, and write the schema."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from schemas.diagnostics import ERROR, as_json, as_text

DEFAULT_PATH = Path(__file__).resolve().parent.parent / "dag_configs"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 clean, 1 errors found, 2 usage or unreadable path."""
    parser = argparse.ArgumentParser(prog="python -m schemas", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="report every mistake in the given files and folders")
    check.add_argument("paths", nargs="*", type=Path, default=[DEFAULT_PATH], metavar="PATH")
    check.add_argument("--format", choices=("text", "json"), default="text")
    commands.add_parser("schema", help="write schemas/dag_config.schema.json from what is installed")
    options = parser.parse_args(arguments)
    return run_schema() if options.command == "schema" else run_check(options.paths, options.format)


def run_check(paths: list[Path], output: str) -> int:
    """Print the problems of ``paths`` and return the exit code."""
    # Importing Airflow makes a home and writes its log to the screen: into the project's, and errors alone.
    os.environ.setdefault("AIRFLOW_HOME", str(DEFAULT_PATH.parent / ".airflow"))
    os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "ERROR")
    from schemas.validation import check_paths

    try:
        found = check_paths(paths)
    except OSError as error:
        print(error, file=sys.stderr)
        return 2
    if output == "json":
        print(as_json(found))
    elif found:
        print(as_text(found))
    errors = sum(problem.severity == ERROR for problem in found)
    if output == "text":
        print(f"{errors} errors, {len(found) - errors} warnings" if found else "all right: no problems found")
    return 1 if errors else 0


def run_schema() -> int:
    """Write the schema file anew."""
    from schemas.schema import SCHEMA_FILE, schema_text

    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")
    print(f"wrote {SCHEMA_FILE.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
