"""Raw tables of loan customers that look like those of a lender: made from a seed, so always the same."""

from __future__ import annotations

import math
import random
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from batch_serving.shared.airflow import database_engine
from batch_serving.shared.errors import InvalidValueError
from batch_serving.shared.sql_tables import Row, replace_rows

if TYPE_CHECKING:
    import sqlalchemy as sa

CUSTOMERS = "data_extract_pipeline_customers"
LOANS = "data_extract_pipeline_loans"
PAYMENTS = "data_extract_pipeline_payments"
REGIONS = {"Seoul": 38, "Gyeonggi": 30, "Busan": 12, "Daegu": 8, "Incheon": 7, "Jeju": 5}  # weights
INCOMES = {"high school": 32, "college": 41, "university": 52, "graduate": 68}  # medians, million won a year
EDUCATIONS = {"high school": 30, "college": 25, "university": 35, "graduate": 10}  # weights
FIRST_DAY = date(2021, 1, 4)
LAST_DAY = date(2025, 12, 31)
TERMS = (12, 24, 36, 60)  # months
MONTH = timedelta(days=30)


def make_sample_data(*, connection: str, customers: int = 1000, seed: int = 7) -> dict[str, Any]:
    """Write customers, their loans and the payments for these, in place of what the tables have.

    ``connection`` is the Airflow connection of the feature store. The same ``seed`` gives the same rows.
    Returns the number of rows by table. ValueError for fewer than one customer.
    """
    if customers < 1:
        raise InvalidValueError(f"customers is {customers}", "it must be 1 or more")
    rows = sample_rows(customers, seed)
    engine = database_engine(connection)
    try:
        replace_rows({table: rows[table.name] for table in tables()}, engine)
    finally:
        engine.dispose()
    return {name: len(found) for name, found in rows.items()}


def tables() -> list[sa.Table]:
    """Return the three raw tables."""
    import sqlalchemy as sa

    metadata = sa.MetaData()
    whole: dict[str, Any] = {"autoincrement": False, "nullable": False}
    return [
        sa.Table(
            CUSTOMERS,
            metadata,
            sa.Column("customer_id", sa.Integer, primary_key=True, **whole),
            sa.Column("birth_year", sa.Integer, nullable=False),
            sa.Column("household_size", sa.Integer, nullable=False),
            sa.Column("education", sa.String(20), nullable=False),
            sa.Column("region", sa.String(20), nullable=False),
            sa.Column("yearly_income", sa.Numeric(12, 0), nullable=False),
        ),
        sa.Table(
            LOANS,
            metadata,
            sa.Column("loan_id", sa.Integer, primary_key=True, **whole),
            sa.Column("customer_id", sa.Integer, nullable=False, index=True),
            sa.Column("applied_on", sa.Date, nullable=False),
            sa.Column("amount", sa.Numeric(12, 0), nullable=False),
            sa.Column("term_months", sa.Integer, nullable=False),
            sa.Column("yearly_rate", sa.Numeric(5, 2), nullable=False),
            sa.Column("status", sa.String(10), nullable=False),
        ),
        sa.Table(
            PAYMENTS,
            metadata,
            sa.Column("loan_id", sa.Integer, primary_key=True, **whole),
            sa.Column("number", sa.Integer, primary_key=True, **whole),
            sa.Column("amount", sa.Numeric(12, 0), nullable=False),
            sa.Column("days_late", sa.Integer, nullable=False),
        ),
    ]


def sample_rows(customers: int, seed: int) -> dict[str, list[Row]]:
    """Return the rows of each table, by its name."""
    dice = random.Random(seed)  # noqa: S311 # no secret
    rows: dict[str, list[Row]] = {CUSTOMERS: [], LOANS: [], PAYMENTS: []}
    for customer_id in range(1, customers + 1):
        customer = _customer(customer_id, dice)
        rows[CUSTOMERS].append(customer)
        care = dice.gauss(0, 1)  # how reliably this customer pays: seen only in the payments
        for _ in range(dice.choices((0, 1, 2, 3), (8, 55, 27, 10))[0]):
            loan = _loan(len(rows[LOANS]) + 1, customer, care, dice)
            payments = _payments(loan, customer, care, dice)
            loan["status"] = _status(loan, payments)
            rows[LOANS].append(loan)
            rows[PAYMENTS] += payments
    return rows


def _customer(customer_id: int, dice: random.Random) -> Row:
    education = dice.choices(list(EDUCATIONS), list(EDUCATIONS.values()))[0]
    age = min(75, max(21, round(dice.gauss(42, 12))))
    experience = 1 + 0.012 * (min(age, 55) - 35)
    income = INCOMES[education] * experience * math.exp(dice.gauss(0, 0.35))
    return {
        "customer_id": customer_id,
        "birth_year": FIRST_DAY.year - age,
        "household_size": dice.choices((1, 2, 3, 4, 5), (34, 28, 20, 14, 4))[0],
        "education": education,
        "region": dice.choices(list(REGIONS), list(REGIONS.values()))[0],
        "yearly_income": round(income * 10) * 100_000,
    }


def _loan(loan_id: int, customer: Row, care: float, dice: random.Random) -> Row:
    days = (LAST_DAY - FIRST_DAY).days
    share = min(1.5, math.exp(dice.gauss(-1.2, 0.6)))  # of a year's income
    rate = 5.5 + 3 * share - 0.7 * care + dice.gauss(0, 0.8)
    return {
        "loan_id": loan_id,
        "customer_id": customer["customer_id"],
        "applied_on": FIRST_DAY + timedelta(days=dice.randrange(days)),
        "amount": max(10, round(share * customer["yearly_income"] / 100_000)) * 100_000,
        "term_months": dice.choices(TERMS, (20, 30, 35, 15))[0],
        "yearly_rate": round(min(19.9, max(2.5, rate)), 2),
    }


def _payments(loan: Row, customer: Row, care: float, dice: random.Random) -> list[Row]:
    """Return the monthly payments that were made until the last day, or until the borrower gave up."""
    months = (LAST_DAY - loan["applied_on"]) // MONTH
    monthly = loan["amount"] / loan["term_months"] * (1 + loan["yearly_rate"] / 100)
    burden = monthly * 12 / (customer["yearly_income"] / customer["household_size"] ** 0.5)
    chance_late = 1 / (1 + math.exp(2.2 + 1.1 * care - 2.5 * burden))
    payments: list[Row] = []
    for number in range(1, min(months, loan["term_months"]) + 1):
        late = round(dice.expovariate(1 / 12)) + 1 if dice.random() < chance_late else 0
        payment = {"loan_id": loan["loan_id"], "number": number, "amount": round(monthly), "days_late": late}
        payments.append({**payment, "days_late": min(late, 120)})
        if late and dice.random() < chance_late * 0.05:
            payments[-1]["days_late"] = 90 + dice.randrange(31)
            break
    return payments


def _status(loan: Row, payments: list[Row]) -> str:
    if payments and payments[-1]["days_late"] >= 90:
        return "default"
    return "repaid" if len(payments) == loan["term_months"] else "open"
