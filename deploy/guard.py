"""Stops a temporary Airflow when the command that started it has ended, however that happened.

``python guard.py HOME`` waits for the end of its standard input: the command holds the other end, and the
system closes it when the command ends, also after a SIGKILL. An Airflow that was stopped before is left
alone.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from pathlib import Path

from instance import Instance
from project import LocalError


def main() -> int:
    """Wait for the end of the standard input, and stop what is left."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdin.buffer.read()
    with contextlib.suppress(LocalError, OSError):
        Instance(Path(sys.argv[1]), {}).stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
