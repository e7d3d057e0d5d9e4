"""``python -m schemas``: check, correct, compare and draw DAG files, and explain what is found."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from batch_serving.shared.command_line import Parser, is_colourful, run_command
from batch_serving.shared.root import PROJECT_ROOT
from batch_serving.shared.suggestions import did_you_mean
from schemas.catalog.providers import MISSING_PROVIDER

if TYPE_CHECKING:
    from schemas.problems import Problem

MANY_FILES = 50  # from which on a check takes more than a second or two
FORMATS = ("text", "json", "github", "sarif")
EXAMPLES = {  # what follows each command
    "check": "dag_configs/predict.yaml --fix --dry-run",
    "diff": "HEAD~1",
    "explain": "DAG112",
    "graph": "dag_configs/train_model.yaml",
}
EXIT_CODES = {
    "check": "0 no errors (warnings are none), 1 errors found, 2 wrong usage or a path that cannot be read",
    "diff": "0 no change, 1 something changes, 2 wrong usage or a path that cannot be read",
}
OTHERWISE = "0 done, 2 wrong usage or a path that cannot be read"
DEFAULT_PATH = PROJECT_ROOT / "dag_configs"
EXAMPLES_PATH = PROJECT_ROOT / "examples"


def main(arguments: list[str] | None = None, *, prog: str = "python -m schemas") -> int:
    """Run the command line; 0 clean, 1 errors found, 2 usage or unreadable path."""
    options = _parser(prog).parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    return run_command(lambda: run(options))


def _parser(prog: str) -> argparse.ArgumentParser:
    about = "Check, correct, compare and draw DAG files, and explain what is found."
    parser = Parser(prog=prog, description=about, example=f"{prog} check dag_configs")
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, run: Callable[[argparse.Namespace], int], about: str) -> argparse.ArgumentParser:
        example = f"{prog} {name} {EXAMPLES.get(name, '')}".strip()
        command: argparse.ArgumentParser = commands.add_parser(
            name, help=about, description=about, example=example, exit_codes=EXIT_CODES.get(name, OTHERWISE)
        )
        command.set_defaults(run=run)
        return command

    _check_options(add("check", run_check, "report every mistake in the given files and folders"))
    difference = add("diff", run_diff, "print what an edit changes in DAGs, tasks, edges and schedules")
    difference.add_argument("old", help="a file, a folder or a git revision")
    difference.add_argument(
        "new", nargs="?", default=str(DEFAULT_PATH), help="the same; dag_configs/ if left out"
    )
    drawing = add("graph", run_graph, "print a Mermaid graph of a file")
    drawing.add_argument("file", type=Path, help="one YAML file")
    explaining = add("explain", run_explain, "explain a code, with a bad and a good example; all if left out")
    explaining.add_argument(
        "code", nargs="?", metavar="CODE", help="such as DAG103, or the beginning of several: DAG20"
    )
    about = "write the JSON Schema and docs/checker.md from what is installed"
    for name, text in (("generate", about), ("schema", "another name of generate")):
        schema = add(name, run_schema, text)
        schema.add_argument(
            "--installed",
            type=Path,
            metavar="FILE",
            help="write only this file, for an editor: with every installed provider, extras included",
        )
    return parser


def _check_options(check: argparse.ArgumentParser) -> None:
    about = "files and folders; dag_configs/ and examples/ if left out"
    check.add_argument("paths", nargs="*", type=Path, default=_default_paths(), metavar="PATH", help=about)
    check.add_argument("--format", choices=FORMATS, default="text", help="text if left out")
    check.add_argument("--fix", action="store_true", help="correct what has one safe correction")
    check.add_argument("--dry-run", action="store_true", help="with --fix: only print the corrections")
    check.add_argument(
        "--select",
        action="append",
        default=[],
        metavar="CODES",
        help="report only these, such as DAG1,DAG203",
    )
    check.add_argument(
        "--ignore", action="append", default=[], metavar="CODES", help="leave these out; not those of safety"
    )
    check.add_argument("--no-build", action="store_true", help="only what needs no Airflow: half a second")
    check.add_argument(
        "--information", action="store_true", help="add next runs, and the pools and connections needed"
    )


def run_check(options: argparse.Namespace) -> int:
    """Print the problems of the paths and return the exit code."""
    _quiet_airflow()
    from schemas.fixing import fix_paths
    from schemas.reports.selection import Selection
    from schemas.validation import check_paths

    if options.dry_run and not options.fix:
        print("--dry-run goes with --fix", file=sys.stderr)
        return 2
    try:
        paths = _with_yaml(options.paths)
        selection = Selection.of(_listed(options.select, "--select"), _listed(options.ignore, "--ignore"))
        build = not options.no_build
        if options.fix:
            for difference in fix_paths(paths, selection, build=build, dry_run=options.dry_run):
                print(difference, file=sys.stderr if options.format != "text" else sys.stdout)
        found = check_paths(
            paths,
            build=build,
            information=options.information,
            progress=_show_progress,
            note=_show_note,
        )
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    found = _without_missing_extras(selection.filter(found), options.paths)
    _print_problems(found, options.format)
    return 1 if any(problem.severity == "error" for problem in found) else 0


def _quiet_airflow() -> None:
    """Let Airflow use the project's home when it is imported, and write errors alone to the screen."""
    os.environ.setdefault("AIRFLOW_HOME", str(PROJECT_ROOT / ".airflow"))
    os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "ERROR")


