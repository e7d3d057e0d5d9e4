"""Reading a dataset: what is wrong with it, by column and line of the file."""

from __future__ import annotations

from pathlib import Path

import pytest
from training_data import write_csv

from batch_serving.ml.datasets import read_dataset


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,a,digit\n1,2,3,\n2,2,4,\n", "has 3 columns, but line 2 has 4, line 3 has 4 fields"),
        ("id,a,a,digit\n1,2,2,3\n", "has two columns named 'a'"),
        ("id,a,digt\n1,2,3\n", "no column 'digit' for `target`; did you mean 'digt'?"),
        ("id,a,digit\n1,2,3\n2,2,\n3,1,4\n", "target 'digit' is empty in 1 row: line 3"),
        ("id,a,digit\n1,2,3\n1,2,4\n", "row id 'id' is not unique in 1 row: line 3"),
        ("id,a,digit\n1,2,3\n2,2,3\n", "target 'digit' has the same value 3 in all rows"),
        ("id,a,digit\n", "it has a header line but no rows"),
        ("id;a;digit\n1;2;3\n", "is separated by ';'; save it with commas"),
        ("\nid,a,digit\n1,2,3\n", "is not a CSV with a header line: its first line is blank"),
        ('id,a,digit\n1,2,3\n2,2,"4\n', "is not a CSV"),
        ("id,a,digit\n1,2,3\n2,2,3\n3,4,3\n", "target 'digit' has the same value 3 in all rows"),
        ("id,digit\n1,2\n", "there is no feature column beside"),
        ("id,a,digit\n1,2,3.5\n2,3,inf\n", "column 'digit' is infinite in 1 row: line 3"),
        ("id,a,digit\n1,2,3.5\n2,3,NaN\n", "target 'digit' is not a number in 1 row: line 3"),
        ("id,a,digit\n1,2,3\n,3,4\n", "row id 'id' is empty in 1 row: line 3"),
        ("id,a,digit\n1,2,3\n2,inf,4\n", "column 'a' is infinite in 1 row: line 3"),
        (
            "id,a,digit\n1,2,3\n2,3,4\n3,4,4\n4,5,4\n5,1O,4\n6,7,4\n",
            "column 'a' has numbers, except in 1 row: line 6 has '1O'",
        ),
        ("", "is not a CSV with a header line"),
    ],
)
def test_a_dataset_that_cannot_be_used_is_refused_with_the_reason(
    tmp_path: Path, text: str, message: str
) -> None:
    location = write_csv(tmp_path / "rows.csv", text)
    with pytest.raises(ValueError, match="rows.csv") as error:
        read_dataset(location, "digit", "id")
    assert message in str(error.value)


def test_a_line_is_that_of_the_file_whatever_is_before_it(tmp_path: Path) -> None:
    text = 'id,a,note,digit\n1,2,"two\nlines",3\n\n2,2,one,\n3,2,one,4\n'
    location = write_csv(tmp_path / "rows.csv", text)
    with pytest.raises(ValueError, match="target 'digit' is empty in 1 row: line 5"):
        read_dataset(location, "digit", "id")
    location = write_csv(tmp_path / "rows.csv", text.replace("3,2,one,4", '3,"two\nlines",4'))
    with pytest.raises(ValueError, match="has 4 columns, but line 6 has 3 fields"):
        read_dataset(location, "digit", "id")


def test_a_missing_dataset_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"'data/digts\.csv' does not exist"):
        read_dataset("data/digts.csv", "digit", None)
