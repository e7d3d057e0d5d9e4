"""``check --fix``: corrects what has exactly one safe correction, and leaves every other byte unchanged."""

from __future__ import annotations

import difflib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from schemas.checks.secrets import secret_texts
from schemas.documents.reading import Document, DocumentError, decode_document, display_name, find_defaults
from schemas.problems import Problem
from schemas.reports.selection import Selection
from schemas.validation import check_file, expand

MAX_ROUNDS = 10  # a path that is corrected lets the arguments of its function be judged, and so on
BOM = "\ufeff"


@dataclass(frozen=True, order=True)
class Edit:
    """``new`` in place of the characters ``text[start:end]``."""

    start: int
    end: int
    new: str


def fix_paths(paths: Iterable[Path], selection: Selection, *, build: bool, dry_run: bool) -> Iterator[str]:
    """Correct the files below ``paths`` and yield a unified diff of each; only the diff if ``dry_run``.

    Raises OSError for a path that does not exist or a file that cannot be written.
    """
    for path, root in expand(paths):
        raw = path.read_bytes()
        try:
            before = raw.decode("utf-8")
        except UnicodeDecodeError:
            continue  # check reports it
        after = _fixed(path, root, before, selection, build=build)
        if after == before:
            continue
        if not dry_run:
            _write(path, after.encode("utf-8"))
        yield _difference(path, before, after)


def _difference(path: Path, before: str, after: str) -> str:
    """Return a unified diff, without what looks like a secret."""
    name = display_name(path)
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), name, f"{name} (fixed)"
    )
    text = "".join(map(_line, lines)).rstrip("\n")
    for secret in secret_texts(decode_document(path, name, before.encode("utf-8"))):
        text = text.replace(secret, "***")
    return text


def _line(text: str) -> str:
    return text if text.endswith("\n") else f"{text}\n"


def _fixed(path: Path, root: Path, text: str, selection: Selection, *, build: bool) -> str:
    """Return the corrected text of a file: its fixes, and those that only show after them."""
    for _ in range(MAX_ROUNDS):
        changed = fixed_once(path, find_defaults(path, root), text, selection, build=build)
        if changed == text:
            break
        text = changed
    return text


def fixed_once(path: Path, defaults: list[Path], text: str, selection: Selection, *, build: bool) -> str:
    """Return ``text`` with the fixes of its present problems."""
    bom = BOM if text.startswith(BOM) else ""
    body = text.removeprefix(BOM)
    try:
        document = decode_document(path, display_name(path), body.encode("utf-8"))
    except DocumentError:
        return text
    problems = selection.filter(check_file(document, defaults, build=build))
    edits = {edit for problem in problems for edit in _edits(document, problem)}
    changed = _apply(body, edits)
    return bom + changed if _is_read(path, changed, len(document.problems)) else text


def _is_read(path: Path, text: str, problems_before: int) -> bool:
    """Return whether the text can be read no worse than before."""
    try:
        document = decode_document(path, display_name(path), text.encode("utf-8"))
    except DocumentError:
        return False
    return len(document.problems) <= problems_before


def _edits(document: Document, problem: Problem) -> Iterator[Edit]:
    """Yield the edit that a fix means; nothing unless its old text stands there exactly once."""
    if problem.fix is None:
        return
    if problem.place:  # a problem of the text: its line
        lines = document.text.split("\n")
        start = sum(len(line) + 1 for line in lines[: problem.line - 1])
        span = (start, start + len(lines[problem.line - 1]))
        pattern = re.escape(problem.fix.old)
    else:
        if problem.path not in (document.positions.keys if problem.of_key else document.positions.values):
            return  # it comes from a defaults file
        found = problem.span
        span = (found.start, found.end)
        pattern = rf"(?<![\w.+-]){re.escape(problem.fix.old)}(?![\w-])"
    matches = list(re.finditer(pattern, document.text[span[0] : span[1]]))
    if len(matches) == 1:
        start = span[0] + matches[0].start()
        yield Edit(start, start + len(problem.fix.old), problem.fix.new)


def _apply(text: str, edits: set[Edit]) -> str:
    """Return the text with all edits that do not overlap; of two that do, neither is safe."""
    ordered = sorted(edits)
    safe = [
        edit
        for edit in ordered
        if not any(edit != other and edit.start < other.end and other.start < edit.end for other in ordered)
    ]
    for edit in reversed(safe):
        text = text[: edit.start] + edit.new + text[edit.end :]
    return text


def _write(path: Path, data: bytes) -> None:
    """Replace a file in one step, with the rights that it has; a link's target, not the link."""
    target = path.resolve()
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(target.stat().st_mode & 0o7777)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
