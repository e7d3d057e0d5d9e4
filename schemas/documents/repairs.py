"""What a line that is not YAML was probably meant to be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from batch_serving.shared.suggestions import suggest
from schemas.problems import Fix


@dataclass(frozen=True)
class Repair:
    """Another text for one line (its number from 0); ``left_out`` where nothing of it is kept.

    ``indents`` are those that the line may have had, and ``certain`` that it cannot mean anything else.
    """

    line: int
    text: str
    message: str
    hint: str
    fix: Fix | None = None
    left_out: bool = False
    indents: tuple[int, ...] = ()
    certain: bool = False


def repairs(lines: list[str], error: yaml.MarkedYAMLError) -> Iterator[Repair]:
    """Yield what each suspect line may have been meant to be, the likeliest first; last, left out."""
    suspects = _suspects(lines, error)
    for number in suspects:
        yield from _meant(lines, number)
    for number in suspects:
        yield from _indented_as_around(lines, number)
    for number in suspects:
        message = " ".join(str(error.problem or error).split())
        yield Repair(number, "", in_plain_words(message), hint_for(message), left_out=True)


def _suspects(lines: list[str], error: yaml.MarkedYAMLError) -> list[int]:
    """Return the lines that may be wrong: where the parser stopped, the one before, where it began."""
    stopped = error.problem_mark.line if error.problem_mark else None
    began = error.context_mark.line if error.context_mark else None
    found: list[int] = []
    if stopped is not None:
        found.append(stopped)
        # A quote that is not closed ends at the next one, any number of lines below.
        before = [number for number in range(min(stopped, len(lines)) - 1, -1, -1) if lines[number].strip()]
        found += before[:1]
        found += [number for number in before[1:30] if _has_open_quote(lines[number])]
    if began is not None:
        found.append(began)
    kept = (number for number in found if number < len(lines) and lines[number].strip())
    return list(dict.fromkeys(kept))


MISPLACED = "the indentation does not fit the lines around it"


ANCHOR_TWICE = "a second anchor is called"


SPECIAL = re.compile(r"^(\s*(?:- )?[\w.-]+:\s+)([*&@`%!|>][^#]*?|\{\{.*\}\}[^#]*?)(\s+#.*|\s*)$")


# A command such as `[ -f x ] && date`: what YAML takes for the whole value is only its beginning.
CLOSED = r"""\[[^\]]*\]|\{[^}]*\}|"[^"]*"|'(?:[^']|'')*'"""
GOES_ON = re.compile(rf"^(\s*(?:- )?[\w.-]+:\s+)((?:{CLOSED})[ \t]*[^\s,\]}}#].*?)(\s+#.*|\s*)$")


NO_BLANK = re.compile(r"^(\s*(?:- )?[\w-]+):(?=[\"'\w\[{*@])(?!//)")


NO_COLON = re.compile(r"^(\s*(?:- )?[A-Za-z_][\w-]*)(\s+[\"'\w\[{].*|)$")


def _meant(lines: list[str], number: int) -> Iterator[Repair]:
    """Yield what a line may have been meant as, judged alone."""
    line = lines[number]
    if "\t" in line[: indent_of(line)]:
        yield _without_tab(lines, number)
    if match := re.match(r"^(\s*[\w.-]+:\s+)\*([\w-]+)(.*)$", line):
        anchors = re.findall(r"&([\w-]+)", "\n".join(lines))
        near = suggest(match[2], anchors)
        message = f"alias *{match[2]} names no anchor of this file"
        if not near and not match[3].split("#")[0].strip():
            hint = f"write &{match[2]} where the value stands, above this line"
            yield Repair(number, f"{match[1]}null", message, hint)
        if near:
            fix = Fix(f"*{match[2]}", f"*{near.name}") if near.certain else None
            hint = f"did you mean '*{near.name}'?"
            changed = f"{match[1]}*{near.name}{match[3]}"
            yield Repair(number, changed, message, hint, fix, certain=near.certain)
    if match := re.match(r"^(\s*(?:- )?[\w.-]+:\s+)&([\w-]+)\s+(.*)$", line):
        hint = "choose another name, or remove the &"
        yield Repair(number, f"{match[1]}{match[3]}", f"{ANCHOR_TWICE} &{match[2]}", hint, certain=True)
    if match := SPECIAL.match(line):
        yield from _quoted(number, match)
    if match := GOES_ON.match(line):
        quoted = "'" + match[2].replace("'", "''") + "'"
        message = f"a value that starts with {match[2][0]!r} ends where that is closed, and here it goes on"
        hint = f"put all of it in quotes: {_short(quoted)}"
        yield Repair(number, f"{match[1]}{quoted}{match[3]}", message, hint, certain=True)
    if match := NO_BLANK.match(line):
        changed = f"{match[1]}: {line[match.end() :]}"
        yield Repair(
            number, changed, "there is no blank after the colon", f"write {_short(changed.strip())!r}"
        )
    if (match := NO_COLON.match(line)) and ":" not in match[1]:
        changed = f"{match[1]}:{match[2]}"
        yield Repair(number, changed, "there is no colon after the key", f"write {_short(changed.strip())!r}")
    yield from _closed(line, number)


OPENS = re.compile(r":\s*(&[\w-]+\s*)?([|>][+-]?\s*)?(#.*)?$")


