"""Settings in ``.env``, for what a person starts at the command line: ``make up``, and the commands here.

Workers in production have theirs from their environment.
"""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

from callables._files import PROJECT_ROOT


def read_env_file(path: Path) -> dict[str, str]:
    """Return the ``NAME=value`` lines of a file; quotes around a value are taken off.

    Raises ValueError, with the line's number, for one that is not of that form.
    """
    settings: dict[str, str] = {}
    if not path.is_file():
        return settings
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} is not UTF-8: {error}") from None
    for number, line in enumerate(lines, 1):
        text = re.sub(r"^export\s+", "", line.strip())
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        if not equals or not name.strip().isidentifier() or "\0" in text:
            # The line itself is not shown: it may be a secret.
            raise ValueError(f"{path.name}:{number}: not of the form NAME=value")
        settings[name.strip()] = _plain(value.strip())
    return settings


def _plain(value: str) -> str:
    """Return a value without its quotes, and without a comment after it."""
    if quoted := re.fullmatch(r"""(["'])(.*?)\1(\s+#.*)?""", value):
        return quoted[2]
    # JSON may have a # of its own; a plain value ends where a comment starts.
    return value if value.startswith("{") else re.split(r"\s#", value, maxsplit=1)[0].rstrip()


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
