"""Settings in ``.env``, for what a person starts at the command line: ``make up``, and the commands here.

Workers in production have theirs from their environment.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from callables._files import PROJECT_ROOT


def read_env_file(path: Path) -> dict[str, str]:
    """Return the ``NAME=value`` lines of a file; quotes around a value are taken off.

    Raises ValueError, with the line's number, for one that is not of that form.
    """
    settings: dict[str, str] = {}
    if not path.exists():
        return settings
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.strip().removeprefix("export ")
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        if not equals or not name.strip().isidentifier():
            # The line itself is not shown: it may be a secret.
            raise ValueError(f"{path.name}:{number}: not of the form NAME=value")
        settings[name.strip()] = _unquote(value.strip())
    return settings


def _unquote(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    # JSON may have a # of its own; a plain value ends where a comment starts.
    return value if value.startswith("{") else value.partition(" #")[0].rstrip()


def start_command() -> None:
    """Make a command see what Airflow sees: what ``.env`` says, where the shell says nothing.

    Ends it with a message for a file that cannot be read. A pipe that closes early (``| head``) ends it, too.
    """
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        settings = read_env_file(PROJECT_ROOT / ".env")
    except ValueError as error:
        raise SystemExit(str(error)) from None
    for name, value in settings.items():
        os.environ.setdefault(name, value)
