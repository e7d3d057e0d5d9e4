"""``batch new``: a pipeline of one's own, from an example or from a small start."""

from __future__ import annotations

import keyword
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from batch_cli.copying import Copy, NotCopiedError, remove
from batch_serving.shared.command_line import Parser, run_command
from batch_serving.shared.root import PROJECT_ROOT
from batch_serving.shared.suggestions import did_you_mean

if TYPE_CHECKING:
    from schemas.problems import Problem

START = Path(__file__).resolve().parent / "start"
NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")


def main(arguments: list[str], *, prog: str) -> int:
    """Make the copy; 0, 1 if nothing was written, 2 for wrong usage."""
    about = (
        "Make a pipeline of your own: YAML in dag_configs/, functions in callables/; it overwrites nothing."
    )
    parser = Parser(prog=prog, description=about, example=f"{prog} my_train --from recommender")
    parser.add_argument("name", help="the name of the DAG, its file and its functions: letters, digits and _")
    parser.add_argument("--from", dest="example", metavar="EXAMPLE", help="a folder of examples/")
    options = parser.parse_args(arguments)
    return run_command(lambda: _new(options.name, options.example))


def _new(name: str, example: str | None) -> int:
    try:
        written = new_pipeline(name, example)
    except NotCopiedError as error:
        print(f"new: {error}", file=sys.stderr)
        return 1
    for file in written:
        print(f"  {file.relative_to(PROJECT_ROOT)}")
    print("It is checked and yours. Airflow loads it as soon as it runs: make up")
    return 0


def new_pipeline(name: str, example: str | None) -> list[Path]:
    """Write a checked pipeline of this name and return its files.

    ``example`` is the name of a folder of ``examples/``, or None for a small start. Raises NotCopiedError,
    and has written nothing, for a name that cannot be a DAG's and a module's, one that is taken, an example
    that is not there, and a copy that the checker does not pass.
    """
    from schemas.documents.examples import example_names

    examples = PROJECT_ROOT / "examples"
    known = example_names(examples)
    if not NAME.fullmatch(name) or keyword.iskeyword(name):
        raise NotCopiedError(
            f"{name!r} cannot name a DAG and a module; write small letters, digits and _, as in my_train"
        )
    if name in known:
        raise NotCopiedError(f"{name!r} is the name of an example; choose another, such as my_{name}")
    if example is not None and example not in known:
        hint = did_you_mean(example, known) or f"there are {', '.join(known)}"
        raise NotCopiedError(f"there is no example {example!r}; {hint}")
    before = _errors()
    written = Copy(START if example is None else examples / example, name).write()
    try:
        errors = [error for error in _errors() if error not in before]
    except BaseException:
        remove(written)
        raise
    if errors:
        from schemas.reports.formats import as_text

        remove(written)
        raise NotCopiedError(f"the check of the copy found:\n{as_text(errors)}\nnothing was written")
    return written


def _errors() -> list[Problem]:
    """Return the errors of all of the user's DAGs."""
    # Importing Airflow makes a home and writes its log to the screen: into the project's, and errors alone.
    os.environ.setdefault("AIRFLOW_HOME", str(PROJECT_ROOT / ".airflow"))
    os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "ERROR")
    from schemas.validation import check_paths

    found = check_paths([PROJECT_ROOT / "dag_configs"])
    return [problem for problem in found if problem.severity == "error"]
