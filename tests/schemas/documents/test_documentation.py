"""A DAG's file is added to its documentation, and found in it again."""

from __future__ import annotations

import pytest

from schemas.documents.documentation import documented, file_in


@pytest.mark.parametrize("own", ["", "Trains a model.", "**a.yaml**\n\n```yaml\nb: 1\n```\n"])
@pytest.mark.parametrize("text", ["a:\n  b: 1", "a: |\n  ```yaml\n  x: 1\n  ```\n  ````", "a: 날씨", ""])
def test_a_file_is_found_again(own: str, text: str) -> None:
    assert file_in(documented(own, "dag_configs/a.yaml", f"\n{text}\n")) == ("dag_configs/a.yaml", text)


@pytest.mark.parametrize("own", ["", "Trains a model.", "```yaml\na: 1\n```\n"])
def test_a_documentation_without_a_file_has_none(own: str) -> None:
    assert file_in(own) is None
