"""What all command lines of the project have in common: a parser with examples and hints, and an end in
order.
"""

from __future__ import annotations

import argparse
import errno
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from batch_serving.shared.suggestions import did_you_mean

INTERRUPTED = 128 + signal.SIGINT
PIPE_CLOSED = 128 + signal.SIGPIPE
CANNOT_WRITE = 2
# What a write to the standard output fails with: a disk that is full or broken, a terminal that is gone.
OUTPUT_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
UNKNOWN = re.compile(r"unrecognized arguments: (.*)", re.DOTALL)
CHOICE = re.compile(r"invalid choice: '(?P<given>.*?)' \(choose from (?P<known>.*)\)")


class Parser(argparse.ArgumentParser):
    """Says which of the known words a wrong one may be meant for, and shows an example in its help."""

    def __init__(self, *args: Any, example: str = "", exit_codes: str = "", **options: Any) -> None:
        """Take what ArgumentParser takes, and an ``example`` of a whole command for the end of the help.

        ``exit_codes`` says there what the command's exit codes mean.
        """
        if example:
            options.setdefault("epilog", f"example: {example}")
        super().__init__(*args, **options)
        self._exit_codes = exit_codes

    def format_help(self) -> str:
        """Return the help, with the exit codes as its last line."""
        text = super().format_help()
        return f"{text}exit code: {self._exit_codes}\n" if self._exit_codes else text

    def print_help(self, file: Any = None) -> None:
        """Print the help; where it cannot be written, end the command with a line that says so."""

        def run() -> int:
            print(self.format_help(), end="", file=file)
            return 0

        if code := run_command(run):
            self.exit(code)

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and end with 2."""
        found = CHOICE.search(message)
        if found:
            hint = did_you_mean(found["given"], re.findall(r"[\w-]+", found["known"]))
            message = f"{message}; {hint}" if hint else message
        elif found := UNKNOWN.fullmatch(message):
            names = [word.partition("=")[0] for word in found[1].split() if word.startswith("-")]
            hints = [hint for name in names if (hint := did_you_mean(name, _options(self)))]
            message = "; ".join([message, *hints])
        elif message.lower().endswith("required: command"):
            message = f"name a command: {', '.join(_commands(self))}; --help says what each does"
        super().error(message)


def _options(parser: argparse.ArgumentParser) -> list[str]:
    """Return the options of a parser and of its commands."""
    found = [name for action in parser._actions for name in action.option_strings]
    return [*found, *(name for one in _commands(parser).values() for name in _options(one))]


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return {name: one for group in groups for name, one in group.choices.items()}


def run_command(command: Callable[[], int]) -> int:
    """Return a command's exit code; a closed pipe (``| head``) or Ctrl-C ends it without a trace.

    So does an output that cannot be written, such as a file on a full disk. Without an output at all
    (``>&-``) nothing is printed.
    """
    _open_closed_streams()
    try:
        code = command()
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        return PIPE_CLOSED
    except OSError as error:
        if error.filename is not None or error.errno not in OUTPUT_ERRORS:
            raise
        _drop_output()
        print(f"the output cannot be written: {error.strerror}", file=sys.stderr)
        return CANNOT_WRITE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    return code


def end_in_order() -> None:
    """Let SIGTERM, and SIGHUP of a terminal that is closed, do what Ctrl-C does: all that is open is closed.

    Only the first one counts: a terminal and make may both send theirs, and the end is not to be interrupted.
    A command under nohup goes on when its terminal is closed.
    """
    ended: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        ended.append(number)
        if len(ended) == 1:
            raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, interrupt)


def _open_closed_streams() -> None:
    """Put nothing in place of a closed stream: a file that is opened later would get its number."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - open to the end


def _drop_output() -> None:
    """Let what is not written yet go nowhere: Python would try to write it once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def is_colourful(stream: Any) -> bool:
    """Return whether colours may be written to a stream: a terminal, where NO_COLOR (no-color.org) is not
    set.
    """
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
