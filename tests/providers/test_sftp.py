"""Files and commands on another machine: a real SSH server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from dag_runs import DAY, Project
from sftp_server import PASSWORD, sftp_server

pytestmark = [pytest.mark.slow, pytest.mark.extra("sftp")]


def test_a_file_is_seen_fetched_and_marked(
    tmp_path: Path, project: Project, example: Callable[[str], str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / f"{DAY}.csv").write_text("a\n1\n", encoding="utf-8")
    project.add("supplier.yaml", example("supplier"))
    with sftp_server(tmp_path) as connection:
        states = project.run("supplier", supplier=connection)["supplier"]
    tasks = ("wait_for_file", "get_file", "say_so")
    assert states == dict.fromkeys(tasks, "success"), project.output[-6000:]
    assert (project.folder / "output" / "supplier" / f"{DAY}.csv").read_text(encoding="utf-8") == "a\n1\n"
    assert (tmp_path / "out" / f"{DAY}.done").exists()
    assert PASSWORD not in project.output
