"""Files are read and written by batch_serving/shared alone: there, absent, empty and unreachable are told apart.

A raw ``exists``, ``glob`` or ``open`` anywhere else takes a place that cannot be read for an empty one.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("batch_serving", "callables", "batch_cli")
SHARED = "batch_serving/shared/"
OF_PATHS = {"chmod", "exists", "glob", "is_dir", "is_file", "is_symlink", "iterdir", "lstat", "mkdir", "open"}
OF_PATHS |= {"read_bytes", "read_text", "rename", "rglob", "rmdir", "stat", "symlink_to", "touch", "unlink"}
OF_PATHS |= {"write_bytes", "write_text"}
OF_OS = {"listdir", "lexists", "makedirs", "remove", "scandir", "walk"}
OF_FOLDERS = {"copyfile", "copytree", "move", "rmtree", "mkdtemp", "mkstemp"}
METHODS = OF_PATHS | OF_FOLDERS
READERS = frozenset({"read_csv", "read_json", "read_parquet", "read_pickle", "read_sql_table", "to_csv"})
MODULES = frozenset({"glob", "fsspec", "s3fs", "boto3", "botocore", "shutil", "tempfile"})

# What is raw all the same, and why.
EXCEPTIONS: dict[str, tuple[frozenset[str], str]] = {
    "batch_serving/shared/env.py": (
        frozenset({"is_file", "read_text"}),
        "the file .env of the project, at the command line only",
    ),
    "batch_cli/copying.py": (
        frozenset({"read_text", "exists", "mkdir", "open", "unlink", "glob", "rglob", "rmdir", "is_dir"})
        | {"is_file", "iterdir"},
        "the project's own source files; each is opened to be made new, and an OSError is reported",
    ),
    "batch_serving/shared/extras.py": (
        frozenset({"open", "read_text"}),
        "pyproject.toml, and what `make setup` wrote into the environment",
    ),
    "batch_serving/weather/columns.py": (frozenset({"read_text"}), "a file that comes with the code"),
    "batch_serving/registry/saving.py": (
        frozenset({"shutil", "stat", "rmtree", "rename"}),
        "on disk a version appears and goes by one rename of a folder, inside reached()",
    ),
    "batch_serving/prediction/run_files.py": (
        frozenset({"tempfile", "mkstemp", "unlink", "chmod", "replace"}),
        "a run's rows are collected in a temporary file; it is made and moved inside reached()",
    ),
    "batch_serving/prediction/csv_shape.py": (frozenset({"open"}), "the copy that local_copy() has given"),
    "batch_serving/prediction/row_source.py": (
        frozenset({"read_bytes", "read_csv"}),
        "the copy that local_copy() has given",
    ),
    "batch_serving/ml/environment.py": (frozenset({"read_text"}), "what Linux says of the processor"),
    "batch_serving/ml/image_pixels.py": (frozenset({"open"}), "the bytes that read_whole() has given"),
    "batch_serving/ml/odd_values.py": (frozenset({"read_csv"}), "the file that opened() has given"),
}
IN_SHARED = ("command_line.py", "files.py", "reading.py", "object_storage.py", "unreachable.py", "paths.py")


def raw_calls(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the name of each raw access to a file or a folder."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = (
                [node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
            )
            yield from ((node.lineno, name) for name in names if name.split(".")[0] in MODULES)
        elif isinstance(node, ast.Attribute) and node.attr == "fs":
            yield node.lineno, "fs"
        elif isinstance(node, ast.Call):
            name = _raw_call(node)
            if name:
                yield node.lineno, name


def _raw_call(node: ast.Call) -> str:
    if isinstance(node.func, ast.Name):
        return "open" if node.func.id == "open" else ""
    if not isinstance(node.func, ast.Attribute):
        return ""
    name = node.func.attr
    if name == "replace":  # a text's has two arguments, a date's only named ones
        is_of_path = len(node.args) == 1 and not node.keywords and not isinstance(node.args[0], ast.Dict)
        return name if is_of_path else ""
    if name in READERS:
        given = node.args[0] if node.args else None
        is_in_memory = isinstance(given, ast.Call) and ast.unparse(given.func) == "io.BytesIO"
        return "" if given is None or is_in_memory else name
    is_of_os = ast.unparse(node.func.value) in ("os", "os.path")
    return name if name in METHODS or (is_of_os and name in OF_OS) else ""


def found_in(path: Path) -> list[tuple[int, str]]:
    return list(raw_calls(path.read_text(encoding="utf-8")))


def modules() -> dict[str, Path]:
    found = (path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")))
    named = {path.relative_to(ROOT).as_posix(): path for path in found}
    return {name: path for name, path in named.items() if name not in {SHARED + one for one in IN_SHARED}}


@pytest.mark.parametrize("module", modules())
def test_files_are_read_and_written_by_the_shared_functions(module: str) -> None:
    allowed = EXCEPTIONS.get(module, (frozenset(), ""))[0]
    raw = [f"{module}:{line}: {name}" for line, name in found_in(modules()[module]) if name not in allowed]
    assert raw == [], "use batch_serving/shared/reading.py and files.py"


@pytest.mark.parametrize("module", EXCEPTIONS)
def test_each_exception_is_needed(module: str) -> None:
    names = {name for _, name in found_in(modules()[module])}
    assert names == EXCEPTIONS[module][0], EXCEPTIONS[module][1]


@pytest.mark.parametrize(
    "line",
    [
        "output_path('models').exists()",
        "for one in folder.glob('*/metadata.json'): pass",
        "open(path)",
        "path.open('rb')",
        "root.fs.find(root.path)",
        "import glob",
        "from fsspec import open_files",
        "os.listdir(folder)",
        "os.path.exists(folder)",
        "shutil.rmtree(folder)",
        "temporary.replace(target)",
        "pd.read_csv(path)",
        "frame.to_csv(path)",
    ],
)
def test_a_raw_access_is_found(line: str) -> None:
    assert list(raw_calls(line))


@pytest.mark.parametrize(
    "line",
    [
        "'a-b'.replace('-', '')",
        "moment.replace(hour=0)",
        "column.replace({'True': '1'})",
        "replace(run, source='kma')",
        "exists(path)",
        "pd.read_csv(io.BytesIO(data))",
    ],
)
def test_what_only_resembles_one_is_not(line: str) -> None:
    assert list(raw_calls(line)) == []
