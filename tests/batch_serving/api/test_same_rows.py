"""The same table as a CSV through ``predict_rows`` and as JSON over HTTP: the same predictions and refusals."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from predicting import ALL, predict_selected, rows_of, train_champion
from serving import Api, serving
from tables import cell, write_csv

pytestmark = pytest.mark.slow

EXAMPLES = 60
KINDS = ["a", "b", "NA", "", " padded ", 'with "quotes", commas', "two\nlines", "한글", "007", "1e5", "true"]
FEATURES: dict[str, st.SearchStrategy[Any]] = {
    "small": st.integers(-(2**15), 2**15 - 1),
    "big": st.one_of(
        st.integers(-(2**63), 2**64), st.sampled_from([2**53 + 1, 2**53 - 1, 10**30, -(10**25), 0])
    ),
    "measure": st.floats(-1e30, 1e30, allow_nan=False),
    "bit": st.sampled_from([True, False, 0, 1, "t", "FALSE", "1"]),
    "flag": st.booleans(),
    "kind": st.sampled_from([*KINDS, "unknown", "A"]),
    "day": st.dates(date(1900, 1, 1), date(2100, 1, 1)) | st.integers(0, 8).map(lambda n: day(n)),
    "code": st.sampled_from(["x1", "7", 7, 2**60 + 1, "0012"]),
}
WRONG: dict[str, st.SearchStrategy[Any]] = {
    "small": st.sampled_from(["1O", "2026-01-02", "1,5", True, "inf", "seven"]),
    "measure": st.sampled_from(["x", "-inf", "0x10", False]),
    "bit": st.sampled_from(["yes", "2026-01-02"]),
}


def day(number: int) -> date:
    """A day of training."""
    return date(2026, 1, 1) + timedelta(number)


def training_rows() -> list[list[Any]]:
    """Rows in which each column has something to say, with gaps."""
    rows = []
    for number in range(160):
        is_yes = number % 2
        rows.append(
            [
                number if number % 7 else None,
                2**62 // (number + 1),
                (number * 31 % 97) * 1e20 if number % 11 else -1e-5,
                bool(number % 3),
                bool(is_yes) if number % 5 else None,
                KINDS[number % 9],
                day(number % 9),
                ["x1", "7", str(2**60 + 1)][number % 3],
                is_yes if number % 13 else 1 - is_yes,
            ]
        )
    return rows


@st.composite
def tables(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rows with gaps in any column; in some tables one value is wrong."""
    rows = [
        {name: draw(st.none() | values) for name, values in FEATURES.items()}
        for _ in range(draw(st.integers(1, 8)))
    ]
    if draw(st.integers(0, 4)) == 0:
        name = draw(st.sampled_from(sorted(WRONG)))
        rows[draw(st.integers(0, len(rows) - 1))][name] = draw(WRONG[name])
    return rows


@pytest.fixture
def api(output: Path, tmp_path: Path) -> Iterator[Api]:
    """A server of a champion that was trained on these columns."""
    path = tmp_path / "training.csv"
    write_csv(path, [*FEATURES, "y"], training_rows())
    train_champion(
        dataset=str(path),
        row_id=None,
        target="y",
        estimator="sklearn.tree.DecisionTreeClassifier",
        parameters={"random_state": 1, "min_samples_leaf": 4},
    )
    with serving(tmp_path) as found:
        yield found


Outcome = tuple[str, Any, Any]


def through_csv(path: Path, rows: list[dict[str, Any]]) -> Outcome:
    """What predict_rows makes of the rows: predictions and counts, or the column that is refused."""
    write_csv(path, list(FEATURES), [list(row.values()) for row in rows])
    try:
        result = predict_selected(ALL, dataset=str(path), row_id=None, run_id=uuid.uuid4().hex)
    except ValueError as error:
        column = re.match(r"column '(\w+)'", str(error))
        assert column, error
        return "refused", column[1], None
    found = [(row["prediction"], float(row["probability"])) for row in rows_of(result)]
    return "predicted", found, (result["out_of_range"], result["never_seen"])


def over_http(api: Api, rows: list[dict[str, Any]]) -> Outcome:
    """What the server makes of them."""
    sent = [{name: str(v) if isinstance(v, date) else v for name, v in row.items()} for row in rows]
    answer = api.post("digits", {"rows": sent})
    content = answer.json()
    if answer.status_code == 422:
        return "refused", {one["column"] for one in content["problems"]}, None
    assert answer.status_code == 200, answer.text
    found = [(str(one["prediction"]), one["probability"]) for one in content["predictions"]]
    outside = Counter(one["column"] for one in content["warnings"] if "outside" in one["problem"])
    unknown = Counter(one["column"] for one in content["warnings"] if "never seen" in one["problem"])
    return "predicted", found, (dict(outside), dict(unknown))


def test_the_same_table_predicts_equally_from_a_csv_and_over_http(
    api: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    count: Counter[str] = Counter()

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(tables())
    def check(rows: list[dict[str, Any]]) -> None:
        kind, found, counts = over_http(api, rows)
        expected_kind, expected, expected_counts = through_csv(tmp_path / "rows.csv", rows)
        assert kind == expected_kind, (found, expected)
        if kind == "refused":
            assert expected in found
        else:
            assert [value for value, _ in found] == [value for value, _ in expected]
            assert [share for _, share in found] == pytest.approx([share for _, share in expected])
            assert counts == expected_counts
        count[kind] += 1

    check()
    with capsys.disabled():
        print(f"\n  {dict(count)}: all equal")
    assert min(count["predicted"], count["refused"]) > 5


def test_a_cell_is_written_as_a_csv_has_it() -> None:
    assert [cell(value) for value in (None, True, 2**60 + 1, day(0))] == [
        "",
        "true",
        str(2**60 + 1),
        "2026-01-01",
    ]
