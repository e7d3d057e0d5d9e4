"""Settings in ``.env``, for what is started at the command line: ``make up``, and the commands here.

Workers in production get theirs from their environment.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from batch_serving.shared.root import PROJECT_ROOT


def read_env_file(path: Path) -> dict[str, str]:
    """Return the ``NAME=value`` lines of a file, without the quotes around a value.

    Raises ValueError, with the line number, for any other line.
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
    # JSON may contain a #; a plain value ends where a comment starts.
    return value if value.startswith("{") else re.split(r"\s#", value, maxsplit=1)[0].rstrip()


def start_command() -> None:
    """Give a command the settings that Airflow has: those of ``.env``, unless the shell sets them.

    Exits with a message if the file cannot be read.
    """
    try:
        settings = read_env_file(PROJECT_ROOT / ".env")
    except ValueError as error:
        raise SystemExit(str(error)) from None
    for name, value in settings.items():
        os.environ.setdefault(name, value)
