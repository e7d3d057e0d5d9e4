"""The watcher: which changes make Airflow load the pipelines again, and what it does when it cannot watch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
import pytest
import watch

ROOT = Path(__file__).resolve().parent.parent.parent
WATCH = str(ROOT / "deploy" / "watch.py")
SOON_S = 5  # a touch is done 0.1 s after a change; tests share the machine


class Watched:
    """A project, and a watcher that runs on it."""

    def __init__(self, folder: Path, home: Path, program: Sequence[str] = (WATCH,)) -> None:
        self.folder = folder
        self.dag_file = folder / "dags" / "load_all.py"
        self.pass_file = home / "dag_configs_pass"
        command = [sys.executable, *program, str(self.dag_file)]
        environment = {**os.environ, "AIRFLOW_HOME": str(home)}
        self.output = home / "output"
        with self.output.open("w") as output:
            self.process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        wait_until(lambda: self.output.stat().st_size > 0, 20)
        time.sleep(1)  # until it watches

    def touches(self, change: Callable[[], object], seconds: float = SOON_S) -> int:
        """Make a change, and return how often the DAG file was touched because of it, one second after the first."""
        self.pass_ended()
        before = self.dag_file.stat().st_mtime_ns
        change()
        seen: set[int] = set()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = self.dag_file.stat().st_mtime_ns
            if found != before and found not in seen:
                seen.add(found)
                deadline = min(deadline, time.monotonic() + 1)
            time.sleep(0.005)
        return len(seen)

    def pass_ended(self) -> None:
        """Do what the loader does when it starts: no touch is repeated after that.

        The system's times of files go on in steps of some milliseconds: a pass starts in a later one.
        """
        time.sleep(0.05)
        self.pass_file.touch()

    def stop(self) -> str:
        """End the watcher and return what it printed."""
        self.process.terminate()
        self.process.wait(10)
        return self.output.read_text(encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    for name in ("dags", "dag_configs", "callables", "schemas"):
        (folder / name).mkdir(parents=True)
    (folder / "dags" / "load_all.py").write_text("# airflow dag\n", encoding="utf-8")
    (folder / "dag_configs" / "one.yaml").write_text("one: 1\n", encoding="utf-8")
    (folder / "callables" / "work.py").write_text("\n", encoding="utf-8")
    return folder


@pytest.fixture
def watched(project: Path, tmp_path: Path) -> Iterator[Watched]:
    (tmp_path / "home").mkdir()
    found = Watched(project, tmp_path / "home")
    yield found
    found.stop()


def test_each_way_to_change_a_pipeline_is_one_touch_or_two(watched: Watched) -> None:
    configs = watched.folder / "dag_configs"
    one = configs / "one.yaml"

    def save_by_rename() -> None:
        (configs / ".one.yaml.swp").write_text("one: 3\n", encoding="utf-8")
        (configs / ".one.yaml.swp").replace(one)

    def save_in_steps() -> None:
        for number in range(5):
            one.write_text(f"one: {number}\n" * number, encoding="utf-8")
            time.sleep(0.02)

    def check_out() -> None:
        for number in range(300):
            (configs / f"new_{number}.yaml").write_text("new: 1\n", encoding="utf-8")

    ways: dict[str, Callable[[], object]] = {
        "write": lambda: one.write_text("one: 2\n", encoding="utf-8"),
        "save by rename": save_by_rename,
        "save in steps": save_in_steps,
        "many files": check_out,
        "rename": lambda: one.rename(configs / "two.yaml"),
        "remove": lambda: (configs / "two.yaml").unlink(),
        "a folder": lambda: (configs / "team").mkdir(),
        "a file in a new folder": lambda: (configs / "team" / "x.yaml").write_text("x: 1", encoding="utf-8"),
        "a folder is renamed": lambda: (configs / "team").rename(configs / "other"),
        "a folder is removed": lambda: shutil.rmtree(configs / "other"),
        "a function": lambda: (watched.folder / "callables" / "work.py").write_text("x = 1\n"),
        "a rule": lambda: (watched.folder / "schemas" / "rules.json").write_text("{}\n"),
    }
    touches = {name: watched.touches(way) for name, way in ways.items()}
    assert {
        name: found for name, found in touches.items() if not 1 <= found <= 2
    } == {}  # 2 on a slow machine


def test_what_no_pipeline_depends_on_is_not_touched_for(watched: Watched) -> None:
    def write_all() -> None:
        for name in (".one.yaml.swp", "one.yaml~", "4913.tmp", ".git/index", "__pycache__/x.cpython-311.pyc"):
            file = watched.folder / "dag_configs" / name
            file.parent.mkdir(exist_ok=True)
            file.write_text("x", encoding="utf-8")

    assert watched.touches(write_all, seconds=1.5) == 0


def test_a_touch_is_repeated_until_a_pass_has_started(watched: Watched) -> None:
    file = watched.folder / "dag_configs" / "one.yaml"
    assert watched.touches(lambda: file.write_text("one: 2\n", encoding="utf-8")) == 1
    first = watched.dag_file.stat().st_mtime_ns
    wait_until(lambda: watched.dag_file.stat().st_mtime_ns != first, watch.REPEAT_AFTER_S + SOON_S)
    watched.pass_ended()
    last = watched.dag_file.stat().st_mtime_ns
    time.sleep(watch.REPEAT_AFTER_S + 2)
    assert watched.dag_file.stat().st_mtime_ns == last


def test_a_folder_that_is_replaced_is_still_watched(watched: Watched) -> None:
    configs = watched.folder / "dag_configs"

    def replace() -> None:
        configs.rename(watched.folder / "old")
        configs.mkdir()

    assert watched.touches(replace) >= 1
    time.sleep(watch.TICK_MS / 1000 + 1)
    assert watched.touches(lambda: (configs / "x.yaml").write_text("x: 1\n", encoding="utf-8")) == 1


def test_it_ends_with_the_process_that_started_it(project: Path, tmp_path: Path) -> None:
    script = (
        f'"{sys.executable}" "{ROOT}/deploy/watch.py" "{project}/dags/load_all.py" & echo $!; exec sleep 2'
    )
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path)}
    with (tmp_path / "output").open("w") as output:
        subprocess.run(["sh", "-c", script], stdout=output, env=environment, check=True)
    pid = int((tmp_path / "output").read_text(encoding="utf-8").split()[0])
    wait_until(lambda: not psutil.pid_exists(pid), watch.TICK_MS / 1000 + SOON_S)


# A process that can open one file more than it has open: to read a folder takes one, to get reports more.
FEW_FILES = """
import os, resource, sys
sys.path.insert(0, {deploy!r})
import watch
next_number = os.dup(0)
os.close(next_number)
resource.setrlimit(resource.RLIMIT_NOFILE, (next_number + 1, 4096))
sys.exit(watch.main(sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has inotify")
def test_where_the_system_cannot_report_changes_it_polls_and_prints_one_line(
    project: Path, tmp_path: Path
) -> None:
    (tmp_path / "home").mkdir()
    watched = Watched(project, tmp_path / "home", ["-c", FEW_FILES.format(deploy=str(ROOT / "deploy"))])
    time.sleep(3 * watch.TICK_MS / 1000)  # the first poll counts as a change
    file = project / "dag_configs" / "one.yaml"
    assert watched.touches(lambda: file.write_text("one: 2\n", encoding="utf-8")) >= 1
    printed = watched.stop().splitlines()
    assert len(printed) == 2
    assert "Too many open files" in printed[1]
    assert "polling once per second instead" in printed[1]


def test_a_dag_file_that_cannot_be_touched_ends_it_with_one_line(project: Path, tmp_path: Path) -> None:
    dag_file = project / "dags" / "load_all.py"
    dag_file.unlink()
    dag_file.symlink_to(dag_file)  # as in a read-only folder, but for root, too
    watched = Watched(project, tmp_path)
    (project / "dag_configs" / "one.yaml").write_text("one: 2\n", encoding="utf-8")
    assert watched.process.wait(SOON_S) == 1
    (line,) = watched.stop().splitlines()[1:]
    assert "load_all.py cannot be touched (Too many levels of symbolic links)" in line
    assert "a change is loaded after up to 30 s" in line


def test_a_file_system_that_other_machines_change_is_polled() -> None:
    mounts = {"/": "ext4", "/mnt/share": "nfs4", "/mnt/share/local": "xfs", "/home/me": "fuse.sshfs"}
    folders = ("/srv/project", "/mnt/share/project", "/mnt/share/local/project", "/home/me/project")
    assert [watch.is_remote(Path(folder), mounts) for folder in folders] == [False, True, False, True]
    assert "/" in watch.mounted()


def wait_until(ask: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not ask():
        assert time.monotonic() < deadline, f"it did not happen within {seconds} s"
        time.sleep(0.05)
