"""``python -m schemas``: check, compare and draw DAG files, and explain what is found."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from schemas.diagnostics import ERROR, WARNING, as_github, as_json, as_sarif, as_text

FORMATS = {"json": as_json, "github": as_github, "sarif": as_sarif}
DEFAULT_PATH = Path(__file__).resolve().parent.parent / "dag_configs"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 clean, 1 errors found, 2 usage or unreadable path."""
    parser = argparse.ArgumentParser(prog="python -m schemas", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="report every mistake in the given files and folders")
    check.add_argument("paths", nargs="*", type=Path, default=[DEFAULT_PATH], metavar="PATH")
    check.add_argument("--format", choices=("text", *FORMATS), default="text")
    check.add_argument("--no-build", action="store_true", help="only what needs no Airflow: half a second")
    check.add_argument(
        "--information", action="store_true", help="add next runs, and the pools and connections needed"
    )
    difference = commands.add_parser(
        "diff", help="print what an edit changes in DAGs, tasks, edges and schedules"
    )
    difference.add_argument("old", help="a file, a folder or a git revision")
    difference.add_argument(
        "new", nargs="?", default=str(DEFAULT_PATH), help="the same; dag_configs/ if left out"
    )
    drawing = commands.add_parser("graph", help="print a Mermaid graph of a file")
    drawing.add_argument("file", type=Path)
    explaining = commands.add_parser("explain", help="say what a code means, with a bad and a good example")
    explaining.add_argument("code", metavar="CODE", help="such as DAG103")
    commands.add_parser("schema", help="write schemas/dag_config.schema.json from what is installed")
    options = parser.parse_args(arguments)
    runs: dict[str, Callable[[], int]] = {
        "check": lambda: run_check(
            options.paths, options.format, build=not options.no_build, information=options.information
        ),
        "diff": lambda: run_diff(options.old, options.new),
        "explain": lambda: run_explain(options.code),
        "graph": lambda: run_graph(options.file),
        "schema": run_schema,
    }
    return runs[options.command]()


def run_check(paths: list[Path], output: str, *, build: bool, information: bool) -> int:
    """Print the problems of ``paths`` and return the exit code."""
    # Importing Airflow makes a home and writes its log to the screen: into the project's, and errors alone.
    os.environ.setdefault("AIRFLOW_HOME", str(DEFAULT_PATH.parent / ".airflow"))
    os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "ERROR")
    from schemas.validation import check_paths

    try:
        found = check_paths(paths, build=build, information=information)
    except OSError as error:
        print(error, file=sys.stderr)
        return 2
    if output in FORMATS:
        print(FORMATS[output](found))
    elif found:
        print(as_text(found))
    errors, warnings = (sum(problem.severity == kind for problem in found) for kind in (ERROR, WARNING))
    if output == "text":
        clean = "all right: no problems found"
        print(f"{errors} errors, {warnings} warnings" if errors or warnings else clean)
    return 1 if errors else 0


def run_diff(old: str, new: str) -> int:
    """Print what changes from ``old`` to ``new``; 0 if nothing does, 1 if something does, as diff does."""
    from schemas.differences import compare, describe, locate
    from schemas.documents import DocumentError

    try:
        with tempfile.TemporaryDirectory() as scratch:
            before, after = (describe(locate(text, Path(scratch))) for text in (old, new))
    except (OSError, DocumentError) as error:
        print(error, file=sys.stderr)
        return 2
    lines = list(compare(before, after, datetime.now(UTC)))
    print("\n".join(lines) if lines else "no change")
    return 1 if lines else 0


def run_graph(file: Path) -> int:
    """Print the Mermaid graph of one file."""
    from schemas.documents import DocumentError
    from schemas.graphs import mermaid, readable

    try:
        print(mermaid(readable(file)))
    except DocumentError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def run_explain(code: str) -> int:
    """Print what a code means."""
    from schemas.explanations import EXPLANATIONS, explain

    if code.upper() not in EXPLANATIONS:
        print(f"there is no code {code!r}; the codes are {', '.join(EXPLANATIONS)}", file=sys.stderr)
        return 2
    print(explain(code.upper()))
    return 0


def run_schema() -> int:
    """Write the schema file and the page of codes anew."""
    from schemas.explanations import codes_page
    from schemas.schema import SCHEMA_FILE, schema_text

    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")
    SCHEMA_FILE.with_name("README.md").write_text(codes_page(), encoding="utf-8")
    print(f"wrote {SCHEMA_FILE.name} and README.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
