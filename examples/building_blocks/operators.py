"""Custom operators: work that several pipelines repeat, with arguments that YAML gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import BaseOperator, TriggerRule


class CountWordsOperator(BaseOperator):
    """Counts how often each word is in a text, and returns the most frequent ones with their numbers."""

    template_fields: Sequence[str] = ("text",)

    def __init__(self, *, text: str, most: int = 3, **arguments: Any) -> None:
        """``text`` may be a template; the ``most`` frequent words are returned."""
        super().__init__(**arguments)
        self.text = text
        self.most = most

    def execute(self, context: Any) -> dict[str, int]:  # noqa: ARG002 # Airflow gives it
        """Count, and print the result."""
        found = dict(Counter(self.text.lower().split()).most_common(self.most))
        self.log.info("the most frequent words: %s", found)
        return found


class SetupPythonOperator(PythonOperator):
    """A PythonOperator that is a setup task: clearing a task that needs it clears it, too."""

    def __init__(self, **arguments: Any) -> None:
        """Take the arguments of PythonOperator."""
        super().__init__(**arguments)
        self.is_setup = True


class TeardownPythonOperator(PythonOperator):
    """A PythonOperator that is a teardown task.

    It runs when the setup task has succeeded, whatever became of the tasks in between, and does not decide
    whether the run has succeeded.
    """

    def __init__(self, **arguments: Any) -> None:
        """Take the arguments of PythonOperator, without ``trigger_rule``."""
        super().__init__(**arguments, trigger_rule=TriggerRule.ALL_DONE_SETUP_SUCCESS)
        self.is_teardown = True
