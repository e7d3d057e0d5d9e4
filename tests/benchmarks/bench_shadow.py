"""What a contender in the shadow costs: ``predict_rows`` with it, beside the champion's prediction alone.

``make bench`` prints it. Both models are of the same kind. The champion's file is in its place before the
contender begins.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import tempfile
from datetime import date, timedelta
from pathlib import Path

from bench_models import best_of


def shadow(folder: Path) -> None:
    """Print what a contender in the shadow costs, beside the champion's prediction alone."""
    from sklearn.datasets import load_digits

    from batch_serving.prediction import shadow as contenders
    from callables import prediction as predicting
    from callables import promotion, training

    os.environ["BATCH_OUTPUT"] = str(folder / "shadow")
    frame = load_digits(as_frame=True).frame
    given = {"dataset": str(folder / "digits.csv"), "row_id": "row_id", "model": "bench"}
    frame.insert(0, "row_id", range(len(frame)))
    frame.to_csv(given["dataset"], index=False)
    for run in ("champion", "contender"):
        training.train_challenger(
            **given,
            target="target",
            estimator="sklearn.linear_model.LogisticRegression",
            parameters={"max_iter": 500},
            scaler="sklearn.preprocessing.MinMaxScaler",
            metric="accuracy",
            run_id=run,
            run_after="2026-01-01T00:00:00+00:00",
        )
        if run == "champion":
            comparison = promotion.compare(model="bench", metric="accuracy")
            promotion.promote(comparison=json.dumps(comparison), run_id="bench")
    print("\nA contender in the shadow (both: digits, logistic regression), beside the champion alone\n")
    print(f"  {'rows':>12}{'alone':>14}{'with shadow':>14}{'cost':>10}")
    numbers = itertools.count()  # a run that was recorded before is not predicted again
    for rows in (5, 1_000, contenders.ROWS_A_RUN):
        drawn = frame.sample(rows, replace=True, random_state=0).assign(row_id=range(rows))
        path = folder / f"digits_{rows}.csv"
        drawn.to_csv(path, index=False)

        def predict(with_shadow: bool, path: Path = path) -> None:
            number = next(numbers)
            predicting.predict_rows(
                model="bench",
                dataset=str(path),
                row_id="row_id",
                run_id=f"bench {number}",
                run_after=f"{date(2026, 1, 1) + timedelta(number)}T00:00:00+09:00",
                selection='{"rows": "all"}',
                shadow=with_shadow,
            )

        found = best_of({"alone": lambda: predict(False), "both": lambda: predict(True)})
        cells = f"{found['alone'] * 1000:>11.0f} ms{found['both'] * 1000:>11.0f} ms"
        print(f"  {rows:>12,}{cells}{found['both'] / found['alone'] - 1:>9.0%}")


def main() -> None:
    """Print the table."""
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["AIRFLOW_HOME"] = temporary
        shadow(Path(temporary))


if __name__ == "__main__":
    main()
