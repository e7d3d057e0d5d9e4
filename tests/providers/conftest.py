"""What the tests of providers share: the examples of the page, in a project that can run them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from dag_runs import Project, new_project
from pages import page

PAGE = page("docs/providers.md")


@pytest.fixture(scope="session")
def example() -> Callable[[str], str]:
    """Return the YAML of the page's example of this dag_id."""

    def find(dag_id: str) -> str:
        (found,) = (text for text in PAGE.of("yaml") if text.startswith(f"{dag_id}:"))
        return found

    return find


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """One project for all tests: its database takes five seconds."""
    return new_project(tmp_path_factory.mktemp("providers") / "project")
