"""The wheel has what those who install it need: the packages, their types, the command, the licence."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # the build tool is fetched from the network

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ("batch_cli", "batch_page", "batch_serving", "callables", "schemas")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [str(Path(sys.executable).with_name("uv")), "build", "--wheel", "--out-dir", str(folder)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_every_module_and_the_types_are_in_it(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    for package in PACKAGES:
        modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / package).rglob("*.py")}
        assert modules <= names
        assert f"{package}/py.typed" in names
    assert "schemas/dag_config.schema.json" in names
    for folder in ("templates", "static"):
        assert {
            f"batch_page/{folder}/{path.name}" for path in (ROOT / "batch_page" / folder).iterdir()
        } <= names


def test_it_has_the_command_and_the_licence(wheel: zipfile.ZipFile) -> None:
    texts = {name.rpartition("/")[2]: name for name in wheel.namelist() if ".dist-info/" in name}
    assert "batch = batch_cli:main" in wheel.read(texts["entry_points.txt"]).decode()
    assert "License-Expression: Apache-2.0" in wheel.read(texts["METADATA"]).decode()
    assert "SPDX-License-Identifier: Apache-2.0" in wheel.read(texts["LICENSE"]).decode()
