"""A temporary Airflow ends with the command that started it, whatever ends that."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from local import Instance

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent.parent
COMMAND = """
import sys, time
from pathlib import Path
from local import Instance, free_ports, project_settings
settings = {**project_settings(lambda _: None), **free_ports(), "BATCH_OUTPUT": sys.argv[1] + "/output"}
settings["AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION"] = "True"  # a task that runs has 30 s to end
Instance(Path(sys.argv[1]) / "home", settings, say=lambda _: None, temporary=True).start()
print("started", flush=True)
time.sleep(600)
"""


def test_no_airflow_is_left_of_a_command_that_was_ended(tmp_path: Path) -> None:
    command = [sys.executable, "-c", COMMAND, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT / "deploy", stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        instance = Instance(tmp_path / "home", {})
        assert instance.processes()
        process.kill()  # it can do nothing about that
        assert process.wait(10) == -signal.SIGKILL
    assert instance._gone_within(60)
