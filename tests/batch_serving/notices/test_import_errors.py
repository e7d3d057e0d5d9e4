"""Each import error is announced once, when it stays; not again after a restart; and so is its repair."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from stores import together

from batch_serving.notices.import_errors import ImportErrors, first_problem

in_one_step = pytest.mark.parametrize("place", ["disk", "s3"], indirect=True)
ERROR = {"a.yaml": "a.yaml:1:1: DAG002 error: unknown key 'x'\n  hint: remove it"}


@dataclass
class Said:
    """What was sent."""

    bad: list[str] = field(default_factory=list)
    good: list[str] = field(default_factory=list)

    def errors(self) -> ImportErrors:
        """Import errors of a scheduler that has just started, and has looked once."""

        def warn(text: str) -> str:
            self.bad.append(text)
            return "sent"

        def inform(text: str) -> str:
            self.good.append(text)
            return "sent"

        return ImportErrors(warn, inform)


@in_one_step
def test_an_error_that_stays_is_announced_once_also_after_a_restart(place: str) -> None:
    said = Said()
    errors = said.errors()
    errors.look({})
    errors.look(ERROR)
    assert said.bad == []
    for _ in range(3):
        errors.look(ERROR)
    restarted = said.errors()
    for _ in range(3):
        restarted.look(ERROR)
    assert said.bad == [
        "a.yaml has an error, and its DAGs are not loaded:\n"
        "a.yaml:1:1: DAG002 error: unknown key 'x'\n  hint: remove it"
    ]
    assert said.good == []


@in_one_step
def test_a_repair_is_announced_once_and_the_same_error_then_again(place: str) -> None:
    said = Said()
    errors = said.errors()
    for found in ({}, ERROR, ERROR, {}, {}, {}):
        errors.look(found)
    assert said.good == ["a.yaml is loaded again"]
    for found in (ERROR, ERROR, {}, {}, {}):
        errors.look(found)
    assert (len(said.bad), len(said.good)) == (2, 2)


def test_a_file_that_was_repaired_while_nothing_looked_is_announced_as_such(output: object) -> None:
    said = Said()
    errors = said.errors()
    for _ in range(3):
        errors.look(ERROR)
    restarted = said.errors()
    for _ in range(3):
        restarted.look({})
    assert said.good == ["a.yaml is loaded again"]


def test_while_a_file_is_edited_nothing_is_announced(output: object) -> None:
    said = Said()
    errors = said.errors()
    for number in range(5):
        errors.look({"a.yaml": f"a.yaml:{number}:1: wrong"})
    errors.look({})
    errors.look({})
    assert (said.bad, said.good) == ([], [])


def test_another_error_of_a_file_is_announced(output: object) -> None:
    said = Said()
    errors = said.errors()
    other = {"a.yaml": "a.yaml:2:1: another"}
    for found in (ERROR, ERROR, other, other, {}, {}):
        errors.look(found)
    assert len(said.bad) == 2
    assert said.good == ["a.yaml is loaded again"]


@in_one_step
def test_of_two_schedulers_one_announces(place: str) -> None:
    said = Said()
    schedulers = [said.errors(), said.errors()]
    for found in ({}, ERROR, ERROR, ERROR, {}, {}, {}):
        together([lambda one=one, found=found: one.look(found) for one in schedulers])  # type: ignore[misc]
    assert len(said.bad) == 1
    assert len(said.good) == 1


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("f.yaml:1:1: one\n  hint: a\nf.yaml:2:1: two\n  hint: b", "f.yaml:1:1: one\n  hint: a"),
        ("f.yaml:1:1: one", "f.yaml:1:1: one"),
        ("Traceback (most recent call last):\n  File x, line 1\nKeyError: 'a'\n", "KeyError: 'a'"),
        ("", ""),
    ],
)
def test_of_several_problems_the_first_is_shown(text: str, first: str) -> None:
    assert first_problem(text) == first
