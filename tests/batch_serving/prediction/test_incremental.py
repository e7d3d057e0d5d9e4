"""Incremental rows against a simple model: in random histories, no row is lost and none is predicted twice."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from thorough import tries

from batch_serving.prediction.claims import Claims
from batch_serving.prediction.cursor import Cursor, mark_from_json, mark_to_json
from batch_serving.prediction.incremental import RowChoice, TakenError
from batch_serving.prediction.watermark import Limits, Survey
from batch_serving.shared.run_context import parse_zone

LAG_S = 100.0
START = datetime(2026, 1, 1, tzinfo=UTC)
ZONE = parse_zone("UTC")
COUNTS: Counter[str] = Counter()
KILLS = ["", "after its claim", "after its file"]

Version = tuple[str, datetime]  # a row's id and mark; a corrected row is another version


@dataclass
class Run:
    """A run: what it has chosen, what it is about to write, and its file."""

    run_id: str
    run_after: datetime
    until: Any = None
    choice: RowChoice | None = None
    picked: list[Version] = field(default_factory=list)
    file: list[Version] | None = None


class Histories(RuleBasedStateMachine):
    """Rows come, late, corrected, in the future, without a mark; runs overlap, are killed and cleared.

    The model: a version of a row must be predicted by exactly one run, if it came at most the lag behind the
    greatest mark of that moment and stayed until a run could see it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.rows: dict[str, datetime | None] = {}
        self.marks: set[datetime] = set()  # also of versions that are gone
        self.owed: set[Version] = set()
        self.runs: list[Run] = []
        self.stored = json.dumps(Claims(source="s").to_json())
        COUNTS["histories"] += 1

    # --- the source ---

    def put(self, row: str, mark: datetime | None) -> None:
        """Add a row, or correct it: then the version before is owed no longer."""
        self.owed = {version for version in self.owed if version[0] != row or self.is_written(version)}
        greatest = max((other for other in self.marks if other <= self.now), default=None)
        self.rows[row] = mark
        if mark is not None:
            self.marks.add(mark)
        if mark is not None and (greatest is None or mark >= greatest - timedelta(seconds=LAG_S)):
            self.owed.add((row, mark))

    def is_written(self, version: Version) -> bool:
        """Whether a file has it; one that was only claimed is not seen any more once it is corrected."""
        return any(version in (run.file or []) for run in self.runs)

    def new_id(self) -> str:
        return f"r{len(self.rows)}"

    @rule(seconds=st.integers(0, 150))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(number=st.integers(1, 3))
    def rows_come_at_the_same_moment(self, number: int) -> None:
        for _ in range(number):
            self.put(self.new_id(), self.now)

    @rule(behind=st.integers(1, 250))
    def a_row_comes_late(self, behind: int) -> None:
        self.put(self.new_id(), self.now - timedelta(seconds=behind))

    @rule(ahead=st.integers(1, 400))
    def a_row_is_in_the_future(self, ahead: int) -> None:
        self.put(self.new_id(), self.now + timedelta(seconds=ahead))

    @rule()
    def a_row_has_no_mark(self) -> None:
        self.put(self.new_id(), None)

    @precondition(lambda self: self.rows)
    @rule(place=st.integers(0, 99), behind=st.integers(0, 120))
    def a_row_is_corrected(self, place: int, behind: int) -> None:
        row = sorted(self.rows)[place % len(self.rows)]
        self.put(row, self.now - timedelta(seconds=behind))

    # --- the runs ---

    def claims(self) -> Claims:
        return Claims.from_json(json.loads(self.stored))

    @rule(ago=st.sampled_from([0, 0, 0, 60, 500]))
    def a_run_starts(self, ago: int) -> None:
        """Or one is filled in: its time is long ago."""
        run = Run(f"run {len(self.runs)}", self.now - timedelta(seconds=ago))
        self.runs.append(run)
        self.draw(run)

    @rule(is_killed=st.sampled_from(KILLS))
    def a_run_goes_through(self, is_killed: str) -> None:
        self.a_run_starts(0)
        self.read(self.runs[-1])
        self.write(self.runs[-1], is_killed)

    @rule(is_killed=st.sampled_from(KILLS))
    def two_runs_go_through_at_the_same_time(self, is_killed: str) -> None:
        self.a_run_starts(0)
        self.a_run_starts(0)
        one, other = self.runs[-2:]
        self.read(one)
        self.read(other)
        self.write(one, is_killed)
        self.write(other, "")
        self.write(other, "")  # it has chosen again

    def draw(self, run: Run) -> None:
        claims, limits = self.claims(), Limits(LAG_S, run.run_after, ZONE)
        known = claims.of_run(run.run_id)
        if known is not None:
            run.until = known.until
        else:
            survey = Survey(claims, Cursor("at", claims.until), limits)
            survey.add(list(self.rows), list(self.rows.values()))
            run.until = None if survey.until is None else mark_from_json(mark_to_json(survey.until))

    def some_run(self, place: int) -> Run:
        return self.runs[-1 - place % min(len(self.runs), 4)]

    @precondition(lambda self: self.runs)
    @rule(place=st.integers(0, 3))
    def a_run_reads_its_rows(self, place: int) -> None:
        self.read(self.some_run(place))

    def read(self, run: Run) -> None:
        if run.until is None:
            return
        written = [row for row, _ in run.file or []]
        run.choice = RowChoice(self.claims(), run.run_id, written, run.until, LAG_S)
        run.picked = [(row, mark) for row, mark in self.rows.items() if run.choice.takes(row, mark)]

    @precondition(lambda self: self.runs)
    @rule(place=st.integers(0, 3), is_killed=st.sampled_from(KILLS))
    def a_run_writes(self, place: int, is_killed: str) -> None:
        self.write(self.some_run(place), is_killed)

    def write(self, run: Run, is_killed: str) -> None:
        choice = run.choice
        if choice is None or choice.is_empty:
            return
        if choice.has_to_claim:
            try:
                new = choice.claimed(self.claims())
            except TakenError:
                COUNTS["chosen again"] += 1
                run.choice = None
                self.read(run)
                return
            self.stored = json.dumps(new.to_json())
        run.choice = None
        COUNTS["written"] += 1
        if is_killed == "after its claim":
            COUNTS["killed"] += 1
            return
        if run.file is None:
            run.file = run.picked
        else:  # cleared: the same rows, but for corrections
            assert {row for row, _ in run.file} == {row for row, _ in run.picked} | {*choice.lost}
            COUNTS["cleared"] += 1
        if is_killed == "after its file":
            COUNTS["killed"] += 1
            return
        self.stored = json.dumps(choice.confirmed(self.claims()).to_json())

    @precondition(lambda self: self.runs)
    @rule(place=st.integers(0, 99))
    def a_run_is_cleared(self, place: int) -> None:
        run = self.runs[place % len(self.runs)]
        self.draw(run)
        self.read(run)
        self.write(run, "")

    # --- the end ---

    def teardown(self) -> None:
        """Retry what was killed, run until nothing is new, and count."""
        self.now += timedelta(seconds=1000)
        for run in list(self.runs):
            self.draw(run)
            self.read(run)
            self.write(run, "")
        for number in range(3):
            run = Run(f"last {number}", self.now)
            self.runs.append(run)
            self.draw(run)
            self.read(run)
            self.write(run, "")
        assert self.runs[-1].file is None, "the last run found new rows after the one before it"
        written = Counter(version for run in self.runs for version in run.file or [])
        twice = [version for version, number in written.items() if number > 1]
        lost = [version for version in self.owed if version not in written]
        COUNTS["rows"] += len(written)
        COUNTS["twice"] += len(twice)
        COUNTS["lost"] += len(lost)
        assert (twice, lost) == ([], [])


@pytest.mark.slow
def test_in_random_histories_no_row_is_lost_or_predicted_twice(capsys: pytest.CaptureFixture[str]) -> None:
    COUNTS.clear()
    number = tries(1_500, 10_000)
    given = settings(
        max_examples=number,
        stateful_step_count=30,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Histories, settings=given)
    with capsys.disabled():
        print(f"\n  {', '.join(f'{name} {count}' for name, count in sorted(COUNTS.items()))}")
    assert COUNTS["histories"] >= number
    assert (COUNTS["lost"], COUNTS["twice"]) == (0, 0)
    assert min(COUNTS[name] for name in ("killed", "cleared", "chosen again")) > number / 50
