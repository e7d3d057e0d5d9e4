"""The programs that some tests need beside Python packages: which are missing, and their installation.

``make test`` calls it for the tests that were selected. By hand: ``python3 deploy/programs.py [NAME…]``.
Only the standard library is used, so that it runs before anything is installed.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

# Debian keeps servers outside a user's PATH.
MORE_FOLDERS = ("/usr/sbin", "/usr/lib/postgresql/*/bin")
INSTALL_TIMEOUT_S = 1200
OUTPUT_LINES = 5
Say = Callable[[str], None]


class ProgramsError(Exception):
    """Programs are missing and cannot be installed; the text names them and the next action."""


@dataclass(frozen=True)
class Program:
    """Something that tests need: ``commands`` that must exist, and the packages that have them.

    A command, and a package of Debian or Ubuntu, can be written as alternatives: ``chromium|google-chrome``.
    ``libraries`` are what a program that pip installs needs of a Linux system.
    """

    about: str
    commands: tuple[str, ...]
    packages: tuple[str, ...]
    libraries: tuple[str, ...] = ()

    def missing(self) -> list[str]:
        """Return the commands and libraries that this machine lacks."""
        commands = [command for command in self.commands if find(command) is None]
        return commands + [library for library in self.libraries if not has_library(library)]


# mariadb-server itself would start a service; these packages only bring the programs.
PROGRAMS = {
    "chromium": Program(
        "Chromium or Chrome",
        ("chromium|chromium-browser|google-chrome|google-chrome-stable",),
        ("chromium|chromium-browser", "libatomic1", "fonts-nanum"),  # pages in Korean have pictures, too
        libraries=("libatomic.so.1",),  # of the Node.js in playwright, which drives the browser
    ),
    "npm": Program("Node.js with npm", ("node", "npm"), ("nodejs", "npm")),
    "mariadb": Program(
        "a MariaDB server",
        ("mariadbd", "mariadb-install-db", "my_print_defaults"),
        ("mariadb-server-core|mariadb-server", "mariadb-client-core|mariadb-client"),
    ),
    "postgres": Program("a PostgreSQL server", ("initdb", "postgres"), ("postgresql",)),
    "redis": Program("a Redis server", ("redis-server",), ("redis-server",)),
    "strace": Program("strace", ("strace",), ("strace",)),
    "buildah": Program("buildah", ("buildah",), ("buildah",)),
    "mmdebstrap": Program("mmdebstrap", ("mmdebstrap",), ("mmdebstrap",)),
    "cc": Program("a C compiler", ("cc",), ("gcc", "libc6-dev")),
    "git": Program("git", ("git",), ("git",)),
    "make": Program("make", ("make",), ("make",)),
}


def find(command: str) -> str | None:
    """Return the path of a command, or of one of its alternatives; also from where Debian puts servers."""
    folders = [str(path) for place in MORE_FOLDERS for path in sorted(Path("/").glob(place.lstrip("/")))]
    path = os.pathsep.join([os.environ.get("PATH", ""), *folders])
    return next(filter(None, (shutil.which(name, path=path) for name in command.split("|"))), None)


def has_library(name: str) -> bool:
    """Return whether a shared library can be loaded; only Linux is asked."""
    if sys.platform != "linux":
        return True
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def missing(names: Iterable[str]) -> list[str]:
    """Return those of the named programs that this machine lacks."""
    return [name for name in PROGRAMS if name in set(names) and PROGRAMS[name].missing()]


def report(names: Sequence[str]) -> str:
    """Return a line for each missing program: what it is, and which commands or libraries are missing."""
    lines = []
    for name in names:
        commands = ", ".join(" or ".join(found.split("|")) for found in PROGRAMS[name].missing())
        lines.append(f"  {name:<9} {PROGRAMS[name].about} (looked for {commands})")
    return "\n".join(lines)


def install(names: Sequence[str], say: Say) -> None:
    """Install missing programs with apt-get; ProgramsError says what to do where that is not possible."""
    wanted = missing(names)
    if not wanted:
        return
    try:
        packages = [package for name in wanted for package in PROGRAMS[name].packages]
        apt_install(packages, say)
    except ProgramsError as error:
        raise ProgramsError(f"these programs are missing:\n{report(wanted)}\n{error}") from None
    if left := missing(wanted):
        raise ProgramsError(
            f"apt-get installed {_shown(packages)}, and these programs are still missing:\n{report(left)}\n"
            "  to do: install them so that they are on the PATH"
        )


def apt_install(packages: Sequence[str], say: Say) -> None:
    """Install packages of Debian or Ubuntu, removing none; ProgramsError where that is not possible."""
    apt_get = [*as_root(packages, os.geteuid()), "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    say(f"installing {_shown(packages)} with apt-get (1 to 5 minutes)")
    _run([*apt_get, "update"])
    chosen = [_available(package) for package in packages]
    # --no-remove: a MySQL that is installed is never replaced by MariaDB.
    _run([*apt_get, "install", "-y", "--no-remove", "--no-install-recommends", *chosen])


def _shown(packages: Sequence[str]) -> str:
    return " ".join(package.partition("|")[0] for package in packages)


def as_root(packages: Sequence[str], user_id: int) -> list[str]:
    """Return what this user puts before a command to run it as root; ProgramsError if it cannot be."""
    if shutil.which("apt-get") is None:
        raise ProgramsError("  to do: install them with this system's package manager, or by hand")
    if user_id == 0:
        return []
    command = f"apt-get install {_shown(packages)}"
    if shutil.which("sudo") is None:
        raise ProgramsError(f"  to do: have an administrator run: {command}")
    # Without a terminal sudo cannot ask for a password, and would wait.
    prefix = ["sudo"] if sys.stdin.isatty() else ["sudo", "-n"]
    if subprocess.run([*prefix, "true"], stderr=subprocess.DEVNULL, check=False).returncode:
        raise ProgramsError(f"  to do: sudo was refused; run: sudo {command}")
    return prefix


def _available(package: str) -> str:
    """Return the first of the alternatives that apt-get knows."""
    names = package.split("|")
    for name in names:
        found = subprocess.run(["apt-cache", "show", name], capture_output=True, check=False)
        if found.returncode == 0 and found.stdout:
            return name
    return names[0]


def _run(command: list[str]) -> None:
    """Run a command of apt-get; ProgramsError has the end of its output."""
    try:
        found = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=INSTALL_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        raise ProgramsError(f"  to do: this takes more than {INSTALL_TIMEOUT_S} s; run it by hand") from None
    if found.returncode:
        tail = "\n".join(f"    {line}" for line in found.stdout.strip().splitlines()[-OUTPUT_LINES:])
        raise ProgramsError(
            f"`{' '.join(command)}` ended with exit code {found.returncode}:\n{tail}\n"
            "  to do: correct what it reports, then try again"
        )


def main(names: list[str]) -> int:
    """Install the named programs, or all; 1 where one cannot be installed, 2 for an unknown name."""
    if unknown := sorted({*names} - {*PROGRAMS}):
        print(f"programs: no program {', '.join(unknown)}; there are: {', '.join(PROGRAMS)}", file=sys.stderr)
        return 2
    try:
        install(names or list(PROGRAMS), lambda text: print(f"programs: {text}", flush=True))
    except ProgramsError as error:
        print(f"programs: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
