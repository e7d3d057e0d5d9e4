"""Labels and predictions are compared as the classes or numbers that they mean."""

from __future__ import annotations

import pytest

from batch_serving.monitoring.outcomes import Classes


@pytest.mark.parametrize(
    ("classes", "label", "written"),
    [
        ({"3", "4"}, "3.0", "3"),
        ({"3", "4"}, " 4", "4"),
        ({"3.0", "4.0"}, "3", "3.0"),
        ({"3", "03"}, "03", "03"),  # two classes
        ({"3", "03"}, "3.0", None),
        ({"true", "false"}, "t", "true"),
        ({"cat", "dog"}, "dog", "dog"),
        ({"cat", "dog"}, "Dog", None),
        ({"3", "4"}, "5", None),
        (None, "5.0", "5"),
    ],
)
def test_a_label_is_found_however_its_number_is_written(
    classes: set[str] | None, label: str, written: str | None
) -> None:
    assert Classes(classes).written(label) == written
