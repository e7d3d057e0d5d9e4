"""Each text of the page is there in Korean, too, and the language is the user's."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from string import Formatter

import pytest
from asking import asking, text_of

import batch_page
from batch_page.asked import language_of
from batch_page.korean import KOREAN
from batch_page.rendering import _templates
from batch_page.view import all_views
from batch_page.views import models, weather

FOLDER = Path(batch_page.__file__).parent


def texts_of_code() -> set[str]:
    """Return the texts that views give to ``asked.text``."""
    found = set()
    for file in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "text"
            ) and (
                node.args and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str)
            ):
                found.add(node.args[0].value)
    return found


def texts_of_templates() -> set[str]:
    """Return the texts that templates give to ``_`` and ``asked.text``."""
    import jinja2.nodes

    found = set()
    for file in (FOLDER / "templates").glob("*.html"):
        tree = _templates().parse(file.read_text(encoding="utf-8"))
        for call in tree.find_all(jinja2.nodes.Call):
            named = isinstance(call.node, jinja2.nodes.Name) and call.node.name == "_"
            if named or (isinstance(call.node, jinja2.nodes.Getattr) and call.node.attr == "text"):
                found |= {arg.value for arg in call.args if isinstance(arg, jinja2.nodes.Const)}
    return found


def test_each_text_is_there_in_korean() -> None:
    asking()
    wanted = texts_of_code() | texts_of_templates() | {view.title for view in all_views()}
    wanted |= {title for _, title, _ in weather.MEASURES.values()}
    assert len(wanted) > 80
    assert sorted(wanted - KOREAN.keys()) == []


def test_a_korean_text_has_the_same_values() -> None:
    def names(text: str) -> set[str]:
        return {name for _, name, _, _ in Formatter().parse(text) if name}

    assert {english: korean for english, korean in KOREAN.items() if names(english) != names(korean)} == {}


def test_a_page_is_in_the_language_of_its_user(champion: str) -> None:
    english = models.page(asking("/models"))
    korean = models.page(asking("/models", language="ko"))
    assert '<html lang="en"' in english
    assert '<html lang="ko"' in korean
    assert "챔피언과 다른 버전" in text_of(korean)
    assert not re.search("[가-힣]", text_of(english).replace("한국어", ""))


@pytest.mark.parametrize(
    ("cookie", "accepted", "found"),
    [
        (None, "ko-KR,ko;q=0.9,en;q=0.8", "ko"),
        (None, "de-DE,de;q=0.9,en;q=0.5", "en"),
        (None, None, "en"),
        ("ko", "en-US", "ko"),
        ("xx", "ko", "ko"),
    ],
)
def test_the_language_is_the_chosen_one_or_that_of_the_browser(
    cookie: str | None, accepted: str | None, found: str
) -> None:
    assert language_of(cookie, accepted) == found
