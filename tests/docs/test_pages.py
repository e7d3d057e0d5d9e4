"""What the pages name exists: links, files, functions, settings, commands; what they show is what is printed."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from pages import PAGES, ROOT, Page, page

BIN = Path(sys.executable).parent
FOLDERS = "batch_cli|batch_serving|callables|dag_configs|dags|data|deploy|docs|examples|schemas|tests"
MADE_BY_RUNS = (".airflow", "output", ".env", ".venv")
# Settings of packages that the project does not install.
OTHER_SECTIONS = ("CELERY", "DAG_FACTORY")
# Outputs that test_readme.py compares: the command needs a file with a mistake.
COMPARED_ELSEWHERE = {("README.md", "make check"), ("docs/README.ko.md", "make check")}
BATCH = (".venv/bin/batch", "batch")

each_page = pytest.mark.parametrize("one", PAGES, ids=lambda one: one.name)


@each_page
def test_every_link_leads_somewhere(one: Page) -> None:
    for link in one.links:
        if "://" in link:
            continue
        place, _, anchor = link.partition("#")
        path = (one.path.parent / place).resolve() if place else one.path
        assert path.exists(), link
        assert not anchor or anchor in Page(path).anchors, link


@each_page
def test_every_file_named_exists(one: Page) -> None:
    for code in one.code:
        for name in re.findall(rf"(?<![\w./])((?:{FOLDERS})/[\w./-]*|\.(?:ci|github)/[\w./-]+)", code):
            if name.rstrip("/").rpartition("/")[2] and "<" not in code:
                assert (ROOT / name).exists(), name


@each_page
def test_every_function_named_exists(one: Page) -> None:
    for code in one.code + re.findall(r"^### (\S+)$", one.text, re.MULTILINE):
        if re.fullmatch(r"callables(\.\w+){2}", code):
            module, _, name = code.rpartition(".")
            assert callable(getattr(importlib.import_module(module), name)), code


@each_page
def test_every_setting_of_airflow_exists(one: Page) -> None:
    from airflow.configuration import conf

    for section, name in re.findall(r"\bAIRFLOW__([A-Z_]+?)__([A-Z_]+)", one.text):
        if section not in OTHER_SECTIONS:
            options = conf.configuration_description.get(section.lower(), {}).get("options", {})
            assert name.lower() in options, f"AIRFLOW__{section}__{name}"


def commands_of(one: Page) -> list[str]:
    """Return the commands of a page's console blocks and of its inline code, on one line each."""
    shown = [command for block in one.blocks if block.language == "console" for command, _ in block.commands]
    starts = ("make ", ".venv/bin/", ".ci/run", "python -m ", "python3 ", "batch ", "UPDATE_CORPUS=")
    return shown + [code for code in one.code if code.startswith(starts)]


@cache
def make_targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))


@cache
def help_of(*command: str) -> str:
    found = subprocess.run(
        [*command, "--help"],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, f"{shlex.join(command)}: {found.stderr[-300:]}"
    return found.stdout


def check_options(words: list[str], *command: str) -> None:
    """Check that a command exists and knows each option among ``words``."""
    text = help_of(*command)
    for word in words:
        if re.match(r"--?[a-z]", word):
            option = word.partition("=")[0]
            assert re.search(rf"(?<![\w-]){re.escape(option)}\b", text), f"{shlex.join(command)} {option}"


def check_batch(words: list[str]) -> None:
    """Check words after ``batch``: the command, its own command if it has any, and the options."""
    own = words[1:2] if words[0] in ("models", "weather") else []
    check_options(words, str(BIN / "batch"), words[0], *own)


def check_command(command: str) -> None:
    """Check that a command exists as it is written; AssertionError names what does not."""
    words = shlex.split(command)
    while "=" in words[0] and not words[0].startswith("make"):
        words.pop(0)
    program, rest = words[0], words[1:]
    if program == "make":
        targets = [word for word in rest if "=" not in word]
        assert targets, command
        assert {*targets} <= make_targets(), command
    elif program in BATCH:
        check_batch(rest)
    elif rest[:1] == ["-m"]:
        check_options(rest[2:], sys.executable, "-m", *(rest[1:3] if rest[1] == "schemas" else rest[1:2]))
    elif program == ".ci/run":
        assert rest in ([], ["quick"]), command
    elif program == "python3":
        assert (ROOT / rest[0]).exists(), command
    elif program in ("uv", ".venv/bin/airflow"):
        names = rest[:1] if program == "uv" else rest[:2]
        check_options(rest[len(names) :], str(BIN / program.rpartition("/")[2]), *names)
    else:
        assert program in ("git", "cd", "curl", "export", "rm"), command


@each_page
def test_every_command_exists_with_its_options(one: Page) -> None:
    for command in commands_of(one):
        for part in command.split(" && "):
            check_command(part)


@each_page
def test_every_output_is_what_is_printed(one: Page) -> None:
    for block in one.blocks:
        for command, output in block.commands:
            if not output or (one.name, command) in COMPARED_ELSEWHERE:
                continue
            words = shlex.split(command.replace(".venv/bin/", f"{BIN}/"))
            found = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
            assert found.stdout == output, command


def test_the_pages_are_found() -> None:
    names = {one.name for one in PAGES}
    wanted = ("architecture", "checker", "pipelines", "runbook", "production", "README.ko")
    assert {f"docs/{name}.md" for name in wanted} <= names


def test_the_tree_in_the_architecture_exists() -> None:
    tree = next(text for text in page("docs/architecture.md").of("text") if "dag_configs/" in text)
    package = ""
    for line in tree.splitlines():
        indent, names = re.match(r"( *)(\S+(?: \S+)*)", line).groups()  # type: ignore[union-attr]
        for name in names.split():
            path = ROOT / (package if indent else "") / name
            assert path.exists(), name
        package = package if indent else names.split()[0]


DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_is_short_has_its_parts_and_is_listed(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert 15 <= len(text.splitlines()) <= 30
    assert text.startswith(f"# {path.name[:4]} ")
    for part in ("**Status:**", "## Context", "## Decision", "## What it costs", "## Look again when"):
        assert part in text, part
    title = text.splitlines()[0][7:]
    assert f"| [{path.name[:4]}]({path.name}) | {title} |" in page("docs/decisions/README.md").text


def test_decisions_are_numbered_without_gaps() -> None:
    assert [int(path.name[:4]) for path in DECISIONS] == [*range(1, len(DECISIONS) + 1)]