def _without_tab(lines: list[str], number: int) -> Repair:
    """Return the line with the indentation that it must have had, or left out where two are possible."""
    message, hint = "a tab indents this line", "indent with spaces"
    body = lines[number].lstrip()
    above = [line for line in lines[:number] if _has_yaml(line)]
    before = above[-1] if above else ""
    after = next((indent_of(line) for line in lines[number + 1 :] if _has_yaml(line)), 0)
    if OPENS.search(body):  # what follows is inside it
        return Repair(number, " " * _level(lines, number) + body, message, hint, certain=True)
    if OPENS.search(before):
        inside = after if after > indent_of(before) else indent_of(before) + 2
        return Repair(number, " " * inside + body, message, hint, certain=True)
    if indent_of(before) == after:
        return Repair(number, " " * after + body, message, hint, certain=True)
    possible = (indent_of(before), after)
    if re.search(r":\s+&", body):  # an anchor is needed further down
        return Repair(number, " " * indent_of(before) + body, message, hint, indents=possible)
    return Repair(number, "", message, hint, left_out=True, indents=possible)


def _level(lines: list[str], number: int) -> int:
    """Return the indentation of a line that what follows is inside of."""
    above = [line for line in lines[:number] if _has_yaml(line)]
    below = [line for line in lines[number + 1 :] if _has_yaml(line)]
    after = indent_of(below[0]) if below else 0
    if above and OPENS.search(above[-1]):
        beside = next((indent_of(line) for line in below if indent_of(line) < after), 0)
        return max(beside, indent_of(above[-1]) + 2)
    return max((indent_of(line) for line in above if indent_of(line) < after), default=0)


def _has_yaml(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#") and "\t" not in line[: indent_of(line)]


def indent_of(line: str) -> int:
    """Return the number of blanks that a line starts with."""
    return len(line) - len(line.lstrip())


def _quoted(number: int, match: re.Match[str]) -> Iterator[Repair]:
    """Yield the line with its value in quotes: a cron expression, a preset, or a template."""
    value = match[2].strip()
    quote = '"' if "'" in value else "'"
    if quote in value:
        return
    quoted = f"{quote}{value}{quote}"
    if value.startswith("{{"):
        message, fix = "a template without quotes is read as a mapping", None
    else:
        message = f"a value that starts with {value[0]!r} needs quotes"
        fix = Fix(value, quoted) if value[0] in "*@" else None
    yield Repair(
        number, f"{match[1]}{quoted}{match[3]}", message, f"write {_short(quoted)}", fix, certain=True
    )


def _has_open_quote(line: str) -> bool:
    return _open_quote(line) != ""


def _open_quote(line: str) -> str:
    """Return the quote in which a line ends, or an empty text."""
    inside = ""
    for place, letter in enumerate(line):
        if inside == '"' and letter == "\\":
            continue
        if inside:
            inside = "" if letter == inside else inside
        elif letter in "\"'" and (place == 0 or line[place - 1] in " [{(,:"):
            inside = letter
        elif letter == "#" and line[place - 1 : place] == " ":
            break
    return inside


def _closed(line: str, number: int) -> Iterator[Repair]:
    """Yield the line with its quote or brackets closed, or with one closing bracket less."""
    if quote := _open_quote(line):
        yield Repair(number, f"{line.rstrip()}{quote}", "the quote is not closed", f"close it with {quote}")
    opened = []
    for letter in re.sub(r"\"[^\"]*\"|'[^']*'", "", line):
        if letter in "[{":
            opened.append("]" if letter == "[" else "}")
        elif opened and letter == opened[-1]:
            opened.pop()
    if opened:
        closing = "".join(reversed(opened))
        yield Repair(number, f"{line.rstrip()}{closing}", "the bracket is not closed", f"add {closing!r}")
    elif line.rstrip()[-1:] in ("]", "}"):
        last = line.rstrip()[-1]
        yield Repair(number, line.rstrip()[:-1], f"there is one {last!r} too many", f"remove a {last!r}")


def _indents_around(lines: list[str], number: int) -> list[str]:
    """Return the indentations that the line may be meant to have, the likeliest first."""
    before = next((line for line in reversed(lines[:number]) if line.strip()), "")
    after = next((line for line in lines[number + 1 :] if line.strip()), "")
    indents = [line[: len(line) - len(line.lstrip())] for line in (before, after)]
    deeper = [f"{indents[0]}  "] if before.rstrip().endswith(":") else []
    candidates = [*deeper, *indents] if deeper else indents
    return [indent for indent in dict.fromkeys(candidates) if "\t" not in indent]


def _indented_as_around(lines: list[str], number: int) -> Iterator[Repair]:
    body = lines[number].lstrip()
    header = [" " * _level(lines, number)] if OPENS.search(body) else []
    for indent in dict.fromkeys([*header, *_indents_around(lines, number)]):
        changed = indent + body
        if changed != lines[number]:
            yield Repair(number, changed, MISPLACED, f"indent it with {len(indent)} blanks")


def in_plain_words(problem: str) -> str:
    """Return a parser's message in words that say what stands there."""
    plain = {
        "mapping values are not allowed in this context": "a second ': ' in one line, or wrong indentation",
        "did not find expected key": "there is no key here, or the indentation is wrong",
        "found character that cannot start any token": "a value cannot start with this character",
        "found undefined alias": "an alias names no anchor of this file",
        "but found another document": "--- starts a second document in the file",
    }
    return plain.get(problem, problem)


def hint_for(problem: str) -> str:
    """Return what to do about a parser's message."""
    if "\\t" in problem or "tab" in problem:
        return "indent with spaces"
    if "cannot start any token" in problem:
        return "indent with spaces, not with a tab; put a text that starts with @ or ` in quotes"
    if "mapping values" in problem:
        return "put the text in quotes, or correct the indentation"
    return "look at this line and the one above: 'key: value' with a blank after the colon, quotes closed"


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}…"