def _with_yaml(paths: list[Path]) -> list[Path]:
    """Return the paths; where none was given, without folders in which there is no YAML yet."""
    if paths != _default_paths():
        return paths
    from schemas.documents.reading import find_files

    kept = [path for path in paths if not path.is_dir() or find_files(path)]
    if not kept:
        print(f"no YAML file in {', '.join(path.name for path in paths)}", file=sys.stderr)
    return kept


def _listed(given: list[str], option: str) -> str:
    """Return the codes of an option that may be given several times; ValueError for one without a code."""
    if any(not text.strip(" ,") for text in given):
        raise ValueError(f"{option} needs codes, such as {option} DAG1,DAG203")
    return ",".join(given)


def _without_missing_extras(problems: list[Problem], paths: list[Path]) -> list[Problem]:
    """Leave out that an example needs an extra, unless the example was asked for; say so instead.

    Nothing needs the examples, and so nothing has to be installed for them.
    """
    if paths != _default_paths():
        return problems
    folder = EXAMPLES_PATH.name
    needed = [
        problem
        for problem in problems
        if problem.file.startswith(f"{folder}/") and problem.hint.startswith(MISSING_PROVIDER)
    ]
    for name in sorted({problem.file for problem in needed}):
        text = f"{name} needs providers that are not installed, and was checked in part"
        print(f"{text}; make up EXAMPLES={name.split('/')[1]} installs them", file=sys.stderr)
    return [problem for problem in problems if problem not in needed]


def _default_paths() -> list[Path]:
    return [path for path in (DEFAULT_PATH, EXAMPLES_PATH) if path.is_dir()] or [DEFAULT_PATH]


def _show_progress(done: int, files: int) -> None:
    """Show how far a long check is, on a terminal only; the last call removes the line."""
    if sys.stderr.isatty() and files >= MANY_FILES:
        text = f"checked {done} of {files} files" if done < files else ""
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _show_note(*found: Problem) -> None:
    """Print what is said of a folder once, apart from its problems."""
    for one in found:
        print(f"{one.message}; {one.hint}", file=sys.stderr)


def _print_problems(problems: list[Problem], output: str) -> None:
    from schemas.reports import formats

    if output == "text":
        text = formats.as_text(problems, colours=is_colourful(sys.stdout))
        print("\n".join(filter(None, [text, formats.summary(problems)])))
        return
    printers = {"json": formats.as_json, "github": formats.as_github, "sarif": formats.as_sarif}
    print(printers[output](problems))


def run_diff(options: argparse.Namespace) -> int:
    """Print what changes from ``old`` to ``new``; 0 if nothing does, 1 if something does, as diff does."""
    from schemas.documents.reading import DocumentError
    from schemas.reports.diff import compare, describe, locate

    try:
        with tempfile.TemporaryDirectory() as scratch:
            before, after = (describe(locate(text, Path(scratch))) for text in (options.old, options.new))
    except (OSError, DocumentError) as error:
        print(error, file=sys.stderr)
        return 2
    lines = list(compare(before, after, datetime.now(UTC)))
    print("\n".join(lines) if lines else "no change")
    return 1 if lines else 0


def run_graph(options: argparse.Namespace) -> int:
    """Print the Mermaid graph of one file."""
    from schemas.documents.reading import DocumentError
    from schemas.reports.mermaid import mermaid, readable
    from schemas.validation import expand

    try:
        if options.file.is_dir():
            raise ValueError(f"{options.file} is a folder; name one file{_example_in(options.file)}")
        graphs = [mermaid(readable(path)) for path, _ in expand([options.file])]
    except (DocumentError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(graphs))
    return 0


def _example_in(folder: Path) -> str:
    from schemas.documents.reading import find_files

    return "".join(f", such as {path}" for path in find_files(folder)[:1])


def run_explain(options: argparse.Namespace) -> int:
    """Print what a code means, or a list of all codes."""
    from schemas.checks.registry import RULES
    from schemas.reports.explain import explain

    if options.code is None:
        print("\n".join(f"{code}  {rule.title}" for code, rule in RULES.items()))
        return 0
    code = options.code.upper()
    if code not in RULES:
        if found := [name for name in RULES if name.startswith(code)]:
            print("\n".join(f"{name}  {RULES[name].title}" for name in found))
            return 0
        hint = did_you_mean(code, RULES) or "`explain` without a code lists all of them"
        print(f"there is no code {options.code!r}; {hint}", file=sys.stderr)
        return 2
    print(explain(code))
    return 0


def run_schema(options: argparse.Namespace) -> int:
    """Write the schema file and the page of rules again, or a schema for an editor."""
    _quiet_airflow()
    from schemas.catalog.generate import schema_text
    from schemas.catalog.lookup import SCHEMA_FILE
    from schemas.catalog.providers import installed_providers
    from schemas.reports.explain import checker_page

    if options.installed:
        options.installed.write_text(schema_text(installed_providers()), encoding="utf-8")
        return 0
    page = PROJECT_ROOT / "docs" / "checker.md"
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")
    page.parent.mkdir(exist_ok=True)
    page.write_text(checker_page(), encoding="utf-8")
    print(f"wrote {SCHEMA_FILE.relative_to(PROJECT_ROOT)} and {page.relative_to(PROJECT_ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
