"""The example ``data_extract_pipeline``: under a real scheduler with MariaDB, and with PostgreSQL."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from example_runs import on_postgres
from running_airflow import ROOT

from batch_serving.shared.errors import InvalidValueError
from examples.data_extract_pipeline.sample_data import (
    CUSTOMERS,
    LOANS,
    PAYMENTS,
    make_sample_data,
    sample_rows,
)

if TYPE_CHECKING:
    from conftest import Gallery

TASKS = ("drop_features", "create_features", "fill_features", "show_figures", "check_table", "check_columns")
FIGURES = ROOT / "examples" / "data_extract_pipeline" / "sql" / "figures.sql"
FEATURES = "SELECT * FROM data_extract_pipeline_features ORDER BY customer_id"


def test_the_same_seed_gives_the_same_rows_and_another_one_others() -> None:
    assert sample_rows(50, 7) == sample_rows(50, 7)
    assert sample_rows(50, 7) != sample_rows(50, 8)


def test_the_rows_look_like_those_of_a_lender() -> None:
    rows = sample_rows(1000, 7)
    status = Counter(loan["status"] for loan in rows[LOANS])
    late = [payment["days_late"] > 0 for payment in rows[PAYMENTS]]
    assert 0.03 < status["default"] / len(rows[LOANS]) < 0.15
    assert 0.05 < sum(late) / len(late) < 0.30
    assert {loan["customer_id"] for loan in rows[LOANS]} < {one["customer_id"] for one in rows[CUSTOMERS]}


def test_no_customers_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="customers is 0; it must be 1 or more"):
        make_sample_data(connection="feature_store", customers=0)


@pytest.mark.slow
@pytest.mark.needs("mariadb")
def test_it_fills_the_features_and_stops_at_a_failing_check(gallery: Gallery) -> None:
    assert gallery.run("data_extract_pipeline_sample_data")["state"] == "success"
    run = gallery.run("data_extract_pipeline")
    assert gallery.tasks(run) == dict.fromkeys(TASKS, "success")
    features = gallery.rows(FEATURES)
    ((customers, borrowers, rows, amount, borrowed),) = gallery.rows(FIGURES.read_text(encoding="utf-8"))
    assert f"{rows}" in gallery.log(run, "show_figures")
    assert int(customers) == 1000
    assert int(borrowers) == int(rows) == len(features)
    assert amount == borrowed
    assert gallery.clear(run)["state"] == "success"
    assert gallery.rows(FEATURES) == features

    with gallery.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE data_extract_pipeline_loans SET yearly_rate = 34.50 WHERE loan_id < 4"
        )
    run = gallery.run("data_extract_pipeline")
    assert run["state"] == "failed"
    assert gallery.tasks(run)["check_columns"] == "failed"
    log = gallery.log(run, "check_columns")
    assert "Column: mean_rate" in log
    assert "34.5" in log

    with gallery.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM data_extract_pipeline_customers WHERE customer_id < 10")
    run = gallery.run("data_extract_pipeline")
    assert gallery.tasks(run)["check_table"] == "failed"
    assert gallery.tasks(run)["check_columns"] == "upstream_failed"
    assert "no_loan_lost" in gallery.log(run, "check_table")
    assert gallery.run("data_extract_pipeline_sample_data")["state"] == "success"
    assert gallery.run("data_extract_pipeline")["state"] == "success"
    assert gallery.rows(FEATURES) == features


@pytest.mark.slow
@pytest.mark.extra("sql")
@pytest.mark.needs("postgres")
def test_the_same_sql_runs_in_postgresql(tmp_path: Path) -> None:
    with on_postgres(tmp_path, "data_extract_pipeline") as store:
        assert store.run("data_extract_pipeline_sample_data") == {"make_sample_data": "success"}
        assert store.run("data_extract_pipeline") == dict.fromkeys(TASKS, "success"), store.project.output[
            -6000:
        ]
        features = store.execute(FEATURES)
        borrowers = {loan["customer_id"] for loan in sample_rows(1000, 7)[LOANS]}
        assert [row[0] for row in features] == sorted(borrowers)
        store.execute("UPDATE data_extract_pipeline_loans SET yearly_rate = 34.50 WHERE loan_id < 4")
        assert store.run("data_extract_pipeline")["check_columns"] == "failed"
