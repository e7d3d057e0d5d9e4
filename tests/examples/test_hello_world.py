"""The example ``hello_world`` under a real scheduler."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Gallery

pytestmark = [pytest.mark.slow, pytest.mark.needs("mariadb")]


def test_it_prints_its_two_words(gallery: Gallery) -> None:
    run = gallery.run("hello_world")
    assert gallery.tasks(run) == {"print_hello": "success", "print_world": "success"}
    assert "Hello" in gallery.log(run, "print_hello")
    assert "World" in gallery.log(run, "print_world")
