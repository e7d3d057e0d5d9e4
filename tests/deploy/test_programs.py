"""What ``make test`` says where programs are missing, from the real commands with another PATH."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import programs
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
BROWSER_TEST = "tests/integration/test_browser.py"
LEAVE_OUT = "make test ARGS=\"-m 'not needs'\""
# A test file that imports one of these needs a program.
NEEDED_BY = {"playwright": "chromium", "language_server": "npm", "databases": "postgres"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A folder to be the whole PATH, with what a script needs to start and no programs."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "env").symlink_to("/usr/bin/env")
    return folder


def run_pytest(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pytest as ``make test`` does; it ends before any test starts."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=ROOT,
        env={**os.environ, "PATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )


def script(folder: Path, name: str, text: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    file.chmod(0o755)


def test_without_apt_get_it_names_the_programs_and_ends(path: Path) -> None:
    found = run_pytest(path, "--install-programs", BROWSER_TEST)
    assert found.returncode == pytest.ExitCode.USAGE_ERROR
    assert "Traceback" not in found.stdout + found.stderr
    assert "chromium  Chromium or Chrome (looked for chromium or chromium-browser or google" in found.stderr
    assert "to do: install them with this system's package manager, or by hand" in found.stderr
    assert LEAVE_OUT in found.stderr


def test_without_the_option_nothing_is_installed(path: Path) -> None:
    script(path, "apt-get", "echo called >&2; exit 1")
    found = run_pytest(path, BROWSER_TEST)
    assert found.returncode == pytest.ExitCode.USAGE_ERROR
    assert "called" not in found.stdout + found.stderr
    assert "python3 deploy/programs.py chromium" in found.stderr


def test_a_failing_installation_shows_what_apt_get_printed(path: Path) -> None:
    script(path, "sudo", '[ "$1" = -n ] && shift; "$@"')
    script(path, "apt-get", "echo 'E: no network' >&2; exit 100")
    found = run_pytest(path, "--install-programs", BROWSER_TEST)
    assert found.returncode == pytest.ExitCode.USAGE_ERROR
    assert "test: installing chromium libatomic1 fonts-nanum with apt-get" in found.stdout
    assert "ended with exit code 100:\n    E: no network\n" in found.stderr


def test_a_program_that_is_still_missing_afterwards_is_reported(path: Path) -> None:
    script(path, "sudo", '[ "$1" = -n ] && shift; "$@"')
    script(path, "apt-get", "exit 0")
    script(path, "apt-cache", "exit 1")
    found = run_pytest(path, "--install-programs", BROWSER_TEST)
    assert found.returncode == pytest.ExitCode.USAGE_ERROR
    assert (
        "apt-get installed chromium libatomic1 fonts-nanum, and these programs are still missing:"
        in found.stderr
    )


def test_packages_are_installed_once_and_remove_none(path: Path) -> None:
    script(path, "sudo", '[ "$1" = -n ] && shift; "$@"')
    script(path, "apt-cache", '[ "$2" = chromium-browser ] && echo "Package: $2"')
    install = f"[ $2 != install ] || /bin/cp /usr/bin/env {path}/chromium"
    script(path, "apt-get", f'echo "$@" >> {path}/log; {install}')
    command = [sys.executable, "deploy/programs.py", "chromium"]
    for _ in range(2):
        found = subprocess.run(command, cwd=ROOT, env={"PATH": str(path)}, capture_output=True, check=False)
        assert (found.returncode, found.stderr) == (0, b"")
    assert (path / "log").read_text(encoding="utf-8").splitlines() == [
        "-qq update",
        "-qq install -y --no-remove --no-install-recommends chromium-browser libatomic1 fonts-nanum",
    ]


def test_without_root_and_sudo_it_says_what_an_administrator_runs(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(path, "apt-get", "exit 1")
    monkeypatch.setenv("PATH", str(path))
    with pytest.raises(programs.ProgramsError, match="run: apt-get install chromium npm$"):
        programs.as_root(["chromium|chromium-browser", "npm"], user_id=1000)
    script(path, "sudo", "exit 1")
    with pytest.raises(programs.ProgramsError, match="sudo was refused; run: sudo apt-get install npm$"):
        programs.as_root(["npm"], user_id=1000)
    script(path, "sudo", "exit 0")
    assert programs.as_root(["npm"], user_id=1000)[0] == "sudo"
    assert programs.as_root(["npm"], user_id=0) == []


def test_the_quick_tests_need_no_program(path: Path) -> None:
    found = run_pytest(path, "--collect-only", "-q", "-m", "needs and not slow")
    assert "no tests collected" in found.stdout


def test_a_test_that_uses_a_program_says_so() -> None:
    for file in (ROOT / "tests").rglob("test_*.py"):
        text = file.read_text(encoding="utf-8")
        for module, program in NEEDED_BY.items():
            if re.search(rf"^(from|import) {module}\b", text, re.MULTILINE):
                assert f'needs("{program}")' in text, f"{file.name} imports {module}"


def test_an_unknown_program_is_an_error_that_lists_the_known_ones() -> None:
    command = [sys.executable, "deploy/programs.py", "chromium", "firefox"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 2
    assert found.stderr == f"programs: no program firefox; there are: {', '.join(programs.PROGRAMS)}\n"
