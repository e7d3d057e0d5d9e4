"""What all command lines of the project have in common: a parser with examples and hints, and an end in
order.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from batch_serving.shared.suggestions import did_you_mean

INTERRUPTED = 128 + signal.SIGINT
PIPE_CLOSED = 128 + signal.SIGPIPE
CHOICE = re.compile(r"invalid choice: '(?P<given>.*?)' \(choose from (?P<known>.*)\)")


class Parser(argparse.ArgumentParser):
    """Says which of the known words a wrong one may be meant for, and shows an example in its help."""

    def __init__(self, *args: Any, example: str = "", **options: Any) -> None:
        """Take what ArgumentParser takes, and an ``example`` of a whole command for the end of the help."""
        if example:
            options.setdefault("epilog", f"example: {example}")
        super().__init__(*args, **options)

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and end with 2."""
        found = CHOICE.search(message)
        if found:
            hint = did_you_mean(found["given"], re.findall(r"[\w-]+", found["known"]))
            message = f"{message}; {hint}" if hint else message
        super().error(message)


def run_command(command: Callable[[], int]) -> int:
    """Return a command's exit code; a closed pipe (``| head``) or Ctrl-C ends it without a trace."""
    try:
        code = command()
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would try to write the rest once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    return code


def is_colourful(stream: Any) -> bool:
    """Return whether colours may be written to a stream: a terminal, where NO_COLOR (no-color.org) is not
    set.
    """
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
