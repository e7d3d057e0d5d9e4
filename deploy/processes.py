"""Which processes belong to an instance: all those of one session, which no other process can join."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil


def identity(pid: int) -> str:
    """Return what distinguishes a process from any other that ever has its number.

    On Linux these are the boot and the ticks since then, which a change of the clock does not affect;
    elsewhere it is the time.
    """
    boot = Path("/proc/sys/kernel/random/boot_id")
    if boot.exists():
        ticks = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
        return f"{boot.read_text(encoding='utf-8').strip()}/{ticks}"
    return f"{psutil.Process(pid).create_time():.0f}"


def processes_of(leader: int, leader_identity: str) -> Iterator[psutil.Process]:
    """Yield the living processes of a session whose leader has, or had, this identity.

    The system does not reuse the number of a session while one of its processes lives. If another leader has
    the number, or the machine was restarted, then none of ours is left.
    """
    try:
        if identity(leader) != leader_identity:
            return
    except (OSError, psutil.NoSuchProcess):
        # The leader has ended. Its children may live on, unless the machine was restarted.
        if "/" in leader_identity and _boot(leader_identity) != _boot(identity(os.getpid())):
            return
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError, PermissionError):
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                yield process


def _boot(identity_of_process: str) -> str:
    return identity_of_process.partition("/")[0]


def start_guard(home: Path) -> subprocess.Popen[bytes]:
    """Start a guard of the Airflow in ``home``; it ends with this process, or when its input is closed."""
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("guard.py")), str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # a signal for the command's group is not for the guard
    )
