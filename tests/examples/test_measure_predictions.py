"""The example ``measure_predictions`` under a real scheduler, with its output in object storage."""

from __future__ import annotations

import csv
import io
import os
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from predicting import at, predict, train_champion

if TYPE_CHECKING:
    from conftest import Gallery

pytestmark = [pytest.mark.slow, pytest.mark.needs("mariadb")]


def test_it_measures_what_was_predicted_and_asks_for_no_training(gallery: Gallery) -> None:
    settings = gallery.instance.settings
    with mock.patch.dict(os.environ, {k: settings[k] for k in settings if k.startswith(("AWS_", "BATCH_"))}):
        version = train_champion()
        predict(**at(4))
        predict(**at(0))
    run = gallery.run("measure_predictions")
    assert gallery.tasks(run) == {
        "join_labels": "success",
        "measure": "success",
        "alarm": "success",
        "wants_training": "success",
        "retrain": "skipped",
    }
    joined = gallery.xcom(run, "join_labels")
    assert (joined["predictions"], joined["labelled"]) == (10, 10)
    texts = gallery.texts("quality/digits")
    rows = [row for text in texts for row in csv.DictReader(io.StringIO(text)) if text.startswith("run_id,")]
    assert len(rows) == 10
    assert all(row["label"] for row in rows)
    (mature,) = gallery.xcom(run, "measure")["newest_mature"]
    assert (mature["model_version"], mature["metric"], mature["labelled"]) == (version, "accuracy", 5)
    found = gallery.xcom(run, "alarm")
    assert (found["state"], found["asks_for_training"]) == ("ok", False)
    assert "it must be 0.9 (the floor 0.9)" in found["reason"]
